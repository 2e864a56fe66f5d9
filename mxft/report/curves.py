"""curves.png: loss and what a run is evaluated by, epoch by epoch, training beside validation."""
from mxft.report.figures import FIRST as TRAIN
from mxft.report.figures import SECOND as VALIDATION
from mxft.report.figures import draw_svg, finish, legend_below, new_figure, plain, save_png

QUANTITIES = {"loss": "cross-entropy", "top1": "top-1"}
OF_LABELS = {"loss": "binary cross-entropy", "map": "mean average precision", "f1": "F1 at 0.5"}
OF_NUMBERS = {"loss": "squared error, in variances", "mae": "mean absolute error"}
_UP_TO_ONE = ("top1", "map", "f1")


def draw_curves(history, path):
    """Draw the curves of one run.

    Parameters
    ----------
    history : list of dict
        Rows of `mxft.training.fit.FitResult.history`.
    path : str
        PNG to write, whole or not at all.

    Examples
    --------
    >>> draw_curves([{"epoch": 1, "train_loss": 2.0, "train_top1": 0.3}], "/tmp/mxft-curves.png")
    """
    draw_runs({"": history}, path)


def draw_runs(histories, path):
    """Draw several runs in one picture: training dashed, validation solid, a colour a run.

    Parameters
    ----------
    histories : dict of str to list of dict
        Label to rows.
    path : str
    """
    quantities = quantities_of(histories)
    figure = new_figure(4.5 * len(quantities), 3.6)
    for axes, key in zip(figure.subplots(1, len(quantities)), quantities):
        _draw(axes, histories, key, quantities[key])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", frameon=False, fontsize=8,
                  ncols=2 * len(histories))
    save_png(figure, path)


def curves_svg(histories):
    """Return the same curves as SVG for a page, a picture of each quantity, readable on light and dark.

    Parameters
    ----------
    histories : dict of str to list of dict

    Returns
    -------
    list of str
        ``<svg …>`` elements.

    Examples
    --------
    >>> curves_svg({"": [{"epoch": 1, "train_loss": 2.0, "train_top1": 0.3}]})[0][:4]
    '<svg'
    """
    def draw(key, name):
        def on(axes):
            _draw(axes, histories, key, name)
            legend_below(axes)
        return on

    return [draw_svg(f"{name} by epoch", draw(key, name)) for key, name in quantities_of(histories).items()]


def quantities_of(histories):
    """Return what is drawn of runs, {name in a row: words}: that of classes, of several labels or of numbers."""
    told = {key for history in histories.values() for row in history for key in row}
    return OF_LABELS if "train_f1" in told else OF_NUMBERS if "train_mae" in told else QUANTITIES


def _draw(axes, histories, key, name):
    """Draw one quantity of all runs."""
    for number, (label, history) in enumerate(histories.items()):
        train, validation = (TRAIN, VALIDATION) if len(histories) == 1 else (f"C{number}", f"C{number}")
        _line(axes, history, "train_" + key, train, "--", plain(f"{label} training".strip()))
        _line(axes, history, "val_" + key, validation, "-", plain(f"{label} validation".strip()))
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(**({"bottom": 0, "top": 1.02} if key in _UP_TO_ONE else {"bottom": 0}))
    finish(axes)


def _line(axes, history, key, color, style, label):
    points = [(row["epoch"], row[key]) for row in history if key in row]
    if points:
        axes.plot(*zip(*points), style, color=color, marker="o", markersize=3, label=label)
