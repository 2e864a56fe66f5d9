"""compare.html: runs of one kind side by side, their results, curves and what differs in how they were made."""
import json
import os

from mxft.errors import InputError
from mxft.faces.report.face_curves import face_curves_svg
from mxft.report.curves import curves_svg
from mxft.report.run_files import open_run
from mxft.report.template import flat, side_by_side, write_template
from mxft.wording import duration, number

FAR = "0.001"  # at which the true accept rate is compared


def write_comparison(places, path):
    """Write a page that sets runs side by side.

    Parameters
    ----------
    places : sequence of str
        Folders of runs of ``mxft finetune``, or folders and prefixes of face runs.
    path : str

    Returns
    -------
    str
        `path`.

    Raises
    ------
    InputError
        There is no run, or they are of both kinds.
    """
    runs = [open_run(place) for place in places]
    _require_one_kind(runs)
    labels = _labels(runs)
    faces = runs[0].kind == "face"
    columns, cells, scores = (_face_results if faces else _results)(runs)
    summary = f"Best {'verification' if faces else 'top-1'} in bold."
    if faces and not _same_sets(runs):
        summary = "Verified on different sets, or sets of different pairs: none is marked as the best."
        scores = [None] * len(runs)
    best = max((score for score in scores if score is not None), default=None)
    rows = [{"name": label, "cells": row, "best": score is not None and score == best, "link": _link(run, path)}
            for label, run, row, score in zip(labels, runs, cells, scores)]
    settings = [flat(_face_settings(run) if faces else run.start["recipe"]) for run in runs]
    differences = [(key.replace("_", "-"), [str(setting.get(key, "–")) for setting in settings])
                   for key in dict.fromkeys(key for setting in settings for key in setting)
                   if len({str(setting.get(key)) for setting in settings}) > 1]
    curves = (face_curves_svg(dict(zip(labels, runs))) if faces else
              curves_svg(dict(zip(labels, (run.epochs for run in runs)))))
    write_template(path, "compare.html", title=f"{len(runs)} runs", rows=rows, columns=("run", *columns),
                   summary=summary, differences=differences, curves=side_by_side(curves))
    return path


def _require_one_kind(runs):
    by_kind = {run.kind: run.place for run in runs}
    if len(by_kind) > 1:
        raise InputError("comparison: expected runs of one kind, received the face run "
                         f"{by_kind['face']} and the classification run {by_kind['classification']}; mxft report each "
                         "kind by itself")


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


def _face_results(runs):
    """Return the same of face runs; they are best by the mean accuracy of their verification sets."""
    sets = list(dict.fromkeys(name for run in runs for row in run.checked for name in row["targets"]))
    bests = [run.checked_at(run.best.get("step")) for run in runs]
    rated = [name for name in sets if any(best.get(name, {}).get("tar_at_far", {}).get(FAR) for best in bests)]
    columns = ["head", *sets, *(f"{name} TAR@FAR {FAR}" for name in rated), "loss", "without margin", "best step",
               "steps", "time", "images/s"]
    cells = []
    for run, best in zip(runs, bests):
        last = run.intervals[-1] if run.intervals else {}
        accuracies = [f"{best[name]['accuracy']:.5f} ± {best[name]['std']:.5f}" if name in best else "–"
                      for name in sets]
        rates = [number(best.get(name, {}).get("tar_at_far", {}).get(FAR), 5) for name in rated]
        cells.append([run.start.get("head", "–").split(" (")[0], *accuracies, *rates, number(last.get("loss"), 4),
                      number(last.get("correct"), 4), str(run.best.get("step", "–")), str(run.steps),
                      duration(run.seconds) if run.seconds else "–", number(run.images_per_second, 1)])
    return columns, cells, [run.best.get("accuracy") for run in runs]


def _same_sets(runs):
    """Whether all face runs that verified did so on sets of the same names and numbers of pairs."""
    return len({json.dumps(run.start.get("targets", sorted(run.checked[0]["targets"]))) for run in runs
                if run.checked}) <= 1


def _face_settings(run):
    """Return what a face run was asked, its network and head included."""
    return {"pretrained": run.start.get("model"), "network": run.start.get("network"), "head": run.start.get("head"),
            **run.start["options"]}


def _labels(runs):
    """Return names that tell the runs apart: the folder's, with its parent's where two are called the same."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else os.path.join(os.path.basename(os.path.dirname(
        os.path.abspath(run.folder if run.kind == "classification" else os.path.dirname(run.prefix)))), name)
        for name, run in zip(names, runs)]


def _link(run, path):
    page = run.file("report.html")
    return os.path.relpath(page, os.path.dirname(os.path.abspath(path))) if os.path.exists(page) else None
