"""Fields as flags: the one place where a refusal of the library, which names settings, becomes one that names flags."""
import ast

from mxft.errors import SETTING

FLAGS = {"learning_rate": "--lr", "schedule": "--lr-schedule", "lr_steps": "--lr-step-epochs", "momentum": "--mom",
         "kvstore": "--kv-store", "batch_norm": "--bn", "freezing.patterns": "--freeze",
         "freezing.through": "--freeze-through", "freezing.method": "--freeze-by",
         "freezing.backbone_lr_mult": "--backbone-lr-mult", "freezing.head_lr_mult": "--head-lr-mult",
         "freezing.layer_decay": "--layer-decay", "head_stage.epochs": "--head-epochs",
         "head_stage.learning_rate": "--head-lr", "head_stage.optimizer": "--head-optimizer",
         "head_stage.batch_size": "--head-batch-size", "cache.mode": "--cache", "cache.folder": "--cache-dir",
         "cache.budget_bytes": "--cache-budget", "cache.views": "--views", "mirror": "--no-mirror",
         "keeping.every": "--keep-every", "keeping.last": "--keep-last", "keeping.state_batches": "--save-batches",
         "keeping.state_minutes": "--save-minutes", "keeping.resume": "--resume",
         "frozen_backbone": "--no-frozen-backbone", "rewrite": "--no-rewrite"}


SWITCHES = {("target", "'multi-label'"): "--multi-label", ("target", "'regression'"): "--regression",
            ("target", "'classes'"): "neither --multi-label nor --regression"}


def flag_of(field, flags=None):
    """Return the flag of a field: its own where the tables have one, else the field's name with hyphens.

    Examples
    --------
    >>> flag_of("learning_rate"), flag_of("lr_factor"), flag_of("lr_steps", {"lr_steps": "--lr-steps"})
    ('--lr', '--lr-factor', '--lr-steps')
    """
    return {**FLAGS, **(flags or {})}.get(field) or "--" + field.rpartition(".")[2].replace("_", "-")


def as_flags(message, flags=None):
    """Return a message with every setting it names (see `mxft.errors.MxftError`) as the flag that sets it.

    Parameters
    ----------
    message : str
        Of an MxftError, with its backticks.
    flags : dict of str to str, optional
        A command's own flags by field, where they differ from `FLAGS`.

    Returns
    -------
    str

    Examples
    --------
    >>> as_flags("`lr_factor`: expected `schedule='step'` beside it, received `schedule='cosine'`; leave it out")
    "--lr-factor: expected --lr-schedule step beside it, received lr-schedule='cosine'; leave it out"
    >>> as_flags("`layer`: expected no `require_head=True` beside it; see `mirror=False`")
    '--layer: expected no --require-head beside it; see --no-mirror'
    >>> as_flags("`mixup`: expected one of several classes an image, received `target='multi-label'`")
    '--mixup: expected one of several classes an image, received --multi-label'
    """
    def shown(found):
        field, value = found.groups()
        flag = flag_of(field, flags)
        if (field, value) in SWITCHES:
            return SWITCHES[field, value]
        if value is None:
            return flag
        if value in ("True", "False"):
            return flag if (value == "False") == flag.startswith("--no-") else f"no {flag}"
        clause = message[:found.start()].rpartition(";")[2]
        return f"{flag[2:]}={value}" if "received" in clause else f"{flag} {_typed(value)}"
    return SETTING.sub(shown, message)


def _typed(value):
    """Return a value's repr as it is typed behind a flag."""
    try:
        value = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
