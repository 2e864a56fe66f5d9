"""``mxft doctor``: what is wrong with this machine, and the fix."""
import json

from mxft.commandline.arguments import Parser

EXAMPLES = """\
examples:
  mxft doctor
  mxft doctor --json --no-smoke

Python and packages, the packages that single verbs need and the command that
brings those that are missing, MXNet and what it was built with, oneDNN's
instruction set, threads, NVIDIA driver, cards and CUDA libraries, switches, a
training of three seconds, caches. It works where mxnet does not. Nothing is
changed.

The exit status is 0 where all that is needed works, 1 where something is
broken; a warning works, worse than it could.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft doctor", description="Say what is wrong with this machine, and the fix.", epilog=EXAMPLES)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_argument("--no-smoke", dest="smoke", action="store_false", help="leave out the training of three seconds")
    return p


def main(argv=None):
    """Run ``mxft doctor`` and return 1 where something is broken."""
    args = parser().parse_args(argv)
    from mxft.doctor.check import BROKEN, worst
    from mxft.doctor.examination import examine
    from mxft.doctor.report import as_json, as_text

    sections = examine(args.smoke)
    print(json.dumps(as_json(sections), indent=2, ensure_ascii=False) if args.json else as_text(sections))
    return int(worst(sections) == BROKEN)
