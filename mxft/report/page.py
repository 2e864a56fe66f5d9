"""report.html: one self-contained page of a run, made from its folder and its score on the validation records."""
import json
import os

from mxft.errors import InputError
from mxft.files import require_file, whole_file
from mxft.report.curves import curves_svg
from mxft.report.judgement import Judgement, data_address
from mxft.training.run import read_log

COLUMNS = {"epoch": "epoch", "train_loss": "training loss", "train_top1": "training top-1",
           "val_loss": "validation loss", "val_top1": "top-1", "val_top5": "top-5", "lr": "learning rate",
           "seconds": "seconds", "images_per_second": "images/s"}
RESULTS = ("plan", "top-1", "top-5", "loss", "best epoch", "epochs", "seconds", "trainable")


class RunFiles:
    """What lies in a run folder.

    Parameters
    ----------
    folder : str

    Raises
    ------
    InputError
        It is no run folder of ``mxft finetune``.
    """

    def __init__(self, folder):
        self.folder = os.fspath(folder)
        rows = read_log(require_file(os.path.join(self.folder, "log.jsonl"), "log of a run"))
        self.start = next((row for row in rows if row["event"] == "start"), {})
        if "recipe" not in self.start:
            raise InputError(f"run folder: expected the log of mxft finetune, received {self.folder} with "
                             f"{len(rows)} lines and no recipe in them")
        self.epochs = [row for row in rows if row["event"] == "epoch"]
        self.solved = [row for row in rows if row["event"] == "solved"]
        self.manifest = self._json("model-manifest.json")
        self.transfer = self._json("transfer.json")
        self.freeze = self._json("freeze.json")

    def _json(self, name):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    @property
    def name(self):
        return os.path.basename(os.path.abspath(self.folder))

    @property
    def best(self):
        """Metrics of the best epoch, ``{}`` where nothing was judged."""
        metrics = self.manifest.get("metrics", {})
        return metrics.get("best") or (list(metrics.values()) or [{}])[-1]

    @property
    def seconds(self):
        """Wall time of all epochs."""
        return sum(row.get("seconds", 0) for row in self.epochs)

    def result(self):
        """Return the cells of a comparison, in the order of `RESULTS`, as text."""
        recipe, best, stages = self.start["recipe"], self.best, self.freeze.get("stages", [])
        plan = recipe["plan"] + (f", {recipe['solver']}" if recipe.get("solver") else "")
        return [plan, _number(best.get("val_top1"), 4), _number(best.get("val_top5"), 4),
                _number(best.get("val_loss"), 4), str(best.get("epoch", "–")), str(len(self.epochs)),
                f"{self.seconds:.0f}",
                str(stages[-1]["trainable"] if stages else "–")]


