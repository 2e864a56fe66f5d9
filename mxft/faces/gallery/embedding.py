"""Images of faces to unit embeddings, a batch at a time: reading and finding go on while the network computes."""
import os
from functools import partial
from typing import NamedTuple

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.errors import InputError, RunError
from mxft.wording import plural


class EmbeddedFaces(NamedTuple):
    """The embeddings of faces.

    Parameters
    ----------
    vectors : numpy.ndarray
        Float32 ``(F, D)`` of unit length: of the image and its mirror image together, where both were asked for.
    norms : numpy.ndarray
        Float32 ``(F,)``: their length before.
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
    """

    vectors: np.ndarray
    norms: np.ndarray
    images: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    problems: dict
    notes: dict


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
    InputError
        No image has a face.
    RunError
        An embedding is not finite.

    Notes
    -----
    Only a few batches of pixels are held, and the embeddings of all.
    """
    batch, rows, vectors, problems, notes = [], [], [], {}, {}
    work = partial(_read, images, reader)
    with one_opencv_thread():
        for number, crops, said in ordered_map(work, range(len(images)), threads or os.cpu_count() or 1):
            if crops is None:
                problems[number] = said
            elif said:
                notes[number] = said
            for crop in crops or ():
                batch.append(crop.pixels)
                rows.append((number, crop.box, crop.score))
                if len(batch) == executor.batch_size:
                    vectors.append(_forward(executor, batch, flip))
                    batch = []
            if advance:
                advance(1)
        if batch:
            vectors.append(_forward(executor, batch, flip))
    if not rows:
        number, reason = next(iter(problems.items()))
        raise InputError(f"no face to embed: expected one in at least one of {plural(len(images), 'image')}, received "
                         f"{images.names[number]}: {reason}")
    return _unit(np.concatenate(vectors), rows, problems, notes)


def _read(images, reader, number):
    try:
        return number, *reader(images.read(number), images.packed[number])
    except BadImage as error:
        return number, None, str(error)


def _forward(executor, pixels, flip):
    """Return float32 (n, D): of uint8 RGB pixels, and of their mirror images added to it."""
    planes = np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2), dtype=np.float32)
    found = executor.forward(planes).reshape(len(pixels), -1)
    if flip:
        found = found + executor.forward(np.ascontiguousarray(planes[..., ::-1])).reshape(len(pixels), -1)
    return found


def _unit(vectors, rows, problems, notes):
    norms = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(norms).all():
        raise RunError(f"embeddings are not finite: received NaN or infinity in {int((~np.isfinite(norms)).sum())} of "
                       f"{len(norms)}; wrong mean or scale for this network, or damaged parameters?")
    numbers, boxes, scores = zip(*rows)
    nothing = (np.nan,) * 4
    return EmbeddedFaces((vectors / np.maximum(norms, 1e-12)[:, None]).astype(np.float32), norms.astype(np.float32),
                         np.array(numbers), np.array([box or nothing for box in boxes], np.float32),
                         np.array([np.nan if score is None else score for score in scores], np.float32), problems,
                         notes)
