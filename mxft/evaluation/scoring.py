"""Run a checkpoint over records, each counted once, and give the numbers of a classifier."""
import dataclasses
import math
import time
from typing import Optional

import numpy as np

from mxft.data.iterators import RecordIterator
from mxft.data.labels import check_labels
from mxft.data.progress import progress
from mxft.data.soundness import check_records
from mxft.errors import InputError, RunError
from mxft.evaluation.answer import answering_outputs
from mxft.evaluation.classification import cross_entropy, flat_scores, softmax, top_k
from mxft.evaluation.crops import TenCropExecutor
from mxft.inference.executor import InferenceExecutor
from mxft.network.anatomy.outputs import VALUES


@dataclasses.dataclass(frozen=True)
class Score:
    """Result of `score_iterator`.

    Parameters
    ----------
    top1, top5 : float
        Fractions in [0, 1].
    loss : float or None
        Mean cross-entropy in nats; None of class scores that are no probabilities, such as an SVM's.
    records : int
    seconds : float
        Wall time of reading and forward passes.
    logits : numpy.ndarray
        Float32 ``(N, classes)``, in record order; of an SVM its class scores.
    labels : numpy.ndarray
        ``(N,)``.
    """

    top1: float
    top5: float
    loss: Optional[float]
    records: int
    seconds: float
    logits: np.ndarray
    labels: np.ndarray

    @property
    def images_per_second(self):
        return self.records / self.seconds if self.seconds else float("inf")

    def to_dict(self):
        """Return the scalars, for the manifest and the log."""
        return {"top1": self.top1, "top5": self.top5, "loss": self.loss, "records": self.records,
                "seconds": round(self.seconds, 3)}

    def __str__(self):
        loss = "" if self.loss is None else f", loss {self.loss:.4f}"
        return (f"top-1 {self.top1:.4f}, top-5 {self.top5:.4f}{loss} on {self.records} images "
                f"({self.images_per_second:.0f} images/s)")


def score_iterator(executor, iterator, progress=None):
    """Score a network on every record of an iterator.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
    iterator : mxft.data.iterators.RecordIterator
    progress : callable of int, optional

    Returns
    -------
    Score

    Raises
    ------
    RunError
        The network returns NaN or infinity.
    """
    began = time.perf_counter()
    scores, labels = zip(*executor.over(iterator, progress))
    scores, labels = flat_scores(np.concatenate(scores)), np.concatenate(labels)
    labels = labels if labels.ndim == 1 else labels[:, 0]
    seconds = time.perf_counter() - began
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores).all(axis=1)).sum())
        raise RunError(f"scores are not finite: received NaN or infinity for {bad} of {len(labels)} images; "
                       "wrong mean or scale for this network, or damaged parameters?")
    logits = executor.outputs[0].logits(scores)
    return _score_of(scores if logits is None else logits, labels, seconds, logits is not None)


def _score_of(logits, labels, seconds, has_loss=True):
    k = min(5, logits.shape[1])
    loss = cross_entropy(logits, labels) if has_loss else None
    return Score(top_k(logits, labels, 1), top_k(logits, labels, k), loss, len(labels), seconds, logits, labels)


def average(scores):
    """Return the Score of several networks that judged the same records: the mean of their probabilities.

    Parameters
    ----------
    scores : sequence of Score
        With the same labels in the same order.

    Returns
    -------
    Score
        Its logits are the logarithms of the mean probabilities; its seconds the sum.

    Raises
    ------
    InputError
        The networks were judged on different records, or have different numbers of classes.
    """
    first = scores[0]
    if any(score.loss is None for score in scores):
        raise InputError("ensemble: expected networks that give probabilities, received one that gives class scores, "
                         "which cannot be averaged with another's")
    for other in scores[1:]:
        if other.logits.shape != first.logits.shape or not np.array_equal(other.labels, first.labels):
            raise InputError(f"ensemble: expected networks of {first.logits.shape[1]} classes judged on the same "
                             f"records, received one of {other.logits.shape[1]} classes on {other.records}")
    mean = np.mean([softmax(score.logits) for score in scores], axis=0)
    logits = np.log(np.maximum(mean, np.finfo(np.float32).tiny))
    return _score_of(logits, first.labels, sum(score.seconds for score in scores))


def score_records(checkpoint, spec, records, batch_size=32, context=None, threads=None, rewrite=True, crop_from=None,
                  check="fast", output=None):
    """Score a checkpoint on a record file, with a progress bar.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    records : str
    batch_size : int
    context : mx.Context, optional
    threads : int, optional
        For decoding.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.
    crop_from : int, optional
        Pixels of the square that ten crops are taken of, see `mxft.evaluation.crops`; one centre crop when None.
    check : {"fast", "full", "off"}
        How the images are looked at first, see `mxft.data.soundness`.
    output : str, optional
        Which output is judged, of a network that has several; the main one when None.

    Returns
    -------
    score : Score
    applied : tuple of str
        The rewrites of the bound graph.

    Raises
    ------
    InputError
        A label that is none of the network's classes; an image MXNet cannot decode; an output that is a map, an
        embedding, or numbers that name no class.
    RunError
        As `score_iterator`.
    """
    judged = answering_outputs(checkpoint, output)[0]
    if judged.kind == VALUES:
        raise InputError(f"network names no classes: expected class scores or probabilities to judge labels by, "
                         f"received the values of {judged.name}")
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                 batch_size, context, rewrite, [judged])
    scan = check_labels(records, max(2, math.prod(executor.output_shape[1:])),
                        "are these records of the classes this checkpoint was trained on?")
    check_records(scan, check, threads)
    if crop_from:
        executor = TenCropExecutor(executor, *spec.shape[1:])
        spec = dataclasses.replace(spec, shape=(spec.shape[0], crop_from, crop_from), resize=crop_from)
    executor.expect(len(scan.ids))
    iterator = RecordIterator(records, spec, batch_size, len(scan.ids), threads=threads)
    with progress(len(scan.ids), "scoring") as advance:
        return score_iterator(executor, iterator, advance), executor.applied
