"""Figures without a display: as PNG files, and as SVG that is readable on a light and on a dark page."""
import io

from mxft.files.whole import whole_path

FIRST, SECOND, QUIET = "#4c72b0", "#dd8452", "#8590a0"  # the last: ink that both pages show
_PAGE_STYLE = {"svg.fonttype": "none", "font.size": 11, "font.family": "sans-serif", "text.color": QUIET,
               "axes.labelcolor": QUIET, "axes.edgecolor": QUIET, "xtick.color": QUIET, "ytick.color": QUIET}


def new_figure(width, height):
    """Return a matplotlib Figure of that many inches that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(axes):
    """Take the frame off the top and the right, and put a faint grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=QUIET, alpha=0.2)


def plain(name):
    """Return a name as matplotlib shows it letter by letter: a dollar sign begins no formula."""
    return name.replace("$", r"\$")


def legend_below(axes):
    """Name the curves under the picture, where nothing is drawn."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 1 if max(map(len, labels)) > 35 else 2 if max(map(len, labels)) > 18 else 3
        axes.get_figure().legend(handles, labels, loc="outside lower center", frameon=False, fontsize=9, ncols=columns)


def save_png(figure, path):
    """Write a figure as PNG, whole or not at all."""
    with whole_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def draw_svg(name, draw, size=(5, 3.4)):
    """Return what ``draw(axes)`` draws as an ``<svg …>`` element.

    Parameters
    ----------
    name : str
        Different for every picture of a page: the names within the picture come of it. Read out by screen readers.
    draw : callable
        Takes the matplotlib Axes.
    size : (width, height)
        Inches.

    Returns
    -------
    str
        Text stays text, the ground is transparent, and the same picture is the same bytes.

    Examples
    --------
    >>> draw_svg("a line", lambda axes: axes.plot([0, 1], [0, 1]))[:14]
    '<svg role="img'
    """
    from markupsafe import escape
    from matplotlib import rc_context

    with rc_context({**_PAGE_STYLE, "svg.hashsalt": name}):
        figure = new_figure(*size)
        draw(figure.subplots())
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg"):].replace("<svg ", f'<svg role="img" aria-label="{escape(name)}" ', 1)
