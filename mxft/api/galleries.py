"""``mxft.align_faces``, ``enroll``, ``identify`` and ``compare_faces``: from photographs of people to their names."""
from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any, Union

from mxft.api.models import Model, find_model, on_device, open_model
from mxft.api.telling import telling
from mxft.errors import InputError, MxftError, RunError
from mxft.faces.align.detection import make_detector
from mxft.faces.align.folder import AlignResult, align_folder
from mxft.faces.align.landmark_list import open_listed
from mxft.faces.align.options import CONFIDENCE, LARGEST, MTCNN, AlignOptions
from mxft.faces.gallery.comparison import Comparison, compare, embed_two
from mxft.faces.gallery.embedder import Embedder
from mxft.faces.gallery.enrollment import enroll_faces
from mxft.faces.gallery.gallery import Gallery, load_gallery, require_gallery_name, require_same_network
from mxft.faces.gallery.identification import NamedFace
from mxft.faces.gallery.identification import identify as name_faces
from mxft.faces.gallery.images import FaceImages, open_face_images
from mxft.faces.gallery.matching import MEAN
from mxft.faces.gallery.reading import ALIGNED, AUTO, FaceReader
from mxft.faces.gallery.thresholds import FAR, require_cosine, require_one_threshold, threshold_of, with_threshold
from mxft.faces.pairs.bin_file import PairSet
from mxft.network.checkpoint import Checkpoint
from mxft.settings import height_width
from mxft.wording import plural

LOG = logging.getLogger("mxft")
Path = Union[str, "os.PathLike[str]"]
MOST_TOLD = 10  # pictures without a face that are named


def align_faces(source: Path, folder: Path, *, detector: str = MTCNN, landmarks: Path | None = None,
                size: Sequence[int] = (112, 112), margin: float = 0.0, choose: str = LARGEST, every: bool = False,
                turned: bool = False, min_size: int | None = None, confidence: float = CONFIDENCE, quality: int = 95,
                encoding: str = ".jpg", threads: int | None = None, force: bool = False) -> AlignResult:
    """Find the faces in photographs, turn and crop them to insightface's five points; as ``mxft face-align`` does.

    Parameters
    ----------
    source : str or os.PathLike
        A folder of any depth, a tar or zip of one, or a picture.
    folder : str or os.PathLike
        Of the crops, in the same folders and under the same names; a call that was stopped continues in it.
    detector : str
        ``"mtcnn"``, the folder or prefix of insightface's det1 to det3, or an ``.onnx`` file of YuNet.
    landmarks : str or os.PathLike, optional
        A list that names the landmarks of each picture: no detector is needed for those.
    size : (H, W)
        In pixels.
    margin : float
        More around the face on each side, as a part of the edge.
    choose : {"largest", "central"}
        Of several faces in a picture.
    every : bool
        All faces of a picture.
    turned : bool
        Take a face that lies on its side where none is upright.
    min_size : int, optional
        Smallest face in pixels; a 24th of the picture's shorter side, at least 20, when None.
    confidence : float
        Faces with a lower score are left out.
    quality : int
        Of JPEGs, 1 to 100.
    encoding : {".jpg", ".png"}
        Of the crops.
    threads : int, optional
        Pictures worked on at a time; one a core when None.
    force : bool
        Replace the crops in a folder that is taken.

    Returns
    -------
    AlignResult

    Raises
    ------
    InputError
        No pictures, a detector that is none, or a folder that is taken.
    RunError
        No picture has a face.

    Examples
    --------
    >>> print(align_faces("photos", "aligned"))                                  # doctest: +SKIP
    aligned 95 faces of 96 pictures into aligned (112 x 112, 11.3 pictures/s)
    """
    options = AlignOptions(height_width(size), margin, choose, every, turned, quality, encoding)

    def detector_for(needed: bool) -> Any:
        return make_detector(detector, min_size, confidence) if needed else None

    with telling():
        finder: Any = (open_listed(os.fspath(landmarks), os.fspath(source), detector_for) if landmarks
                       else detector_for(True))
        result: AlignResult = align_folder(os.fspath(source), os.fspath(folder), finder, options, threads, force)
    return result


