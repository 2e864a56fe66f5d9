"""Flags of what to train on: a folder of photographs, the records of a split, or a .rec file."""
import dataclasses
import os
import shlex

from mxft.commandline.arguments import add_check_option, real, whole
from mxft.errors import InputError
from mxft.options import QUALITY, VAL_FRACTION

FLAGS_OF = {"data": ("per_class", "resize", "quality", "keep_records", "exclude", "labels", "label_columns",
                     "val_fraction"),
            "records": (), "train": ("val", "classes", "num_classes")}


def add_data_options(parser):
    """Add the flags that name the photographs or records to train on."""
    group = parser.add_argument_group("data, one of --data, --records, --train")
    group.add_argument("--data", metavar="PATH",
                       help="pictures: class folders, train/ and val/ folders, a folder with a table of labels, a CSV, "
                            "TSV or .lst, a tar or zip of these, or a .rec; split and packed beside the run")
    add_split_options(group, "of --data: ")
    group.add_argument("--resize", type=whole(1), metavar="N",
                       help="of --data: short side of packed images (default: input size x 8/7)")
    group.add_argument("--quality", type=whole(1, 100), metavar="Q",
                       help=f"of --data: JPEG quality of packed images (default: {QUALITY})")
    group.add_argument("--keep-records", action="store_true", default=None,
                       help="of --data: pack the pictures also for a plan that reads each of them once, such as --plan "
                            "head --solver logistic, which takes them as they are")
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


def add_split_options(group, of=""):
    """Add the flags that divide pictures into a part for training and one for validation."""
    group.add_argument("--val-fraction", type=real(above=0, below=1), metavar="F",
                       help=f"{of}part of each class's images to validate on (default: {VAL_FRACTION}; where the "
                            "pictures are divided already, as they are)")
    group.add_argument("--per-class", type=whole(1), metavar="N",
                       help=f"{of}training images of each class, all others for validation, as the tutorial has it")


def add_table_options(group, of=""):
    """Add the flags of a table of labels; `check_split_flags` refuses what does not go together."""
    group.add_argument("--labels", metavar="TABLE",
                       help=f"{of}CSV, TSV or .lst of images and their class, labels or numbers (default: the one in "
                            "the folder, where there are no class folders)")
    group.add_argument("--label-columns", type=names, default=(), metavar="NAME,NAME",
                       help="of a table: the columns that are labels (default: the class by its header, or all but "
                            "the image's)")


def names(text):
    """Read comma-separated names; an argparse type."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def target_kind(args):
    """Return "multi-label", "regression" or None, as the flags of `add_target_options` say."""
    if args.multi_label and args.regression:
        raise InputError("targets: expected one of --multi-label, --regression, received both")
    return "multi-label" if args.multi_label else "regression" if args.regression else None


def check_split_flags(args):
    """Refuse flags of two ways to divide pictures, or one beside labels it is not for."""
    kind = target_kind(args)
    if args.per_class and args.val_fraction:
        raise InputError("division: expected one of --per-class, --val-fraction, received both")
    for flag, cure in (("per_class", "--val-fraction divides such pictures"), ("exclude", "leave it out")):
        if getattr(args, flag) and kind:
            raise InputError(f"--{flag.replace('_', '-')}: expected one class an image, received --{kind} beside it; "
                             f"{cure}")
    if args.exclude and args.labels:
        raise InputError(f"--exclude: expected class folders, received --labels {args.labels}")


def check_data_flags(args):
    """Refuse none or several sources of data, and a flag that belongs to another one: it would do nothing."""
    taken = take_records(args)
    given = [name for name in FLAGS_OF if getattr(args, name)]
    if len(given) != 1:
        raise InputError(f"data: expected one of --data, --records, --train, received "
                         f"{' and '.join('--' + name for name in given) or 'none'}")
    for source, flags in FLAGS_OF.items():
        typed = [flag for flag in flags if getattr(args, flag) not in (None, [], ())]
        if source != given[0] and typed and taken:
            raise InputError(f"--{typed[0].replace('_', '-')}: expected pictures, received --data {taken}, records "
                             "that are packed already")
        if source != given[0] and typed:
            raise InputError(f"--{typed[0].replace('_', '-')}: expected --{source} beside it, received "
                             f"--{given[0]} {getattr(args, given[0])}")
    check_split_flags(args)
    if (args.records or "").endswith(".rec"):
        raise InputError(f"--records: expected the PREFIX of `mxft split FOLDER PREFIX`, received records="
                         f"{args.records!r}; a record file is given with --train {shlex.quote(args.records)}")


def take_records(args):
    """Read ``--data`` that is a record file, or a folder of such, as ``--train`` and ``--val``; return its path."""
    from mxft.data.datasets import record_files

    found = record_files(args.data) if args.data else None
    if found is None:
        return None
    path, (train, val) = args.data, found
    args.data, args.train, args.val = None, train, args.val or val
    print(f"{path}: records, {args.train}" + (f" for training and {args.val} for validation" if args.val else ""))
    return path


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
                         f"{made_for}; mxft split --labels TABLE --{asked} PICTURES PREFIX makes such")
    return asked or made_for or CLASSES


def pictures_from(args, checkpoint=None):
    """Return the Pictures under ``--data``; None where records are given.

    A table's labels are put in the order of `checkpoint`'s classes where its head is kept.
    """
    from mxft.data.pictures import open_pictures

    if not args.data:
        return None
    kept = checkpoint.classes if checkpoint is not None and args.require_head else None
    pictures = open_pictures(args.data, target_kind(args), args.labels, args.label_columns or None, kept, args.exclude)
    pictures.require_every_class()
    return pictures


def records_from(args, spec, pictures=None, recipe=None, checked=None):
    """Return the Records the flags name, looked at, packing pictures where those were given.

    Where `recipe`, checked, needs no records of pictures, their features are computed at once: see
    `mxft.training.photographs`.
    """
    from mxft.data.classes import read_classes
    from mxft.data.datasets import Records, load_records, prepare_pictures
    from mxft.data.validation import check_images
    from mxft.evaluation.packing import default_resize
    from mxft.workflows.told import say_split

    if pictures is not None:
        prefix, resize = os.path.normpath(args.run) + "-records/images", args.resize or default_resize(spec)
        if not (recipe is None or args.quality or args.keep_records):
            from mxft.training.photographs import read_instead

            read = read_instead(recipe, checked, pictures, prefix, resize, args.per_class, args.val_fraction,
                                args.data_nthreads)
            if read is not None:
                return read
        records, split = prepare_pictures(
            pictures, prefix, args.per_class, args.val_fraction, args.seed,
            num_thread=args.data_nthreads or os.cpu_count() or 1, resize=resize, quality=args.quality or QUALITY)
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
