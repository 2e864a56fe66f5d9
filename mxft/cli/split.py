"""``mxft split``: n images a class for training and the rest for validation, listed and packed."""
from mxft.cli.arguments import Parser, whole
from mxft.cli.im2rec import add_image_options, some

EXAMPLES = """\
example, the fine-tune tutorial's Caltech-256 protocol:
  mxft split --per-class 60 --resize 256 --quality 90 --num-thread 4 \\
      256_ObjectCategories caltech-256-60

It writes PREFIX-train and PREFIX-val (.lst .rec .idx) and PREFIX-classes.txt,
whose line number (from 0) is the label. FOLDER is only read. The same seed
makes the same files; mxft finetune --records PREFIX trains on them.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft split", description="Split a folder of class folders, and pack both parts.", epilog=EXAMPLES)
    p.add_argument("folder", metavar="FOLDER", help="holds one folder of images a class")
    p.add_argument("prefix", metavar="PREFIX", help="of the files to write")
    p.add_argument("--per-class", type=whole(1), default=60, metavar="N",
                   help="training images of each class (default: 60)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice and of the order (default: 0)")
    p.add_argument("--exclude", action="append", default=[], metavar="NAME",
                   help="leave a class folder out; may be repeated")
    p.add_argument("--keep-clutter", action="store_true",
                   help="keep Caltech-256's 257.clutter, which is no category and is left out otherwise")
    add_image_options(p)
    return p


def main(argv=None):
    """Run ``mxft split``."""
    args = parser().parse_args(argv)
    from mxft.data.datasets import prepare_records

    records, split = prepare_records(args.folder, args.prefix, args.per_class, args.seed, args.exclude,
                                     args.keep_clutter, args.num_thread, strict=args.strict, resize=args.resize,
                                     quality=args.quality)
    say_split(split, records)


def say_split(split, records):
    """Print what was split and packed, or that an earlier split still stands.

    Parameters
    ----------
    split : SplitResult or None
    records : Records
    """
    from mxft.data.splits import CLUTTER

    if split is None:
        print(f"records are up to date: {records.train}, {records.val}")
        return
    if CLUTTER in split.excluded:
        print(f"left out {CLUTTER}: the tutorial trained 256 outputs with 257 labels; --keep-clutter brings it back")
    if split.ignored:
        print(f"ignored {len(split.ignored)} that are no images of a class: {some(split.ignored)}")
    if split.without_validation:
        print(f"{len(split.without_validation)} classes have no validation images: {some(split.without_validation)}")
    print(f"wrote {split.classes_path}: {len(split.classes)} classes, line number (from 0) is label")
    print(f"train: {split.train}\nval: {split.val}")
