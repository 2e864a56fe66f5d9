"""``mxft split``: pictures divided into a part for training and one for validation, listed and packed."""
import os

from mxft.cli.im2rec import add_image_options
from mxft.commandline.arguments import Parser
from mxft.commandline.data_options import (
    add_split_options,
    add_table_options,
    add_target_options,
    check_split_flags,
    target_kind,
)
from mxft.workflows.told import say_split

EXAMPLES = """\
examples:
  mxft split --resize 256 --num-thread 4 photos/ photos-records
the fine-tune tutorial's Caltech-256 protocol:
  mxft split --per-class 60 --resize 256 --quality 90 --num-thread 4 \\
      256_ObjectCategories caltech-256-60
several labels, or numbers, for each photograph:
  mxft split --labels tags.csv --multi-label --resize 256 photos/ tags
  mxft split --labels ages.csv --regression --resize 256 photos/ ages

PICTURES is a folder with one folder a class, also nested or within one more
folder; with train/ and val/ (valid, validation or test) folders of these; with
a table of labels; such a table; or a tar or zip of any of these.

A table has the photographs' paths in one column and in the others the labels:
one class (label, class, category), one column of names (cat dog, cat|dog,
cat;dog), or a column of 0 and 1 for each label; of numbers one column each. A
column called split says train, val or test. A .lst has index, labels and path.

It writes PREFIX-train and PREFIX-val (.lst .rec .idx) and PREFIX-classes.txt,
whose line number (from 0) is the label. PICTURES is only read. The same seed
makes the same files; mxft finetune --records PREFIX trains on them.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft split", description="Divide pictures for training and validation, and pack both parts.",
               epilog=EXAMPLES)
    p.add_argument("pictures", metavar="PICTURES", help="folder, table, tar or zip")
    p.add_argument("prefix", metavar="PREFIX", help="of the files to write")
    add_split_options(p)
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice and of the order (default: 0)")
    p.add_argument("--exclude", action="append", default=[], metavar="NAME",
                   help="leave a class folder out; may be repeated")
    p.add_argument("--keep-clutter", action="store_true",
                   help="keep Caltech-256's 257.clutter, which is no category and is left out otherwise")
    add_table_options(p)
    add_target_options(p, "the table says")
    p.add_argument("--classes", metavar="FILE", help="names in the order of the outputs, one a line")
    add_image_options(p)
    return p


def main(argv=None):
    """Run ``mxft split``."""
    args = parser().parse_args(argv)
    check_split_flags(args)
    from mxft.data.classes import read_classes
    from mxft.data.datasets import prepare_pictures
    from mxft.data.pictures import open_pictures
    from mxft.files.whole import check_writable

    check_writable(os.path.dirname(os.path.abspath(args.prefix)), "PREFIX")
    names = read_classes(args.classes) if args.classes else None
    pictures = open_pictures(args.pictures, target_kind(args), args.labels, args.label_columns or None, names,
                             args.exclude, args.keep_clutter)
    records, split = prepare_pictures(pictures, args.prefix, args.per_class, args.val_fraction, args.seed,
                                      num_thread=args.num_thread, strict=args.strict, resize=args.resize,
                                      quality=args.quality, interp=args.interp)
    say_split(split, records)
