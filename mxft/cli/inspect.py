"""``mxft inspect``: what a record file, index, verification set or property holds, and what contradicts what."""
import json

from mxft.commandline.arguments import Parser, whole
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft inspect faces/
  mxft inspect faces/train.rec lfw.bin --decode --num-thread 4

A folder is explained file by file: .rec with its .idx, property and
identities.txt, and .bin. Every record is read; of the images a sample is
decoded, with --decode all. The exit status is 0 where all is consistent, and
2 where something is not.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft inspect", epilog=EXAMPLES,
               description="Explain record files, indices, verification sets and property files.")
    p.add_argument("paths", metavar="PATH", nargs="+", help="a .rec, .idx, .bin or property, or a folder of them")
    p.add_argument("--decode", action="store_true", help="decode every image (default: a sample)")
    p.add_argument("--num-thread", type=whole(1), default=1, metavar="N", help="images decoded at a time (default: 1)")
    p.add_argument("--json", action="store_true", help="print a JSON list, one object a file")
    return p


def main(argv=None):
    """Run ``mxft inspect``."""
    args = parser().parse_args(argv)
    from mxft.faces.inspection.inspect import inspect_path

    found = []
    for path in args.paths:
        for inspection in inspect_path(path, args.decode, args.num_thread):
            found.append(inspection)
            if not args.json:
                print(inspection)
    if args.json:
        print(json.dumps([inspection.to_dict() for inspection in found], indent=2))
    wrong = [inspection for inspection in found if inspection.problems]
    if wrong:
        count = sum(len(inspection.problems) for inspection in wrong)
        raise InputError(f"inconsistent: expected files that agree, received {count} contradiction"
                         f"{'s' if count > 1 else ''} in {', '.join(inspection.path for inspection in wrong)}")
