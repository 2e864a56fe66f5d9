"""Pictures shown to a person who has just opened them: how many of each class, and a few of them."""
import html
import os
import random

from mxft.data.target_spec import CLASSES, MULTI_LABEL
from mxft.data.thumbnails import Grid, Shown, thumbnail_of_picture
from mxft.wording import html_table

SIDE, QUALITY = 112, 75  # of a sample: small enough to be kept in a notebook's file


def overview_html(pictures):
    """Return what was found as HTML: the line that describes it, and a table of the classes, labels or numbers.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures

    Returns
    -------
    str
    """
    told = f"<p>{html.escape(pictures.describe())}</p>"
    return told + html_table(*_table(pictures)) if pictures.target else told


def _table(pictures):
    """Return the rows of the overview, and its columns."""
    target, parts = pictures.target, [pictures.rows, *([pictures.val] if pictures.val else [])]
    names = target.output_names
    counted = ["training", "validation"] if pictures.val else ["pictures"]
    if target.kind == CLASSES:
        return [(name, *(counts.get(number, 0) for counts in map(_class_counts, parts)))
                for number, name in enumerate(names)], ("class", *counted)
    if target.kind == MULTI_LABEL:
        return [(name, *(sum(row.labels[number] > 0 for row in part) for part in parts))
                for number, name in enumerate(names)], ("label", *counted)
    return [(name, *(pick([row.labels[number] for row in pictures.rows]) for pick in (min, _mean, max)))
            for number, name in enumerate(names)], ("number", "least", "mean", "most")


def _class_counts(rows):
    counts = {}
    for row in rows:
        counts[int(row.labels[0])] = counts.get(int(row.labels[0]), 0) + 1
    return counts


def _mean(values):
    return float(sum(values) / len(values))


def sample_grid(pictures, count=12, seed=0):
    """Return some pictures with their labels, of as many classes as possible.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
    count : int
        So many at most.
    seed : int
        Of the choice.

    Returns
    -------
    mxft.data.thumbnails.Grid
    """
    groups = {}
    for row in random.Random(seed).sample(pictures.rows, len(pictures.rows)):
        groups.setdefault(row.labels, []).append(row)
    of_groups = [groups[labels] for labels in sorted(groups)]
    step = max(1, len(of_groups) / count)
    spread = [of_groups[int(place * step)] for place in range(min(count, len(of_groups)))]
    rows = [group[turn] for turn in range(max(map(len, spread))) for group in spread if turn < len(group)][:count]
    return Grid([_shown(pictures, row) for row in rows], "pictures")


def _shown(pictures, row):
    path = os.path.join(pictures.root, row.path)
    return Shown(path, _label(pictures.target, row), thumbnail_of_picture(path, SIDE, QUALITY))


def _label(target, row):
    """Return a row's labels in words."""
    if target is None:
        return os.path.basename(row.path)
    if target.kind == CLASSES:
        return target.output_names[int(row.labels[0])]
    if target.kind == MULTI_LABEL:
        return ", ".join(name for name, value in zip(target.output_names, row.labels) if value > 0)
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(target.output_names, row.labels))
