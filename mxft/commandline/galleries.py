"""Galleries as commands use them: where a threshold comes from, and what the face page is served with."""

from mxft.commandline.arguments import real, refuse_flags


def add_threshold_options(group, told, pairs="verification set (.bin) to take the threshold from"):
    """Add ``--threshold``, ``--pairs`` and ``--far``; `told` and `pairs` are the help of the first two."""
    group.add_argument("--threshold", type=real(-1, most=1), metavar="C", help=told)
    group.add_argument("--pairs", metavar="FILE", help=pairs)
    group.add_argument("--far", type=real(above=0, below=1), metavar="R",
                       help="false accept rate on these pairs (default: 0.001)")


def threshold_settings(args):
    """Return the settings of `mxft.api.galleries.enroll` that ``--threshold``, ``--pairs`` and ``--far`` are.

    Raises
    ------
    InputError
        A rate without the pairs it is of.
    """
    from mxft.errors import InputError

    if args.far is not None and not args.pairs:
        raise InputError(f"`far`: expected `pairs` FILE.bin beside it, received far={args.far:g} alone")
    return {"threshold": args.threshold, "pairs": args.pairs, **({} if args.far is None else {"far": args.far})}


def face_service(args):
    """Return the `mxft.faces.serving.worker.FaceService` of the flags of ``mxft serve``.

    Raises
    ------
    InputError
        A gallery of another network, several thresholds, or a gallery named twice.
    """
    import os

    from mxft.api.galleries import model_of
    from mxft.api.models import open_model
    from mxft.errors import InputError
    from mxft.faces.align.detection import make_detector
    from mxft.faces.align.options import MTCNN, AlignOptions
    from mxft.faces.gallery.embedder import Embedder
    from mxft.faces.gallery.gallery import load_gallery, require_same_network
    from mxft.faces.gallery.reading import AUTO, FaceReader
    from mxft.faces.gallery.thresholds import threshold_of
    from mxft.faces.serving.worker import FaceService

    refuse_flags(args, ("synset", "output_name", "resize", "rgb_mean", "rgb_std", "mean_image"),
                 "a network that names pictures", "beside faces; leave it out")
    given = threshold_settings(args)
    is_gallery = args.model.endswith(".npz")
    if is_gallery and args.gallery:
        raise InputError(f"`gallery`: expected a face network beside it, received the gallery {args.model}; leave one "
                         "out")
    gallery = load_gallery(args.model if is_gallery else args.gallery) if is_gallery or args.gallery else None
    facts = gallery.facts if gallery else {}
    checkpoint = open_model(model_of(gallery) if is_gallery else args.model, args.image_shape)
    embedder = Embedder(checkpoint, facts.get("flip", True), facts.get("image_size"), rewrite=args.rewrite)
    if gallery:
        require_same_network(embedder.facts, facts, "the gallery, made by")
    detector = make_detector(args.detector or MTCNN)
    one, every = (FaceReader(embedder.image_size, AUTO, detector, AlignOptions(size=embedder.image_size, every=each))
                  for each in (False, True))
    threshold, origin = threshold_of(embedder, **given)
    if threshold is None and gallery:
        threshold, origin = gallery.threshold, facts.get("threshold_from", "")
    return FaceService(embedder, "/".join(checkpoint.name.split(os.sep)[-2:]), one, every, threshold, origin, gallery)
