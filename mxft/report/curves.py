"""curves.png: loss and top-1 by epoch, training beside validation."""
import io

from mxft.files import whole_path

TRAIN, VALIDATION = "#4c72b0", "#dd8452"
QUANTITIES = {"loss": "cross-entropy", "top1": "top-1"}
_ON_ANY_PAGE = "#8590a0"


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
    figure = _figure((9, 3.6))
    for axes, key in zip(figure.subplots(1, 2), QUANTITIES):
        _draw(axes, histories, key)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", frameon=False, fontsize=8,
                  ncols=2 * len(histories))
    with whole_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def curves_svg(histories):
    """Return the same curves as SVG for a page, one picture of loss and one of top-1, readable on light and dark.

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
    from matplotlib import rc_context

    pictures = []
    for key in QUANTITIES:
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 11, "font.family": "sans-serif",
                         **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color",
                                          "ytick.color"), _ON_ANY_PAGE)}):
            figure = _figure((5, 3.4))
            axes = figure.subplots()
            _draw(axes, histories, key)
            axes.legend(frameon=False, fontsize=9)
            written = io.StringIO()
            figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
        text = written.getvalue()
        pictures.append(text[text.index("<svg"):])
    return pictures


def _figure(size):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw(axes, histories, key):
    """Draw one quantity of all runs."""
    for number, (label, history) in enumerate(histories.items()):
        train, validation = (TRAIN, VALIDATION) if len(histories) == 1 else (f"C{number}", f"C{number}")
        _line(axes, history, "train_" + key, train, "--", f"{label} training".strip())
        _line(axes, history, "val_" + key, validation, "-", f"{label} validation".strip())
    axes.set(xlabel="epoch", ylabel=QUANTITIES[key])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(**({"bottom": 0} if key == "loss" else {"bottom": 0, "top": 1.02}))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _line(axes, history, key, color, style, label):
    points = [(row["epoch"], row[key]) for row in history if key in row]
    if points:
        axes.plot(*zip(*points), style, color=color, marker="o", markersize=3, label=label)
