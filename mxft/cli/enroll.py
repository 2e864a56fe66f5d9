"""``mxft enroll``: people into a gallery, in which mxft identify looks faces up."""
import os

from mxft.commandline.arguments import Parser, real
from mxft.commandline.faces import add_detector_options, add_network_options
from mxft.commandline.galleries import add_threshold_options, threshold_settings

EXAMPLES = """\
examples:
  mxft enroll people gallery.npz --model mobilefacenet-y1/model,0
  mxft enroll people gallery.npz --model runs/faces --pairs lfw.bin --far 0.001
  mxft enroll newcomers gallery.npz --add
  mxft identify gallery.npz party.jpg

SOURCE is a folder with a folder of pictures a person, a folder with a picture
a person (Ann.jpg), a face set or a .rec. The gallery keeps one embedding an
image, and the threshold below which a face is nobody's: --threshold, or that of
a false accept rate on pairs (--pairs, --far), or, where there are images
enough, the cosine above which 1 in 100 of the images enrolled would be taken
for somebody else (--fpir).
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft enroll", description="Make a gallery of people whose names are known.", epilog=EXAMPLES)
    p.add_argument("source", metavar="SOURCE", help="people: folders of pictures, a face set, a .rec")
    p.add_argument("gallery", metavar="GALLERY.npz", help="file to write")
    p.add_argument("--add", action="store_true", help="keep who is in the gallery already, with the same network")
    p.add_argument("--force", action="store_true", help="replace a gallery that is there")
    group = p.add_argument_group("from where on a face is somebody's")
    add_threshold_options(group, "a cosine")
    group.add_argument("--fpir", type=real(above=0, below=1), metavar="R",
                       help="share of strangers that may be named, judged by the people enrolled (default: 0.01)")
    add_network_options(p, required=False, told="; with --add the gallery's")
    add_detector_options(p, landmarks=False, every=False)
    return p


def main(argv=None):
    """Run ``mxft enroll``."""
    args = parser().parse_args(argv)
    from mxft.api.galleries import enroll
    from mxft.commandline.faces import computing_settings, detector_settings
    from mxft.errors import InputError
    from mxft.files.whole import check_writable

    check_writable(os.path.dirname(os.path.abspath(args.gallery)), "GALLERY.npz")
    if os.path.exists(args.gallery) and not (args.add or args.force):
        raise InputError(f"a gallery is there already: expected a new file, received {args.gallery}; `add` keeps its "
                         "people, `force` replaces it")
    gallery = enroll(args.source, args.model, args.gallery, add=args.gallery if args.add else None,
                     **threshold_settings(args), fpir=args.fpir, images=args.images, flip=not args.no_flip,
                     image_size=args.image_size, batch_size=args.batch_size, rewrite=args.rewrite,
                     threads=args.data_nthreads, **computing_settings(args), **detector_settings(args))
    print(f"{args.gallery}: {gallery}")