def enroll(people: Path, model: Model | None = None, path: Path | None = None, *, add: Gallery | Path | None = None,
           threshold: float | None = None, pairs: PairSet | Path | None = None, far: float = FAR,
           fpir: float | None = None, images: str = AUTO, flip: bool = True, detector: str | None = None,
           choose: str | None = None, turned: bool = False, min_size: int | None = None,
           confidence: float | None = None, image_size: Sequence[int] | None = None, batch_size: int = 32,
           gpus: str = "", engine: str = "auto", device: str | None = None, precision: str | None = None,
           rewrite: bool = True, threads: int | None = None) -> Gallery:
    """Make a gallery of people whose names are known, as ``mxft enroll`` does.

    Parameters
    ----------
    people : str or os.PathLike
        A folder with a folder of pictures a person, or with a picture a person (``Ann.jpg``); a face set, a ``.rec``.
    model : str, os.PathLike or Checkpoint
        A face network, see `mxft.finetune`; that of the gallery to `add` to when None.
    path : str or os.PathLike, optional
        The ``.npz`` to write; one that is there is replaced.
    add : Gallery, str or os.PathLike, optional
        A gallery whose people are kept. Images that are in it already are not added again. Its threshold stays where
        none is named; one that was taken from the people enrolled is taken from all of them now.
    threshold : float, optional
        The cosine above which a face is somebody's.
    pairs : str, os.PathLike or PairSet, optional
        A verification set to take the threshold from, at the false accept rate `far`.
    far : float
    fpir : float, optional
        Take it from the people enrolled: so that this share of their images would be named as somebody else; 0.01
        where nothing is said and there are images enough.
    images : {"auto", "aligned", "photograph"}
        What the pictures are: told by their size when ``"auto"``.
    flip : bool
        Add the embeddings of the mirror images.
    detector, choose, turned, min_size, confidence
        Of photographs: see `align_faces`.
    image_size : (H, W), optional
        What the network takes; the manifest's, or 112x112, when None.
    batch_size : int
        Faces computed at a time.
    gpus : str
        ``"0"``; empty for the CPU.
    engine : {"auto", "mxnet", "torch"}
        PyTorch computes the same as MXNet, on cards that MXNet has no code for; auto takes it where `device` names one.
    device : str, optional
        Of PyTorch: ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    precision : {"fp32", "bf16", "int8", "auto"}, optional
        Numbers it is computed in, on a CPU; int8 of a quantized checkpoint, else fp32, when None.
    rewrite : bool
        Change the graph into a faster one that computes the same.
    threads : int, optional
        For reading and finding faces; one a core when None.

    Returns
    -------
    Gallery

    Raises
    ------
    InputError
        No face, several thresholds, too few pairs for `far`, or a gallery of another network.
    RunError
        Somebody else has written the gallery to `add` to meanwhile.

    Examples
    --------
    >>> print(enroll("people", "models/y1,0", "gallery.npz"))                     # doctest: +SKIP
    423 people, 5,985 embeddings of 128 numbers by models/y1,0; a face counts above cosine 0.4512 (…)
    """
    require_one_threshold(threshold, pairs, fpir)
    if path is not None:
        require_gallery_name(os.fspath(path))
    with telling():
        state = _state(add)
        before = load_gallery(os.fspath(add)) if isinstance(add, (str, os.PathLike)) else add
        if model is None and before is None:
            raise InputError("`model`: expected a face network, received none; mxft zoo list names some")
        opened = open_face_images([os.fspath(people)])
        embedder = _embedder(model or model_of(before), flip, image_size, batch_size,
                             (gpus, engine, device, precision), rewrite, threads)
        reader = face_reader(embedder, images, detector, choose, turned, min_size, confidence)
        found: Gallery
        found, embedded = enroll_faces(embedder, opened, reader)
        if before is not None:
            found = _added(before, found)
        found = with_threshold(found, embedder, threshold, pairs, far, fpir)
        _tell(embedded, opened, notes=True)
        if path is not None:
            if _state(add) != state:
                raise RunError(f"gallery is not written: expected {add} as it was read, received another, which "
                               "somebody has written since; the same call adds to that")
            found.save(os.fspath(path))
    return found


