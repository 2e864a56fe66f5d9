"""Run a checkpoint over records, each counted once, and give the numbers of a classifier."""
import contextlib
import dataclasses
import math
import time
from typing import Optional

import numpy as np

from mxft.data.iterators import RecordIterator
from mxft.data.labels import LabelScan, check_labels, scan_labels
from mxft.data.photographs import PhotographList, reading
from mxft.data.progress import progress
from mxft.data.target_spec import MULTI_LABEL, REGRESSION, TargetSpec, check_target, label_matrix, manifest_target
from mxft.data.validation import check_records
from mxft.errors import InputError
from mxft.evaluation.answer import answering_outputs, thresholds_of
from mxft.evaluation.calibration import calibrate, expected_calibration_error
from mxft.evaluation.classification import (
    class_report,
    confusion_matrix,
    cross_entropy,
    flat_scores,
    require_finite,
    softmax,
    surest_mistakes,
    top_k,
)
from mxft.evaluation.crops import TenCropExecutor
from mxft.evaluation.multi_label import MultiLabelScore, binary_cross_entropy
from mxft.evaluation.regression import RegressionScore
from mxft.evaluation.shown import grid_of
from mxft.inference.executor import InferenceExecutor
from mxft.inference.precision import precision_of
from mxft.network.anatomy.outputs import INDEPENDENT, VALUES, logit
from mxft.network.calibration import CALIBRATION
from mxft.wording import BriefRepr, html_table


@dataclasses.dataclass(frozen=True, repr=False)
class Score(BriefRepr):
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
        Float32 ``(N, classes)``, in record order, as the network is served; of an SVM its class scores.
    labels : numpy.ndarray
        ``(N,)``.
    classes : tuple of str
        Their names, where they are known.
    source : str or tuple of str, optional
        The record file, or the pictures' paths in the order of the logits.
    temperature : float
        Of the checkpoint's manifest, which the logits have been divided by.
    """

    top1: float
    top5: float
    loss: Optional[float]
    records: int
    seconds: float
    logits: np.ndarray
    labels: np.ndarray
    classes: tuple = ()
    temperature: float = 1.0
    source: object = dataclasses.field(default=None, repr=False)

    @property
    def names(self):
        """A name for each class: ``class 7`` of one that has none."""
        return list(self.classes) or [f"class {number}" for number in range(self.logits.shape[1])]

    def worst(self, count=12):
        """Return the pictures told wrong, least probability for the truth first; a notebook shows them.

        Parameters
        ----------
        count : int
            So many at most.

        Returns
        -------
        mxft.data.thumbnails.Grid
        """
        probabilities, labels = softmax(self.logits), self.labels.astype(int)
        numbers = surest_mistakes(probabilities, labels, count)
        return grid_of(self.source, numbers, [self._told(row, label) for row, label in zip(
            probabilities[numbers], labels[numbers])], "mistakes")

    def _told(self, row, label):
        """Return what was predicted of one picture and what it is, with probabilities where there are any."""
        said, true = self.names[row.argmax()], self.names[label]
        if self.loss is None:
            return f"predicted {said}\nis {true}"
        return f"predicted {said} {row.max():.2f}\nis {true} {row[label]:.2f}"

    def report(self, names):
        """Return (class, images, recall, precision, F1) of each class: see `class_report`."""
        return class_report(confusion_matrix(self.logits.argmax(axis=1), self.labels, self.logits.shape[1]), names)

    def _repr_html_(self):
        rows = sorted(self.report(self.names), key=lambda row: (row[2] is None, row[2]))
        return f"<p>{self}</p>" + html_table(rows, ("class", "images", "recall", "precision", "F1"))

    @property
    def images_per_second(self):
        return self.records / self.seconds if self.seconds else float("inf")

    @property
    def goodness(self):
        """What makes one score better than another: higher top-1, of equals the lower loss."""
        return (self.top1, -self.loss)

    @property
    def ece(self):
        """Expected calibration error, None of class scores that are no probabilities."""
        return None if self.loss is None else expected_calibration_error(softmax(self.logits), self.labels)

    def at_temperature(self, temperature):
        """Return the Score of the same network served at another temperature; 1 is without calibration."""
        if self.loss is None or temperature == self.temperature:
            return self
        logits = self.logits * np.float32(self.temperature / temperature)
        return dataclasses.replace(self, logits=logits, temperature=temperature,
                                   loss=cross_entropy(logits, self.labels))

    def metrics(self):
        """Return what an epoch's row says of it, with the temperature that suits these images."""
        own = self.at_temperature(1.0)
        calibration = {} if self.loss is None else {CALIBRATION: calibrate(own.logits, own.labels).to_dict()}
        return {"top1": self.top1, "top5": self.top5, "loss": self.loss, **calibration}

    def to_dict(self):
        """Return the scalars, for a log."""
        return {"top1": self.top1, "top5": self.top5, "loss": self.loss, "ece": self.ece, "records": self.records,
                "seconds": round(self.seconds, 3)}

    def __str__(self):
        loss = "" if self.loss is None else f", loss {self.loss:.4f}, ECE {self.ece:.4f}"
        return (f"top-1 {self.top1:.4f}, top-5 {self.top5:.4f}{loss} on {self.records} images "
                f"({self.images_per_second:.0f} images/s)")


