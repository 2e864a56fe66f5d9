"""Several labels an image, each yes or no: average precision, thresholds, precision, recall and F1 of each label."""
import dataclasses
import warnings
from typing import ClassVar, Optional

import numpy as np

from mxft.data.target_spec import THRESHOLD
from mxft.evaluation.shown import grid_of
from mxft.wording import BriefRepr, html_table


@dataclasses.dataclass(frozen=True, repr=False)
class MultiLabelScore(BriefRepr):
    """How well a network tells labels, on records that were each counted once.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Float ``(N, L)``, in record order.
    labels : numpy.ndarray
        ``(N, L)`` of 0 and 1.
    loss : float
        Mean binary cross-entropy of an image and label, in nats.
    seconds : float
        Wall time of reading and forward passes.
    thresholds : tuple of float, optional
        From which probability on each label is said; 0.5 for all when None.
    classes : tuple of str
        Names of the labels, where they are known.
    source : str or tuple of str, optional
        The record file, or the pictures' paths in the order of the probabilities.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    loss: float
    seconds: float
    thresholds: Optional[tuple] = None
    classes: tuple = ()
    source: object = dataclasses.field(default=None, repr=False)
    columns: ClassVar[tuple] = ("label", "images", "AP", "threshold", "recall", "precision", "F1")  # of `report`

    @property
    def records(self) -> int:
        """Images."""
        return len(self.labels)

    @property
    def images_per_second(self) -> float:
        """Read and computed."""
        return self.records / self.seconds if self.seconds else float("inf")

    @property
    def mean_average_precision(self) -> float:
        """Mean over the labels that some image has; NaN where no image has any."""
        return mean_of_defined(average_precisions(self.probabilities, self.labels))

    @property
    def said(self) -> np.ndarray:
        """Which labels reach their thresholds, bool ``(N, L)``."""
        return self.probabilities >= thresholds_or_half(self.thresholds, self.labels.shape[1])

    @property
    def f1(self) -> float:
        """Micro F1: of all labels of all images together, at the thresholds."""
        said, true = self.said, self.labels > 0
        return f1_of((said & true).sum(), said.sum(), true.sum())

    @property
    def goodness(self) -> tuple:
        """What makes one score better than another: higher mean average precision, of equals the lower loss."""
        return (self.mean_average_precision, -self.loss)

    def metrics(self) -> dict:
        """Return what an epoch's row says of it, the best thresholds for these images included."""
        chosen = best_thresholds(self.probabilities, self.labels)
        return {"map": self.mean_average_precision, "f1": self.f1, "loss": self.loss,
                "thresholds": chosen.tolist()}

    def report(self, names):
        """Return the table of `label_report`."""
        return label_report(self.probabilities, self.labels, names, self.thresholds)

    def _repr_html_(self):
        rows = sorted(self.report(self.names), key=lambda row: (row[2] is None, row[2]))
        return f"<p>{self}</p>" + html_table(rows, self.columns)

    @property
    def names(self) -> list:
        """A name for each label: ``label 7`` of one that has none."""
        return list(self.classes) or [f"label {number}" for number in range(self.labels.shape[1])]

    def worst_records(self, count) -> list:
        """Return the numbers of the images whose labels were told worst, by cross-entropy; none told rightly."""
        p = np.clip(self.probabilities, 1e-7, 1 - 1e-7)
        losses = -np.where(self.labels > 0, np.log(p), np.log1p(-p)).mean(axis=1)
        wrong = (self.said != (self.labels > 0)).any(axis=1)
        return [int(i) for i in np.argsort(-losses, kind="stable") if wrong[i]][:count]

    def told(self, number, names) -> dict:
        """Return in words which labels of one image were predicted rightly, ``right``, and which wrongly, ``wrong``."""
        def listed(which):
            return ", ".join(name for name, one in zip(names, which) if one)

        true, said = self.labels[number] > 0, self.said[number]
        missed, made_up = listed(true & ~said), listed(said & ~true)
        return {"right": listed(true & said), "wrong": "; ".join(
            [f"missed: {missed}"] * bool(missed) + [f"predicted: {made_up}"] * bool(made_up))}

    def worst(self, count=12):
        """Return the pictures whose labels were told worst as a `mxft.data.thumbnails.Grid`; see `worst_records`."""
        numbers = self.worst_records(count)
        return grid_of(self.source, numbers, [self.told(number, self.names)["wrong"] for number in numbers], "mistakes")

    def to_dict(self) -> dict:
        """Return the scalars, for the manifest and the log."""
        return {"map": self.mean_average_precision, "f1": self.f1, "loss": self.loss, "records": self.records,
                "seconds": round(self.seconds, 3)}

    def __str__(self):
        at = "0.5" if self.thresholds is None else "the chosen thresholds"
        return (f"mAP {self.mean_average_precision:.4f}, F1 {self.f1:.4f} at {at}, loss {self.loss:.4f} on "
                f"{self.records} images ({self.images_per_second:.0f} images/s)")


