"""YouTube Faces' list of pairs of videos, of which frames are compared: a ``.bin`` holds images.

Wolf, Hassner and Maoz, "Face Recognition in Unconstrained Videos with Matched Background Similarity" (CVPR 2011);
``splits.txt`` as insightface's ``src/eval/ytf.py`` reads it.
"""
import os
import re

from mxft.data.text_rows import is_number, text_rows
from mxft.errors import InputError, MissingFileError, nearest
from mxft.faces.pairs.lists import SUFFIXES, PairRow


def is_splits(lines):
    """Whether the first lines of a list are YouTube Faces'.

    Examples
    --------
    >>> is_splits(["split number, pair number, first name, second name, is same", "1, 1, Ann_Li/0, Ann_Li/3, 1"])
    True
    """
    return bool(lines) and (lines[0].lower().startswith("split") or _words(lines[0]) is not None)


def _words(line):
    """Return (video, video, same) of a row, None where it is none."""
    words = [word.strip() for word in line.split(",")]
    if len(words) != 5 or not all(map(is_number, words[:2])) or not all(words[2:4]) or words[4] not in ("0", "1"):
        return None
    return words[2], words[3], words[4] == "1"


def read_video_pairs(path, root, frames=1):
    """Read pairs of videos as pairs of their frames.

    Parameters
    ----------
    path : str
        Rows of ``split, pair, name/video, name/video, 0|1``, below a row of column names or none.
    root : str
        The folder of ``name/video/*.jpg``, aligned.
    frames : int
        So many pairs of frames for each pair of videos: those in the middle of so many equal parts of each video, the
        first of one with the first of the other. 1 compares the middle frames.

    Returns
    -------
    list of PairRow
        In the order of the list, so that folds stay whole.

    Raises
    ------
    InputError
        A bad row, or a video without frames, with line and text.

    Notes
    -----
    What is published for YouTube Faces compares the mean embedding of all frames of a video. Pairs of frames are
    harder; ``mxft ijb`` with a video a template compares the means.
    """
    rows, videos = [], {}
    for number, line in text_rows(path, "list of pairs"):
        if not rows and line.lower().startswith("split"):
            continue
        words = _words(line)
        if words is None:
            raise InputError(f"bad row in {path}, line {number}: expected split, pair, name/video, name/video, 0|1, "
                             f"received {line!r}")
        for video in words[:2]:
            if video not in videos:
                videos[video] = spread(_frames(path, root, number, line, video), frames)
        rows += [PairRow(number, files, words[2]) for files in zip(*(videos[video] for video in words[:2]))]
    if not rows:
        raise InputError(f"list of pairs is empty: expected at least one pair, received {path} with none")
    return rows


def _frames(path, root, number, line, video):
    """Return the frames of a video in their order: numbers in the names count as numbers."""
    folder = os.path.join(root, *video.split("/"))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    names = [name for name in names if name.lower().endswith(SUFFIXES)]
    if not names:
        person = os.path.dirname(folder)
        near = nearest(os.path.basename(folder), sorted(os.listdir(person)) if os.path.isdir(person) else [])
        raise MissingFileError(f"video is missing: expected frames (.jpg, .png, .jpeg) in {folder}, which line "
                               f"{number} of {path} names, received {line!r}; in {person}: {near}")
    return [os.path.join(folder, name) for name in sorted(names, key=_in_order)]


def _in_order(name):
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def spread(items, count):
    """Return `count` items: the middle ones of so many equal parts.

    Examples
    --------
    >>> spread("abcdefghij", 1), spread("abcdefghij", 3), spread("ab", 4)
    (['f'], ['b', 'f', 'i'], ['a', 'a', 'b', 'b'])
    """
    return [items[(2 * part + 1) * len(items) // (2 * count)] for part in range(count)]
