"""Flags of what to train on: a folder of photographs, the records of a split, or a .rec file."""
import dataclasses
import os
import shlex

from mxft.commandline.arguments import add_check_option, real, whole
from mxft.errors import InputError

PER_CLASS, QUALITY = 60, 90
FLAGS_OF = {"data": ("per_class", "resize", "quality", "exclude", "labels", "label_columns", "val_fraction"),
            "records": (), "train": ("val", "classes", "num_classes")}


def add_data_options(parser):
    """Add the flags that name the photographs or records to train on."""
    group = parser.add_argument_group("data, one of --data, --records, --train")
    group.add_argument("--data", metavar="FOLDER", help="one folder of images a class; split and packed beside the run")
    group.add_argument("--per-class", type=whole(1), metavar="N",
                       help=f"of --data: training images of each class (default: {PER_CLASS})")
    group.add_argument("--resize", type=whole(1), metavar="N",
                       help="of --data: short side of packed images (default: input size x 8/7)")
    group.add_argument("--quality", type=whole(1, 100), metavar="Q",
                       help=f"of --data: JPEG quality of packed images (default: {QUALITY})")
    group.add_argument("--exclude", action="append", default=[], metavar="NAME",
                       help="of --data: leave a class folder out; may be repeated")
    add_table_options(group, "of --data: ")
    group.add_argument("--records", metavar="PREFIX", help="what `mxft split FOLDER PREFIX` made")
    group.add_argument("--train", metavar="REC", help="a .rec file")
    group.add_argument("--val", metavar="REC", help="of --train: a .rec file to validate on")
    group.add_argument("--classes", metavar="FILE", help="of --train: class names, one a line")
    group.add_argument("--num-classes", type=whole(2), metavar="N",
                       help="of --train: classes (default: the highest label + 1), or labels or numbers of a record")
    add_target_options(group, "the labels are")
    add_check_option(group)


def add_target_options(group, what="the targets are"):
    """Add ``--multi-label`` and ``--regression`` to a parser or a group of it; `target_kind` reads them."""
    group.add_argument("--multi-label", action="store_true", help=f"{what} several labels an image, each yes or no")
    group.add_argument("--regression", action="store_true", help=f"{what} one or several numbers an image")


def add_table_options(group, of=""):
    """Add the flags of a table of labels; `check_table_flags` refuses what does not go together."""
    group.add_argument("--labels", metavar="TABLE",
                       help=f"{of}CSV, TSV or .lst of images and their labels or numbers, paths relative to the folder")
    group.add_argument("--label-columns", type=names, default=(), metavar="NAME,NAME",
                       help="of --labels: the columns that are labels (default: all but the image's)")
    group.add_argument("--val-fraction", type=real(above=0, below=1), metavar="F",
                       help="of --labels: part of the images to validate on (default: 0.2)")


