"""What happens between batches and epochs of ``Module.fit``: meters, progress, checkpoints, early stopping."""
import logging
import time

import numpy as np

from mxft.compat import mx
from mxft.errors import RunError
from mxft.machine.bars import is_watched, open_bar

LOG = logging.getLogger("mxft.progress")
DIVERGED = 1e4  # times the squared error of the first batch
FIGURES = {"top1": "top-1", "map": "mAP", "f1": "F1", "mae": "MAE", "r2": "R²", "loss": "loss"}


class StopTraining(Exception):
    """Raised by a callback to leave ``Module.fit`` cleanly; the argument is the reason."""


class TrainingMeter(mx.metric.EvalMetric):
    """Top-1 and mean cross-entropy over an epoch; stops the run at the first loss that is not finite.

    One pass over the softmax output for both, instead of a metric each.
    """

    sums = {"images": 0, "hits": 0, "loss_sum": 0.0, "batches": 0}  # as they are at the start of an epoch
    validation_rises = True  # whether the validation figure epochs are evaluated by is better when it is higher

    def __init__(self):
        self._carried = {}
        super().__init__("training")

    def reset(self):
        """Forget everything, at the start of an epoch."""
        vars(self).update({**self.sums, "batch_loss": float("nan"), **self._carried})
        self._carried = {}

    def figures(self):
        """Return the sums so far, for `resume_from`."""
        return {name: type(zero)(getattr(self, name)) for name, zero in self.sums.items()}

    def resume_from(self, figures):
        """Begin the next epoch with these sums: its first batches were counted before."""
        self._carried = dict(figures or {})

    def reset_local(self):
        """Do nothing: the epoch's figures are the only ones."""

    def update(self, labels, preds):
        """Take one device's labels ``(n,)``, or soft targets ``(n, classes)``, and probabilities ``(n, classes)``."""
        for label, prob in zip(labels, preds):
            label, prob = label.asnumpy(), prob.asnumpy()
            if label.ndim == 2 and label.shape[1] > 1:
                counted = label.sum(axis=1) > 0  # a class of weight 0 has no target
                label, prob = label[counted], prob[counted]
            label = (label.argmax(axis=1) if label.ndim == 2 and label.shape[1] > 1 else label.ravel()).astype(int)
            target = prob[np.arange(len(label)), label]
            self._require_finite(prob)
            self._count(float(-np.log(np.maximum(target, 1e-30)).mean(dtype=np.float64)), len(label))
            self.hits += int((prob.argmax(axis=1) == label).sum())

    def _require_finite(self, output):
        if not np.isfinite(output).all():
            raise RunError(f"training stopped: expected a finite loss, received NaN in batch {self.batches}")

    def _count(self, loss, images):
        """Add one device's batch."""
        self.batch_loss = loss
        self.loss_sum += loss * images
        self.images += images
        self.batches += 1

    @property
    def loss(self):
        """Mean cross-entropy so far this epoch, in nats."""
        return self.loss_sum / max(1, self.images)

    @property
    def top1(self):
        """Fraction right so far this epoch, each batch judged before its update."""
        return self.hits / max(1, self.images)

    def metrics(self):
        """Return the epoch's figures by name, the loss first."""
        return {"loss": self.loss, "top1": self.top1}

    def get(self):
        """Return names and values the way ``mx.metric`` does."""
        return ["top1", "cross-entropy"], [self.top1, self.loss]

    def get_global(self):
        """Return the same as `get`."""
        return self.get()


class MultiLabelMeter(TrainingMeter):
    """Mean binary cross-entropy and micro F1 at 0.5 over an epoch; stops the run at the first number not finite."""

    sums = {"images": 0, "hits": 0, "said": 0, "true": 0, "loss_sum": 0.0, "batches": 0}

    def update(self, labels, preds):
        """Take one device's labels of 0 and 1 and probabilities, ``(n, L)``."""
        for label, prob in zip(labels, preds):
            prob = prob.asnumpy().astype(np.float64)
            label = label.asnumpy().reshape(prob.shape)
            self._require_finite(prob)
            p = np.clip(prob, 1e-7, 1 - 1e-7)  # as near as float32 comes to 1
            self._count(float(-np.mean(label * np.log(p) + (1 - label) * np.log1p(-p))), len(label))
            said, true = prob >= 0.5, label > 0.5
            self.hits += int((said & true).sum())
            self.said += int(said.sum())
            self.true += int(true.sum())

    @property
    def f1(self):
        """Micro F1 so far this epoch, each batch judged before its update; 0 where nothing was said."""
        return 2 * self.hits / max(1, self.said + self.true)

    def metrics(self):
        """Return the epoch's figures by name, the loss first."""
        return {"loss": self.loss, "f1": self.f1}

    def get(self):
        """Return names and values the way ``mx.metric`` does."""
        return ["f1", "binary cross-entropy"], [self.f1, self.loss]


