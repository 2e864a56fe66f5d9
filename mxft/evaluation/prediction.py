"""Class probabilities of image files, seen exactly as validation records are.

A photograph is packed as the manifest says the training records were (resized, JPEG-encoded) into a temporary record
file and read by the same iterator, so prediction on the files behind a validation set equals scoring its records.
"""
import contextlib
import dataclasses
import os
import tempfile

import numpy as np

from mxft.data.iterators import RecordIterator
from mxft.data.lists import Row, write_list
from mxft.data.packing import pack_list
from mxft.errors import InputError
from mxft.evaluation.classification import softmax
from mxft.inference.executor import InferenceExecutor


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The probabilities of one image.

    Parameters
    ----------
    path : str
    probabilities : numpy.ndarray or None
        Float ``(classes,)``; None where the image cannot be read.
    problem : str or None
        Why it cannot.
    """

    path: str
    probabilities: np.ndarray
    problem: str = None

    def top(self, k):
        """Return the `k` likeliest as (class number, probability), likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(int(i), float(self.probabilities[i])) for i in order]


def predict_files(checkpoint, paths, spec, packing, batch_size=32, context=None, threads=None, show=False,
                  rewrite=True):
    """Predict the classes of image files.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    paths : sequence of str
    spec : mxft.network.input_spec.InputSpec
    packing : dict
        ImageOptions as a dict: what an image goes through before the iterator.
    batch_size : int
    context : mx.Context, optional
    threads : int, optional
    show : bool
        Progress on stderr.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.

    Returns
    -------
    list of Prediction
        In the order of `paths`.

    Raises
    ------
    InputError
        None of the images can be read.

    Examples
    --------
    >>> predict_files(checkpoint, ["cat.jpg"], checkpoint.input_spec, {"resize": 256})[0].top(1)   # doctest: +SKIP
    [(281, 0.83)]
    """
    if not len(paths):
        raise InputError("nothing to predict: expected at least one image, received none")
    with image_iterator(paths, spec, packing, batch_size, threads, show) as (iterator, problems):
        executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                     iterator.batch_size, context, rewrite)
        indices, probabilities = zip(*((label, softmax(logits)) for logits, label in executor.over(iterator)))
    by_index = dict(zip(np.concatenate(indices).astype(int).tolist(), np.concatenate(probabilities)))
    return [Prediction(path, by_index.get(i), problems.get(i)) for i, path in enumerate(paths)]


@contextlib.contextmanager
def image_iterator(paths, spec, packing, batch_size=32, threads=None, show=False):
    """Give image files as the batches a network was trained on.

    Parameters
    ----------
    paths, spec, packing, batch_size, threads, show
        As of `predict_files`.

    Yields
    ------
    iterator : mxft.data.iterators.RecordIterator
        Over the images that can be read, in order; the labels are their numbers in `paths`.
    problems : dict of int to str
        What is wrong with the others.

    Raises
    ------
    InputError
        None of the images can be read.
    """
    threads = threads or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="mxft-predict-") as folder:
        prefix = os.path.join(folder, "images")
        write_list(prefix + ".lst", [Row(i, (float(i),), os.path.abspath(path)) for i, path in enumerate(paths)])
        packed = _pack(prefix, threads, show, packing)
        yield (RecordIterator(packed.rec, spec, min(batch_size, packed.packed), packed.packed, threads=threads),
               {bad.row.index: bad.reason for bad in packed.bad})


def _pack(prefix, threads, show, packing):
    """Pack the list; where not one image is good, say why in terms of the files the user named."""
    try:
        return pack_list(prefix + ".lst", "/", num_thread=threads, show=show, **packing)
    except InputError:
        if not os.path.exists(prefix + ".bad.tsv"):
            raise
        with open(prefix + ".bad.tsv", encoding="utf-8", errors="surrogateescape") as f:
            bad = [line.rstrip("\n").split("\t")[2:] for line in f][1:]
        listed = "; ".join(f"{path}: {reason}" for path, reason in bad[:5])
        raise InputError(f"no image can be read: expected at least one, received {listed}") from None
