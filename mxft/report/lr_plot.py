"""The learning-rate finder's picture: loss over learning rate, and where it falls fastest."""
from mxft.report.figures import FIRST as CURVE
from mxft.report.figures import SECOND as MARK
from mxft.report.figures import finish, new_figure, save_png

POINTS = "#a8b8d0"
_HEADROOM = 1.15  # above the highest loss before the end: where it diverges the axis would show nothing else


def draw_learning_rates(found, path, title=""):
    """Draw what `find_learning_rate` saw.

    Parameters
    ----------
    found : mxft.training.lr_curve.LearningRates
    path : str
        PNG to write, whole or not at all.
    title : str

    Examples
    --------
    >>> draw_learning_rates(find_learning_rate("resnet-50,0", data), "rates.png")      # doctest: +SKIP
    """
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, ".", color=POINTS, markersize=4, label="batch")
    axes.plot(found.rates, found.smoothed, "-", color=CURVE, linewidth=2, label="smoothed")
    if found.suggestion is not None:
        at = found.rates.index(found.suggestion)
        axes.axvline(found.suggestion, color=MARK, linestyle="--", linewidth=1)
        axes.plot([found.suggestion], [found.smoothed[at]], "o", color=MARK,
                  label=f"steepest descent: {found.suggestion:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="cross-entropy (nats)", title=title,
             ylim=_limits(found.smoothed))
    finish(axes)
    axes.legend(frameon=False, loc="best")
    save_png(figure, path)


def _limits(smoothed):
    """Return the loss axis: all that happened up to the lowest point, and a good part of the rise behind it."""
    lowest, highest = min(smoothed), max(smoothed[:smoothed.index(min(smoothed)) + 1])
    top = min(max(smoothed), max(highest, 2 * lowest)) * _HEADROOM
    return max(0.0, lowest - 0.15 * (top - lowest)), top
