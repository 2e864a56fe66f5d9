"""``mxft pairs-pack``: the images of a list of pairs into a verification set; insightface's ``data/lfw2pack.py``."""
from mxft.commandline.arguments import Parser, face_size, whole

EXAMPLES = """\
examples:
  mxft pairs-pack pairs.txt lfw-112X112 lfw.bin
  mxft pairs-pack --size 112,112 agedb-pairs.txt agedb agedb_30.bin
  mxft pairs-pack cfp-dataset/Protocol/Split/FP cfp-112x112 cfp_fp.bin
  mxft pairs-pack pairs_CALFW.txt calfw-112x112 calfw.bin

PAIRS has LFW's rows, separated by tabs or blanks, a header such as "10 300" or
none,
  name  1  4          one person: ROOT/name/name_0001.jpg (or .png, .jpeg)
  name  1  other  2   two persons
or paths below ROOT:
  a/1.jpg  b/2.jpg  0   1 for one person, 0 for two
or is the list of CFP (a folder), AgeDB (.mat), CALFW, CPLFW or YouTube Faces
(splits.txt, frames in ROOT/name/video), which is recognised.
Faces are aligned and cropped already. A file's own bytes are packed: encoding
them again costs accuracy.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft pairs-pack", description="Pack the images of a list of pairs into a verification set.",
               epilog=EXAMPLES)
    p.add_argument("pairs", metavar="PAIRS", help="list of pairs")
    p.add_argument("root", metavar="ROOT", help="folder of the images; only read")
    p.add_argument("out", metavar="OUT.bin", help="file to write; one that is there is replaced")
    p.add_argument("--size", type=face_size, metavar="H,W",
                   help="what every image must be, or one number for both (default: what the first one is)")
    p.add_argument("--protocol", default="auto", metavar="NAME",
                   help="lfw, cfp-ff, cfp-fp, agedb, calfw, cplfw or ytf (default: as PAIRS looks)")
    p.add_argument("--frames", type=whole(1), default=1, metavar="N",
                   help="ytf: so many pairs of frames for a pair of videos (default: the middle ones)")
    return p


def main(argv=None):
    """Run ``mxft pairs-pack``."""
    import os

    args = parser().parse_args(argv)
    from mxft.faces.pairs.bin_file import pack_pairs
    from mxft.files.whole import check_writable

    check_writable(os.path.dirname(os.path.abspath(args.out)), "OUT.bin")
    print(pack_pairs(args.pairs, args.root, args.out, args.size, protocol=args.protocol, frames=args.frames))
