"""compare.html: runs side by side, their results, curves and what differs in how they were made."""
import dataclasses
import os

from mxft.data.target_spec import CLASSES, MULTI_LABEL, REGRESSION
from mxft.errors import InputError
from mxft.report.curves import curves_svg
from mxft.report.template import flat, side_by_side, write_template
from mxft.wording import duration, number

_FIGURES = {CLASSES: {"val_top1": "top-1", "val_top5": "top-5", "val_loss": "loss"},
            MULTI_LABEL: {"val_map": "mAP", "val_f1": "F1", "val_loss": "loss"},
            REGRESSION: {"val_mae": "MAE", "val_r2": "R²", "val_loss": "loss"}}


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
    judged_by = {MULTI_LABEL: "Best mAP in bold.", REGRESSION: "Lowest MAE in bold."}
    return Comparison(columns, cells, scores, judged_by.get(_target_of(runs), "Best top-1 in bold."),
                      [run.start["recipe"] for run in runs],
                      lambda labels: _curves(dict(zip(labels, (run.curve for run in runs)))))


def _curves(histories):
    """Return the curves of the runs that have one."""
    return curves_svg(histories) if any(histories.values()) else []


def _results(runs):
    """Return columns, a row of cells a run, and the score a run is best by."""
    target = _target_of(runs)
    figures = _FIGURES[target]
    columns = ("plan", *figures.values(), "best epoch", "epochs", "time", "trainable")
    cells = []
    for run in runs:
        recipe, best, stages = run.start["recipe"], run.best, run.freeze.get("stages", [])
        plan = recipe["plan"] + (f", {recipe['solver']}" if recipe.get("solver") else "")
        cells.append([plan, *(number(best.get(name), 4) for name in figures), str(best.get("epoch", "–")),
                      str(len(run.epochs)), duration(run.seconds), str(stages[-1]["trainable"] if stages else "–")])
    return columns, cells, [_judged_by(run.best, target) for run in runs]


def _target_of(runs):
    """Return the kind of target runs were trained for, refusing runs of several kinds."""
    kinds = {(run.start["recipe"].get("target") or CLASSES): run.name for run in runs}
    if len(kinds) > 1:
        raise InputError("comparison: expected runs of one kind of target, received "
                         + " and ".join(f"{kind} ({name})" for kind, name in kinds.items()))
    kind = next(iter(kinds))
    return kind if kind in _FIGURES else CLASSES


def _judged_by(best, target):
    """Return what a run is the better by the higher it is, None where nothing was validated."""
    if target == REGRESSION:
        return None if best.get("val_scaled_mae") is None else -best["val_scaled_mae"]
    return best.get("val_map" if target == MULTI_LABEL else "val_top1")


def _labels(runs):
    """Return names that tell the runs apart: the folder's, with its parent's where two are called the same."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else os.path.join(run.parent, name) for name, run in zip(names, runs)]


def _link(run, path):
    page = run.file("report.html")
    return os.path.relpath(page, os.path.dirname(os.path.abspath(path))) if os.path.exists(page) else None
