"""How commands are told to find and embed faces: the flags, and what they make."""
from mxft.commandline.arguments import (
    add_device_options,
    add_engine_options,
    add_precision_option,
    add_rewrite_option,
    face_size,
    real,
    refuse_flags,
    whole,
)
from mxft.faces.align.options import CONFIDENCE, MTCNN, PART, SMALLEST


def add_detector_options(p, landmarks=True, every=True):
    """Add the flags that say how faces are found and which of them are taken.

    Parameters
    ----------
    p : argparse.ArgumentParser
    landmarks : bool
        Whether a list of landmarks may take the detector's place.
    every : bool
        Whether all faces of a picture may be taken.
    """
    group = p.add_argument_group("which faces")
    group.add_argument("--detector", metavar="NAME", help=f"what finds them (default: {MTCNN})")
    if landmarks:
        group.add_argument("--landmarks", metavar="LIST", help="a list that names the landmarks of each picture")
    group.add_argument("--min-size", type=whole(12), metavar="N",
                       help=f"smallest face in pixels (default: a {PART}th of the picture's shorter side, at least "
                            f"{SMALLEST})")
    group.add_argument("--confidence", type=real(0, below=1), metavar="P",
                       help=f"leave out faces with a lower score (default: {CONFIDENCE})")
    group.add_argument("--choose", choices=("largest", "central"),
                       help="of several faces in a picture (default: largest)")
    if every:
        group.add_argument("--all", dest="every", action="store_true", help="all faces of a picture")
    group.add_argument("--turned", action="store_true",
                       help="take a face that lies on its side where none is upright")


def align_options(args):
    """Return the AlignOptions of the flags."""
    from mxft.commandline.arguments import given_settings
    from mxft.faces.align.options import AlignOptions

    fields = [name for name in ("size", "margin", "choose", "every", "turned", "quality", "encoding")
              if hasattr(args, name)]
    return AlignOptions(**given_settings(args, *fields))


def finder_of(args, root=""):
    """Return what finds the faces, as the flags say.

    Parameters
    ----------
    args : argparse.Namespace
        With the flags of `add_detector_options`.
    root : str
        Where the pictures of a list of landmarks lie.

    Raises
    ------
    InputError
        A detector that is none; a flag of the detector beside a list that names every landmark.
    """
    from mxft.faces.align.detection import make_detector
    from mxft.faces.align.landmark_list import open_listed

    def detector_for(needed):
        if not needed:
            _refuse_unheard(args, path)
            return None
        return make_detector(args.detector or MTCNN, args.min_size,
                             CONFIDENCE if args.confidence is None else args.confidence)

    path = getattr(args, "landmarks", None)
    return open_listed(path, root, detector_for) if path else detector_for(True)


def refuse_without_align(args):
    """Refuse flags that say how faces are found where none are looked for."""
    refuse_flags(args, ("detector", "min_size", "confidence", "choose", "turned"), "`align` beside it", "alone")


def _refuse_unheard(args, path):
    """Refuse flags of a detector where none is needed."""
    refuse_flags(args, ("detector", "min_size", "confidence", "turned"), "pictures to look for faces in",
                 f"beside `landmarks` {path}, which names every landmark; leave it out")


def add_network_options(p, required=True, told=""):
    """Add the flags of a face network: which, how its faces are read, and on what it runs.

    Parameters
    ----------
    p : argparse.ArgumentParser
    required : bool
        Of ``--model``.
    told : str
        Behind its help.
    """
    p.add_argument("--model", required=required, metavar="PREFIX,EPOCH",
                   help=f"face network: checkpoint, folder of a run, or zoo name{told}")
    p.add_argument("--images", choices=("auto", "aligned", "photograph"), default="auto",
                   help="what the images are; auto: what has the network's size is an aligned face, anything else a "
                        "photograph in which a face is looked for (default: auto)")
    p.add_argument("--no-flip", action="store_true", help="leave the mirror images out: half the time, less accurate")
    p.add_argument("--image-size", type=face_size, metavar="H,W",
                   help="what the network takes (default: the manifest's, or 112,112)")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="faces at a time (default: 32)")
    add_device_options(p)
    add_precision_option(p)
    add_engine_options(p, compiles=False)
    add_rewrite_option(p)


def embedder_of(args):
    """Return the `mxft.faces.gallery.embedder.Embedder` of the flags of `add_network_options`."""
    from mxft.api.models import open_model
    from mxft.commandline.models import at_precision, context_of
    from mxft.faces.gallery.embedder import Embedder

    return Embedder(at_precision(args, open_model(args.model)), not args.no_flip, args.image_size, args.batch_size,
                    context_of(args), args.rewrite, args.data_nthreads)


def computing_settings(args):
    """Return the settings of the Python calls that say what a network is computed by."""
    return {name: getattr(args, name) for name in ("gpus", "engine", "device", "precision")}


def detector_settings(args):
    """Return the settings of the Python calls that the flags of `add_detector_options` are."""
    return {name: getattr(args, name) for name in ("detector", "choose", "turned", "min_size", "confidence")}


def reader_of(args, embedder):
    """Return the `mxft.faces.gallery.reading.FaceReader` of the flags.

    Parameters
    ----------
    args : argparse.Namespace
        With the flags of `add_network_options` and `add_detector_options`.
    embedder : Embedder
    """
    from mxft.api.galleries import face_reader

    return face_reader(embedder, args.images, every=args.every, **detector_settings(args))
