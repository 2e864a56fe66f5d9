"""Features of records: a backbone's outputs, streamed through the inference executor."""
import dataclasses

import numpy as np

from mxft.errors import RunError
from mxft.wording import BriefRepr

DTYPES = ("float32", "float16")


@dataclasses.dataclass(frozen=True, repr=False)
class FeatureView(BriefRepr):
    """The backbone's outputs for every record once: one epoch's crops, in that epoch's order.

    Parameters
    ----------
    features : numpy.ndarray
        Float32 or float16 ``(N, D)`` or ``(N, C, H, W)``; of a view on disk a read-only ``numpy.memmap``.
    labels : numpy.ndarray
        Float32 ``(N,)``.
    """

    features: np.ndarray
    labels: np.ndarray


def feature_batches(executor, iterator, dtype="float32", progress=None):
    """Run a backbone over an iterator from its start.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
    iterator : mx.io.DataIter
        Reset first; its ``pad`` rows are left out.
    dtype : {"float32", "float16"}
    progress : callable of int, optional

    Yields
    ------
    features : numpy.ndarray
        `dtype` ``(n, …)``.
    labels : numpy.ndarray
        Float32 ``(n,)``, or ``(n, L)`` of an iterator that gives L labels.

    Raises
    ------
    RunError
        A feature is not finite, or too large for float16.
    """
    for output, label in executor.over(iterator, progress):
        with np.errstate(over="ignore"):
            features = output.astype(dtype, copy=False)
        if not np.isfinite(features).all():
            if np.isfinite(output).all():
                raise RunError(f"features do not fit float16: expected numbers up to 65,504, received "
                               f"{np.abs(output).max():.6g}; give a `cache_budget` that float32 fits, or `cache` none")
            raise RunError("features are not finite: received NaN or infinity from the backbone; wrong mean or scale "
                           "for this network, or damaged parameters?")
        several = label.ndim > 1 and label.shape[1] > 1
        yield features, (label if several else label.reshape(-1)).astype(np.float32, copy=False)


def extract_view(executor, iterator, dtype="float32", progress=None):
    """Return the features of every record of an iterator.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Of the backbone.
    iterator : mx.io.DataIter
        Reset first. Rows come in its order, pads are left out.
    dtype : {"float32", "float16"}
    progress : callable of int, optional
        Called with the number of images after each batch.

    Returns
    -------
    FeatureView

    Raises
    ------
    RunError
        A feature is not finite, or too large for float16.

    Notes
    -----
    Everything is held in memory; `feature_batches` streams.

    Examples
    --------
    >>> extract_view(executor, RecordIterator("val.rec", spec, 32, 1536)).features.shape     # doctest: +SKIP
    (1536, 1280)
    """
    features, labels = zip(*feature_batches(executor, iterator, dtype, progress))
    return FeatureView(np.concatenate(features), np.concatenate(labels))
