"""Galleries as commands use them: the network they belong to, and where their threshold comes from."""


def check_threshold_flags(args):
    """Refuse flags that name several thresholds, or the rate of something that is not there.

    Raises
    ------
    InputError
    """
    from mxft.errors import InputError

    sources = [name for name in ("threshold", "pairs", "fpir") if getattr(args, name, None) is not None]
    if len(sources) > 1:
        raise InputError(f"`{sources[0]}`: expected one threshold, received `{sources[1]}` beside it; leave one out")
    if args.far is not None and not args.pairs:
        raise InputError(f"`far`: expected `pairs` FILE.bin beside it, received far={args.far:g} alone")


def threshold_of(args, embedder):
    """Return the threshold (a cosine) of ``--threshold`` or ``--pairs`` and its origin in words, or (None, "")."""
    if getattr(args, "threshold", None) is not None:
        return args.threshold, "as given"
    if not args.pairs:
        return None, ""
    from mxft.faces.pairs.bin_file import load_pairs

    return embedder.threshold(load_pairs(args.pairs), 1e-3 if args.far is None else args.far)


def with_threshold(gallery, embedder, args):
    """Return a gallery with the threshold that was asked for; its own where there are images enough; else none."""
    import dataclasses
    import sys

    from mxft.errors import InputError
    from mxft.faces.gallery.enrolment import FPIR, expected_fpir, own_threshold

    threshold, origin = threshold_of(args, embedder)
    if threshold is None:
        try:
            threshold, origin = own_threshold(gallery, FPIR if args.fpir is None else args.fpir)
        except InputError:
            if args.fpir is not None:
                raise
            print("no threshold: too few people and images to find one, so that nobody will be called unknown; "
                  "--threshold or --pairs give one", file=sys.stderr)
            return dataclasses.replace(gallery, facts={**gallery.facts, "threshold": None, "threshold_from": ""})
    elif (rate := expected_fpir(gallery, threshold)) is not None:
        origin += f"; at it {rate:.1%} of the images enrolled would be taken for somebody else"
    return dataclasses.replace(gallery, facts={**gallery.facts, "threshold": round(float(threshold), 6),
                                               "threshold_from": origin})


def gallery_model(gallery):
    """Return the name of the network a gallery was made by, which must be found under it still.

    Raises
    ------
    InputError
        It is not there.
    """
    from mxft.api.models import find_model
    from mxft.errors import InputError, MxftError

    name = gallery.facts.get("path") or gallery.facts.get("model") or ""
    try:
        find_model(name)
    except MxftError as error:
        raise InputError(f"network of the gallery is not found: expected {name!r}, with which it was made, received "
                         f"none there ({error}); `model` says where it is") from None
    return name


def full_name(model):
    """Return ``prefix,epoch`` of a model with its folder in full, to be found from another one."""
    import os

    from mxft.api.models import find_model

    prefix, comma, epoch = find_model(model).rpartition(",")
    return f"{os.path.abspath(prefix)},{epoch}" if comma else os.path.abspath(epoch)


def face_service(args):
    """Return the `mxft.faces.serving.application.FaceService` of the flags of ``mxft serve``.

    Raises
    ------
    InputError
        A gallery of another network, several thresholds, or a gallery named twice.
    """
    import os

    from mxft.api.models import open_model
    from mxft.errors import InputError
    from mxft.faces.align.detection import make_detector
    from mxft.faces.align.options import MTCNN, AlignOptions
    from mxft.faces.gallery.embedder import Embedder
    from mxft.faces.gallery.gallery import load_gallery, require_same_network
    from mxft.faces.gallery.reading import AUTO, FaceReader
    from mxft.faces.serving.application import FaceService

    check_threshold_flags(args)
    is_gallery = args.model.endswith(".npz")
    if is_gallery and args.gallery:
        raise InputError(f"`gallery`: expected a face network beside it, received the gallery {args.model}; leave one "
                         "out")
    gallery = load_gallery(args.model if is_gallery else args.gallery) if is_gallery or args.gallery else None
    facts = gallery.facts if gallery else {}
    checkpoint = open_model(gallery_model(gallery) if is_gallery else args.model, args.image_shape)
    embedder = Embedder(checkpoint, facts.get("flip", True), facts.get("image_size"), rewrite=args.rewrite)
    if gallery:
        require_same_network(embedder.facts, facts, "the gallery, made by")
    detector = make_detector(args.detector or MTCNN)
    one, every = (FaceReader(embedder.image_size, AUTO, detector, AlignOptions(size=embedder.image_size, every=each))
                  for each in (False, True))
    threshold, origin = threshold_of(args, embedder)
    if threshold is None and gallery:
        threshold, origin = gallery.threshold, facts.get("threshold_from", "")
    return FaceService(embedder, "/".join(checkpoint.name.split(os.sep)[-2:]), one, every, threshold, origin, gallery)