def identify(gallery: Gallery | Path, pictures: Path | Iterable[Path], *, model: Model | None = None, top: int = 1,
             pool: str = MEAN, threshold: float | None = None, images: str = AUTO, every: bool = True,
             detector: str | None = None, choose: str | None = None, turned: bool = False,
             min_size: int | None = None, confidence: float | None = None, batch_size: int = 32, gpus: str = "",
             engine: str = "auto", device: str | None = None, precision: str | None = None,
             rewrite: bool = True, threads: int | None = None) -> list[NamedFace]:
    """Name the faces in pictures by a gallery, as ``mxft identify`` does.

    Parameters
    ----------
    gallery : Gallery, str or os.PathLike
    pictures : str, os.PathLike, or an iterable of them
        Pictures, folders, archives, face sets.
    model : str, os.PathLike or Checkpoint, optional
        The network the gallery was made by, where it lies elsewhere now.
    top : int
        People told of each face, the nearest first.
    pool : {"mean", "max"}
        What stands for a person with several images: their mean direction, or the image that is nearest.
    threshold : float, optional
        The cosine above which a face is somebody's; the gallery's when None.
    images : {"auto", "aligned", "photograph"}
    every : bool
        All faces of a photograph.
    detector, choose, turned, min_size, confidence
        Of photographs: see `align_faces`.
    batch_size : int
        Faces computed at a time.
    gpus : str
        ``"0"``; empty for the CPU.
    engine : {"auto", "mxnet", "torch"}
        PyTorch computes the same as MXNet, on cards that MXNet has no code for; auto takes it where `device` names one.
    device : str, optional
        Of PyTorch: ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    precision : {"fp32", "bf16", "int8", "auto"}, optional
        Numbers it is computed in, on a CPU; int8 of a quantized checkpoint, else fp32, when None.
    rewrite : bool
        Change the graph into a faster one that computes the same.
    threads : int, optional
        For reading and finding faces; one a core when None.

    Returns
    -------
    list of NamedFace
        ``image``, ``box``, ``name`` (``"unknown"`` where nobody is near enough) and ``nearest``, a row a face.
        Pictures without a face are told, and have no row.

    Raises
    ------
    InputError
        Not a gallery, another network than the gallery's, or a picture that is not there.

    Examples
    --------
    >>> for face in identify("gallery.npz", "party.jpg"):                         # doctest: +SKIP
    ...     print(face)
    party.jpg [182, 239, 325, 429]: Ann 0.713
    party.jpg [469, 82, 554, 187]: unknown (nearest: Bob 0.118)
    """
    with telling():
        known: Gallery = load_gallery(os.fspath(gallery)) if isinstance(gallery, (str, os.PathLike)) else gallery
        given = [pictures] if isinstance(pictures, (str, os.PathLike)) else list(pictures)
        opened = open_face_images(given)
        embedder = _embedder(model or model_of(known), known.facts.get("flip", True),
                             known.facts.get("image_size"), batch_size, (gpus, engine, device, precision),
                             rewrite, threads)
        require_same_network(embedder.facts, known.facts, "the gallery, made by")
        reader = face_reader(embedder, images, detector, choose, turned, min_size, confidence, every)
        found = embedder.embed(opened, reader, "identifying")
        _tell(found, opened)
        limit = known.threshold if threshold is None else require_cosine(threshold)
        rows: list[NamedFace] = name_faces(known, found, opened.names, top, pool, limit)
        if limit is None and rows:
            LOG.warning("no threshold: the nearest person is given, whoever it is; `threshold` makes strangers unknown")
    return rows


def compare_faces(model: Model, left: Path, right: Path, *, threshold: float | None = None,
                  pairs: PairSet | Path | None = None, far: float = FAR, images: str = AUTO, flip: bool = True,
                  detector: str | None = None, choose: str | None = None, turned: bool = False,
                  min_size: int | None = None, confidence: float | None = None,
                  image_size: Sequence[int] | None = None, gpus: str = "", engine: str = "auto",
                  device: str | None = None, precision: str | None = None) -> Comparison:
    """Compare the faces of two pictures, as ``mxft verify`` does with two pictures.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    left, right : str or os.PathLike
        Photographs, or aligned faces of the network's size.
    threshold, pairs, far
        From where on they are one person: see `enroll`. Without `threshold` and `pairs` nothing is said of that.
    images, flip, image_size
        See `enroll`.
    detector, choose, turned, min_size, confidence
        Of photographs: see `align_faces`.
    gpus : str
    engine : {"auto", "mxnet", "torch"}
        PyTorch computes the same as MXNet, on cards that MXNet has no code for; auto takes it where `device` names one.
    device : str, optional
        Of PyTorch: ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    precision : {"fp32", "bf16", "int8", "auto"}, optional
        Numbers it is computed in, on a CPU; int8 of a quantized checkpoint, else fp32, when None.

    Returns
    -------
    Comparison
        With ``cosine``, ``squared_distance``, ``same``.

    Raises
    ------
    InputError
        A picture without a face, or a folder of several.

    Examples
    --------
    >>> compare_faces("models/y1,0", "ann.jpg", "who.jpg", threshold=0.35).same   # doctest: +SKIP
    True
    """
    with telling():
        opened = open_face_images([left, right])
        embedder = _embedder(model, flip, image_size, 2, (gpus, engine, device, precision), True, None)
        reader = face_reader(embedder, images, detector, choose, turned, min_size, confidence)
        found = embed_two(embedder, opened, reader)
        limit, origin = threshold_of(embedder, threshold, pairs, far)
    result: Comparison = compare(found.vectors[0], found.vectors[1], limit, origin)
    return result


