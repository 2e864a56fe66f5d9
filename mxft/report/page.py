"""report.html: one self-contained page of a run, made from its folder and its score on the validation records."""
import dataclasses
import os

from mxft.data.target_spec import CLASSES, MULTI_LABEL, REGRESSION
from mxft.data.thumbnails import data_address
from mxft.report.curves import curves_svg
from mxft.report.image_results import ImageResults
from mxft.report.reliability import calibration_results
from mxft.report.run_files import RunFiles
from mxft.report.target_results import target_results
from mxft.report.template import asked, pretty, script_json, side_by_side, write_template
from mxft.wording import duration, number, plural

FIGURES = {CLASSES: {"val_top1": "top-1", "val_top5": "top-5", "val_loss": "cross-entropy"},
           MULTI_LABEL: {"val_map": "mean average precision", "val_f1": "F1 at 0.5", "val_loss": "cross-entropy"},
           REGRESSION: {"val_mae": "mean absolute error", "val_r2": "R²"}}
COLUMNS = {"epoch": "epoch", "train_loss": "training loss", "train_top1": "training top-1",
           "train_f1": "training F1", "train_mae": "training MAE",
           "val_loss": "validation loss", "val_top1": "top-1", "val_top5": "top-5", "val_map": "mAP", "val_f1": "F1",
           "val_mae": "MAE", "val_r2": "R²", "lr": "learning rate",
           "seconds": "seconds", "images_per_second": "images/s"}


def write_run_page(folder, score=None, records=None, path=None, note=None):
    """Write the page of a run.

    Parameters
    ----------
    folder : str
    score : mxft.evaluation.scoring.Score, optional
        Of the best checkpoint on the validation records; without it the page has no confusion matrix.
    records : str or sequence of str, optional
        Those records, or the paths of the pictures in the order of the score, for thumbnails.
    path : str, optional
        ``report.html`` in the folder when None.
    note : str, optional
        Why there is no score.

    Returns
    -------
    str
        The page's path.

    Notes
    -----
    The page holds its pictures and needs no network. It is readable at any width, on light and dark.

    Examples
    --------
    >>> write_run_page("runs/photos", score, "photos-val.rec")         # doctest: +SKIP
    'runs/photos/report.html'
    """
    files = RunFiles(folder)
    best = files.best
    figures = [*((words, number(best.get(name), 4)) for name, words in FIGURES[_kind(files)].items()),
               ("best epoch", str(best.get("epoch", "–"))), ("time of training", duration(files.seconds))]
    path = path or os.path.join(files.folder, "report.html")
    write_template(path, "run.html", title=files.name, summary=_summary(files, score), figures=figures, note=note,
                   curves=side_by_side(curves_svg({"": files.curve})) if files.curve else "", solved=bool(files.solved),
                   **asked(_settings(files), _defaults()),
                   **_results(files, score, records),
                   transfer=transfer_facts(files.transfer), stages=files.freeze.get("stages", []),
                   frozen=_frozen(files.freeze), **_epoch_table(files),
                   manifest=pretty({key: value for key, value in files.manifest.items() if key != "metrics"}))
    return path


def _kind(files):
    """Return the kind of target a run was trained for."""
    kind = (files.manifest.get("target") or {}).get("kind")
    return kind if kind in FIGURES else CLASSES


def _results(files, score, records):
    """Return what a template needs of the predictions of classes, ``judged``, or of labels or numbers, ``each``."""
    if score is None:
        return {"judged": None, "each": None}
    if _kind(files) == CLASSES:
        return {"judged": _judged(files, score, records), "each": None}
    return {"judged": None, "each": target_results(score, files.manifest, files.best.get("val_thresholds"), records)}


def _judged(files, score, records):
    """Return what a template needs of the predictions."""
    count = score.logits.shape[1]
    names = files.manifest.get("classes") or [f"class {number}" for number in range(count)]
    results = ImageResults(score, names)
    right, wrong = results.extremes()
    pictures = []
    if records:
        pictures = [("Worst: least probability of the true class", results.cards(wrong, records)),
                    ("Best: most probability of the true class", results.cards(right, records))]
    return {"mistakes": results.mistakes(), "recalls": results.recalls(), "classes": count,
            "matrix": data_address(results.matrix_png(), "image/png"), "pictures": pictures,
            "calibration": None if score.loss is None else calibration_results(score, _are_own(files, records)),
            "names_without_images": script_json(results.names_without_images()),
            "counts": script_json(results.counts())}


def _are_own(files, records):
    """Whether records are the run's own validation records, by which its temperature was fitted."""
    own = files.start.get("records", {}).get("val")
    if records and not isinstance(records, str):
        return bool(own) and own.endswith(".lst")  # the pictures of the run's own list
    return bool(own and records and os.path.abspath(records) == os.path.abspath(own))


def _summary(files, score):
    parent, recipe = files.manifest.get("parent") or {}, files.start["recipe"]
    judged = f", evaluated on {plural(score.records, 'image')}" if score is not None else ""
    head = files.manifest.get("head") or {}
    solved = "".join(f", head fitted ({row['solver']}, penalty {row['regularisation']:g})" for row in files.solved)
    what = {MULTI_LABEL: "labels an image", REGRESSION: "numbers an image"}.get(_kind(files), "classes")
    return (f"{parent.get('model', files.start.get('model'))} to {head.get('num_classes', '?')} {what}, plan "
            f"{recipe['plan']}{solved}, seed {recipe['seed']}, on {', '.join(files.start.get('devices', []))}{judged}")


def _settings(files):
    recipe = dict(files.start["recipe"])
    if recipe.get("cache", {}).get("mode") == "none":  # its folder and budget mean nothing then
        del recipe["cache"]
    return {"model": files.start.get("model"), "records": files.start.get("records", {}), **recipe}


def _defaults():
    from mxft.training.recipe import Recipe

    return dataclasses.asdict(Recipe())


def transfer_facts(report):
    """Return what a template needs of ``transfer.json``: the counts as text, and the rows that were not loaded."""
    counts = report.get("counts", {})
    return {"text": ", ".join(f"{count} {what}" for what, count in counts.items()) or "No report.",
            "rows": [row for row in report.get("parameters", []) if row["status"] != "loaded"]}


def _frozen(freeze):
    count, stages = freeze.get("frozen"), freeze.get("stages", [])
    if count:
        return f"{count} arrays are bit for bit what they were before training."
    return "Nothing stayed frozen to the end." if any(row["frozen"] for row in stages) else "Nothing was frozen."


def _epoch_table(files):
    columns = [key for key in COLUMNS if any(key in row for row in files.epochs)]
    best = files.best.get("epoch")
    rows = [{"best": row["epoch"] == best, "cells": [_cell(key, row.get(key)) for key in columns]}
            for row in files.epochs]
    return {"columns": [COLUMNS[key] for key in columns], "epochs": rows}


def _cell(key, value):
    if value is None:
        return ""
    if key in ("epoch", "seconds", "images_per_second"):
        return f"{value:.0f}"
    return f"{value:.3g}" if key == "lr" else f"{value:.4f}"
