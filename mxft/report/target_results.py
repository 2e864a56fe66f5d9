"""What a network does with each label or number of its validation records, for a page: a table, curves and images."""
import dataclasses

from mxft.data.target_spec import MULTI_LABEL, manifest_target
from mxft.data.thumbnails import thumbnails_of
from mxft.evaluation.multi_label import MultiLabelScore
from mxft.report.figures import FIRST, QUIET, draw_svg, finish, plain
from mxft.report.template import side_by_side

MOST_PLOTS = 12  # of numbers: true against said


def target_results(score, manifest, thresholds=None, records=None):
    """Return what a template needs of predicted labels or numbers.

    Parameters
    ----------
    score : mxft.evaluation.multi_label.MultiLabelScore or mxft.evaluation.regression.RegressionScore
    manifest : dict
    thresholds : sequence of float, optional
        Of labels, as they were chosen.
    records : str, optional
        The validation records, for thumbnails.

    Returns
    -------
    dict
        ``note``, ``columns``, ``rows`` of text, ``plots`` (SVG) and ``pictures``, (heading, cards).
    """
    names = manifest_target(manifest).output_names
    if isinstance(score, MultiLabelScore):
        score = dataclasses.replace(score, thresholds=None if thresholds is None else tuple(thresholds))
    rows = [[name, *map(_cell, cells)] for name, *cells in score.report(names)]
    judge = _Labels if manifest_target(manifest).kind == MULTI_LABEL else _Numbers
    judged = judge(score, names)
    return {"note": judged.note, "columns": score.columns, "rows": rows, "plots": side_by_side(judged.plots()),
            "pictures": judged.pictures(records) if records else []}


target_judgement = target_results  # its name in 0.1.0


def _cell(value):
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


class _Labels:
    """Labels said and true of each image."""

    note = ("A label is predicted from its threshold on: the one with the highest F1 on these very images, so that "
            "precision, recall and F1 are flattered; AP does not depend on it.")

    def __init__(self, score, names):
        self._score, self._names = score, names

    def plots(self):
        """Return no picture."""
        return []

    def pictures(self, records, count=12):
        """Return the images whose labels were told worst, by cross-entropy."""
        return [("Worst: least probability of the true labels", cards_of(
            records, self._score.worst_records(count), lambda number: self._score.told(number, self._names)))]


class _Numbers:
    """Numbers said and true of each image."""

    note = "MAE is the mean absolute error in the number's own unit; R2 is 1 for perfect and 0 for always the mean."

    def __init__(self, score, names):
        self._score, self._names = score, names

    def plots(self):
        """Return a picture of true against said for each of the first numbers."""
        return [draw_svg(f"{name}: predicted by true", self._scatter(number))
                for number, name in enumerate(self._names[:MOST_PLOTS])]

    def _scatter(self, number):
        true, said = self._score.labels[:, number], self._score.values[:, number]

        def draw(axes):
            ends = [min(true.min(), said.min()), max(true.max(), said.max())]
            axes.plot(ends, ends, color=QUIET, linewidth=1)
            axes.scatter(true, said, s=12, color=FIRST, alpha=0.7, linewidths=0)
            axes.set(xlabel=plain(f"{self._names[number]}, true"), ylabel="said")
            finish(axes)
        return draw

    def pictures(self, records, count=12):
        """Return the images whose numbers are farthest off, in standard deviations."""
        return [("Farthest off", cards_of(
            records, self._score.worst_records(count), lambda number: self._score.told(number, self._names)))]


def cards_of(records, numbers, told):
    """Return a card for each record: thumbnail, number and what ``told(number)`` says of it.

    Parameters
    ----------
    records : str
    numbers : sequence of int
    told : callable

    Returns
    -------
    list of dict
    """
    images = thumbnails_of(records, numbers)
    return [{"image": images.get(int(number)), "record": int(number), **told(int(number))} for number in numbers]