def write_run_page(folder, score=None, records=None, path=None):
    """Write the page of a run.

    Parameters
    ----------
    folder : str
    score : mxft.evaluation.scoring.Score, optional
        Of the best checkpoint on the validation records; without it the page has no confusion matrix.
    records : str, optional
        Those records, for thumbnails.
    path : str, optional
        ``report.html`` in the folder when None.

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
    judged = _judged(files, score, records) if score is not None else {}
    best = files.best
    figures = [("top-1", _number(best.get("val_top1"), 4)), ("top-5", _number(best.get("val_top5"), 4)),
               ("cross-entropy", _number(best.get("val_loss"), 4)), ("best epoch", str(best.get("epoch", "–"))),
               ("seconds of training", f"{files.seconds:.0f}")]
    path = path or os.path.join(files.folder, "report.html")
    write_template(path, "run.html", title=files.name, summary=_summary(files, score), figures=figures,
           curves=_joined(curves_svg({"": files.epochs})) if files.epochs else "",
           transfer=_transfer(files.transfer), stages=files.freeze.get("stages", []), frozen=_frozen(files.freeze),
           **_epoch_table(files), recipe=_pretty(files.start["recipe"]),
           manifest=_pretty({key: value for key, value in files.manifest.items() if key != "metrics"}), **judged)
    return path


def write_comparison(folders, path):
    """Write a page that sets runs side by side.

    Parameters
    ----------
    folders : sequence of str
    path : str

    Returns
    -------
    str
        `path`.
    """
    runs = [RunFiles(folder) for folder in folders]
    tops = [run.best.get("val_top1", 0) for run in runs]
    labels = _labels(runs)
    rows = [{"name": label, "cells": run.result(), "best": top == max(tops), "link": _link(run, path)}
            for label, run, top in zip(labels, runs, tops)]
    recipes = [_flat(run.start["recipe"]) for run in runs]
    differences = [(key, [str(recipe.get(key, "–")) for recipe in recipes])
                   for key in dict.fromkeys(key for recipe in recipes for key in recipe)
                   if len({str(recipe.get(key)) for recipe in recipes}) > 1]
    write_template(path, "compare.html", title=f"{len(runs)} runs", summary="Best top-1 in bold.", rows=rows,
           columns=("run", *RESULTS), differences=differences,
           curves=_joined(curves_svg(dict(zip(labels, (run.epochs for run in runs))))))
    return path


def _judged(files, score, records):
    """Return what a template needs of the predictions."""
    count = score.logits.shape[1]
    names = files.manifest.get("classes") or [f"class {number}" for number in range(count)]
    judgement = Judgement(score, names)
    right, wrong = judgement.extremes()
    pictures = []
    if records:
        pictures = [("Worst: least probability for the truth", judgement.cards(wrong, records)),
                    ("Best: most probability for the truth", judgement.cards(right, records))]
    return {"mistakes": judgement.mistakes() or [("–", "–", 0, 0)], "recalls": judgement.recalls(), "classes": count,
            "matrix": data_address(judgement.matrix_png(), "image/png"), "pictures": pictures,
            "matrix_names": _script_json(names), "matrix_counts": _script_json(judgement.counts())}


def _summary(files, score):
    parent, recipe = files.manifest.get("parent") or {}, files.start["recipe"]
    judged = f", judged on {score.records:,} images" if score is not None else ""
    head = files.manifest.get("head") or {}
    solved = "".join(f", head solved ({row['solver']}, penalty {row['regularisation']:g})" for row in files.solved)
    return (f"{parent.get('model', files.start.get('model'))} to {head.get('num_classes', '?')} classes, plan "
            f"{recipe['plan']}{solved}, seed {recipe['seed']}, on {', '.join(files.start.get('devices', []))}{judged}")


def _transfer(report):
    counts = report.get("counts", {})
    return {"text": ", ".join(f"{count} {what}" for what, count in counts.items()) or "No report.",
            "rows": [row for row in report.get("parameters", []) if row["status"] != "loaded"]}


def _frozen(freeze):
    count = freeze.get("frozen")
    return f"{count} arrays are bit for bit what they were before training." if count else "Nothing was frozen."


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


def _labels(runs):
    """Return names that tell the runs apart: the folder's, with its parent's where two are called the same."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else os.path.join(os.path.basename(os.path.dirname(
        os.path.abspath(run.folder))), name) for name, run in zip(names, runs)]


def _link(run, path):
    page = os.path.join(run.folder, "report.html")
    return os.path.relpath(page, os.path.dirname(os.path.abspath(path))) if os.path.exists(page) else None


def _flat(recipe, prefix=""):
    found = {}
    for key, value in recipe.items():
        found.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def _number(value, digits):
    return "–" if value is None else f"{value:.{digits}f}"


def _joined(pictures):
    from markupsafe import Markup

    return Markup(f'<div class="two">{"".join(pictures)}</div>')


def _pretty(value):
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def _script_json(value):
    """Return JSON that can stand in a script of a page, whatever names are in it."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def write_template(path, template, **values):
    """Write one of the package's templates, filled in, whole or not at all."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def recall_row(name, recall, count):
        return Markup(f'<tr><td class="name">{escape(name)}</td><td><span class="bar"><i style="width:{recall:.1%}">'
                      f"</i></span> {recall:.2f}</td><td class=\"n\">{count}</td></tr>")

    environment = Environment(loader=PackageLoader("mxft.report"), autoescape=True, undefined=StrictUndefined)
    defaults = {"mistakes": [], "pictures": [], "matrix_names": "", "recall_row": recall_row}
    page = environment.get_template(template).render(**{**defaults, **values})
    with whole_file(path, "w") as f:
        f.write(page)
