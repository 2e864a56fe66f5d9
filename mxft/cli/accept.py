"""``mxft accept``: record a checkpoint's files as they are, after they were changed on purpose."""
from mxft.commandline.arguments import Parser

EXAMPLES = """\
examples:
  mxft accept runs/photos/model,best
  mxft accept model-y1,5

A manifest that mxft writes has a checksum, and a hash of the graph and of every
array of the epochs that are saved. Files that are not what was saved are
refused, because a disk or a copy may have damaged them. After you have edited
the manifest, or another program has written parameters beside it, this command
records the files as they are now. It says what differs; the files must be
readable and finite.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft accept", epilog=EXAMPLES,
               description="Record a checkpoint's files as they are, after they were changed on purpose.")
    p.add_argument("model", metavar="PREFIX,EPOCH", help="checkpoint, or folder of a run")
    return p


def main(argv=None):
    """Run ``mxft accept``."""
    args = parser().parse_args(argv)
    from mxft.network.accepting import accept_files

    print("\n".join(accept_files(args.model)))
