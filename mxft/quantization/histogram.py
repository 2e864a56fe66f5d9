"""A histogram of magnitudes that grows with what it sees, and the range of values to keep by it."""
import numpy as np

from mxft.compat import mx
from mxft.errors import RunError

PERCENTILE = 99.99
_BINS = 4096
_ENTROPY_BINS = 1024  # the search takes the square of their number
_SEEN = 1 << 16  # values of a tensor that are counted, of one batch; the extremes are those of all


class Histogram:
    """Counts of the magnitudes of a tensor's values, batch by batch.

    Attributes
    ----------
    low, high : float
        The extremes.

    Examples
    --------
    >>> histogram = Histogram()
    >>> histogram.add(np.array([-1.0, 0.5, 3.0], np.float32))
    >>> histogram.range("naive")
    (-3.0, 3.0)
    """

    def __init__(self):
        self.low, self.high = np.inf, -np.inf
        self._counts, self._top = np.zeros(_BINS, np.int64), 0.0

    def add(self, values):
        """Count float32 `values` of any shape; RunError where one is not finite."""
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise RunError("calibration: expected finite numbers, received NaN or infinity from the network; wrong "
                           "mean or scale for it, or damaged parameters?")
        self.low, self.high = min(self.low, low), max(self.high, high)
        values = values.ravel()
        values = np.abs(values[::max(1, values.size // _SEEN)])
        self._reach(max(-low, high))
        if self._top:
            bins = np.minimum((values * (_BINS / self._top)).astype(np.int32), _BINS - 1)
            self._counts += np.bincount(bins, minlength=_BINS)

    def _reach(self, top):
        """Widen the histogram to a magnitude, by merging bins two by two."""
        if not self._top:
            self._top = top
        while self._top < top:
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.concatenate([merged, np.zeros(_BINS // 2, np.int64)])
            self._top *= 2

    def range(self, method):
        """Return (low, high) to keep: from 0 where nothing is negative, else as far down as up.

        Parameters
        ----------
        method : {"entropy", "percentile", "naive"}
            The extremes; the magnitude that `PERCENTILE` of a hundred do not exceed; or that which loses least
            information in 255 steps, by MXNet's own ``calibrate_entropy``.

        Returns
        -------
        tuple of float

        References
        ----------
        Migacz, 8-bit Inference with TensorRT, GTC 2017 (entropy).
        """
        most = max(-self.low, self.high)
        threshold = {"naive": lambda: most, "percentile": self._percentile, "entropy": self._entropy}[method]()
        threshold = min(most, threshold) or 1.0  # a map that is 0 everywhere has any scale
        return (0.0, threshold) if self.low >= 0 else (-threshold, threshold)

    def _percentile(self):
        reached = np.cumsum(self._counts) >= self._counts.sum() * PERCENTILE / 100
        return self._top * (int(np.argmax(reached)) + 1) / _BINS

    def _entropy(self):
        """Return MXNet's threshold, of a histogram to both sides as it asks for."""
        counts = self._counts.reshape(-1, _BINS // _ENTROPY_BINS).sum(axis=1)
        above = counts[1:] if self.low >= 0 else counts[1:] / 2
        below = np.zeros_like(above) if self.low >= 0 else above[::-1]
        both = np.concatenate([below, counts[:1], above]).astype(np.float32)
        edges = np.linspace(-self._top, self._top, len(both) + 1, dtype=np.float32)
        steps = 255 * 2 + 1 if self.low >= 0 else 255
        threshold, _ = mx.nd.contrib.calibrate_entropy(mx.nd.array(both), mx.nd.array(edges),
                                                       num_quantized_bins=steps)
        return float(threshold.asnumpy().ravel()[0])
