"""The flags that say what is trained and how: plan, freezing, stages, solver, frozen backbone, targets."""
import argparse

from mxft.commandline.arguments import (
    add_precision_option,
    add_rewrite_option,
    add_setting,
    given_settings,
    numbers,
    real,
)
from mxft.errors import InputError
from mxft.options import (
    BACKBONE_LR_MULT,
    BUDGET_BYTES,
    FOLDER,
    HEAD_EPOCHS,
    MODES,
    UNFREEZE_EPOCHS,
    CacheOptions,
    FitOptions,
    FreezeOptions,
    HeadStage,
)
from mxft.training.recipe import Recipe

GIGABYTE = 2 ** 30


def add_plan_options(parser, auto=False):
    """Add the flags; `plan_settings` reads them. With `auto` a plan may be chosen: see `mxft.commandline.auto_plan`."""
    p = parser.add_argument_group("plan: what is trained, and at which rate")
    chosen = "auto: what suits the pictures, as mxft advise says; " if auto else ""
    told = {"default": "auto; full beside a flag that only some plans use"} if auto else {}
    add_setting(p, Recipe, "plan", f"{chosen}full; head: the new head on a frozen backbone; discriminative: the "
                "backbone at a lower rate; gradual: unfreeze stage by stage; two-stage: head, then everything; "
                "scratch: load nothing",
                **told)
    if auto:
        parser.set_defaults(plan=None)
    p.add_argument("--freeze", action="append", metavar="PATTERN",
                   help="freeze parameters by name or shell pattern as well; may be repeated")
    add_setting(p, FreezeOptions, "through", "freeze this layer and everything before it as well", "--freeze-through",
                metavar="LAYER")
    add_setting(p, FreezeOptions, "method", "fixed: no gradient is computed; lr_mult: it is computed and multiplied by "
                "0, as the old scripts do", "--freeze-by", metavar="HOW")
    add_setting(p, Recipe, "batch_norm", "BatchNorm statistics: train or eval (default: eval in frozen layers, train "
                "in others)", "--bn", metavar="MODE")
    add_setting(p, FreezeOptions, "backbone_lr_mult", "of discriminative: the backbone's rate over --lr; "
                "two-stage takes it for its second stage", metavar="F", default=BACKBONE_LR_MULT)
    add_setting(p, FreezeOptions, "head_lr_mult", "of discriminative: the head's rate over --lr", metavar="F",
                default=1)
    add_setting(p, FreezeOptions, "layer_decay", "a layer's rate over that of the next, down the backbone", metavar="F",
                default=1)
    add_setting(p, HeadStage, "epochs", "of two-stage and gradual: epochs of the head alone", "--head-epochs",
                metavar="N", default=HEAD_EPOCHS)
    add_setting(p, HeadStage, "learning_rate", "learning rate in those epochs (default: --lr)", "--head-lr",
                metavar="R")
    add_setting(p, HeadStage, "optimizer", "optimizer in those epochs (default: --optimizer)", "--head-optimizer")
    add_setting(p, HeadStage, "batch_size", "batch size in those epochs (default: --batch-size)", "--head-batch-size",
                metavar="N")
    add_setting(p, Recipe, "unfreeze_epochs", "of gradual: epochs before the next stage is opened", metavar="N",
                default=UNFREEZE_EPOCHS)
    _add_old_names(p)
    _add_backbone_options(parser.add_argument_group("frozen backbone"))
    _add_target_options(parser.add_argument_group("targets"))


def _add_old_names(p):
    """Add the flags that were renamed since 0.1.0 under their old names, too; ``--help`` shows the new ones alone."""
    hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    p.add_argument("--trunk-lr-mult", dest="backbone_lr_mult", type=real(least=0), **hidden)
    p.add_argument("--no-frozen-trunk", dest="no_frozen_backbone", action="store_true", **hidden)


def _add_backbone_options(t):
    add_setting(t, Recipe, "solver", "make the head without SGD: ridge, logistic, svm or imprint; with --plan head, or "
                "as the first stage of two-stage")
    add_setting(t, CacheOptions, "mode", "keep a frozen backbone's features: of the centre crop, or of --views",
                "--cache", choices=MODES, metavar=None)
    add_setting(t, CacheOptions, "views", "of --cache: augmented views of each image", metavar="K")
    t.add_argument("--cache-budget", type=real(above=0), metavar="GB",
                   help="of --cache; float16 where float32 does not fit it (default: "
                        f"{BUDGET_BYTES / GIGABYTE:g})")
    add_setting(t, CacheOptions, "folder", "of --cache disk", "--cache-dir", metavar="DIR", default=FOLDER)
    t.add_argument("--no-frozen-backbone", action="store_true",
                   help="run a frozen backbone in the training graph, as MXNet")
    add_precision_option(t, "int8 is of a frozen backbone, default: of a quantized one; bf16 of any plan; else fp32")
    add_rewrite_option(t)


def _add_target_options(t):
    add_setting(t, FitOptions, "label_smoothing", "of the target's probability, spread over all classes", metavar="S")
    add_setting(t, FitOptions, "mixup", "alpha of the distribution images are mixed by; 0 for none", metavar="ALPHA")
    t.add_argument("--class-weight", metavar="W", help="balanced, or a number for each class: w0,w1,…")
    t.add_argument("--oversample", action="store_true", help="repeat images of small classes up to the largest")
    t.add_argument("--hidden", type=numbers(None), default=(), metavar="N,N",
                   help="units of layers between feature and classifier, relu after each")
    t.add_argument("--dropout", type=real(least=0, below=1), metavar="F", help="of --hidden: after each (default: 0)")


def plan_settings(args):
    """Return the Recipe's fields of these flags.

    Raises
    ------
    InputError
        A value out of its range, or ``--dropout`` without the layers it belongs to.
    """
    from mxft.surgery import Dense
    from mxft.training.targets import parse_class_weight

    if args.dropout is not None and not args.hidden:
        raise InputError(f"--dropout: expected --hidden beside it, received dropout={args.dropout}")
    freezing = given_settings(args, "backbone_lr_mult", "head_lr_mult", "layer_decay", patterns="freeze",
                              through="freeze_through", method="freeze_by")
    head = given_settings(args, epochs="head_epochs", learning_rate="head_lr", optimizer="head_optimizer",
                          batch_size="head_batch_size")
    cache = given_settings(args, "views", mode="cache", folder="cache_dir")
    if args.cache_budget is not None:
        cache["budget_bytes"] = max(1, int(args.cache_budget * GIGABYTE))
    return {**given_settings(args, "plan", "unfreeze_epochs", "solver", batch_norm="bn"),
            "freezing": FreezeOptions(**freezing), "head_stage": HeadStage(**head), "cache": CacheOptions(**cache),
            "oversample": args.oversample, "frozen_backbone": not args.no_frozen_backbone,
            "class_weight": parse_class_weight(args.class_weight) if args.class_weight else None,
            "hidden": tuple(Dense(int(units), dropout=args.dropout or 0.0) for units in args.hidden)}
