"""``--plan auto``: what suits the pictures, chosen as ``mxft advise`` chooses, where nobody says how to train."""
import argparse
import shlex

from mxft.errors import InputError

AUTO = "auto"
_OWN = ("freeze", "freeze_through", "freeze_by", "bn", "backbone_lr_mult", "head_lr_mult", "layer_decay", "head_epochs",
        "head_lr", "head_optimizer", "head_batch_size", "unfreeze_epochs", "solver", "cache", "views", "cache_budget",
        "cache_dir", "no_frozen_backbone", "hidden", "class_weight", "oversample", "label_smoothing", "mixup", "layer",
        "require_head", "initializer", "lr_step_epochs", "lr_factor", "accumulate", "fp16", "optimizer")

_OF_STEPS = ("epochs", "batch_size", "lr", "lr_schedule", "warmup_epochs", "mom", "wd", "augment", "patience",
             "min_delta", "keep_every", "keep_last", "save_batches", "save_minutes", "cpus", "kv_store")


def takes_auto(parser, argv, args):
    """Whether a plan is to be chosen: ``--plan auto``, or neither a plan nor a flag that only some plans use.

    Parameters
    ----------
    parser : callable
        Makes the command's parser.
    argv : list of str
    args : argparse.Namespace
        What the parser made of them; an `auto` becomes ``full`` in it, so that what was typed can be checked.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        ``--plan auto`` beside a flag that belongs to a plan of one's own.
    """
    typed = typed_flags(parser(), argv)
    own = [name for name in _OWN if name in typed]
    if args.plan == AUTO and own:
        raise InputError(f"--plan auto: expected no --{own[0].replace('_', '-')} beside it, received both: it chooses "
                         "what is trained; name the plan that flag is for, mxft finetune --help tells them")
    auto = args.plan == AUTO or args.plan is None and not own
    args.plan = "full" if auto else args.plan or "full"
    return auto


def choose_plan(parser, argv, args, checkpoint, spec, pictures):
    """Return the flags, with those of the advice where the user typed none, and what was chosen and why.

    Parameters
    ----------
    parser, argv, args
        As `takes_auto` takes them.
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    pictures : mxft.data.pictures.Pictures or None
        None where ``--records`` or ``--train`` are given.

    Returns
    -------
    args : argparse.Namespace
        `args` itself where the records are none to train on: preparation then says what is wrong with them.
    said : str
    """
    from mxft.commandline.data_options import target_of
    from mxft.data.datasets import Records, load_records
    from mxft.workflows.auto_plan import Reading, choose

    data = pictures or (load_records(args.records) if args.records else
                        Records(args.train, num_classes=args.num_classes))
    reading = Reading(args.val_fraction, args.per_class, args.resize, args.seed, args.data_nthreads, args.gpus)
    advice, said = choose(checkpoint, spec, data, target_of(args), reading,
                          bool(typed_flags(parser(), argv).intersection(_OF_STEPS)))
    if advice is None:
        return args, ""
    chosen = parser().parse_args([*shlex.split(advice.flags), *argv])
    for name in ("data", "train", "val", "records"):  # as `check_data_flags` read them
        setattr(chosen, name, getattr(args, name))
    chosen.plan = advice.settings["plan"]
    return chosen, said


def typed_flags(parser, argv):
    """Return the names in args of the flags that were typed; the parser forgets its defaults."""
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    parser._defaults.clear()
    return set(vars(parser.parse_args(argv)))
