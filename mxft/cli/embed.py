"""``mxft embed``: images of faces to embeddings in a file."""
import os
import sys

from mxft.commandline.arguments import Parser
from mxft.commandline.faces import add_detector_options, add_network_options

EXAMPLES = """\
examples:
  mxft embed people faces.npz --model mobilefacenet-y1/model,0
  mxft embed lfw.bin lfw.npz --model runs/faces
  mxft embed photos.zip faces.npz --model mobilefacenet-y1/model,0 --all
  mxft verify --embeddings faces.npz --pairs lfw-pairs.txt

SOURCE is a folder, tar or zip of pictures (labelled by the folder they lie
in), a face set, a .rec, a .bin, or pictures. The file holds embeddings (F, D)
of unit length, their norms before, names, labels, and box and score of faces
that were found in photographs; NumPy reads it without pickle.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft embed", description="Write the embeddings of faces.", epilog=EXAMPLES)
    p.add_argument("sources", nargs="+", metavar="SOURCE", help="images of faces")
    p.add_argument("out", metavar="OUT.npz", help="file to write")
    add_network_options(p)
    add_detector_options(p, landmarks=False)
    return p


def main(argv=None):
    """Run ``mxft embed``."""
    args = parser().parse_args(argv)
    from mxft.commandline.faces import embedder_of, reader_of
    from mxft.errors import InputError
    from mxft.faces.gallery.embedding import require_faces
    from mxft.faces.gallery.embedding_file import write_embeddings
    from mxft.faces.gallery.images import open_face_images
    from mxft.files.whole import check_writable
    from mxft.wording import plural

    if not args.out.endswith(".npz"):
        raise InputError(f"embeddings: expected a file ending in .npz as the last argument, received {args.out!r}")
    check_writable(os.path.dirname(os.path.abspath(args.out)), "OUT.npz")
    images = open_face_images(args.sources)
    embedder = embedder_of(args)
    found = embedder.embed(images, reader_of(args, embedder))
    require_faces(found, images)
    write_embeddings(args.out, found, images, embedder.facts)
    status = _tell_problems(found, images)
    people = len({images.labels[i] for i in found.images} - {""})
    print(f"{args.out}: {plural(len(found.vectors), 'face')} of {plural(len(images), 'image')}, "
          f"{plural(people, 'label')}, {found.vectors.shape[1]} numbers each")
    return status


def _tell_problems(found, images):
    """Write on standard error which images have no face, or several; return 3 where one cannot be read."""
    for number, reason in sorted({**found.problems, **found.notes}.items()):
        print(f"{images.names[number]}: {reason}", file=sys.stderr)
    return 3 if found.unreadable else 0
