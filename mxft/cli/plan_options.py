"""The flags that say what moves and how: plan, freezing, stages, solver, frozen trunk, targets."""
import dataclasses

from mxft.cli.arguments import add_rewrite_option, numbers, real, whole
from mxft.errors import InputError

_BELONGS = {"head_epochs": ("two-stage", "gradual"), "head_lr": ("two-stage", "gradual"),
            "head_optimizer": ("two-stage", "gradual"), "head_batch_size": ("two-stage", "gradual"),
            "unfreeze_epochs": ("gradual",), "trunk_lr_mult": ("discriminative", "two-stage"),
            "head_lr_mult": ("discriminative", "two-stage"), "layer_decay": ("discriminative", "two-stage")}


def add_plan_options(parser):
    """Add the flags; `plan_settings` reads them."""
    p = parser.add_argument_group("plan: what moves, and how fast")
    p.add_argument("--plan", default="full", metavar="NAME",
                   help="full; head: the new head on a fixed trunk; discriminative: the trunk at a lower rate; "
                        "gradual: unfreeze stage by stage; two-stage: head, then everything; scratch: load nothing "
                        "(default: full)")
    p.add_argument("--freeze", action="append", default=[], metavar="PATTERN",
                   help="freeze parameters by name or shell pattern as well; may be repeated")
    p.add_argument("--freeze-through", metavar="LAYER", help="freeze this layer and everything before it as well")
    p.add_argument("--freeze-by", default="fixed", metavar="HOW",
                   help="fixed: no gradient is computed; lr_mult: it is, and multiplied by 0, as the old scripts do "
                        "(default: fixed)")
    p.add_argument("--bn", metavar="MODE",
                   help="BatchNorm statistics: train or eval (default: eval in frozen layers, train in others)")
    p.add_argument("--trunk-lr-mult", type=real(least=0), metavar="F",
                   help="of discriminative: the trunk's rate over --lr (default: 0.1); two-stage takes it for its "
                        "second stage")
    p.add_argument("--head-lr-mult", type=real(least=0), metavar="F", help="the same of the head (default: 1)")
    p.add_argument("--layer-decay", type=real(above=0, most=1), metavar="F",
                   help="a layer's rate over that of the next, down the trunk (default: 1)")
    p.add_argument("--head-epochs", type=whole(1), metavar="N",
                   help="of two-stage and gradual: epochs of the head alone (default: 2)")
    p.add_argument("--head-lr", type=real(least=0), metavar="R", help="in them (default: --lr)")
    p.add_argument("--head-optimizer", metavar="NAME", help="in them (default: --optimizer)")
    p.add_argument("--head-batch-size", type=whole(1), metavar="N", help="in them (default: --batch-size)")
    p.add_argument("--unfreeze-epochs", type=whole(1), metavar="N",
                   help="of gradual: epochs before the next stage is opened (default: 1)")
    _add_trunk_options(parser.add_argument_group("frozen trunk"))
    _add_target_options(parser.add_argument_group("targets"))


def _add_trunk_options(t):
    t.add_argument("--solver", metavar="NAME",
                   help="make the head without SGD: ridge, logistic, svm or imprint; with --plan head, or as the first "
                        "stage of two-stage")
    t.add_argument("--cache", default="none", choices=("none", "memory", "disk"),
                   help="keep a frozen trunk's features: of the centre crop, or of --views (default: none)")
    t.add_argument("--views", type=whole(1), metavar="K", help="of --cache: augmented views of each image")
    t.add_argument("--cache-budget", type=real(above=0), default=2.0, metavar="GB",
                   help="of --cache; float16 where float32 does not fit it (default: 2)")
    t.add_argument("--cache-dir", default="data-cache/features", metavar="DIR",
                   help="of --cache disk (default: data-cache/features)")
    t.add_argument("--no-frozen-trunk", action="store_true", help="run a frozen trunk in the training graph, as MXNet")
    add_rewrite_option(t)


def _add_target_options(t):
    t.add_argument("--label-smoothing", type=real(least=0, below=1), default=0.0, metavar="S", help="(default: 0)")
    t.add_argument("--mixup", type=real(least=0), default=0.0, metavar="ALPHA", help="(default: 0, none)")
    t.add_argument("--class-weight", metavar="W", help="balanced, or a number for each class: w0,w1,…")
    t.add_argument("--oversample", action="store_true", help="repeat images of small classes up to the largest")
    t.add_argument("--hidden", type=numbers(None), default=(), metavar="N,N",
                   help="units of layers between feature and classifier, relu after each")
    t.add_argument("--dropout", type=real(least=0, below=1), default=0.0, metavar="F",
                   help="of --hidden: after each (default: 0)")


def plan_settings(args):
    """Return the Recipe's fields of these flags, refusing a flag its plan would not heed.

    Raises
    ------
    InputError
    """
    from mxft.features.store import CacheOptions
    from mxft.freeze import FreezeOptions, check_plan
    from mxft.surgery import Dense
    from mxft.training.stages import HeadStage
    from mxft.training.targets import parse_class_weight

    check_plan(args.plan)
    _check_flags(args)
    given = {name: getattr(args, name) for name in ("trunk_lr_mult", "head_lr_mult", "layer_decay")
             if getattr(args, name) is not None}
    head = {"epochs": args.head_epochs, "learning_rate": args.head_lr, "optimizer": args.head_optimizer,
            "batch_size": args.head_batch_size}
    return {"plan": args.plan, "batch_norm": args.bn,
            "freezing": FreezeOptions(tuple(args.freeze), args.freeze_through, args.freeze_by, **given),
            "head_stage": HeadStage(**{name: value for name, value in head.items() if value is not None}),
            "second_plan": "discriminative" if given else "full", "unfreeze_epochs": args.unfreeze_epochs or 1,
            "solver": args.solver, "oversample": args.oversample,
            "class_weight": parse_class_weight(args.class_weight) if args.class_weight else None,
            "hidden": tuple(Dense(int(units), dropout=args.dropout) for units in args.hidden),
            "frozen_trunk": not args.no_frozen_trunk,
            "cache": CacheOptions(args.cache, args.cache_dir, int(args.cache_budget * 2**30), args.views or 1)}


def augmentation_from(args):
    """Return the Augmentation of ``--augment``: level 1 by default, or 0 where one view of each image is to be kept."""
    from mxft.data.augmentation import augmentation_of

    level = args.augment
    if level is None:
        level = 0 if args.cache != "none" and not args.views else 1
    augmentation = augmentation_of(level)
    return dataclasses.replace(augmentation, rand_mirror=augmentation.rand_mirror and not args.no_mirror)


def _check_flags(args):
    for name, plans in _BELONGS.items():
        if getattr(args, name) is not None and args.plan not in plans:
            raise InputError(f"--{name.replace('_', '-')}: expected --plan {' or '.join(plans)} beside it, received "
                             f"--plan {args.plan}")
    if args.views and args.cache == "none":
        raise InputError(f"--views: expected --cache memory or disk beside it, received views={args.views}")
    if args.no_frozen_trunk and args.cache != "none":
        raise InputError(f"--cache {args.cache}: expected a frozen trunk that runs apart, received --no-frozen-trunk")
    if args.dropout and not args.hidden:
        raise InputError(f"--dropout: expected --hidden beside it, received dropout={args.dropout}")
