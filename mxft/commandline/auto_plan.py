"""``--plan auto``: what suits the pictures, chosen as ``mxft advise`` chooses, where nobody says how to train."""
import argparse
import shlex

from mxft.errors import InputError
from mxft.options import VAL_FRACTION
from mxft.wording import plural

AUTO = "auto"
_OWN = ("freeze", "freeze_through", "freeze_by", "bn", "trunk_lr_mult", "head_lr_mult", "layer_decay", "head_epochs",
        "head_lr", "head_optimizer", "head_batch_size", "unfreeze_epochs", "solver", "cache", "views", "cache_budget",
        "cache_dir", "no_frozen_trunk", "hidden", "class_weight", "oversample", "label_smoothing", "mixup", "layer",
        "require_head", "initializer", "lr_step_epochs", "lr_factor", "accumulate", "fp16", "optimizer")

_OF_STEPS = ("epochs", "batch_size", "lr", "lr_schedule", "warmup_epochs", "mom", "wd", "augment", "patience",
             "min_delta")


def takes_auto(parser, argv, args):
    """Whether a plan is to be chosen: ``--plan auto``, or neither a plan nor a flag that only some plans hear.

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
    typed = _typed(parser(), argv)
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
    from mxft.data.target_spec import CLASSES
    from mxft.features.advice import advise

    kind = target_of(args)
    images, outputs, measure = _source(args, pictures, kind)
    if not images:
        return args, ""
    evidence, why = None, f"layers are probed for classes alone: pictures with {kind} are taken to be like those"
    if kind == CLASSES:
        evidence, why = _evidence(measure, checkpoint, spec, args)
    similar = evidence.similar if evidence else True
    advice = advise(images, outputs, similar, None if similar else evidence.best_layer, kind,
                    by_steps=bool(_typed(parser(), argv).intersection(_OF_STEPS)))
    chosen = parser().parse_args([*shlex.split(advice.flags), *argv])
    for name in ("data", "train", "val", "records"):  # as `check_data_flags` read them
        setattr(chosen, name, getattr(args, name))
    chosen.plan = advice.settings["plan"]
    return chosen, f"plan auto: {advice.plan}\n  {advice.flags}\n  {advice.reason}\n  {why}"


def _typed(parser, argv):
    """Return the names of the flags that were typed."""
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    parser._defaults.clear()
    return set(vars(parser.parse_args(argv)))


def _source(args, pictures, kind):
    """Return training images, outputs, and what measures similarity on a sample; 0 images of other records."""
    from mxft.data.datasets import load_records
    from mxft.data.labels import scan_labels
    from mxft.data.target_spec import CLASSES, TargetSpec, check_target, label_matrix
    from mxft.features.probe import measure_pictures, measure_records

    if pictures is not None:
        from mxft.commandline.data_options import default_resize

        part = 1 - (args.val_fraction or VAL_FRACTION) if pictures.val is None else 1
        images = (args.per_class * pictures.target.size if args.per_class else round(part * len(pictures.rows)))
        return images, pictures.target.size, lambda checkpoint, spec, *rest: measure_pictures(
            checkpoint, spec, pictures, args.resize or default_resize(spec), *rest)
    try:
        scan = scan_labels(load_records(args.records).train if args.records else args.train)
        if kind == CLASSES and scan.labels.ndim > 1:
            return 0, 0, None
        check_target(scan, TargetSpec(kind, args.num_classes or (int(scan.first.max()) + 1 if kind == CLASSES else
                                                                 label_matrix(scan).shape[1])))
    except (InputError, ValueError, OverflowError):
        return 0, 0, None
    outputs = len(set(scan.first.tolist())) if kind == CLASSES else label_matrix(scan).shape[1]
    return len(scan.ids), outputs, lambda checkpoint, spec, *rest: measure_records(checkpoint, spec, scan, *rest)


def _evidence(measure, checkpoint, spec, args):
    """Return a Similarity and what it says in words, or None and why there is none."""
    from mxft.devices import contexts

    try:
        found = measure(checkpoint, spec, args.seed, args.data_nthreads, contexts(args.gpus)[0])
    except InputError as error:
        return None, f"layers were not probed ({error}): the pictures are taken to be like those"
    last, best = found.probes[-1].top1, max(probe.top1 for probe in found.probes)
    told = (f"on {plural(found.images, 'picture')}, in {found.seconds:.0f} s, a linear classifier on the last layer's "
            f"features has a top-1 of {last:.3f}")
    return found, told if found.similar else f"{told}, on those of {found.best_layer} {best:.3f}"
