"""A face network on IJB's lists: every list is read before the first image, then one pass over the images."""
import dataclasses
import os
from collections import Counter

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.data.progress import progress
from mxft.errors import InputError, MissingFileError, RunError, nearest
from mxft.faces.align.landmark_list import WRONG_LIST, landmark_distance
from mxft.faces.align.similarity import align_face
from mxft.faces.evaluation.ijb.files import GALLERIES, PAIRS, POINTS, PROBES
from mxft.faces.evaluation.ijb.identification import Identification, identify_templates, mean_of
from mxft.faces.evaluation.ijb.lists import Faces, read_faces, read_subjects, read_template_pairs
from mxft.faces.evaluation.ijb.templates import Pooling, TemplateSums
from mxft.faces.evaluation.ijb.verification import TemplateVerification, score_pairs, verify_templates
from mxft.faces.evaluation.streaming import stream_views
from mxft.faces.pairs.bin_file import decode_rgb
from mxft.machine.quiet import quiet_native

SAMPLE = 200  # faces by which landmarks are told from other numbers


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The lists of one protocol, read and checked; see `read_protocol`.

    Parameters
    ----------
    kind : {"1:1", "1:N"}
    faces : mxft.faces.evaluation.ijb.lists.Faces
    pairs : tuple or None
        Of `mxft.faces.evaluation.ijb.lists.read_template_pairs`.
    probes : tuple or None
        Of `mxft.faces.evaluation.ijb.lists.read_subjects`.
    galleries : dict of str to tuple
        The same, by ``G1`` and ``G2``.
    templates : int
    """

    kind: str
    faces: Faces
    pairs: tuple
    probes: tuple
    galleries: dict
    templates: int


@dataclasses.dataclass(frozen=True)
class IjbResult:
    """Result of `evaluate_protocol`.

    Parameters
    ----------
    verification : mxft.faces.evaluation.ijb.verification.TemplateVerification or None
    identification : dict of str to mxft.faces.evaluation.ijb.identification.Identification
        By gallery, and ``mean`` where there are several.
    scores : numpy.ndarray or None
        Float32 ``(P,)``, the cosine of each pair, in the order of the list.
    notes : tuple of str
        What may make the numbers doubtful.
    """

    verification: TemplateVerification
    identification: "dict[str, Identification]"
    scores: np.ndarray
    notes: tuple


def read_protocol(lists, kind, need_points=True):
    """Read the lists of a protocol.

    Parameters
    ----------
    lists : mxft.faces.evaluation.ijb.files.IjbLists
    kind : {"1:1", "1:N"}
    need_points : bool
        Whether landmarks or detector scores will be used.

    Returns
    -------
    Protocol

    Raises
    ------
    InputError
        A list is missing, or a row of one is bad.
    """
    wanted = {POINTS: lists.points} if need_points else {}
    wanted.update({PAIRS: lists.pairs} if kind == "1:1" else
                  {PROBES: lists.probes, " or ".join(GALLERIES["G1"]): lists.galleries or None})
    for end, found in wanted.items():
        if found is None:
            folder = os.path.dirname(lists.media)
            raise MissingFileError(f"list is missing: expected {lists.name}{end} in {folder}, received none; "
                                   f"{nearest(lists.name + end, sorted(os.listdir(folder)))}")
    faces = read_faces(lists.media, lists.points if need_points else None)
    templates = np.unique(faces.templates)
    if kind == "1:1":
        return Protocol(kind, faces, read_template_pairs(lists.pairs, templates), None, {}, len(templates))
    galleries = {name: read_subjects(path, templates) for name, path in lists.galleries.items()}
    return Protocol(kind, faces, None, read_subjects(lists.probes, templates), galleries, len(templates))


def check_faces(faces, folder, aligned=False):
    """Refuse, before hours of work, a folder without one of the images, and landmarks that nothing can be aligned by.

    Parameters
    ----------
    faces : mxft.faces.evaluation.ijb.lists.Faces
    folder : str
        Of the images.
    aligned : bool
        The landmarks are not used.

    Raises
    ------
    InputError
        With the line of the first, and how many more there are.
    """
    if not os.path.isdir(folder):
        raise MissingFileError(f"images are missing: expected a folder, received images={folder!r}")
    missing = [row for row, name in enumerate(faces.names) if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        path = os.path.join(folder, faces.names[missing[0]])
        there = sorted(os.listdir(os.path.dirname(path))) if os.path.isdir(os.path.dirname(path)) else []
        raise MissingFileError(f"image is missing: expected {path}, which {faces.place(missing[0])} names, received "
                               f"none{_more(missing)}; in that folder: {nearest(os.path.basename(path), there)}")
    if not aligned:
        _check_landmarks(faces)


def _check_landmarks(faces):
    """Refuse landmarks in one place, and a list whose landmarks are no faces': x and y in another order?"""
    with np.errstate(invalid="ignore"):  # what is not finite has no spread, and is refused with the rest
        spread = faces.landmarks.astype(np.float64).var(axis=1).sum(axis=1)
    bad = np.flatnonzero(~(spread >= 1e-6))
    if len(bad):
        raise InputError(f"face cannot be aligned: expected landmarks in different places, received "
                         f"{faces.landmarks[bad[0]].tolist()} for {faces.names[bad[0]]}, which "
                         f"{faces.place(bad[0])} names{_more(bad)}")
    sample = faces.landmarks[:: -(-len(faces.landmarks) // SAMPLE)].astype(np.float64)
    off = float(np.median([landmark_distance(points) for points in sample]))
    if off > WRONG_LIST:
        raise InputError(f"landmarks are no faces': expected x1 y1 … x5 y5 of left eye, right eye, nose and corners of "
                         f"the mouth, received points that keep {off:.0f} pixels of 112 from where they belong, as "
                         f"{sample[0].tolist()} of {faces.names[0]}")


def _more(rows):
    return f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""


def embed_templates(executor, faces, folder, image_size=(112, 112), pooling=None, aligned=False, threads=None,
                    show=None):
    """Embed all faces and pool them into templates as they come.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Ends in the embedding: see `mxft.faces.evaluation.embedding.embedding_executor`.
    faces : mxft.faces.evaluation.ijb.lists.Faces
    folder : str
        Of the images.
    image_size : (H, W)
        What the network takes.
    pooling : mxft.faces.evaluation.ijb.templates.Pooling, optional
        ``Pooling()`` when None.
    aligned : bool
        The images are aligned crops of that size, and their landmarks are not used.
    threads : int, optional
        For reading and aligning; one a core when None.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    ids : numpy.ndarray
        Int64 ``(T,)``, ascending.
    features : numpy.ndarray
        Float32 ``(T, D)``, of unit length.

    Raises
    ------
    RunError
        An image that cannot be read, with the line that names it, or features that are not finite.

    Notes
    -----
    `check_faces` first says what is missing.
    """
    pooling, sums = pooling or Pooling(), None

    def load(row):
        return _face(faces, row, folder, image_size, aligned)

    rows = range(len(faces.names))
    with quiet_native(), progress(len(rows), "embedding", show=show) as advance:
        for places, views in stream_views(executor, rows, load, pooling.flip, threads, advance):
            if sums is None:
                sums = TemplateSums(faces.templates, faces.media, views.shape[2])
            scores = faces.scores[places] if pooling.detector_score else None
            sums.add(places[0], pooling.image_features(views, scores))
    return sums.ids, sums.features()


def _face(faces, row, folder, size, aligned):
    """Return the aligned pixels of one face."""
    path = os.path.join(folder, faces.names[row])
    try:
        pixels = decode_rgb(read_image(path))
    except BadImage as error:
        raise RunError(f"image cannot be used: expected a whole JPEG or PNG, received {path} ({error}), which "
                       f"{faces.place(row)} names") from None
    if not aligned:
        return align_face(pixels, faces.landmarks[row], size)
    if pixels.shape[:2] != tuple(size):
        raise RunError(f"image is not aligned: expected {size[1]}x{size[0]} pixels, received {pixels.shape[1]}x"
                       f"{pixels.shape[0]} in {path}, which {faces.place(row)} names; without `aligned` it is aligned "
                       "by its landmarks")
    return pixels


def evaluate_protocol(protocol, features):
    """Compare template features as a protocol says.

    Parameters
    ----------
    protocol : Protocol
    features : numpy.ndarray
        Float32 ``(T, D)``, of `embed_templates`.

    Returns
    -------
    IjbResult
    """
    notes = _notes(protocol, features)
    if protocol.kind == "1:1":
        left, right, issame = protocol.pairs
        scores = score_pairs(features, left, right)
        return IjbResult(verify_templates(scores, issame), {}, scores, notes)
    places, subjects = protocol.probes
    probes = features[places]
    found = {name: identify_templates(probes, subjects, features[gallery], theirs)
             for name, (gallery, theirs) in protocol.galleries.items()}
    return IjbResult(None, {**found, "mean": mean_of(list(found.values()))} if len(found) > 1 else found, None, notes)


def _notes(protocol, features):
    """Return what may make the numbers doubtful."""
    notes = []
    empty = int((~features.any(axis=1)).sum())
    if empty:
        notes.append(f"{empty} of {len(features)} templates have a feature of zero (every detector score is 0?): they "
                     "are equally far from all")
    for name, (_, subjects) in protocol.galleries.items():
        several = sum(count > 1 for count in Counter(subjects.tolist()).values())
        if several:
            notes.append(f"{several} subjects have several templates in gallery {name}: the most similar counts")
    if len(protocol.galleries) == 1:
        notes.append(f"there is one gallery only, {next(iter(protocol.galleries))}: no mean")
    both = [set(subjects.tolist()) for _, subjects in protocol.galleries.values()]
    if len(both) == 2 and both[0] & both[1]:
        notes.append(f"{len(both[0] & both[1])} subjects are in both galleries: the mean counts their probes twice")
    return tuple(notes)
