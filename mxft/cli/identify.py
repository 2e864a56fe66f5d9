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
    add_detector_options(p, landmarks=False)
    return p


def main(argv=None):
    """Run ``mxft identify``."""
    args = parser().parse_args(argv)
    from mxft.commandline.faces import embedder_of, reader_of, tell_problems
    from mxft.commandline.galleries import gallery_model
    from mxft.faces.gallery.gallery import load_gallery, require_same_network
    from mxft.faces.gallery.identification import identify, write_table
    from mxft.faces.gallery.images import open_face_images
    from mxft.files.whole import check_writable

    if args.csv:
        check_writable(os.path.dirname(os.path.abspath(args.csv)), "--csv")
    gallery = load_gallery(args.gallery)
    images = open_face_images(args.pictures)
    args.no_flip = args.no_flip or not gallery.facts.get("flip", True)
    embedder = embedder_of(args, args.model or gallery_model(gallery))
    require_same_network(embedder.facts, gallery.facts, f"{args.gallery}, made by")
    found = embedder.embed(images, reader_of(args, embedder, every=True), "identifying")
    threshold = gallery.threshold if args.threshold is None else args.threshold
    rows = identify(gallery, found, images.names, args.top, args.pool, threshold)
    for row in rows:
        print(row)
    if threshold is None and rows:
        print("no threshold: the nearest person is shown, whoever it is; --threshold C makes strangers unknown")
    if args.csv:
        write_table(args.csv, rows)
        print(f"table: {args.csv}")
    return tell_problems(found._replace(notes={}), images)