class RegressionMeter(TrainingMeter):
    """Mean squared error, in the units of training, and mean absolute error over an epoch.

    At too high a rate a squared error grows by a factor with every batch, long before it is not finite; the run is
    stopped where it is `DIVERGED` times that of the first batch.

    Parameters
    ----------
    deviation : sequence of float
        What a unit of training is in each number's own.
    """

    sums = {"images": 0, "error_sum": 0.0, "loss_sum": 0.0, "batches": 0}
    validation_rises = False

    def __init__(self, deviation):
        self._deviation, self._first = np.asarray(deviation, np.float64), None
        super().__init__()

    def update(self, labels, preds):
        """Take one device's true numbers and the network's, ``(n, K)``."""
        for label, value in zip(labels, preds):
            value = value.asnumpy().astype(np.float64).reshape(-1, len(self._deviation))
            self._require_finite(value)
            errors = value - label.asnumpy().reshape(value.shape)
            self._count(float(np.mean(errors ** 2)), len(errors))
            self._first = self._first or self.batch_loss
            if self._first and self.batch_loss > DIVERGED * self._first:
                raise RunError(f"training stopped: expected a finite loss, received one that diverged, "
                               f"{self.batch_loss:.3g} in batch {self.batches} after {self._first:.3g} in the first; "
                               "squared errors need lower rates than classes; mxft lr-find looks for one, and "
                               "the solver ridge needs none")
            self.error_sum += float(np.abs(errors * self._deviation).mean()) * len(errors)

    @property
    def mae(self):
        """Mean absolute error so far this epoch, in the numbers' own units."""
        return self.error_sum / max(1, self.images)

    def metrics(self):
        """Return the epoch's figures by name, the loss first."""
        return {"loss": self.loss, "mae": self.mae}

    def get(self):
        """Return names and values the way ``mx.metric`` does."""
        return ["mae", "mean squared error"], [self.mae, self.loss]


class Progress:
    """Batch-end callback: a tqdm bar on a terminal and in a notebook, one line now and then elsewhere.

    Parameters
    ----------
    epochs, batches, batch_size : int
    every : int
        Batches between lines where stderr is no terminal.
    """

    def __init__(self, epochs, batches, batch_size, every=50):
        self._epochs, self._batches, self._batch_size, self._every = epochs, batches, batch_size, every
        self._bar, self._since, self._from, self._watched = None, None, 0, is_watched()

    def __call__(self, param):
        meter, done = param.eval_metric, param.nbatch + 1
        if done == 1 or self._since is None:
            self._begin(param.epoch, done - 1)
        if self._watched:
            self._bar.update(self._batch_size)
            self._bar.set_postfix_str(told(meter.metrics()), refresh=False)
        elif done % self._every == 0 and done < self._batches:
            rate = (done - 1 - self._from) * self._batch_size / max(time.perf_counter() - self._since, 1e-9)
            LOG.info(f"epoch {param.epoch + 1}/{self._epochs} batch {done}/{self._batches}: {rate:.1f} images/s, "
                        f"{told(meter.metrics(), ', ')}")
        if done == self._batches:
            self.close()

    def _begin(self, epoch, done):
        self.close()
        self._since, self._from = time.perf_counter(), done
        if self._watched:
            self._bar = open_bar(total=self._batches * self._batch_size, initial=done * self._batch_size,
                                 desc=f"epoch {epoch + 1}/{self._epochs}", unit=" images", dynamic_ncols=True)

    def close(self):
        """Take the bar off the terminal's last line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def told(figures, between=" "):
    """Return an epoch's figures by their names for people.

    Examples
    --------
    >>> told({"loss": 0.5, "top1": 0.75}, ", ")
    'loss 0.5000, top-1 0.7500'
    """
    return between.join(f"{FIGURES[name]} {value:.4f}" for name, value in figures.items())


def row_told(row):
    """Return what an epoch's row says of training and validation: each one's figures, the loss last."""
    sides = []
    for side, prefix in (("train", "train_"), ("validation", "val_")):
        figures = {name: row[prefix + name] for name in FIGURES if prefix + name in row}
        sides += [f"{side} {told(figures)}"] if figures else []
    return ", ".join(sides)


class Patience:
    """Early stopping: has the watched figure stood still for too many epochs?

    Parameters
    ----------
    epochs : int
        Epochs without improvement that are borne; 0 for never stopping.
    min_delta : float
        How much better an epoch must be to count as progress.
    higher_is_better : bool

    Examples
    --------
    >>> patience = Patience(2)
    >>> for top1 in (0.5, 0.6, 0.6, 0.59):
    ...     patience.saw(top1)
    >>> patience.exhausted
    True
    """

    def __init__(self, epochs, min_delta=0.0, higher_is_better=True):
        self._sign = 1 if higher_is_better else -1
        self.epochs, self._min_delta, self._without, self._mark = epochs, min_delta, 0, None

    def saw(self, value):
        """Take an epoch's figure."""
        if self._mark is None or self._sign * (value - self._mark) > self._min_delta:
            self._mark, self._without = value, 0
        else:
            self._without += 1

    def facts(self):
        """Return how it stands, for `restore`."""
        return {"without": self._without, "mark": self._mark}

    def restore(self, facts):
        """Go on from how it stood."""
        self._without, self._mark = facts["without"], facts["mark"]

    @property
    def exhausted(self):
        """Whether it is time to stop."""
        return bool(self.epochs) and self._without >= self.epochs
