"""PREFIX-report.html: one self-contained page of a face run, made from its log and the other files under its prefix."""
import dataclasses

from mxft.faces.report.face_curves import face_curves_svg
from mxft.faces.report.run_files import FaceRunFiles, face_run_prefix
from mxft.faces.report.verification_page import verification_block
from mxft.faces.training.options import FaceOptions
from mxft.report.page import transfer_facts
from mxft.report.template import asked, pretty, side_by_side, write_template
from mxft.wording import duration, number, plural, size

LINES = {"epoch": "epoch", "step": "step", "loss": "loss", "margin_correct": "accuracy with margin",
         "correct": "without margin", "target_cosine": "target cosine", "active": "triplets with a loss",
         "nearer": "nearer to the positive", "positive_distance": "distance to the positive",
         "negative_distance": "to the negative", "lr": "learning rate",
         "images_per_second": "images/s"}

_ACCURACIES = {"correct": "accuracy without margin", "nearer": "triplets nearer to the positive"}


def write_face_page(place, path=None, judged=None):
    """Write the page of a face run, finished, still going or failed.

    Parameters
    ----------
    place : str
        Prefix of its files, or their folder.
    path : str, optional
        ``PREFIX-report.html`` when None.
    judged : dict of str to Verification, optional
        Sets the best checkpoint was verified with just now, beside those of the run.

    Returns
    -------
    str
        The page's path.

    Notes
    -----
    The page holds its pictures and needs no network. ROC curves are drawn from ``PREFIX-verification.json``: of step
    0, of the best step and of the last.

    Examples
    --------
    >>> write_face_page("runs/y1/model")         # doctest: +SKIP
    'runs/y1/model-report.html'
    """
    files = FaceRunFiles(face_run_prefix(place) or place)
    curves = face_curves_svg({"": files})
    columns = [key for key in LINES if any(key in row for row in files.intervals)]
    path = path or files.file("report.html")
    write_template(path, "face_run.html", title=files.name, summary=_summary(files), trouble=_trouble(files),
                   figures=_figures(files), measured=_measured(files), curves=side_by_side(curves) if curves else "",
                   verifications=_verifications(files, judged or {}), no_verification=_no_verification(files),
                   **asked(_settings(files), dataclasses.asdict(FaceOptions())),
                   transfer=transfer_facts(files.transfer), phases=_phases(files), head=files.start.get("head", ""),
                   rates=_rates(files), spent=_spent(files), left=_left(files),
                   line_columns=[LINES[key] for key in columns],
                   lines=[[_cell(key, row.get(key)) for key in columns] for row in files.intervals],
                   manifest=pretty(files.manifest))
    return path


def _summary(files):
    start, data = files.start, files.start.get("data", {})
    begun = f"{start['model']} fine-tuned" if start.get("model") else f"{start.get('network')} from the start"
    people = f" on {plural(data['images'], 'image')} of {data['identities']:,} people" if "images" in data else ""
    return (f"{begun}{people}, {start.get('head', '').split(' (')[0]} head, seed {start['options'].get('seed')}, "
            f"{', '.join(start.get('devices', []))}")


def _settings(files):
    """Return what the run was asked, by the names of the flags."""
    start = files.start
    return {"pretrained": start.get("model"), "network": start.get("network"), "head": start.get("head"),
            "data": start.get("data", {}).get("path"), "prefix": files.prefix, **start["options"]}


def _trouble(files):
    """Return why the run is not whole, or nothing."""
    if files.failed:
        return f"It failed: {files.failed}"
    if files.end.get("interrupted"):
        return f"It was interrupted at step {files.steps}."
    return "" if files.end else "The log has no end: the run is still going, or was killed."


def _figures(files):
    """Return the few numbers a person looks for first."""
    figures, best, first = [], files.checked_at(files.best.get("step")), files.checked_at(0)
    for name, row in best.items():
        change = f" ({row['accuracy'] - first[name]['accuracy']:+.5f} since step 0)" if name in first else ""
        figures.append((f"{name}, step {files.best['step']}{change}", f"{row['accuracy']:.5f}"))
    if files.intervals:
        last = files.intervals[-1]
        figures += [(f"{what}, last steps", f"{last[key]:.4f}") for key, what in _ACCURACIES.items() if key in last]
        figures.append(("loss, last steps", f"{last['loss']:.3f}"))
    return [*figures, ("steps", f"{files.steps:,}"),
            *([("time of training", duration(files.seconds))] if files.seconds else [])]


def _measured(files):
    return [f"{row['name']}: {row['before']:.4f} before, {row['after']:.4f} after." for row in files.measured]


def _verifications(files, judged):
    """Return a block for each set: step 0, the best step, the last one, and what was judged just now."""
    by_set, best = {}, files.best.get("step")
    for step, results in sorted(files.verifications().items()):
        for name, result in results.items():
            by_set.setdefault(name, {})[f"step {step}" + " (best)" * (step == best)] = result
    for name, result in judged.items():
        by_set.setdefault(name, {})["best, evaluated again"] = result
    return [verification_block(name, results, f"step {best} (best)" if f"step {best} (best)" in results else
                               list(results)[-1]) for name, results in by_set.items()]


def _no_verification(files):
    if files.checked:
        return ("The distances of the pairs are not kept beside the log; mxft report with --data-dir and --target "
                "verifies the best checkpoint again.")
    return ("Nothing was verified: there was no set. mxft report with --data-dir and --target verifies the best "
            "checkpoint on some.")


def _phases(files):
    phases = files.start.get("phases", [])
    return [("phase", "until epoch", "arrays that train", "frozen"),
            *((number, f"{phase['until']:,}", phase["trainable"], phase["frozen"])
              for number, phase in enumerate(phases, 1))] if phases else []


def _rates(files):
    options, steps = files.start["options"], files.start.get("lr_steps")
    falls = f", a tenth after steps {', '.join(f'{step:,}' for step in steps)}" if steps else ""
    return f"Learning rate {options['lr']:g}{falls}." if "lr" in options else ""


def _spent(files):
    """Return what the run took."""
    data, verified = files.start.get("data", {}), sum(row.get("seconds", 0) for row in files.checked)
    rows = [("training", duration(files.seconds) if files.seconds else "–"),
            ("images a second", number(files.images_per_second, 1))]
    if data:
        rows.append(("steps an epoch", f"{data['steps_an_epoch']:,} of {plural(data['batch_size'], 'image')}"))
    if verified:
        rows.append((f"verification, {plural(len(files.checked), 'time')}", duration(verified)))
    if files.start.get("memory"):
        rows.append(("memory, estimated before", size(files.start["memory"])))
    if files.end.get("peak_memory"):
        rows.append(("memory, most the process held", size(files.end["peak_memory"])))
    return rows


def _left(files):
    metrics = files.manifest.get("metrics", {})
    steps = {f"-{epoch}.params": row.get("step") for epoch, row in metrics.items()}
    rows = []
    for name, count in files.left():
        step = next((step for ending, step in steps.items() if name.endswith(ending)), None)
        rows.append((f"{name}, of step {step}" if step is not None else name, size(count)))
    return rows


def _cell(key, value):
    if value is None:
        return ""
    if key in ("epoch", "step"):
        return f"{value:,}"
    return f"{value:.3g}" if key == "lr" else f"{value:.1f}" if key == "images_per_second" else f"{value:.4f}"