def average_precisions(probabilities, labels):
    """Return each label's average precision: the area under its steps of precision over recall.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Float ``(N, L)``; any scores that rank the images.
    labels : numpy.ndarray
        ``(N, L)``, above 0 where an image has the label.

    Returns
    -------
    numpy.ndarray
        Float64 ``(L,)``; NaN of a label no image has.

    Notes
    -----
    Equal scores count together, as in scikit-learn's ``average_precision_score``, so that a constant network gets the
    label's share of the images and not what the order of the rows gives.

    Examples
    --------
    >>> average_precisions(np.array([[0.9], [0.8], [0.1]]), np.array([[1], [0], [1]])).round(4).tolist()
    [0.8333]
    """
    return np.array([_average_precision(scores, true)
                     for scores, true in zip(np.asarray(probabilities).T, np.asarray(labels).T > 0)])


def _average_precision(scores, true):
    hits, said = _counts_by_threshold(scores, true)[1:]
    if not true.any():
        return np.nan
    return float(np.sum(np.diff(hits, prepend=0) * hits / said) / true.sum())


def _counts_by_threshold(scores, true):
    """Return the distinct scores, highest first, and at each as threshold: labels said rightly, labels said."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return ordered[ends], np.cumsum(true[order])[ends], ends + 1


def mean_of_defined(values):
    """Return the mean of the values that are no NaN; NaN where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of an empty mean
        return float(np.nanmean(values)) if len(values) else float("nan")


def best_thresholds(probabilities, labels):
    """Return for each label the threshold of its highest F1 on these images.

    Parameters
    ----------
    probabilities, labels : numpy.ndarray
        ``(N, L)``, see `average_precisions`.

    Returns
    -------
    numpy.ndarray
        Float64 ``(L,)``, half way to the next lower probability there is; 0.5 of a label no image has.

    Notes
    -----
    Of equal F1 the highest threshold is taken. Chosen on validation images, it is used on others: on the same images
    its F1 is flattered.

    Examples
    --------
    >>> best_thresholds(np.array([[0.9], [0.4], [0.2]]), np.array([[1], [1], [0]])).round(4).tolist()
    [0.3]
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels) > 0
    return np.array([_best_threshold(scores, true) for scores, true in zip(probabilities.T, labels.T)])


def _best_threshold(scores, true):
    if not true.any():
        return THRESHOLD
    values, hits, said = _counts_by_threshold(scores, true)
    best = int(np.argmax(2 * hits / (said + true.sum())))
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float((values[best] + below) / 2)


def thresholds_or_half(thresholds, size):
    """Return thresholds as float64 ``(size,)``, 0.5 for each label where they are None."""
    return np.full(size, THRESHOLD) if thresholds is None else np.asarray(thresholds, np.float64)


def f1_of(hits, said, true):
    """Return F1 of counts: labels said rightly, said, and true; NaN where nothing was said and nothing true."""
    return float(2 * hits / (said + true)) if said + true else float("nan")


def label_report(probabilities, labels, names, thresholds=None):
    """Return what a network does with each label, as rows of a table.

    Parameters
    ----------
    probabilities, labels : numpy.ndarray
        ``(N, L)``.
    names : sequence of str
    thresholds : sequence of float, optional
        0.5 for all when None.

    Returns
    -------
    list of tuple
        Name, images with the label, average precision, threshold, recall, precision, F1; None where it is not defined
        (no image has it, or it was never said).

    Examples
    --------
    >>> label_report(np.array([[0.9, 0.2], [0.6, 0.1]]), np.array([[1, 0], [0, 0]]), ["cat", "dog"])
    [('cat', 1, 1.0, 0.5, 1.0, 0.5, 0.6666666666666666), ('dog', 0, None, 0.5, None, None, None)]
    """
    limits = thresholds_or_half(thresholds, len(names))
    said, true = np.asarray(probabilities) >= limits, np.asarray(labels) > 0
    precisions, rows = average_precisions(probabilities, labels), []
    for number, name in enumerate(names):
        hits, spoken, images = (int(counted[:, number].sum()) for counted in (said & true, said, true))
        rows.append((name, images, float(precisions[number]) if images else None, float(limits[number]),
                     hits / images if images else None, hits / spoken if spoken else None,
                     2 * hits / (images + spoken) if images + spoken else None))
    return rows


def binary_cross_entropy(logits, labels):
    """Return the mean of ``-log`` the probability of what is so, in nats, over images and labels.

    Parameters
    ----------
    logits : numpy.ndarray
        Float ``(N, L)``: what enters the sigmoid.
    labels : numpy.ndarray
        ``(N, L)`` from 0 to 1.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))
