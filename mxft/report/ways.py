"""Several ways by several seeds: means and standard errors as a table, a figure and a page that agree."""
import dataclasses
import math
import statistics

from mxft.report.figures import QUIET, draw_svg, finish, legend_below, new_figure, save_png
from mxft.report.template import write_template


@dataclasses.dataclass(frozen=True)
class Way:
    """One way, and what it reached.

    Parameters
    ----------
    name : str
    how : str
        What is done, in a sentence.
    scores : dict of int to list of float
        By the number of training images of each class: a score of each seed, the seeds in the same order for all ways.
    """

    name: str
    how: str
    scores: dict


def mean_and_error(scores):
    """Return the mean and its standard error, ``s / √n`` with n - 1 in s; the error of one score is None.

    Examples
    --------
    >>> mean_and_error([0.6, 0.7, 0.8])[0]
    0.7
    >>> round(mean_and_error([0.6, 0.7, 0.8])[1], 4), mean_and_error([0.6])
    (0.0577, (0.6, None))
    """
    mean = round(statistics.fmean(scores), 12)
    return mean, statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else None


def told(scores, sign=""):
    """Return mean ± standard error as text, three digits behind the point.

    Examples
    --------
    >>> told([0.6, 0.7, 0.8]), told([0.25], sign="+")
    ('0.700 ± 0.058', '+0.250')
    """
    mean, error = mean_and_error(scores)
    return f"{mean:{sign}.3f}" + (f" ± {error:.3f}" if error is not None else "")


def table_of(ways, what="images of each class"):
    """Return columns and rows: each way's mean ± standard error, then by how much it is better than the first one.

    Parameters
    ----------
    ways : sequence of Way
        The first is what the others are held against, seed by seed.
    what : str
        What the numbers of the columns count.

    Returns
    -------
    columns : tuple of str
    rows : list of list of str
    """
    counts = list(ways[0].scores)
    columns = ("way", *(f"{count} {what}" for count in counts),
               *(f"better by, {count}" for count in counts))
    rows = []
    for way in ways:
        apart = [[own - first for own, first in zip(way.scores[count], ways[0].scores[count])] for count in counts]
        rows.append([way.name, *(told(way.scores[count]) for count in counts),
                     *("–" if way is ways[0] else told(values, "+") for values in apart)])
    return columns, rows


def markdown(columns, rows):
    """Return a table as Markdown.

    Examples
    --------
    >>> print(markdown(("way", "top-1"), [["full", "0.7"]]))
    | way | top-1 |
    |---|---|
    | full | 0.7 |
    """
    return "\n".join(["| " + " | ".join(row) + " |" for row in [columns]] + ["|---" * len(columns) + "|"]
                     + ["| " + " | ".join(row) + " |" for row in rows])


def draw_ways(axes, ways, chance=None, what="images of each class", measure="top-1"):
    """Draw each way's means with their standard errors over the number of images, and each seed as a faint point."""
    counts = list(ways[0].scores)
    for number, way in enumerate(ways):
        shift = (number - (len(ways) - 1) / 2) * 0.06
        places = [place + shift for place in range(len(counts))]
        means, errors = zip(*(mean_and_error(way.scores[count]) for count in counts))
        axes.errorbar(places, means, [error or 0 for error in errors], fmt="o-", color=f"C{number}", capsize=4,
                      label=way.name, markersize=5)
        for place, count in zip(places, counts):
            axes.plot([place] * len(way.scores[count]), way.scores[count], ".", color=f"C{number}", alpha=0.3)
    if chance is not None:
        axes.axhline(chance, color=QUIET, linestyle=":", label="chance")
    axes.set(xticks=range(len(counts)), xticklabels=counts, xlabel=what, ylabel=measure, ylim=(0, 1.02),
             xlim=(-0.35, len(counts) - 0.65))
    finish(axes)


def save_ways(ways, path, **options):
    """Draw the same as a PNG file; `options` are those of `draw_ways`."""
    figure = new_figure(5.5, 4)
    axes = figure.subplots()
    draw_ways(axes, ways, **options)
    legend_below(axes)
    save_png(figure, path)


def write_ways_page(path, title, summary, ways, pictures=None, links=(), commands=(), **options):
    """Write the page: table, figure, how each way was done, and what to type next.

    Parameters
    ----------
    path : str
    title, summary : str
    ways : sequence of Way
    pictures : str, optional
        Address of a picture that shows the data, such as a ``data:`` one.
    links : sequence of (str, str)
        Name and address of further pages.
    commands : sequence of str
    **options
        Of `draw_ways`.

    Returns
    -------
    str
        `path`.
    """
    from markupsafe import Markup

    def draw(axes):
        draw_ways(axes, ways, **options)
        legend_below(axes)

    columns, rows = table_of(ways, options.get("what", "images of each class"))
    seeds = len(next(iter(ways[0].scores.values())))
    write_template(path, "ways.html", title=title, summary=summary, columns=columns, rows=rows, seeds=seeds,
                   first=ways[0].name, figure=Markup(draw_svg(f"{title}: scores", draw)), pictures=pictures,
                   hows=[(way.name, way.how) for way in ways], links=links, commands=commands)
    return path
