"""``mxft unpack``: the images of a record file or a verification set as files again, with the list to pack them by."""
from mxft.commandline.arguments import Parser

EXAMPLES = """\
examples:
  mxft unpack faces/ people/
  mxft unpack flowers_train.rec photos/ --names flowers.classes.txt
  mxft unpack lfw.bin lfw-pairs/

Records become OUT/NAME/KEY.jpg with their bytes unchanged, and a list from
which face-pack or im2rec packs them again; a .bin becomes OUT/images and
OUT/pairs.txt, which pairs-pack reads. OUT must be new or empty.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft unpack", epilog=EXAMPLES,
               description="Turn records or a verification set back into image files.")
    p.add_argument("source", metavar="SOURCE", help="a .rec, a folder with train.rec, or a .bin")
    p.add_argument("out", metavar="OUT", help="folder to write, new or empty")
    p.add_argument("--names", metavar="FILE",
                   help="names of the labels, one a line (default: identities.txt or .classes.txt beside the .rec, "
                        "otherwise the label itself)")
    return p


def main(argv=None):
    """Run ``mxft unpack``."""
    args = parser().parse_args(argv)
    from mxft.faces.data.unpacking import unpack

    print(unpack(args.source, args.out, args.names))
