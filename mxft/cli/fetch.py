"""``mxft fetch``: a known data set or checkpoint into the cache, verified; it replaces the tutorial's download()."""
from mxft import zoo
from mxft.cli.arguments import Parser
from mxft.errors import InputError
from mxft.zoo import datasets, gluon, hub, symbols

EXAMPLES = """\
examples:
  mxft fetch --list
  mxft fetch resnet-50

The last line on stdout is what other verbs take: prefix,epoch of a checkpoint,
or the path of a file. MXFT_MIRRORS=base,base names mirrors (addresses or
folders) to ask first.
"""


def build_parser():
    """Return the parser of ``mxft fetch``."""
    parser = Parser(prog="mxft fetch", epilog=EXAMPLES, description="Download a known data set or checkpoint, "
                    "verified and resumable.\nWhat is in the cache already is not downloaded again.")
    parser.add_argument("name", nargs="?", metavar="NAME",
                        help="as --list shows it: resnet-50, imagenet11k-resnet-152, caltech256 ...")
    parser.add_argument("--list", action="store_true", help="show what is known, and end")
    parser.add_argument("--cache", metavar="DIR",
                        help="folder to keep files in (default: $MXNET_HOME/mxft or ~/.mxnet/mxft)")
    parser.add_argument("--no-fallback", action="store_true",
                        help="fail rather than take another ResNet of that depth, Gluon's or torchvision's, when no "
                             "mirror has the symbol checkpoint")
    return parser


def listing():
    """Return the table ``--list`` prints: name, what it is, published centre-crop top-1."""
    rows = [("checkpoint", "classes, input", "top-1")]
    for row in symbols.MODELS:
        mean = "raw RGB 0-255" if not any(row.mean) else "RGB minus " + ", ".join(f"{v:g}" for v in row.mean)
        rows.append((_called(row), f"{row.classes:,} classes, {mean}", _score(row)))
    for row in gluon.MODELS:
        rows.append((_called(row), f"1,000 classes, RGB scaled, {row.store} Gluon model store", _score(row)))
    for row in hub.MODELS:
        rows.append((_called(row), "1,000 classes, RGB scaled, timm on the Hugging Face hub", _score(row)))
    rows += [("", "", ""), ("data set", "", "bytes")]
    rows += [(row.name, row.about, f"{row.size:,}" if row.size else "") for row in datasets.DATASETS]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows)


def _called(row):
    return row.name + "".join(f", {alias}" for alias in row.aliases)


def _score(row):
    return f"{row.top1:.4f}" if row.top1 else "-"


def main(argv=None):
    """Fetch one name and print where it is; return 0."""
    args = build_parser().parse_args(argv)
    if args.list:
        print(listing())
        return 0
    if not args.name:
        raise InputError("nothing to fetch: expected a name, received none; mxft fetch --list shows them")
    if isinstance(zoo.find(args.name), zoo.Dataset):
        print(zoo.get_dataset(args.name, args.cache))
    else:
        print(zoo.get_model(args.name, args.cache, fallback=not args.no_fallback))
    return 0
