"""compare.html: runs side by side, their results, curves and what differs in how they were made."""
import dataclasses
import os

from mxft.report.curves import curves_svg
from mxft.report.template import flat, side_by_side, write_template
from mxft.wording import duration, number


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What kind-specific code tells of runs that are set side by side.

    Parameters
    ----------
    columns : sequence of str
    cells : list of list of str
        A row a run.
    scores : list of float or None
        What a run is the best by.
    summary : str
    settings : list of dict
        What each run was asked.
    curves : callable
        ``(labels) -> list of SVG``.
    """

    columns: tuple
    cells: list
    scores: list
    summary: str
    settings: list
    curves: object


def write_comparison_page(path, runs, comparison):
    """Write a page that sets runs of one kind side by side.

    Parameters
    ----------
    path : str
    runs : list of mxft.report.run_files.LoggedRun
    comparison : Comparison

    Returns
    -------
    str
        `path`.
    """
    labels = _labels(runs)
    best = max((score for score in comparison.scores if score is not None), default=None)
    rows = [{"name": label, "cells": row, "best": score is not None and score == best, "link": _link(run, path)}
            for label, run, row, score in zip(labels, runs, comparison.cells, comparison.scores)]
    settings = [flat(setting) for setting in comparison.settings]
    differences = [(key.replace("_", "-"), [str(setting.get(key, "–")) for setting in settings])
                   for key in dict.fromkeys(key for setting in settings for key in setting)
                   if len({str(setting.get(key)) for setting in settings}) > 1]
    write_template(path, "compare.html", title=f"{len(runs)} runs", rows=rows, columns=("run", *comparison.columns),
                   summary=comparison.summary, differences=differences, curves=side_by_side(comparison.curves(labels)))
    return path


def compare_runs(runs):
    """Return the Comparison of classification runs; they are best by top-1.

    Parameters
    ----------
    runs : list of mxft.report.run_files.RunFiles
    """
    columns, cells, scores = _results(runs)
    return Comparison(columns, cells, scores, "Best top-1 in bold.", [run.start["recipe"] for run in runs],
                      lambda labels: curves_svg(dict(zip(labels, (run.epochs for run in runs)))))


def _results(runs):
    """Return columns, a row of cells a run, and the score a run is best by."""
    columns = ("plan", "top-1", "top-5", "loss", "best epoch", "epochs", "time", "trainable")
    cells = []
    for run in runs:
        recipe, best, stages = run.start["recipe"], run.best, run.freeze.get("stages", [])
        plan = recipe["plan"] + (f", {recipe['solver']}" if recipe.get("solver") else "")
        cells.append([plan, number(best.get("val_top1"), 4), number(best.get("val_top5"), 4),
                      number(best.get("val_loss"), 4), str(best.get("epoch", "–")), str(len(run.epochs)),
                      duration(run.seconds), str(stages[-1]["trainable"] if stages else "–")])
    return columns, cells, [run.best.get("val_top1") for run in runs]


def _labels(runs):
    """Return names that tell the runs apart: the folder's, with its parent's where two are called the same."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else os.path.join(run.parent, name) for name, run in zip(names, runs)]


def _link(run, path):
    page = run.file("report.html")
    return os.path.relpath(page, os.path.dirname(os.path.abspath(path))) if os.path.exists(page) else None
