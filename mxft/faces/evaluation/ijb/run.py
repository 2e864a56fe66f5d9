"""A face network on one of IJB's protocols: one pass over the images into templates, and the numbers of these."""
import dataclasses
import os
from collections import Counter

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.data.progress import progress
from mxft.errors import RunError
from mxft.faces.align.similarity import align_face
from mxft.faces.evaluation.ijb.identification import Identification, identify_templates, mean_of
from mxft.faces.evaluation.ijb.templates import Pooling, TemplateSums
from mxft.faces.evaluation.ijb.verification import TemplateVerification, score_pairs, verify_templates
from mxft.faces.evaluation.streaming import stream_views
from mxft.faces.pairs.bin_file import decode_rgb
from mxft.inference.finite import naming_pictures
from mxft.machine.quiet import quiet_native


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
    `mxft.faces.evaluation.ijb.protocol.check_faces` first says what is missing.
    """
    pooling, sums = pooling or Pooling(), None

    def load(row):
        return _face(faces, row, folder, image_size, aligned)

    rows = range(len(faces.names))
    with quiet_native(), naming_pictures(faces.names.__getitem__), \
            progress(len(rows), "embedding", show=show) as advance:
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
    protocol : mxft.faces.evaluation.ijb.protocol.Protocol
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
