"""How commands are told to find faces: the flags, and the finder they make."""
from mxft.commandline.arguments import real, whole
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
    import logging

    from mxft.faces.align.detection import make_detector
    from mxft.faces.align.landmark_list import ListedFaces, read_landmark_list
    from mxft.files.whole import sha256

    path = getattr(args, "landmarks", None)
    rows, how = read_landmark_list(path) if path else ([], "")
    whole_list = rows and all(row.landmarks is not None or row.aligned for row in rows)
    if whole_list:
        _refuse_unheard(args, path)
    detector = None if whole_list else make_detector(
        args.detector or MTCNN, args.min_size, CONFIDENCE if args.confidence is None else args.confidence)
    if not path:
        return detector
    with_points = sum(row.landmarks is not None for row in rows)
    logging.getLogger("mxft").info(f"landmarks: {with_points} of {len(rows)} rows of {path}"
                                   + f", read as {how}" * bool(how))
    return ListedFaces(rows, root, detector, sha256(path))


def refuse_without_align(args):
    """Refuse flags that say how faces are found where none are looked for."""
    from mxft.errors import InputError

    for name in ("detector", "min_size", "confidence", "choose", "turned"):
        value = getattr(args, name)
        if value not in (None, False):
            raise InputError(f"`{name}`: expected `align` beside it, received {name}={value} alone")


def _refuse_unheard(args, path):
    """Refuse flags of a detector where none is needed."""
    from mxft.errors import InputError

    for name, value in (("detector", args.detector), ("min_size", args.min_size), ("confidence", args.confidence),
                        ("turned", args.turned or None)):
        if value is not None:
            raise InputError(f"`{name}`: expected pictures to look for faces in, received {name}={value} beside "
                             f"`landmarks` {path}, which names every landmark; leave it out")