def score_iterator(executor, iterator, progress=None, target=None, thresholds=None):
    """Score a network on every record of an iterator.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
    iterator : mxft.data.iterators.RecordIterator
    progress : callable of int, optional
    target : mxft.data.target_spec.TargetSpec, optional
        What the labels say; one of N classes when None.
    thresholds : sequence of float, optional
        Of a multi-label target, from which probability on each label is said; 0.5 when None.

    Returns
    -------
    Score, mxft.evaluation.multi_label.MultiLabelScore or mxft.evaluation.regression.RegressionScore

    Raises
    ------
    RunError
        The network returns NaN or infinity.
    """
    began = time.perf_counter()
    scores, labels = zip(*executor.over(iterator, progress))
    scores, labels = flat_scores(np.concatenate(scores)), np.concatenate(labels)
    seconds = time.perf_counter() - began
    require_finite(scores)
    output = executor.outputs[0]
    if target is not None and target.kind == MULTI_LABEL:
        return _multi_label_score(output, scores, labels.reshape(len(labels), -1), seconds, thresholds)
    if target is not None and target.kind == REGRESSION:
        deviation = target.deviation or (1.0,) * scores.shape[1]
        return RegressionScore(output.link(scores), labels.reshape(len(labels), -1), deviation, seconds)
    labels, logits = labels if labels.ndim == 1 else labels[:, 0], output.logits(scores)
    return _score_of(scores if logits is None else logits, labels, seconds, logits is not None,
                     output.link.calibration)


def _multi_label_score(output, scores, labels, seconds, thresholds):
    probabilities = output.probabilities(scores)
    plain = output.link.name == "sigmoid" and output.link.temperature == 1
    logits = scores if plain else logit(probabilities)
    return MultiLabelScore(probabilities, labels, binary_cross_entropy(logits, labels), seconds,
                           None if thresholds is None else tuple(map(float, thresholds)))


def _score_of(logits, labels, seconds, has_loss=True, temperature=1.0):
    k = min(5, logits.shape[1])
    loss = cross_entropy(logits, labels) if has_loss else None
    return Score(top_k(logits, labels, 1), top_k(logits, labels, k), loss, len(labels), seconds, logits, labels,
                 temperature=temperature)


def average(scores):
    """Return the Score of several networks that judged the same records: the mean of their probabilities or numbers.

    Parameters
    ----------
    scores : sequence of Score, MultiLabelScore or RegressionScore
        With the same labels in the same order.

    Returns
    -------
    Score, MultiLabelScore or RegressionScore
        Its logits are the logarithms of the mean probabilities; its seconds the sum. Labels are said from 0.5 on.

    Raises
    ------
    InputError
        The networks were evaluated on different records, are of different kinds, or have different numbers of classes.
    """
    first = scores[0]
    if any(type(score) is not type(first) for score in scores):
        raise InputError("ensemble: expected networks of one kind of target, received "
                         + " and ".join(dict.fromkeys(type(score).__name__ for score in scores)))
    if not isinstance(first, Score):
        return _average_of_targets(scores)
    if any(score.loss is None for score in scores):
        raise InputError("ensemble: expected networks that give probabilities, received one that gives class scores, "
                         "which cannot be averaged with another's")
    for other in scores[1:]:
        if other.logits.shape != first.logits.shape or not np.array_equal(other.labels, first.labels):
            raise InputError(f"ensemble: expected networks of {first.logits.shape[1]} classes evaluated on the same "
                             f"records, received one of {other.logits.shape[1]} classes on {other.records}")
    mean = np.mean([softmax(score.logits) for score in scores], axis=0)
    logits = np.log(np.maximum(mean, np.finfo(np.float32).tiny))
    return _score_of(logits, first.labels, sum(score.seconds for score in scores))


