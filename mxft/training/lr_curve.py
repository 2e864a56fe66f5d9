"""What the learning-rate finder's curve says: smoothed losses, and the rate at which they fall fastest.

The rule is that of fastai's "steep" suggestion, on losses smoothed by a centred window.
"""
import dataclasses

import numpy as np

SMOOTHING = 0.9    # of the running mean that is watched for divergence: it looks back over about ten batches
RULE = "the steepest descent of the smoothed loss over the logarithm of the rate, before its lowest point"


@dataclasses.dataclass(frozen=True)
class LearningRates:
    """What the finder saw.

    Parameters
    ----------
    rates, losses : tuple of float
        Of each batch: the rate of its update, and its cross-entropy before that update, in nats.
    suggestion : float or None
        See `suggest`; None where the loss did not fall.
    smoothed : tuple of float
        The losses, as `smooth` leaves them.
    stage : str
        The part of the plan that was tried: the first.
    diverged : bool
        Whether it stopped early because the loss rose too far.
    """

    rates: tuple
    losses: tuple
    suggestion: float
    smoothed: tuple = ()
    stage: str = ""
    diverged: bool = False

    def table(self, rows=15):
        """Return about `rows` evenly spread rows of rate, loss and smoothed loss, the suggestion's marked."""
        shown = set(np.linspace(0, len(self.rates) - 1, min(rows, len(self.rates))).round().astype(int).tolist())
        marked = self.rates.index(self.suggestion) if self.suggestion in self.rates else None
        lines = [f"{'rate':>10}  {'loss':>8}  {'smoothed':>8}"]
        for at in sorted(shown | ({marked} - {None})):
            lines.append(f"{self.rates[at]:10.3g}  {self.losses[at]:8.4f}  {self.smoothed[at]:8.4f}"
                         + ("  <- suggestion" if at == marked else ""))
        return "\n".join(lines)


def running_mean(losses, smoothing=SMOOTHING):
    """Return the exponential running mean, free of the bias of its start (as Adam's; fastai's smoothed loss).

    Parameters
    ----------
    losses : sequence of float, shape (N,)
    smoothing : float

    Returns
    -------
    float64 array, shape (N,)
    """
    total, means = 0.0, []
    for number, loss in enumerate(losses, 1):
        total = smoothing * total + (1 - smoothing) * loss
        means.append(total / (1 - smoothing ** number))
    return np.array(means)


def smooth(losses):
    """Return the losses under a Gaussian window, its deviation a 25th of them: centred, it does not lag behind.

    Parameters
    ----------
    losses : sequence of float, shape (N,)

    Returns
    -------
    float64 array, shape (N,)

    Notes
    -----
    What rises above the first tenth's highest loss is cut to it beforehand: a divergence of fifty nats would otherwise
    bend the curve many batches before it.
    """
    losses = np.asarray(losses, float)
    if not len(losses):
        return losses
    cut = np.minimum(losses, losses[:max(1, len(losses) // 10)].max())
    at = np.arange(len(losses))
    windows = np.exp(-0.5 * ((at[:, None] - at) / max(1.0, len(losses) / 25)) ** 2)
    return windows @ cut / windows.sum(axis=1)


def suggest(rates, losses):
    """Return the rate at the steepest descent of the smoothed loss over log rate, before its lowest point.

    Parameters
    ----------
    rates, losses : sequence of float, shape (N,)

    Returns
    -------
    float or None
        One of `rates`; None where the loss does not fall by more than it scatters from batch to batch.

    Notes
    -----
    The first tenth is left out, as fastai does: the window has little to go by there. The lowest point is that before
    the first rise by half of what the loss had fallen and by more than it scatters: a network that has been blown up
    falls again, to the loss of knowing nothing.
    """
    if len(losses) < 3:
        return None
    first = len(losses) // 10
    smoothed = smooth(losses)[first:]
    # of differences of neighbours, by their median: neither the fall nor a divergence counts
    scatter = max(1e-6, 1.4826 * float(np.median(np.abs(np.diff(losses)))) / 2 ** 0.5)
    lowest_yet = np.minimum.accumulate(smoothed)
    rises = np.flatnonzero(smoothed - lowest_yet > np.maximum(scatter, (smoothed[0] - lowest_yet) / 2))
    lowest = int(np.argmin(smoothed[:rises[0] if len(rises) else None]))
    if lowest == 0 or smoothed[0] - smoothed[lowest] <= scatter:
        return None
    slope = np.gradient(smoothed, np.log(rates[first:]))[:lowest + 1]
    return float(rates[first + int(np.argmin(slope))])
