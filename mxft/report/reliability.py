"""Whether a classifier is right as often as it says, for a page: reliability diagram and figures, before and after."""
import numpy as np

from mxft.evaluation.calibration import BINS, cross_fitted, expected_calibration_error, reliability
from mxft.evaluation.classification import cross_entropy, softmax
from mxft.report.figures import FIRST, QUIET, SECOND, draw_svg, finish, legend_below
from mxft.report.template import side_by_side
from mxft.wording import plural

BEFORE, AFTER = "without temperature", "as it is served"


def calibration_results(score, own=False):
    """Return what a template needs of a classifier's calibration.

    Parameters
    ----------
    score : mxft.evaluation.scoring.Score
    own : bool
        Whether its temperature was fitted on these very images: then each half of them is judged at the temperature
        of the other half.

    Returns
    -------
    dict
        ``note``, ``columns``, ``rows`` of text, ``plots`` (SVG).
    """
    logits = {BEFORE: score.at_temperature(1.0).logits, AFTER: score.logits}
    if own and score.temperature != 1:
        logits[AFTER] = cross_fitted(logits[BEFORE], score.labels)
    if score.temperature == 1:
        del logits[BEFORE]
    figures = {name: (cross_entropy(each, score.labels), expected_calibration_error(softmax(each), score.labels))
               for name, each in logits.items()}
    rows = [[words, *(f"{figures[name][place]:.4f}" for name in figures)]
            for place, words in enumerate(("log loss", "expected calibration error"))]
    told = {name: softmax(each) for name, each in logits.items()}
    plots = [draw_svg("right answers by confidence", lambda axes: _draw_reliability(axes, told, score.labels)),
             draw_svg("images by confidence", lambda axes: _draw_confidence(axes, told))]
    return {"note": _note(score, own), "columns": ("", *figures), "rows": rows, "plots": side_by_side(plots)}


def _note(score, own):
    note = ("Of the images that are named with a probability of 0.8 eight in ten should be right: the nearer to the "
            "diagonal, the better. ")
    if score.temperature == 1:
        return note + "These are the network's own: no temperature divides its logits."
    judged = "each half of the images is judged at the temperature fitted on the other half" if own else \
        "it was fitted on other images"
    return note + (f"As it is served, logits are divided by the temperature {score.temperature:.4g}; {judged} "
                   f"({plural(score.records, 'image')}).")


def _draw_reliability(axes, told, labels):
    """Draw the part that is right by confidence, a larger point for more images."""
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1)
    for name, probabilities in told.items():
        color, style = _style(name)
        bins = reliability(probabilities, labels)
        place, right = [one.confidence for one in bins], [one.right for one in bins]
        axes.plot(place, right, style, color=color, label=name)
        axes.scatter(place, right, s=[12 + 120 * one.images / len(labels) for one in bins], color=color, linewidths=0)
    axes.set(xlabel="probability of the class that is said", ylabel="part that is right", xlim=(0, 1.02),
             ylim=(0, 1.04))
    finish(axes)
    legend_below(axes)


def _draw_confidence(axes, told):
    """Draw how many images are said with which confidence."""
    for name, probabilities in told.items():
        color, style = _style(name)
        counts, edges = np.histogram(probabilities.max(axis=1), bins=BINS, range=(0, 1))
        axes.stairs(counts, edges, color=color, linestyle=style, label=name)
    axes.set(xlabel="probability of the class that is said", ylabel="images", xlim=(0, 1.02))
    finish(axes)
    legend_below(axes)


def _style(name):
    return (SECOND, "--") if name == BEFORE else (FIRST, "-")
