"""``mxft im2rec``: image lists from folders, record files from image lists; the flags of MXNet's tools/im2rec.py."""
import os
import shlex
import sys

from mxft.commandline.arguments import Parser, real, whole
from mxft.commandline.auto_plan import typed_flags
from mxft.commandline.data_options import add_target_options, names, target_kind
from mxft.errors import InputError, nearest
from mxft.network.image_options import INTERPOLATIONS
from mxft.wording import some

OF_LISTS = ("recursive", "exts", "exclude", "classes", "label_columns", "multi_label", "regression", "chunks",
            "train_ratio", "test_ratio", "shuffle", "seed")
OF_RECORDS = ("pass_through", "resize", "interp", "quality", "num_thread", "strict", "center_crop", "color", "encoding",
              "pack_label")
SHORT_MAP = 30  # class names printed one by one; of more, a summary

EXAMPLES = """\
examples:
  mxft im2rec --list --recursive flowers photos/
  mxft im2rec --resize 256 --quality 90 --num-thread 4 flowers photos/
  mxft im2rec --list --labels species.csv species photos/
  mxft im2rec --list --labels tags.csv --multi-label tags photos/
  mxft im2rec --pack-label --resize 256 tags photos/

With --list it writes PREFIX.lst, and with --recursive PREFIX.classes.txt,
whose line number (from 0) is the label; with --labels the list has a column
for each label or number of the table. ROOT may be a tar or zip. Of train/ and
val/ folders PREFIX_train.lst and PREFIX_val.lst are written, with one number a
class. Without --list, it packs every list whose name begins with PREFIX into
.rec and .idx beside it; images that cannot be packed are left out and listed
in .bad.tsv with the reason.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft im2rec", epilog=EXAMPLES,
               description="Make an image list, or pack the images of a list into a record file.")
    p.add_argument("prefix", metavar="PREFIX", help="of the .lst files to write or read, and of the .rec files")
    p.add_argument("root", metavar="ROOT", help="folder with the images, or a tar or zip of one")
    _add_list_options(p.add_argument_group("lists"))
    _add_packing_options(p.add_argument_group("records"))
    return p


def _add_list_options(group):
    group.add_argument("--list", action="store_true", help="make lists (default: pack the lists that are there)")
    group.add_argument("--recursive", action="store_true",
                       help="every folder with images is a class (default: the images in ROOT itself, label 0)")
    group.add_argument("--exts", nargs="+", default=[".jpeg", ".jpg", ".png"], metavar="EXT",
                       help="file extensions to take, in either case (default: .jpeg .jpg .png)")
    group.add_argument("--exclude", action="append", default=[], metavar="NAME",
                       help="leave a folder out, by name or by path under ROOT; may be repeated")
    group.add_argument("--classes", metavar="FILE",
                       help="class map to number the folders by; made where it does not exist, so that train and "
                            "validation lists can share it")
    group.add_argument("--labels", metavar="TABLE",
                       help="make the list from a CSV, TSV or .lst of images and their class, labels or numbers")
    group.add_argument("--label-columns", type=names, default=(), metavar="NAME,NAME",
                       help="of --labels: the columns that are labels (default: all but the image's)")
    add_target_options(group, "of --labels:")
    group.add_argument("--chunks", type=whole(1), default=1, metavar="N",
                       help="cut the list into this many (default: 1)")
    group.add_argument("--train-ratio", type=real(least=0, most=1), default=1.0, metavar="R",
                       help="part for PREFIX_train.lst (default: 1)")
    group.add_argument("--test-ratio", type=real(least=0, most=1), default=0.0, metavar="R",
                       help="part for PREFIX_test.lst (default: 0); the rest goes to PREFIX_val.lst")
    group.add_argument("--no-shuffle", dest="shuffle", action="store_false", help="keep the order of the folders")
    group.add_argument("--seed", type=int, default=100, metavar="N",
                       help="of the shuffling (default: 100, as upstream's)")


def _add_packing_options(group):
    group.add_argument("--pass-through", action="store_true",
                       help="pack the files' bytes as they are, once each has been decoded as a check")
    add_image_options(group)
    group.add_argument("--center-crop", action="store_true", help="cut out the middle square before resizing")
    group.add_argument("--color", type=int, default=1, choices=[-1, 0, 1],
                       help="1: color, 0: grey, -1: as stored, with alpha; EXIF rotation is applied with 1 and 0 "
                            "(default: 1)")
    group.add_argument("--encoding", default=".jpg", choices=[".jpg", ".png"],
                       help="of the packed images (default: .jpg)")
    group.add_argument("--pack-label", action="store_true", help="pack all labels of a row, not the first alone")


def add_image_options(group):
    """Add the packing options that ``im2rec`` and ``split`` share."""
    group.add_argument("--resize", type=whole(0), default=0, metavar="N",
                       help="length of the shorter edge in pixels (default: 0, the size is kept)")
    group.add_argument("--interp", default="auto", choices=INTERPOLATIONS,
                       help="how to resize: auto (default) shrinks large JPEGs in the decoder and averages areas; "
                            "linear gives the bytes of MXNet's im2rec.py; nearest, cubic, area, lanczos4: OpenCV's")
    group.add_argument("--quality", type=whole(1, 100), metavar="Q",
                       help="JPEG quality 1-100 (default: 95), or PNG compression 1-9 (default: 3)")
    group.add_argument("--num-thread", type=whole(1), default=1, metavar="N",
                       help="images worked on at a time; the files are the same for any number (default: 1)")
    group.add_argument("--strict", action="store_true",
                       help="refuse the list for one bad image instead of leaving it out")


def main(argv=None):
    """Run ``mxft im2rec``."""
    argv = plain_booleans(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(argv)
    if args.labels and not args.list:
        raise InputError(f"--labels: expected --list beside it, received labels={args.labels!r} alone; make the list "
                         "first, then pack it with --pack-label")
    say_unheard(argv, args.list)
    if args.list:
        make_lists(args)
    else:
        pack_lists(args)


def say_unheard(argv, lists):
    """Name the flags of the other half of im2rec: old command lines give them to both, where they change nothing."""
    typed = typed_flags(parser(), argv)
    unheard = [f"--{flag_name(name)}" for name in (OF_RECORDS if lists else OF_LISTS) if name in typed]
    if unheard:
        print(f"note: {', '.join(unheard)} {'changes' if len(unheard) == 1 else 'change'} nothing "
              f"{'in a list' if lists else 'without --list'}", file=sys.stderr)


def flag_name(name):
    """Return what a flag is called whose name in args is `name`."""
    return "no-shuffle" if name == "shuffle" else name.replace("_", "-")


def plain_booleans(argv):
    """Turn ``--recursive True`` into ``--recursive``, and drop ``--recursive False``.

    The first im2rec took its switches as ``type=bool``, for which any text is true, ``False`` too; commands
    written for it are still about.
    """
    switches = ("--list", "--recursive", "--pass-through", "--center-crop", "--pack-label", "--shuffle")
    plain, argv = [], list(argv)
    while argv:
        word = argv.pop(0)
        value = argv.pop(0).lower() if argv and word in switches and argv[0].lower() in ("true", "false") else None
        if word == "--shuffle":
            plain += ["--no-shuffle"] if value == "false" else []
        elif value != "false":
            plain.append(word)
    return plain


def make_lists(args):
    """Write ``PREFIX*.lst`` of a folder or a table, and ``PREFIX.classes.txt`` where there are names."""
    from mxft.data.classes import read_classes, write_classes
    from mxft.data.lists import write_list
    from mxft.files.whole import check_writable

    check_list_flags(args)
    check_writable(os.path.dirname(args.prefix) or ".", "prefix")
    known = read_classes(args.classes) if args.classes and os.path.exists(args.classes) else None
    rows, classes, ignored = _scanned(args, known)
    for name, part in _cut(rows, args).items():
        write_list(f"{args.prefix}{name}.lst", part)
        print(f"wrote {args.prefix}{name}.lst: {len(part)} images")
    if classes:
        say_classes(classes)
        write_classes(args.prefix + ".classes.txt", classes)
        if args.classes and known is None:
            write_classes(args.classes, classes)
        what = "outputs, one a line" if target_kind(args) else "classes, line number (from 0) is label"
        print(f"wrote {args.prefix}.classes.txt: {len(classes)} {what}")
    if ignored:
        print(f"no label for {len(ignored)} folders without images: {some(ignored)}")


def check_list_flags(args):
    """Refuse flags of a list that do not go together."""
    if args.classes and not args.recursive and not args.labels:
        raise InputError("no classes to number: expected --recursive with --classes, received "
                         f"classes={args.classes!r} alone")
    if args.labels and (args.recursive or args.exclude):
        given = "--recursive" if args.recursive else "--exclude"
        raise InputError(f"--labels: expected the images and labels of a table, received {given} beside it; leave one "
                         "of them out")
    if target_kind(args) and not args.labels:
        raise InputError(f"targets: expected --labels TABLE beside --{target_kind(args)}, received none")
    if args.label_columns and not args.labels:
        raise InputError("--label-columns: expected --labels TABLE beside it, received none")


def _scanned(args, known):
    """Return rows, or a dict of them by the parts they are divided into, names, and folders passed over."""
    from mxft.data.folders import by_parts, scan_folder
    from mxft.data.pictures import unpacked_folder

    root = unpacked_folder(args.root)
    if args.labels:
        return _of_table(args, root, known)
    scan = scan_folder(root, args.recursive, args.exts, args.exclude, known, args.classes)
    divided = by_parts(scan) if args.recursive and known is None else None
    if divided:
        scan, parts = divided
        return parts, scan.classes, scan.ignored
    return scan.rows, scan.classes if args.recursive else None, scan.ignored


def _of_table(args, root, known):
    """Return the same of a table."""
    from mxft.data.class_tables import read_class_table
    from mxft.data.folders import require_root
    from mxft.data.tables import read_table, require_images

    kind, columns = target_kind(args), args.label_columns or None
    table = read_table(args.labels, kind, known, columns) if kind else read_class_table(args.labels, known, columns)
    require_images(table, require_root(root))
    parts = getattr(table, "parts", None)
    if not parts:
        return table.rows, table.target.output_names, []
    rows = {part: [row for row, own in zip(table.rows, parts) if own == part] for part in dict.fromkeys(parts)}
    return rows, table.target.output_names, []


def _cut(rows, args):
    """Return {what is added to the prefix: rows}, in the order that was asked for."""
    from mxft.data.lists import cut, shuffle

    def ordered(rows):
        return shuffle(rows, args.seed) if args.shuffle else rows

    if not isinstance(rows, dict):
        return cut(ordered(rows), args.chunks, args.train_ratio, args.test_ratio)
    for name, value, default in (("chunks", args.chunks, 1), ("train_ratio", args.train_ratio, 1),
                                 ("test_ratio", args.test_ratio, 0)):
        if value != default:
            raise InputError(f"`{name}`: expected images that are not divided yet, received `{name}={value:g}` beside "
                             f"{' and '.join(rows)} in {args.labels or args.root}; leave it out")
    return {f"_{part}": ordered(own) for part, own in rows.items()}


def say_classes(classes):
    """Print ``name number`` of each class as upstream does, or of the first and last where there are very many."""
    for number, name in enumerate(classes):
        if len(classes) <= SHORT_MAP or number in (0, len(classes) - 1):
            print(name, number)
        elif number == 1:
            print(f"… {len(classes) - 2} more …")


def pack_lists(args):
    """Pack every list the prefix stands for."""
    from mxft.command.flags import as_flags
    from mxft.data.packing import pack_list
    from mxft.data.pictures import unpacked_folder

    lists, root = find_lists(args.prefix, args.root), unpacked_folder(args.root)
    for path in lists:
        packed = pack_list(path, root, num_thread=args.num_thread, pack_label=args.pack_label, strict=args.strict,
                           resize=args.resize, center_crop=args.center_crop, quality=args.quality, color=args.color,
                           encoding=args.encoding, pass_through=args.pass_through, interp=args.interp)
        print(as_flags(str(packed)))


def find_lists(prefix, root="ROOT"):
    """Return the ``.lst`` files whose path begins with `prefix`, or all in it where it is a folder, sorted.

    `root` is told in the command that makes one.
    """
    beside = os.path.isfile(prefix.rstrip("/") + ".lst")  # upstream packs it also where a folder is called the same
    folder, start = (prefix, "") if os.path.isdir(prefix) and not beside else os.path.split(prefix.rstrip("/"))
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    there = sorted(name for name in names if name.endswith(".lst"))
    found = [os.path.join(folder, name) for name in there if name.startswith(start)]
    if not found:
        raise InputError(f"no image list: expected files {prefix}*.lst, received prefix={prefix!r}; "
                         f"{nearest(start + '.lst', there)}; mxft im2rec --list --recursive {shlex.quote(prefix)} "
                         f"{shlex.quote(root)} makes one")
    return found
