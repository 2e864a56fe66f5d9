"""``mxft split``: n images a class for training and the rest for validation, listed and packed."""
from mxft.cli.im2rec import add_image_options
from mxft.commandline.arguments import Parser, whole
from mxft.commandline.data_options import add_table_options, add_target_options, check_table_flags, target_kind
from mxft.commandline.splitting import say_split
from mxft.errors import InputError

PER_CLASS = 60

EXAMPLES = """\
example, the fine-tune tutorial's Caltech-256 protocol:
  mxft split --per-class 60 --resize 256 --quality 90 --num-thread 4 \\
      256_ObjectCategories caltech-256-60
several labels, or numbers, for each photograph:
  mxft split --labels tags.csv --multi-label --resize 256 photos/ tags
  mxft split --labels ages.csv --regression --resize 256 photos/ ages

A table has the photographs' paths in one column and in the others the labels:
one column of names (cat dog, cat|dog, cat;dog), or a column of 0 and 1 for
each label; of numbers one column each. A .lst has index, labels and path.

It writes PREFIX-train and PREFIX-val (.lst .rec .idx) and PREFIX-classes.txt,
whose line number (from 0) is the label. FOLDER is only read. The same seed
makes the same files; mxft finetune --records PREFIX trains on them.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft split", description="Split a folder of class folders, and pack both parts.", epilog=EXAMPLES)
    p.add_argument("folder", metavar="FOLDER", help="holds one folder of images a class")
    p.add_argument("prefix", metavar="PREFIX", help="of the files to write")
    p.add_argument("--per-class", type=whole(1), metavar="N",
                   help="training images of each class (default: 60)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice and of the order (default: 0)")
    p.add_argument("--exclude", action="append", default=[], metavar="NAME",
                   help="leave a class folder out; may be repeated")
    p.add_argument("--keep-clutter", action="store_true",
                   help="keep Caltech-256's 257.clutter, which is no category and is left out otherwise")
    add_table_options(p)
    add_target_options(p, "the table says")
    p.add_argument("--classes", metavar="FILE", help="of --labels: names in the order of the outputs, one a line")
    add_image_options(p)
    return p


def main(argv=None):
    """Run ``mxft split``."""
    args = parser().parse_args(argv)
    _check_flags(args)
    packing = {"num_thread": args.num_thread, "strict": args.strict, "resize": args.resize, "quality": args.quality,
               "interp": args.interp}
    if args.labels:
        say_split(*reversed(_labelled(args, packing)))
        return
    from mxft.data.datasets import prepare_records

    records, split = prepare_records(args.folder, args.prefix, args.per_class or PER_CLASS, args.seed, args.exclude,
                                     args.keep_clutter, **packing)
    say_split(split, records)


def _check_flags(args):
    """Refuse flags of one way to split beside the other's."""
    check_table_flags(args)
    for flag in ("per_class", "exclude", "keep_clutter"):
        if args.labels and getattr(args, flag):
            raise InputError(f"--{flag.replace('_', '-')}: expected a folder of class folders, received --labels "
                             f"{args.labels}; --val-fraction divides the rows of a table")
    if not args.labels and (target_kind(args) or args.classes):
        given = "--classes" if args.classes else f"--{target_kind(args)}"
        raise InputError(f"{given}: expected --labels TABLE beside it, received none; folders name one class an image")


def _labelled(args, packing):
    """Return the records of a table, and the split."""
    from mxft.data.classes import read_classes
    from mxft.data.labelled import VAL_FRACTION, prepare_labelled_records

    names = read_classes(args.classes) if args.classes else None
    return prepare_labelled_records(args.folder, args.labels, args.prefix, target_kind(args), names,
                                    args.label_columns or None, args.val_fraction or VAL_FRACTION, args.seed, **packing)
