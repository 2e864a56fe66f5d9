"""What happens between batches and epochs of ``Module.fit``: meters, progress, checkpoints, early stopping."""
import logging
import sys
import time

import numpy as np

from mxft.compat import mx
from mxft.errors import RunError

LOG = logging.getLogger("mxft.progress")


class StopTraining(Exception):
    """Raised by a callback to leave ``Module.fit`` in good order; the argument is the reason."""


class TrainingMeter(mx.metric.EvalMetric):
    """Top-1 and mean cross-entropy over an epoch; stops the run at the first loss that is not finite.

    One pass over the softmax output for both, instead of a metric each.
    """

    def __init__(self):
        self._carried = {}
        super().__init__("training")

    def reset(self):
        """Forget everything, at the start of an epoch."""
        self.images, self.hits, self.loss_sum, self.batches, self.batch_loss = 0, 0, 0.0, 0, float("nan")
        vars(self).update(self._carried)
        self._carried = {}

    def figures(self):
        """Return the sums so far, for `go_on`."""
        return {"images": self.images, "hits": self.hits, "loss_sum": float(self.loss_sum), "batches": self.batches}

    def go_on(self, figures):
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
            if not np.isfinite(prob).all():
                raise RunError(f"training stopped: expected a finite loss, received NaN in batch {self.batches}")
            self.batch_loss = float(-np.log(np.maximum(target, 1e-30)).mean(dtype=np.float64))
            self.loss_sum += self.batch_loss * len(label)
            self.hits += int((prob.argmax(axis=1) == label).sum())
            self.images += len(label)
            self.batches += 1

    @property
    def loss(self):
        """Mean cross-entropy so far this epoch, in nats."""
        return self.loss_sum / max(1, self.images)

    @property
    def top1(self):
        """Fraction right so far this epoch, each batch judged before its update."""
        return self.hits / max(1, self.images)

    def get(self):
        """Return names and values the way ``mx.metric`` does."""
        return ["top1", "cross-entropy"], [self.top1, self.loss]

    def get_global(self):
        """Return the same as `get`."""
        return self.get()


class Progress:
    """Batch-end callback: a tqdm bar on a terminal, one line now and then elsewhere.

    Parameters
    ----------
    epochs, batches, batch_size : int
    every : int
        Batches between lines where stderr is no terminal.
    """

    def __init__(self, epochs, batches, batch_size, every=50):
        self._epochs, self._batches, self._batch_size, self._every = epochs, batches, batch_size, every
        self._bar, self._since, self._from, self._terminal = None, None, 0, sys.stderr.isatty()

    def __call__(self, param):
        meter, done = param.eval_metric, param.nbatch + 1
        if done == 1 or self._since is None:
            self._begin(param.epoch, done - 1)
        if self._terminal:
            self._bar.update(self._batch_size)
            self._bar.set_postfix_str(f"loss {meter.loss:.4f} top-1 {meter.top1:.4f}", refresh=False)
        elif done % self._every == 0 and done < self._batches:
            rate = (done - 1 - self._from) * self._batch_size / max(time.perf_counter() - self._since, 1e-9)
            LOG.info(f"epoch {param.epoch + 1}/{self._epochs} batch {done}/{self._batches}: {rate:.1f} images/s, "
                        f"loss {meter.loss:.4f}, top-1 {meter.top1:.4f}")
        if done == self._batches:
            self.close()

    def _begin(self, epoch, done):
        self.close()
        self._since, self._from = time.perf_counter(), done
        if self._terminal:
            from tqdm import tqdm
            self._bar = tqdm(total=self._batches * self._batch_size, initial=done * self._batch_size,
                             desc=f"epoch {epoch + 1}/{self._epochs}", unit=" images", file=sys.stderr,
                             dynamic_ncols=True)

    def close(self):
        """Take the bar off the terminal's last line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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
