"""CALFW's and CPLFW's lists: two lines a pair, each an image and a number, 0 for two persons.

Zheng, Deng and Hu, "Cross-Age LFW" (arXiv:1708.08197); Zheng and Deng, "Cross-Pose LFW" (2018). ``pairs_CALFW.txt`` has
its 3,000 same pairs first, numbered by fold from 1 to 10, then 3,000 different ones, all numbered 0.
"""
import os
import re

import numpy as np

from mxft.data.text_rows import is_number, text_rows
from mxft.errors import InputError
from mxft.faces.pairs.lists import SUFFIXES, PairRow, find_image

FOLDS = 10


def is_two_lines(lines):
    """Whether the first lines of a list are an image and a number each.

    Examples
    --------
    >>> is_two_lines(["Ann_Li_0001.jpg 1", "Ann_Li_0003.jpg 1"]), is_two_lines(["a/1.jpg b/2.jpg 0"] * 2)
    (True, False)
    """
    words = [line.split("\t") if "\t" in line else line.split() for line in lines[:2]]
    return len(words) == 2 and all(len(row) == 2 and row[0].strip().lower().endswith(SUFFIXES)
                                   and is_number(row[1].strip()) for row in words)


def read_two_lines(path, root):
    """Read a list of two lines a pair.

    Parameters
    ----------
    path : str
        Lines of ``image number``, both lines of a pair with the same number.
    root : str
        The folder of the images; one a person within it is fine.

    Returns
    -------
    list of PairRow
        In the order of the list; or, where that has all same pairs before all different ones, dealt out to ten folds of
        both kinds. The number of a row is that of its first line.

    Raises
    ------
    InputError
        A bad line, two numbers in one pair, half a pair, or a missing image, with line and text.
    """
    lines = [(number, line, *_words(path, number, line)) for number, line in text_rows(path, "list of pairs")]
    if not lines:
        raise InputError(f"list of pairs is empty: expected at least one pair, received {path} with none")
    if len(lines) % 2:
        raise InputError(f"list of pairs is not whole: expected two lines a pair, received {len(lines)} lines in "
                         f"{path}")
    rows = []
    for first, second in zip(lines[::2], lines[1::2]):
        if first[3] != second[3]:
            raise InputError(f"bad row in {path}, line {second[0]}: expected number {first[3]}, as the first image of "
                             f"the pair has, received {second[1]!r}")
        files = tuple(find_image(path, root, number, line, image, os.path.join(_person(image), image))
                      for number, line, image, _ in (first, second))
        rows.append(PairRow(first[0], files, first[3] != 0))
    return dealt_out(rows)


def _words(path, number, line):
    words = line.rsplit(None, 1)
    if len(words) != 2 or not is_number(words[1]):
        raise InputError(f"bad row in {path}, line {number}: expected image number, received {line!r}")
    return words[0], int(words[1])


def _person(image):
    """Return the name in ``Ann_Li_0001.jpg``."""
    return re.sub(r"_\d+$", "", os.path.splitext(os.path.basename(image))[0])


def dealt_out(rows, folds=FOLDS):
    """Return pairs in the order of folds with both kinds in each, where they stand in two blocks, one of each kind.

    Parameters
    ----------
    rows : list of PairRow
    folds : int

    Returns
    -------
    list of PairRow
        As they came, where both kinds are mixed or too few.

    Notes
    -----
    Contiguous folds of such a list would hold one kind only, and their accuracy would mean nothing.
    """
    same = np.array([row.same for row in rows])
    change = np.flatnonzero(np.diff(same)) + 1
    if len(change) != 1 or min(change[0], len(rows) - change[0]) < folds:
        return rows
    blocks = [np.array_split(np.arange(*block), folds) for block in ((0, change[0]), (change[0], len(rows)))]
    return [rows[place] for fold in zip(*blocks) for part in fold for place in part]
