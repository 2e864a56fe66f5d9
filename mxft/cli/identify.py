"""``mxft identify``: who is in the pictures, of the people of a gallery."""
import os

from mxft.commandline.arguments import Parser, real, whole
from mxft.commandline.faces import add_detector_options, add_network_options

EXAMPLES = """\
examples:
  mxft identify gallery.npz party.jpg
  mxft identify gallery.npz photos --csv who.csv --top 3
  mxft identify gallery.npz photos --threshold 0.4 --pool max

Every face of a photograph is named, or unknown where the cosine to the nearest
person is not above the threshold of the gallery (--threshold: another one). A
person with several images is their mean direction; --pool max: the image that
is nearest. The network is the gallery's; --model says where it lies now.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft identify", description="Name the faces in pictures.", epilog=EXAMPLES)
    p.add_argument("gallery", metavar="GALLERY.npz", help="of mxft enroll")
    p.add_argument("pictures", nargs="+", metavar="PICTURE", help="pictures, folders, a face set, a .rec")
    p.add_argument("--top", type=whole(1, 1000), default=1, metavar="K", help="people to show a face (default: 1)")
    p.add_argument("--pool", choices=("mean", "max"), default="mean",
                   help="of a person with several images (default: mean)")
    p.add_argument("--threshold", type=real(-1, most=1), metavar="C", help="a cosine (default: the gallery's)")
    p.add_argument("--csv", metavar="FILE", help="write a table: a row a face")
    add_network_options(p, required=False, told=" (default: the gallery's)")
    add_detector_options(p, landmarks=False, every=False)
    return p


def main(argv=None):
    """Run ``mxft identify``."""
    args = parser().parse_args(argv)
    from mxft.api.galleries import identify
    from mxft.commandline.faces import computing_settings, detector_settings
    from mxft.errors import InputError
    from mxft.faces.gallery.gallery import load_gallery
    from mxft.faces.gallery.identification import write_table
    from mxft.files.whole import check_writable

    if args.csv:
        check_writable(os.path.dirname(os.path.abspath(args.csv)), "--csv")
    gallery = load_gallery(args.gallery)
    for name, asked in (("flip", False if args.no_flip else None), ("image_size", args.image_size)):
        if asked is not None and asked != gallery.facts.get(name):
            raise InputError(f"`{name}`: expected {gallery.facts.get(name)} as the gallery was made with, received "
                             f"{name}={asked}; leave it out")
    rows = identify(gallery, args.pictures, model=args.model, top=args.top, pool=args.pool, threshold=args.threshold,
                    images=args.images, batch_size=args.batch_size, rewrite=args.rewrite, **computing_settings(args),
                    threads=args.data_nthreads, **detector_settings(args))
    for row in rows:
        print(row)
    if args.csv:
        write_table(args.csv, rows)
        print(f"table: {args.csv}")
