"""Whether an image is far from all that a network was trained on: the distance of its features to training images'.

Deep nearest neighbours (Sun et al., arXiv:2204.06507): features are scaled to length 1, and the distance of an image is
one less its mean cosine to the three nearest of a sample of the training images. recipes/calibration.md compares it
with class means and Mahalanobis distances.
"""
import dataclasses

import numpy as np

from mxft.errors import InputError
from mxft.network.anatomy import Link, Output
from mxft.network.anatomy.outputs import EMBEDDING
from mxft.surgery import feature_layer_named

NEIGHBOURS = 3
MOST_ROWS, MOST_HELD_OUT = 1000, 500  # images of a sample
FALSE_ALARMS = 0.05                   # of held-out images of the known classes: what the threshold aims at
_SAME = 1e-4                          # of distance: the very image, or a copy of it, after float16


@dataclasses.dataclass(frozen=True)
class Novelty:
    """How far one image is from the training images.

    Parameters
    ----------
    distance : float
        0 for a training image, 1 for features that have nothing in common with theirs.
    threshold : float
        About one in twenty held-out images of the known classes lies beyond it.

    Examples
    --------
    >>> Novelty(0.5, 0.3).far
    True
    """

    distance: float
    threshold: float

    @property
    def far(self):
        """Whether the image is unlike the training images, so that no class need fit."""
        return self.distance > self.threshold

    def to_dict(self):
        """Return it for JSON."""
        return {"far": self.far, "distance": round(self.distance, 4), "threshold": round(self.threshold, 4)}

    def describe(self):
        """Return in a line what is said of an image that is far."""
        return (f"far from the training images (distance {self.distance:.2f}, expected up to {self.threshold:.2f}): "
                "the classes may not fit")


@dataclasses.dataclass(frozen=True)
class NoveltyReference:
    """A sample of the training images' features, and the distance from which an image is far from them.

    Parameters
    ----------
    layer : str
        That the features come out of.
    features : numpy.ndarray
        Float32 ``(M, D)``, rows of length 1.
    threshold : float
    params : str
        SHA-256 of the ``.params`` file the features are of.
    """

    layer: str
    features: np.ndarray
    threshold: float
    params: str = ""

    def judge(self, features):
        """Return a Novelty for each image with these features, ``(N, D)`` or maps ``(N, D, H, W)``."""
        rows = unit_rows(features)
        if rows.shape[1] != self.features.shape[1]:
            raise InputError(f"novelty: expected {self.features.shape[1]} features of {self.layer}, received "
                             f"{rows.shape[1]}; move the novelty file away, or give the checkpoint it was made with")
        return [Novelty(float(distance), self.threshold) for distance in distances(rows, self.features)]

    def output(self, symbol):
        """Return what an InferenceExecutor is to compute of a network, beside its outputs: the features."""
        return feature_output(symbol, self.layer)


def feature_output(symbol, layer):
    """Return a layer of a network as an Output that an InferenceExecutor can compute."""
    return Output(layer, EMBEDDING, -1, (feature_layer_named(symbol, layer).index, 0), Link(), None, ())


def unit_rows(features):
    """Return features ``(N, D)``, or the means of maps ``(N, D, H, W)``, as float32 rows of length 1."""
    features = np.asarray(features, np.float32)
    rows = features.reshape(*features.shape[:2], -1).mean(axis=2)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-9))


def distances(rows, reference, leave_out=False):
    """Return how far rows are from a reference.

    Parameters
    ----------
    rows, reference : numpy.ndarray
        ``(N, D)`` and ``(M, D)``, of length 1.
    leave_out : bool
        Rows that are in the reference too are compared with the others alone.

    Returns
    -------
    numpy.ndarray
        ``(N,)``: one less the mean cosine to the nearest three, or fewer where there are no more.

    Examples
    --------
    >>> distances(np.eye(2)[:1], np.eye(2)).round(2).tolist(), distances(np.eye(2), np.eye(2), leave_out=True).tolist()
    ([0.5], [1.0, 1.0])
    """
    apart = 1 - rows @ reference.T
    if leave_out:
        apart[apart < _SAME] = np.inf
    nearest = np.sort(np.maximum(apart, 0), axis=1)[:, :NEIGHBOURS]
    counted = np.isfinite(nearest)
    return np.where(counted, nearest, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)


def make_reference(layer, train, held_out=None, pretrained=False):
    """Make the reference of a network from features of its training images.

    Parameters
    ----------
    layer : str
    train : numpy.ndarray
        ``(M, D)`` or maps ``(M, D, H, W)``.
    held_out : numpy.ndarray, optional
        Of images that were not trained on.
    pretrained : bool
        Whether the features are those of a network that was not trained on these images. Then each training image,
        compared with the others, is a held-out one too. Those of a fine-tuned network lie closer together than any
        new image does, and say nothing of the threshold.

    Returns
    -------
    NoveltyReference or None
        None where there is no held-out image, and so no threshold.

    Notes
    -----
    The threshold is the ``(n + 1) * 0.95``-th smallest of n held-out distances (split conformal prediction): a new
    image of the known classes lies beyond it with a probability of 1 in 20, or of ``1 / (n + 1)`` where n is below 19.
    """
    reference = unit_rows(train).astype(np.float16).astype(np.float32)
    parts = [distances(reference, reference, leave_out=True)] * bool(pretrained and len(reference) > 1)
    parts += [distances(unit_rows(held_out), reference)] if held_out is not None and len(held_out) else []
    if not parts:
        return None
    found = np.sort(np.concatenate(parts))
    place = min(len(found), int(np.ceil((len(found) + 1) * (1 - FALSE_ALARMS))))
    return NoveltyReference(layer, reference, float(found[place - 1]))


def sampled(labels, most, seed=0):
    """Return the numbers of up to `most` images, the classes in turn.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers ``(N,)``, or whatever: images with several are drawn at random.
    most, seed : int

    Returns
    -------
    numpy.ndarray
        Int, ascending.
    """
    order = np.random.RandomState(seed).permutation(len(labels))
    if len(order) > most and np.ndim(labels) == 1:
        taken, turn = {}, np.empty(len(order), int)
        for place, number in enumerate(order):
            turn[place] = taken[labels[number]] = taken.get(labels[number], -1) + 1
        order = order[np.argsort(turn, kind="stable")]
    return np.sort(order[:most])
