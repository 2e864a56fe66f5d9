"""Template features: the embeddings of a template's faces, averaged within a medium and summed over media.

As ``image2template_feature`` of insightface's ``recognition/_evaluation_/ijb`` does; after Whitelam et al., "IARPA
Janus Benchmark-B Face Dataset" (CVPRW 2017). A video of a hundred frames then weighs no more than a photograph.
"""
import dataclasses

import numpy as np

from mxft.errors import RunError
from mxft.faces.evaluation.verification import normalised_rows


@dataclasses.dataclass(frozen=True)
class Pooling:
    """What an image brings into its template.

    Parameters
    ----------
    flip : bool
        Add the embedding of the mirrored image (upstream's ``use_flip_test``, F1 or F2).
    detector_score : bool
        Multiply by the detector's score, so that what is hardly a face weighs little (``use_detector_score``, D1).
    unit_length : bool
        Normalise an image's embedding first. Otherwise its length weighs it: blurred faces have short embeddings.
        True is ``ijb_11.py``'s N0 (``use_norm_score=False``) and ``ijb_evals.py``'s N1 (``use_norm_score=True``).

    Examples
    --------
    >>> str(Pooling()), str(Pooling(flip=False, unit_length=True))
    ('flip, detector score, embeddings weighted by their length', 'no flip, detector score, unit-length embeddings')
    """

    flip: bool = True
    detector_score: bool = True
    unit_length: bool = False

    def __str__(self):
        return (f"{'' if self.flip else 'no '}flip, {'' if self.detector_score else 'no '}detector score, "
                + ("unit-length embeddings" if self.unit_length else "embeddings weighted by their length"))

    def image_features(self, views, scores=None):
        """Return what images bring in.

        Parameters
        ----------
        views : numpy.ndarray
            Float32 ``(views, n, D)``: the embeddings of the images and, with `flip`, of the mirrored ones.
        scores : numpy.ndarray, optional
            Float ``(n,)``; needed with `detector_score`.

        Returns
        -------
        numpy.ndarray
            Float32 ``(n, D)``.
        """
        features = views[0] + views[1] if self.flip else views[0]
        if self.unit_length:
            features = normalised_rows(features)
        return features * scores[:, None] if self.detector_score else features


class TemplateSums:
    """Template features that grow while images are embedded: no embedding of an image is kept.

    Parameters
    ----------
    templates, media : numpy.ndarray
        Int64 ``(N,)``, of all faces that will come.
    dimension : int
        Of the embeddings, D.

    Attributes
    ----------
    ids : numpy.ndarray
        Int64 ``(T,)``: the templates, ascending.

    Notes
    -----
    Holds float32 ``(T, D)``: 205 MB for 100,000 templates of 512 numbers. The mean within a medium is a weight of each
    of its faces, which is known from the list: faces may come in any order.

    Examples
    --------
    >>> sums = TemplateSums(np.array([7, 3, 7]), np.array([1, 1, 1]), 2)
    >>> sums.add(0, np.array([[1, 0], [0, 5], [0, 1]], np.float32))
    >>> sums.ids.tolist(), sums.features().round(3).tolist()
    ([3, 7], [[0.0, 1.0], [0.7070000171661377, 0.7070000171661377]])
    """

    def __init__(self, templates, media, dimension):
        self.ids, places = np.unique(templates, return_inverse=True)
        self._places = places.astype(np.int32)
        self._weights = medium_weights(templates, media)
        self._sums = np.zeros((len(self.ids), dimension), np.float32)

    def add(self, first, features):
        """Add the features ``(n, D)`` of the faces `first` to `first` + n - 1."""
        rows = slice(first, first + len(features))
        np.add.at(self._sums, self._places[rows], features * self._weights[rows, None])

    def features(self):
        """Normalise the sums in place and return them.

        Returns
        -------
        numpy.ndarray
            Float32 ``(T, D)``, of unit length; zero where all that came was: each detector score was 0.

        Raises
        ------
        RunError
            One is not finite.
        """
        for start in range(0, len(self._sums), 4096):
            self._sums[start:start + 4096] = normalised_rows(self._sums[start:start + 4096])
        bad = ~np.isfinite(self._sums.sum(axis=1))
        if bad.any():
            raise RunError(f"template features are not finite: received NaN or infinity in {int(bad.sum())} of "
                           f"{len(bad)}, the first of them template {self.ids[bad.argmax()]}; a run that diverged, or "
                           "damaged parameters?")
        return self._sums


def medium_weights(templates, media):
    """Return, for each face, one over the number of faces that its template has in its medium: float32 ``(N,)``.

    Examples
    --------
    >>> medium_weights(np.array([1, 1, 1, 2]), np.array([5, 5, 6, 5])).tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    order = np.lexsort((media, templates))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(templates[order]) != 0) | (np.diff(media[order]) != 0)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(order)))
    weights = np.empty(len(order), np.float32)
    weights[order] = np.repeat(1 / counts, counts)
    return weights
