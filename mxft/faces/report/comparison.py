"""Face runs side by side: what `mxft.report.comparison` shows of them."""
import json

from mxft.faces.report.face_curves import face_curves_svg
from mxft.report.comparison import Comparison
from mxft.wording import duration, number

FAR = "0.001"  # at which the true accept rate is compared


def compare_face_runs(runs):
    """Return the Comparison of face runs; they are best by the mean accuracy of their verification sets.

    Parameters
    ----------
    runs : list of mxft.faces.report.run_files.FaceRunFiles
    """
    columns, cells, scores = _face_results(runs)
    summary = "Best verification in bold."
    if not _same_sets(runs):
        summary = "Verified on different sets, or sets of different pairs: none is marked as the best."
        scores = [None] * len(runs)
    return Comparison(columns, cells, scores, summary, [_face_settings(run) for run in runs],
                      lambda labels: face_curves_svg(dict(zip(labels, runs))))


def _face_results(runs):
    """Return columns, a row of cells a run, and the score a run is best by."""
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
