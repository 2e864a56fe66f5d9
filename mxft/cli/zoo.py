"""``mxft zoo``: known checkpoints and data sets: listed, brought into the cache, and every fact of one.

It replaces the tutorial's download() and the model stores' get_model_file().
"""
import json

from mxft.commandline.arguments import Parser
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft zoo list resnet50 --cached
  mxft zoo get gluon:resnet50_v1b
  mxft zoo get lresnet100e-ir --file model-r100-ii.zip
  mxft zoo where resnet-50

The last line of `get` on stdout is what other verbs take: prefix,epoch of a
checkpoint, the path of a file, or a detector's folder. MXFT_MIRRORS=base,base
names mirrors (addresses or folders) to ask first; what is cached works without
a network.
Names: gluon:NAME is GluonCV's, mxnet:NAME MXNet's own Gluon zoo.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft zoo", description="List known checkpoints and data sets, bring one into the cache,\nor tell "
               "where one comes from.", epilog=EXAMPLES)
    actions = p.add_subparsers(dest="action", metavar="list|get|where", required=True)
    lister = actions.add_parser("list", help="one table, by source", description="List what is known, by source.")
    lister.add_argument("pattern", nargs="?", default="", metavar="PATTERN",
                        help="a part of the name, or a pattern with * and ?")
    lister.add_argument("--cached", action="store_true", help="only what is in the cache")
    lister.add_argument("--json", action="store_true", help="print one JSON array instead of the table")
    getter = actions.add_parser("get", help="download it, verified and resumable", description="Bring a checkpoint or "
                                "data set into the cache, verified.\nWhat is there already is not fetched again.")
    getter.add_argument("name", metavar="NAME", help="as the list shows it: resnet-50, gluon:resnet18_v1, caltech256")
    getter.add_argument("--file", nargs="+", default=[], metavar="PATH",
                        help="take these local copies instead: verified alike, copied, left where they are")
    getter.add_argument("--no-fallback", action="store_true",
                        help="fail rather than take another ResNet of that depth, Gluon's or torchvision's, when no "
                             "mirror has the symbol checkpoint")
    teller = actions.add_parser("where", help="every fact of one: addresses, cache, hash, manifest",
                                description="Tell every fact of one name.")
    teller.add_argument("name", metavar="NAME")
    for action in (lister, getter, teller):
        action.add_argument("--cache", metavar="DIR",
                            help="folder of the cache (default: $MXNET_HOME/mxft or ~/.mxnet/mxft)")
    return p


def main(argv=None):
    """Run ``mxft zoo list|get|where``; return 0."""
    args = parser().parse_args(argv)
    return {"list": _list, "get": _get, "where": _where}[args.action](args)


def _list(args):
    from mxft import zoo
    from mxft.zoo.listing import as_json, matching, table

    folder = zoo.cache_folder(args.cache)
    rows = matching(zoo.rows(), args.pattern, folder if args.cached else None)
    if args.json:
        print(json.dumps([as_json(row, folder) for row in rows], indent=2))
        return 0
    if not rows:
        kept = f" in the cache {folder}" if args.cached else ""
        raise InputError(f"nothing to list: expected a name{kept} with {args.pattern!r} in it, received none; mxft zoo "
                         "list shows them all")
    print(table(rows, folder))
    return 0


def _get(args):
    from mxft import zoo

    if zoo.find(args.name).is_checkpoint:
        print(zoo.get_model(args.name, args.cache, fallback=not args.no_fallback, files=args.file))
    else:
        print(zoo.get_dataset(args.name, args.cache, files=args.file))
    return 0


def _where(args):
    from mxft import zoo
    from mxft.zoo.listing import facts

    print(facts(zoo.find(args.name), zoo.cache_folder(args.cache)))
    return 0