def names(text):
    """Read comma-separated names; an argparse type."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def target_kind(args):
    """Return "multi-label", "regression" or None, as the flags of `add_target_options` say."""
    if args.multi_label and args.regression:
        raise InputError("targets: expected one of --multi-label, --regression, received both")
    return "multi-label" if args.multi_label else "regression" if args.regression else None


def check_table_flags(args):
    """Refuse a table of labels without its kind, or a flag of a table without one."""
    kind = target_kind(args)
    if args.labels and not kind:
        raise InputError(f"--labels: expected --multi-label or --regression beside it, received labels="
                         f"{args.labels!r} alone; one class an image is a folder of class folders")
    for flag in ("label_columns", "val_fraction"):
        if getattr(args, flag, None) and not args.labels:
            raise InputError(f"--{flag.replace('_', '-')}: expected --labels TABLE beside it, received none")


def check_data_flags(args):
    """Refuse none or several sources of data, and a flag that belongs to another one: it would do nothing."""
    given = [name for name in FLAGS_OF if getattr(args, name)]
    if len(given) != 1:
        raise InputError(f"data: expected one of --data, --records, --train, received "
                         f"{' and '.join('--' + name for name in given) or 'none'}")
    for source, flags in FLAGS_OF.items():
        typed = [flag for flag in flags if getattr(args, flag) not in (None, [], ())]
        if source != given[0] and typed:
            raise InputError(f"--{typed[0].replace('_', '-')}: expected --{source} beside it, received "
                             f"--{given[0]} {getattr(args, given[0])}")
    check_table_flags(args)
    if args.data and target_kind(args) and not args.labels:
        raise InputError(f"--{target_kind(args)}: expected --labels TABLE beside --data, received none; folders name "
                         "one class an image")
    if args.labels and (args.per_class or args.exclude):
        raise InputError("--labels: expected the images of a table, received "
                         f"--{'per-class' if args.per_class else 'exclude'} beside it, which is for class folders; "
                         "--val-fraction divides a table")
    if (args.records or "").endswith(".rec"):
        raise InputError(f"--records: expected the PREFIX of `mxft split FOLDER PREFIX`, received records="
                         f"{args.records!r}; a record file is given with --train {shlex.quote(args.records)}")


def target_of(args):
    """Return the kind of target the flags ask for, or the records under ``--records`` were made for.

    Raises
    ------
    InputError
        The flag contradicts the records.
    """
    from mxft.data.datasets import load_records
    from mxft.data.target_spec import CLASSES

    asked = target_kind(args)
    made_for = load_records(args.records).target or CLASSES if args.records else None
    if asked and made_for not in (None, asked):
        raise InputError(f"--{asked}: expected records of that kind, received --records {args.records}, made for "
                         f"{made_for}; mxft split --labels TABLE --{asked} makes such")
    return asked or made_for or CLASSES


def check_table_head(args, checkpoint, spec):
    """Refuse, before ``--data`` is packed, a checkpoint whose kept head has other outputs than a table has labels."""
    from mxft.data.tables import read_table
    from mxft.training.network import with_kept_head

    if args.require_head:
        names = checkpoint.classes
        target = read_table(args.labels, target_kind(args), names, args.label_columns or None).target
        with_kept_head(checkpoint, target.size, spec.shape, target)


def records_from(args, spec, checkpoint=None):
    """Return the Records the flags name, looked at, packing a folder where that is what was given.

    A table's labels are put in the order of `checkpoint`'s classes where its head is kept.
    """
    from mxft.commandline.splitting import say_split
    from mxft.data.classes import read_classes
    from mxft.data.datasets import Records, load_records, prepare_records
    from mxft.data.soundness import check_images

    if args.labels:
        return dataclasses.replace(_labelled(args, spec, checkpoint), check=args.check)
    if args.data:
        prefix = os.path.normpath(args.run) + "-records/images"
        records, split = prepare_records(args.data, prefix, args.per_class or PER_CLASS, args.seed, args.exclude,
                                         num_thread=args.data_nthreads or os.cpu_count() or 1,
                                         resize=args.resize or default_resize(spec), quality=args.quality or QUALITY)
        say_split(split, records)
        return dataclasses.replace(records, check=args.check)
    if args.records:
        records = load_records(args.records)
    else:
        classes = read_classes(args.classes) if args.classes else None
        records = Records(args.train, args.val, classes, args.num_classes, target=target_of(args))
    records = dataclasses.replace(records, check=args.check)
    for path in filter(None, (records.train, records.val)):
        check_images(path, spec, bool(args.train), records.target in ("multi-label", "regression"))
    return records


def _labelled(args, spec, checkpoint):
    """Return the Records of a folder and its table of labels."""
    from mxft.commandline.splitting import say_split
    from mxft.data.labelled import VAL_FRACTION, prepare_labelled_records

    names = checkpoint.classes if checkpoint is not None and args.require_head else None
    records, split = prepare_labelled_records(
        args.data, args.labels, os.path.normpath(args.run) + "-records/images", target_kind(args), names,
        args.label_columns or None, args.val_fraction or VAL_FRACTION, args.seed,
        num_thread=args.data_nthreads or os.cpu_count() or 1, resize=args.resize or default_resize(spec),
        quality=args.quality or QUALITY)
    say_split(split, records)
    return records


def default_resize(spec):
    """Return the short side to pack at: 256 for an input of 224, and in that proportion."""
    return round(max(spec.shape[1:]) * 256 / 224)


def folder_packing(checkpoint, spec):
    """Return what pictures of a folder go through for a checkpoint: its manifest's packing, a face whole, or a crop.

    insightface's aligned faces are the network's input themselves: cutting their middle out would be another face, and
    encoding them anew would lose a little of it.
    """
    from mxft.network.anatomy.outputs import EMBEDDING, FACE_SIZES

    if checkpoint.manifest.get("packing"):
        return dict(checkpoint.manifest["packing"])
    if list(spec.shape[1:]) in FACE_SIZES and checkpoint.anatomy.outputs[0].kind == EMBEDDING:
        return {"resize": spec.resize or max(spec.shape[1:]), "encoding": ".png"}
    return {"resize": spec.resize or default_resize(spec), "quality": QUALITY}
