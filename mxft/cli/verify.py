"""``mxft verify``: a face checkpoint on verification sets or two pictures, with insightface's verification.py's flags.

Those are of ``eval/verification.py``.
"""
from mxft.commandline.arguments import Parser, whole
from mxft.commandline.faces import add_detector_options, add_network_options
from mxft.commandline.galleries import add_threshold_options, threshold_settings
from mxft.commandline.verification import (
    FOLDS,
    check_written,
    refuse_of_pictures,
    set_paths,
    verify_file,
    verify_sets,
    write_results,
)
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft verify --model ../models/model-y1,0 --data-dir faces_ms1m --target lfw
  mxft verify --model runs/faces --bin lfw.bin cfp_fp.bin --plots plots
  mxft verify --model runs/faces ann.jpg who.jpg --pairs lfw.bin --far 0.001
  mxft verify --embeddings faces.npz --pairs lfw-pairs.txt

A set is a .bin file (mxft pairs-pack makes one). The embeddings of an image
and of its mirror image are added and normalised; each of 10 contiguous folds is
evaluated with the threshold that does best on the other nine. XNorm is the mean
norm of the embeddings before that. One checkpoint a call: of several epochs
call it for each.

Two pictures are compared: squared distance and cosine, and with a threshold
(--threshold, or that of --pairs at a false accept rate) whether they show one
person. --embeddings takes what mxft embed wrote, of a .bin or of the pictures
that a list of pairs names.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft verify", description="Verify face pairs: accuracy, XNorm, TAR at FAR, AUC.", epilog=EXAMPLES)
    p.add_argument("pictures", nargs="*", metavar="PICTURE", help="two pictures to compare, in place of sets")
    p.add_argument("--data-dir", metavar="DIR", help="folder of TARGET.bin files")
    p.add_argument("--target", metavar="A,B",
                   help="which of them (default: those of lfw,cfp_fp,agedb_30 that are there)")
    p.add_argument("--bin", nargs="+", default=[], metavar="FILE", help="sets by file name, beside those or alone")
    p.add_argument("--folds", "--nfolds", dest="folds", type=whole(1), default=FOLDS, metavar="N",
                   help=f"contiguous parts of a set (default: {FOLDS})")
    p.add_argument("--embeddings", metavar="FILE.npz", help="of mxft embed, in place of a network")
    p.add_argument("--plots", metavar="DIR", help="write roc.png and NAME-distances.png of each set")
    p.add_argument("--report", metavar="FILE", help="write a page: table, ROC curves, distances")
    p.add_argument("--json", metavar="FILE", help="write the numbers")
    group = p.add_argument_group("two pictures")
    add_threshold_options(group, "cosine above which they are one person",
                          "verification set (.bin) to take the threshold from; of --embeddings the list of pairs")
    add_network_options(p, required=False)
    add_detector_options(p, landmarks=False)
    p.add_argument("--gpu", dest="gpus", default="", metavar="0", help="upstream's name of --gpus")
    return p


def main(argv=None):
    """Run ``mxft verify``."""
    args = parser().parse_args(argv)
    if args.embeddings:
        return verify_file(args)
    if not args.model:
        raise InputError("`model`: expected a face network, received none; mxft zoo list names some")
    if args.pictures:
        return compare_pictures(args)
    refuse_of_pictures(args)
    paths = set_paths(args)
    from mxft.api.models import find_model
    from mxft.commandline.models import at_precision
    from mxft.network.checkpoint import load_checkpoint

    check_written(args)
    checkpoint = at_precision(args, load_checkpoint(find_model(args.model)))
    write_results(verify_sets(checkpoint, paths, args), checkpoint.name, args)
    return 0


def compare_pictures(args):
    """Compare two pictures and print what came out; return the exit status."""
    from mxft.command.flags import as_flags
    from mxft.commandline.faces import embedder_of, reader_of
    from mxft.faces.gallery.comparison import compare, embed_two, write_comparison
    from mxft.faces.gallery.images import open_face_images
    from mxft.faces.gallery.thresholds import threshold_of

    for name in ("data_dir", "target", "bin", "plots", "report", "every"):
        if getattr(args, name):
            raise InputError(f"`{name}`: expected verification sets, received the pictures "
                             f"{' and '.join(args.pictures[:2])}; leave one out")
    if args.folds != FOLDS:
        raise InputError(f"`folds`: expected verification sets, received folds={args.folds} beside two pictures; leave "
                         "it out")
    check_written(args)
    given = threshold_settings(args)
    images = open_face_images(args.pictures)
    embedder = embedder_of(args)
    found = embed_two(embedder, images, reader_of(args, embedder))
    comparison = compare(found.vectors[0], found.vectors[1], *threshold_of(embedder, **given))
    for number, name in enumerate(images.names):
        print(f"{name}: {_face(found, number)}")
    print(as_flags(str(comparison)))
    if args.json:
        write_comparison(args.json, comparison, images.names, found)
        print(f"numbers: {args.json}")
    return 0


def _face(found, number):
    """Return what is said of the face of a picture."""
    import numpy as np

    if np.isnan(found.scores[number]):
        return "taken as an aligned face"
    left, top, right, bottom = found.boxes[number]
    note = f"; {found.notes[number]}" if number in found.notes else ""
    return (f"face of {max(right - left, bottom - top):.0f} pixels at {left:.0f}, {top:.0f}, score "
            f"{found.scores[number]:.3f}{note}")