def _state(path: Any) -> tuple[int, int] | None:
    """Return what tells whether a gallery's file has been written again."""
    if not isinstance(path, (str, os.PathLike)) or not os.path.isfile(path):
        return None
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns


def _embedder(model: Any, flip: bool, image_size: Sequence[int] | None, batch_size: int,
              computed: tuple[Any, ...], rewrite: bool, threads: int | None) -> Embedder:
    """Return the Embedder of a model, computed as `on_device` says; it knows the model's full name if it has one."""
    checkpoint, context = on_device(open_model(model), *computed)
    embedder = Embedder(checkpoint, flip, image_size, batch_size, context, rewrite, threads)
    if not isinstance(model, Checkpoint):
        prefix, comma, epoch = find_model(os.fspath(model)).rpartition(",")
        embedder.facts["path"] = f"{os.path.abspath(prefix)},{epoch}" if comma else os.path.abspath(epoch)
    return embedder


def face_reader(embedder: Embedder, images: str = AUTO, detector: str | None = None, choose: str | None = None,
                turned: bool = False, min_size: int | None = None, confidence: float | None = None,
                every: bool = False) -> FaceReader:
    """Return how the faces of images are read for a network.

    Parameters
    ----------
    embedder : mxft.faces.gallery.embedder.Embedder
    images : {"auto", "aligned", "photograph"}
    detector, choose, turned, min_size, confidence
        See `align_faces`.
    every : bool
        All faces of a photograph, where `choose` does not say which.

    Raises
    ------
    InputError
        Something says how faces are looked for where they are aligned already.
    """
    given = {"detector": detector, "choose": choose, "turned": turned or None, "min_size": min_size,
             "confidence": confidence}
    named = [name for name, value in given.items() if value is not None]
    if images == ALIGNED and named:
        raise InputError(f"`{named[0]}`: expected photographs in which faces are looked for, received "
                         f"`images={images!r}` beside it; leave one out")
    options = AlignOptions(embedder.image_size, choose=choose or LARGEST, every=every and choose is None, turned=turned)
    finder = None
    if detector is not None or min_size is not None or confidence is not None:
        finder = make_detector(detector or MTCNN, min_size, CONFIDENCE if confidence is None else confidence)
    return FaceReader(embedder.image_size, images, finder, options)


def _added(before: Gallery, found: Gallery) -> Gallery:
    """Return a gallery with the people of another; images that are in it already are told."""
    both: Gallery = before.with_more(found)
    again = len(before.owners) + len(found.owners) - len(both.owners)
    if again:
        LOG.warning(f"{again} of {plural(len(found.owners), 'image')} already in the gallery, not added again")
    return both


def model_of(gallery: Gallery | None) -> str:
    """Return the name of the network a gallery was made by, under which it must be found still.

    Raises
    ------
    InputError
        It is not there.
    """
    name = str(gallery.facts.get("path") or gallery.facts.get("model") or "") if gallery else ""
    try:
        find_model(name)
    except MxftError as error:
        raise InputError(f"network of the gallery is not found: expected {name!r}, with which it was made, received "
                         f"none there ({error}); `model` says where it is") from None
    return name


def _tell(found: Any, images: FaceImages, notes: bool = False) -> None:
    """Log which images have no face, the first ones by name, and with `notes` how many have several."""
    for number, reason in sorted(found.problems.items())[:MOST_TOLD]:
        LOG.warning(f"{images.names[number]}: {reason}")
    if len(found.problems) > MOST_TOLD:
        LOG.warning(f"… and {len(found.problems) - MOST_TOLD} more without a face, of {len(images)}")
    if notes and found.notes:
        number, note = min(found.notes.items())
        LOG.warning(f"{plural(len(found.notes), 'picture')} with several faces: {images.names[number]}: {note}"
                    + " …" * (len(found.notes) > 1))