def _average_of_targets(scores):
    """Return the score of the mean of several networks' probabilities of labels, or numbers."""
    first, seconds = scores[0], sum(score.seconds for score in scores)
    if any(other.labels.shape != first.labels.shape or not np.array_equal(other.labels, first.labels)
           for other in scores):
        raise InputError(f"ensemble: expected networks of {first.labels.shape[1]} outputs evaluated on the same "
                         "records, received others")
    if isinstance(first, RegressionScore):
        return dataclasses.replace(first, values=np.mean([score.values for score in scores], axis=0), seconds=seconds)
    mean = np.mean([score.probabilities for score in scores], axis=0)
    return MultiLabelScore(mean, first.labels, binary_cross_entropy(logit(mean), first.labels), seconds)


def score_records(checkpoint, spec, records, batch_size=32, context=None, threads=None, rewrite=True, crop_from=None,
                  check="fast", output=None):
    """Score a checkpoint on a record file, with a progress bar.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    records : str, mxft.data.labels.LabelScan or mxft.data.photographs.PhotographList
        A record file, or the scan of its labels where it was read already; or pictures that are read directly.
    batch_size : int
    context : mx.Context, optional
    threads : int, optional
        For decoding.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.
    crop_from : int, optional
        Pixels of the square that ten crops are taken of, see `mxft.evaluation.crops`; one centre crop when None.
    check : {"fast", "full", "off"}
        How the images are looked at first, see `mxft.data.validation`.
    output : str, optional
        Which output is judged, of a network that has several; the main one when None.

    Returns
    -------
    score : Score, MultiLabelScore or RegressionScore
        As `scored_target` tells.
    applied : tuple of str
        The rewrites of the bound graph.

    Raises
    ------
    InputError
        A label that is none of the network's classes, or is of another kind than its output; an image MXNet cannot
        decode; an output that is a map or an embedding.
    RunError
        As `score_iterator`.
    """
    judged = answering_outputs(checkpoint, output)[0]
    photographs = records if isinstance(records, PhotographList) else None
    scan = photographs.scan if photographs else records if isinstance(records, LabelScan) else scan_labels(records)
    target = scored_target(checkpoint, judged, scan)
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                 batch_size, context, rewrite, [judged], precision_of(checkpoint))
    if target is None:
        check_labels(scan, max(2, math.prod(executor.output_shape[1:])),
                     "are these records of the classes this checkpoint was trained on?")
    else:
        check_target(scan, target)
    if not photographs:
        check_records(scan, check, threads)
    if crop_from:
        executor = TenCropExecutor(executor, *spec.shape[1:])
        spec = dataclasses.replace(spec, shape=(spec.shape[0], crop_from, crop_from), resize=crop_from)
    executor.expect(len(scan.ids))
    width = target.label_width if target else 1
    iterator = (photographs.open(spec, batch_size, threads, width) if photographs else
                RecordIterator(scan.path, spec, batch_size, len(scan.ids), threads=threads, label_width=width))
    with reading() if photographs else contextlib.nullcontext(), progress(len(scan.ids), "scoring") as advance:
        score = score_iterator(executor, iterator, advance, target, thresholds_of(checkpoint, judged))
    return with_source(score, checkpoint.classes, photographs.paths if photographs else scan.path), executor.applied


def with_source(score, classes, source):
    """Return a score that knows the names of its classes, labels or numbers, and where its pictures are.

    Parameters
    ----------
    score : Score, MultiLabelScore or RegressionScore
    classes : sequence of str or None
        Left out where they are not as many as the outputs.
    source : str or tuple of str
        See `Score`.

    Returns
    -------
    Score, MultiLabelScore or RegressionScore
    """
    outputs = score.logits.shape[1] if isinstance(score, Score) else score.labels.shape[1]
    known = tuple(classes) if classes and len(classes) == outputs else ()
    return dataclasses.replace(score, classes=known, source=source)


def scored_target(checkpoint, output, scan):
    """Return what records are judged as by one output of a network.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    output : mxft.network.anatomy.Output
    scan : mxft.data.labels.LabelScan

    Returns
    -------
    mxft.data.target_spec.TargetSpec or None
        What the manifest says; without, several labels where the output is independent probabilities and a record
        carries several numbers, numbers where the output is values; else None, one of N classes.
    """
    own, width = manifest_target(checkpoint.manifest), label_matrix(scan).shape[1]
    if own is not None and output.size in (own.size, None) and output.kind in (INDEPENDENT, VALUES):
        return own
    if output.kind == INDEPENDENT and width > 1:
        return TargetSpec(MULTI_LABEL, output.size or width)
    return TargetSpec(REGRESSION, output.size or width) if output.kind == VALUES else None

