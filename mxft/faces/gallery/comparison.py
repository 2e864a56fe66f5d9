"""Two faces compared: squared distance, cosine, and what a threshold says of them."""
from typing import NamedTuple, Optional

import numpy as np

from mxft.errors import InputError
from mxft.files.whole import write_json


class Comparison(NamedTuple):
    """Two faces.

    `cosine` of their embeddings; `same` whether it is above the `threshold`, None without one, and `threshold_from`
    where that comes from, in words.
    """

    cosine: float
    threshold: Optional[float]
    threshold_from: str
    same: Optional[bool]

    @property
    def squared_distance(self):
        """Of the unit embeddings: 2 - 2·cosine, as insightface's thresholds are told."""
        return 2 - 2 * self.cosine

    def __str__(self):
        told = f"squared distance {self.squared_distance:.4f}, cosine {self.cosine:.4f}"
        if self.same is None:
            return f"{told}\nno verdict: `threshold` gives a cosine, or `pairs` a verification set to take it from"
        return (f"{told}\n{'same person' if self.same else 'different people'}: the cosine is "
                f"{'above' if self.same else 'not above'} {self.threshold:.4f}, squared distance "
                f"{2 - 2 * self.threshold:.4f} ({self.threshold_from})")


def embed_two(embedder, images, reader):
    """Embed the faces of two pictures.

    Parameters
    ----------
    embedder : mxft.faces.gallery.embedder.Embedder
    images : mxft.faces.gallery.images.FaceImages
    reader : mxft.faces.gallery.reading.FaceReader

    Returns
    -------
    mxft.faces.gallery.embedding.EmbeddedFaces

    Raises
    ------
    InputError
        Not two pictures, or one without a face.
    """
    if len(images) != 2:
        raise InputError(f"pictures cannot be compared: expected two, received {len(images)}; mxft enroll and mxft "
                         "identify compare many")
    found = embedder.embed(images, reader, show=False)
    for number, reason in found.problems.items():
        raise InputError(f"no comparison: expected a face in both pictures, received {images.names[number]}: {reason}")
    return found


def compare(left, right, threshold=None, threshold_from=""):
    """Compare two embeddings.

    Parameters
    ----------
    left, right : numpy.ndarray
        Float ``(D,)``, of any length.
    threshold : float, optional
        A cosine.
    threshold_from : str

    Returns
    -------
    Comparison

    Examples
    --------
    >>> compare(np.array([1.0, 0]), np.array([0.6, 0.8]), 0.5, "as given").same
    True
    """
    left, right = (vector.astype(np.float64) / max(np.linalg.norm(vector.astype(np.float64)), 1e-12)
                   for vector in (left, right))
    cosine = float(np.clip(left @ right, -1, 1))
    return Comparison(cosine, threshold, threshold_from, None if threshold is None else cosine > threshold)


def write_comparison(path, comparison, names, found):
    """Write a comparison as JSON: both pictures with their faces, distance, cosine, threshold, verdict."""
    faces = [{"image": name, **found.place(row)} for row, name in enumerate(names)]
    write_json(path, {"faces": faces, "squared_distance": comparison.squared_distance, "cosine": comparison.cosine,
                      "threshold": comparison.threshold, "threshold_from": comparison.threshold_from,
                      "same": comparison.same})
