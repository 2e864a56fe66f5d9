"""``mxft face-pack``: aligned faces into the training set that insightface's programs and ``train_softmax.py`` read."""
import argparse
import math

from mxft.commandline.arguments import Parser, face_size, whole
from mxft.commandline.faces import add_detector_options
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft face-pack people/ faces/
  mxft face-pack people/ faces/ --min-images 5 --hold-out 0.2 --num-thread 4
  mxft face-pack photographs/ faces/ --align
  mxft face-pack aligned.lst faces/ --root people/ --size 112,112

SOURCE is a folder with a folder of images a person, or a list with rows
1<tab>path<tab>label (aligned faces) or index<tab>label<tab>path (im2rec's).
OUT_DIR gets property, train.lst, train.rec, train.idx and identities.txt, a
name a line whose number (from 0) is the label. What is held out goes into
OUT_DIR/held-out, a set of the same kind with the same labels. Images that
cannot be packed are left out and listed in train.bad.tsv with the reason.
With --align also photographs are taken, and lists with landmarks
(face2rec2.py's, MS-Celeb-1M's, CASIA's); mxft face-align writes the crops as
files, to be looked at first. Without it a sample of the faces is looked at,
and a warning printed where they seem not aligned.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft face-pack", epilog=EXAMPLES,
               description="Pack aligned faces into insightface's training set layout.")
    p.add_argument("source", metavar="SOURCE", help="folder of identities, or a .lst of aligned faces")
    p.add_argument("folder", metavar="OUT_DIR", help="folder to write the set into")
    _add_choice_options(p.add_argument_group("which images"))
    _add_packing_options(p.add_argument_group("records"))
    p.add_argument("--align", action="store_true",
                   help="SOURCE holds photographs: find a face in each, align it and pack that")
    add_detector_options(p, landmarks=False, every=False)
    return p


def _add_choice_options(group):
    group.add_argument("--root", metavar="DIR",
                       help="what a list's paths are relative to (default: the working directory)")
    group.add_argument("--min-images", type=whole(1), default=1, metavar="N",
                       help="leave out identities with fewer images (default: 1)")
    group.add_argument("--exclude", action="append", default=[], metavar="NAME",
                       help="leave an identity out; may be repeated")
    group.add_argument("--exts", nargs="+", default=[".jpeg", ".jpg", ".png"], metavar="EXT",
                       help="file extensions to take from a folder (default: .jpeg .jpg .png)")
    group.add_argument("--hold-out", type=part_or_number, default=0, metavar="R|N",
                       help="images of each identity to keep out of training: a part below 1, rounded to the nearest, "
                            "or a number; one always stays (default: 0)")
    group.add_argument("--seed", type=int, metavar="N", help="of the choice what to hold out (default: 0)")


def _add_packing_options(group):
    group.add_argument("--size", type=face_size, default=(112, 112), metavar="H,W",
                       help="of the packed images, or one number for both: those of this size keep their bytes, others "
                            "of the same shape are resized (default: 112,112)")
    group.add_argument("--quality", type=whole(1, 100), default=95, metavar="Q",
                       help="JPEG quality of resized images, 1-100 (default: 95)")
    group.add_argument("--num-thread", type=whole(1), default=1, metavar="N",
                       help="images worked on at a time; the files are the same for any number (default: 1)")
    group.add_argument("--strict", action="store_true",
                       help="refuse the source for one bad image instead of leaving it out")
    group.add_argument("--force", action="store_true", help="replace the set in OUT_DIR")


def part_or_number(text):
    """Read a part in [0, 1) as a float, or a whole number of images; an argparse type."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value < 1 or value >= 1 and value.is_integer()):
        raise argparse.ArgumentTypeError(f"expected a part from 0 to below 1, or a whole number of images, received "
                                         f"{text!r}")
    return value if value < 1 else int(value)


def main(argv=None):
    """Run ``mxft face-pack``."""
    args = parser().parse_args(argv)
    if args.seed is not None and not args.hold_out:
        raise InputError(f"--seed: expected --hold-out beside it, received seed={args.seed}")
    from mxft.commandline.faces import align_options, finder_of, refuse_without_align
    from mxft.faces.data.packing import pack_faces
    from mxft.files.whole import check_writable

    if not args.align:
        refuse_without_align(args)
    check_writable(args.folder, "OUT_DIR")
    align, detector = (align_options(args), finder_of(args)) if args.align else (None, None)
    print(pack_faces(args.source, args.folder, args.root, args.size, args.min_images, args.hold_out, args.seed or 0,
                     args.exts, args.exclude, args.quality, args.num_thread, args.strict, args.force, align=align,
                     detector=detector))
