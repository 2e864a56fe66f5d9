"""Numbers instead of names: mean absolute error and R² of what a network gives for images."""
import dataclasses
from typing import ClassVar

import numpy as np

from mxft.evaluation.shown import grid_of
from mxft.wording import BriefRepr, html_table


@dataclasses.dataclass(frozen=True, repr=False)
class RegressionScore(BriefRepr):
    """How near a network's numbers are, on records that were each counted once.

    Parameters
    ----------
    values : numpy.ndarray
        The network's, float ``(N, K)``, in record order.
    labels : numpy.ndarray
        The true ones, ``(N, K)``.
    deviation : tuple of float
        Of each number: the unit in which several are put together.
    seconds : float
        Wall time of reading and forward passes.
    classes : tuple of str
        Names of the numbers, where they are known.
    source : str or tuple of str, optional
        The record file, or the pictures' paths in the order of the values.
    """

    values: np.ndarray
    labels: np.ndarray
    deviation: tuple
    seconds: float
    classes: tuple = ()
    source: object = dataclasses.field(default=None, repr=False)
    columns: ClassVar[tuple] = ("number", "MAE", "R2")  # of `report`

    @property
    def records(self) -> int:
        """Images."""
        return len(self.labels)

    @property
    def images_per_second(self) -> float:
        """Read and computed."""
        return self.records / self.seconds if self.seconds else float("inf")

    @property
    def mae(self) -> float:
        """Mean absolute error over all numbers, in their own unit."""
        return float(absolute_errors(self.values, self.labels).mean())

    @property
    def scaled_mae(self) -> float:
        """Mean absolute error over all numbers, each in its standard deviations."""
        return float((absolute_errors(self.values, self.labels) / self.deviation).mean())

    @property
    def r2(self) -> float:
        """Mean coefficient of determination of the numbers."""
        return float(r_squared(self.values, self.labels).mean())

    @property
    def loss(self) -> float:
        """Mean squared error over all numbers, each in its standard deviations."""
        errors = (self.values.astype(np.float64) - self.labels) / self.deviation
        return float(np.mean(errors ** 2))

    @property
    def goodness(self) -> tuple:
        """What makes one score better than another: lower mean absolute error, of equals the lower loss."""
        return (-self.scaled_mae, -self.loss)

    def metrics(self) -> dict:
        """Return what an epoch's row says of it."""
        return {"mae": self.mae, "scaled_mae": self.scaled_mae, "r2": self.r2, "loss": self.loss}

    def report(self, names):
        """Return (name, mean absolute error, R²) of each number."""
        errors, determined = absolute_errors(self.values, self.labels), r_squared(self.values, self.labels)
        return [(name, float(error), float(share)) for name, error, share in zip(names, errors, determined)]

    def _repr_html_(self):
        return f"<p>{self}</p>" + html_table(self.report(self.names), self.columns)

    @property
    def names(self) -> list:
        """A name for each number: ``number 7`` of one that has none."""
        return list(self.classes) or [f"number {number}" for number in range(self.labels.shape[1])]

    def worst_records(self, count) -> list:
        """Return the numbers of the images that are farthest off, in standard deviations."""
        errors = (np.abs(self.values - self.labels) / self.deviation).mean(axis=1)
        return [int(i) for i in np.argsort(-errors, kind="stable")[:count]]

    def told(self, number, names) -> dict:
        """Return in words what is true of one image and what was predicted, as ``wrong``."""
        rows = zip(names, self.labels[number], self.values[number])
        return {"right": "", "wrong": "; ".join(f"{name} {true:.4g}, predicted {value:.4g}"
                                                for name, true, value in rows)}

    def worst(self, count=12):
        """Return the pictures whose numbers are farthest off as a `mxft.data.thumbnails.Grid`."""
        numbers = self.worst_records(count)
        return grid_of(self.source, numbers, [self.told(number, self.names)["wrong"] for number in numbers],
                       "pictures farthest off")

    def to_dict(self) -> dict:
        """Return the scalars, for the manifest and the log."""
        return {"mae": self.mae, "r2": self.r2, "loss": self.loss, "records": self.records,
                "seconds": round(self.seconds, 3)}

    def __str__(self):
        return (f"MAE {self.mae:.4g}, R² {self.r2:.4f} on {self.records} images "
                f"({self.images_per_second:.0f} images/s)")


def absolute_errors(values, labels):
    """Return the mean absolute error of each number, float64 ``(K,)``.

    Parameters
    ----------
    values, labels : numpy.ndarray
        ``(N, K)``.

    Examples
    --------
    >>> absolute_errors(np.array([[1.0], [4.0]]), np.array([[1.0], [2.0]])).tolist()
    [1.0]
    """
    return np.abs(np.asarray(values, np.float64) - labels).mean(axis=0)


def r_squared(values, labels):
    """Return the coefficient of determination of each number, float64 ``(K,)``: 1 is perfect, 0 is always the mean.

    Parameters
    ----------
    values, labels : numpy.ndarray
        ``(N, K)``.

    Notes
    -----
    Of a number that is the same in all labels it is 1 where it is met, else 0, as in scikit-learn's ``r2_score``.

    Examples
    --------
    >>> r_squared(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])).round(4).tolist()
    [0.7857]
    """
    values, labels = np.asarray(values, np.float64), np.asarray(labels, np.float64)
    left = ((values - labels) ** 2).sum(axis=0)
    spread = ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
    share = 1 - np.divide(left, spread, out=np.ones_like(left), where=spread > 0)
    return np.where((spread == 0) & (left == 0), 1.0, share)
