"""curves.png: loss and top-1 by epoch, training beside validation."""
from mxft.files import whole_path

TRAIN, VALIDATION = "#4c72b0", "#dd8452"


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (key, title) in zip(figure.subplots(1, 2), (("loss", "cross-entropy"), ("top1", "top-1"))):
        for number, (label, history) in enumerate(histories.items()):
            train, validation = (TRAIN, VALIDATION) if len(histories) == 1 else (f"C{number}", f"C{number}")
            _line(axes, history, "train_" + key, train, "--", f"{label} training".strip())
            _line(axes, history, "val_" + key, validation, "-", f"{label} validation".strip())
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(**({"bottom": 0} if key == "loss" else {"bottom": 0, "top": 1.02}))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", frameon=False, fontsize=8,
                  ncols=2 * len(histories))
    with whole_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _line(axes, history, key, color, style, label):
    points = [(row["epoch"], row[key]) for row in history if key in row]
    if points:
        axes.plot(*zip(*points), style, color=color, marker="o", markersize=3, label=label)
