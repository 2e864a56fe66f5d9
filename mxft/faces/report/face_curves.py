"""Curves of face runs over their steps: loss, accuracy, target cosine, learning rate, and verification."""
import numpy as np

from mxft.report.figures import draw_svg, finish, legend_below, plain

PICTURES = {"loss": {"loss": ""}, "accuracy": {"correct": "without margin", "margin_correct": "with margin"},
            "target cosine": {"target_cosine": ""},
            "part of the triplets": {"nearer": "nearer to the positive", "active": "with a loss"},
            "distance in triplets": {"positive_distance": "to the positive", "negative_distance": "to the negative"},
            "learning rate": {"lr": ""}}
MOST_POINTS = 400  # a curve: a long run has thousands of lines in its log
_STYLES = {"margin_correct": "--", "active": "--", "negative_distance": "--"}


def face_curves_svg(runs):
    """Draw the curves of face runs.

    Parameters
    ----------
    runs : dict of str to mxft.faces.report.run_files.FaceRunFiles
        By label; one run alone gets a colour a curve, several get a colour a run.

    Returns
    -------
    list of str
        ``<svg …>`` elements: verification first, where there was one; none where nothing was logged.
    """
    pictures = []
    for name in dict.fromkeys(name for run in runs.values() for row in run.checked for name in row["targets"]):
        pictures.append(draw_svg(f"verification accuracy on {name} by step", _verification(runs, name)))
    for name, curves in PICTURES.items():
        if any(key in row for run in runs.values() for row in run.intervals for key in curves):
            pictures.append(draw_svg(f"{name} by step", _quantity(runs, name, curves)))
    return pictures


def _verification(runs, name):
    """Return what draws one set's accuracy by step, of a run alone with the deviation over its folds."""
    def draw(axes):
        for label, run in runs.items():
            rows = [(row["step"], row["targets"][name]) for row in run.checked if name in row["targets"]]
            if rows:
                deviations = [row["std"] for _, row in rows] if len(runs) == 1 else None
                axes.errorbar([step for step, _ in rows], [row["accuracy"] for _, row in rows], deviations, fmt="o-",
                              markersize=4, capsize=3, elinewidth=0.8, label=plain(label))
        axes.set(ylabel=f"accuracy on {plain(name)}" + " ± over folds" * (len(runs) == 1),
                 ylim=(None, min(1.002, axes.get_ylim()[1])))
        _by_step(axes, len(runs) > 1)
    return draw


def _quantity(runs, name, curves):
    """Return what draws one quantity."""
    def draw(axes):
        highest = 0.0
        for number, (label, run) in enumerate(runs.items()):
            for place, (key, what) in enumerate(curves.items()):
                steps, values = thinned([(row["step"], row[key]) for row in run.intervals if key in row])
                highest = max([highest, *filter(np.isfinite, values)])
                axes.plot(steps, values, _STYLES.get(key, "-"), color=f"C{number if len(runs) > 1 else place}",
                          marker="o" if len(steps) <= 30 else None, markersize=3,
                          label=plain(f"{label} {what}".strip()))
        limits = {"accuracy": {"bottom": 0, "top": 1.02}, "target cosine": {"top": 1},
                  "part of the triplets": {"bottom": 0, "top": 1.02}}
        axes.set_ylim(**limits.get(name, {"bottom": 0, "top": 1.08 * highest or 1}))
        axes.set_ylabel(name if name != "loss" or _of_triplets(runs) else "cross-entropy")
        _by_step(axes, len(runs) * len(curves) > 1)
    return draw


def _of_triplets(runs):
    """Whether a run's loss is that of triplets, which is no cross-entropy."""
    return any("active" in row for run in runs.values() for row in run.intervals)


def _by_step(axes, legend):
    axes.set_xlabel("step")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if legend:
        legend_below(axes)
    finish(axes)


def thinned(points, most=MOST_POINTS):
    """Return steps and values of a curve, means over neighbours where there are more than `most`.

    Parameters
    ----------
    points : list of (int, float)

    Returns
    -------
    tuple of list

    Examples
    --------
    >>> thinned([(1, 1.0), (2, 3.0), (3, 5.0), (4, 5.0)], most=2)
    ([2, 4], [2.0, 5.0])
    """
    parts = np.array_split(np.arange(len(points)), min(most, len(points))) if points else []
    return ([points[part[-1]][0] for part in parts],
            [float(np.mean([points[i][1] for i in part])) for part in parts])
