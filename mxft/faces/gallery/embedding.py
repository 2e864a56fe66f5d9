"""Images of faces to unit embeddings, a batch at a time: reading and finding go on while the network computes."""
import os
from functools import partial
from typing import NamedTuple

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.errors import InputError, RunError
from mxft.faces.evaluation.embedding import forward_views
from mxft.faces.gallery.reading import NoFace
from mxft.inference.finite import NotFinite
from mxft.wording import plural


class EmbeddedFaces(NamedTuple):
    """The embeddings of faces.

    Parameters
    ----------
    vectors : numpy.ndarray
        Float32 ``(F, D)`` of unit length: of the image and its mirror image together, where both were asked for.
    norms : numpy.ndarray
        Float32 ``(F,)``: the length of an image's embedding before, at the mean with its mirror image's.
    images : numpy.ndarray
        Int ``(F,)``: the number of the image each face is of.
    boxes : numpy.ndarray
        Float32 ``(F, 4)``: left, top, right, bottom in pixels; NaN of an aligned face.
    scores : numpy.ndarray
        Float32 ``(F,)``: the detector's; NaN of an aligned face.
    problems : dict of int to str
        Images without an embedding, by their number, and why.
    notes : dict of int to str
        What is to be said of others: that they have several faces.
    unreadable : tuple of int
        Of `problems`, the images that cannot be read, or have another shape; the others have no face.
    """

    vectors: np.ndarray
    norms: np.ndarray
    images: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    problems: dict
    notes: dict
    unreadable: tuple = ()

    def place(self, row):
        """Return ``{"box", "score"}`` of a face for JSON, rounded; None of an aligned face."""
        if np.isnan(self.scores[row]):
            return {"box": None, "score": None}
        return {"box": [round(float(edge), 1) for edge in self.boxes[row]], "score": round(float(self.scores[row]), 4)}


def embed_faces(executor, images, reader, flip=True, threads=None, advance=None):
    """Embed the faces of images.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Ends in the embedding: see `mxft.faces.evaluation.embedding.embedding_executor`.
    images : mxft.faces.gallery.images.FaceImages
    reader : mxft.faces.gallery.reading.FaceReader
    flip : bool
        Add the embedding of the mirrored face, as published numbers do.
    threads : int, optional
        For reading and finding; one a core when None.
    advance : callable of int, optional
        Called with the number of images done.

    Returns
    -------
    EmbeddedFaces
        In the order of the images.

    Raises
    ------
    RunError
        An embedding is not finite.

    Notes
    -----
    Only a few batches of pixels are held, and the embeddings of all.
    """
    batch, rows, parts, problems, notes, unreadable = [], [], [], {}, {}, []
    work = partial(_read, images, reader)
    with one_opencv_thread():
        for number, crops, said in ordered_map(work, range(len(images)), threads or os.cpu_count() or 1):
            if crops is None:
                problems[number] = str(said)
                unreadable += [] if isinstance(said, NoFace) else [number]
            elif said:
                notes[number] = said
            for crop in crops or ():
                batch.append(crop.pixels)
                rows.append((number, crop.box, crop.score))
                if len(batch) == executor.batch_size:
                    parts.append(_forward(executor, batch, flip, images, rows))
                    batch = []
            if advance:
                advance(1)
        if batch:
            parts.append(_forward(executor, batch, flip, images, rows))
    if not rows:
        size = int(np.prod(executor.output_shape[1:]))
        return EmbeddedFaces(np.zeros((0, size), np.float32), np.zeros(0, np.float32), np.zeros(0, int),
                             np.zeros((0, 4), np.float32), np.zeros(0, np.float32), problems, notes,
                             tuple(unreadable))
    return _unit(*(np.concatenate(arrays) for arrays in zip(*parts)), rows, problems, notes, tuple(unreadable))


def require_faces(found, images):
    """Refuse (InputError) images none of which has a face, with the reason of the first."""
    if not len(found.vectors):
        number, reason = next(iter(found.problems.items()))
        raise InputError(f"no face to embed: expected one in at least one of {plural(len(images), 'image')}, received "
                         f"{images.names[number]}: {reason}")


def _read(images, reader, number):
    try:
        return number, *reader(images.read(number), images.packed[number])
    except BadImage as error:
        return number, None, error


def _forward(executor, pixels, flip, images, rows):
    """Return the embeddings (n, D) of uint8 RGB pixels, with those of their mirror images, and the lengths (n,).

    The last of `rows` say which of the `images` the pixels are of.
    """
    try:
        found = forward_views(executor, np.stack(pixels), flip)
    except NotFinite as error:
        raise error.of(images.names[rows[int(error.rows[0]) - len(pixels)][0]]) from None
    return found.sum(axis=0), np.linalg.norm(found, axis=2).mean(axis=0)


def _unit(vectors, norms, rows, problems, notes, unreadable):
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(norms).all():
        raise RunError(f"embeddings are not finite: received NaN or infinity in {int((~np.isfinite(norms)).sum())} of "
                       f"{len(norms)}; wrong mean or scale for this network, or damaged parameters?")
    numbers, boxes, scores = zip(*rows)
    nothing = (np.nan,) * 4
    return EmbeddedFaces((vectors / np.maximum(lengths, 1e-12)[:, None]).astype(np.float32), norms.astype(np.float32),
                         np.array(numbers), np.array([box or nothing for box in boxes], np.float32),
                         np.array([np.nan if score is None else score for score in scores], np.float32), problems,
                         notes, unreadable)
