"""Lists of image pairs: LFW's ``pairs.txt`` (vis-www.cs.umass.edu/lfw, README) and lines of ``path path 0|1``."""
import os
from collections import namedtuple

from mxft.errors import InputError, MissingFileError, nearest
from mxft.files.whole import require_file

SUFFIXES = (".jpg", ".png", ".jpeg")

PairRow = namedtuple("PairRow", ["number", "files", "same"])
PairRow.__doc__ = """One pair: line `number` from 1, the two image `files`, and whether they show the `same` person."""


def read_pair_list(path, root):
    """Read a list of pairs and find its images.

    Parameters
    ----------
    path : str
        Rows of ``name n n`` (one person), ``name n name n`` (two) with files ``name/name_0001.jpg`` (or .png, .jpeg),
        or ``path path 0|1`` with paths below `root`. Separated by tabs, or by blanks where a row has no tab. A first
        row of one or two numbers is LFW's header.
    root : str
        The folder of the images.

    Returns
    -------
    list of PairRow

    Raises
    ------
    InputError
        A malformed row or a missing image, with line number and text; no rows, or another number of them than the
        header announces.

    Examples
    --------
    >>> os.makedirs("lfw/Ann")
    >>> for name in ("lfw/Ann/Ann_0001.jpg", "lfw/Ann/Ann_0004.jpg"):
    ...     open(name, "wb").close()
    >>> with open("pairs.txt", "w") as f:
    ...     _ = f.write("Ann\\t1\\t4\\n")
    >>> read_pair_list("pairs.txt", "lfw")
    [PairRow(number=1, files=('lfw/Ann/Ann_0001.jpg', 'lfw/Ann/Ann_0004.jpg'), same=True)]
    """
    try:
        with open(require_file(path, "list of pairs"), encoding="utf-8-sig") as f:
            lines = [(number, line.rstrip("\r\n")) for number, line in enumerate(f, 1) if line.strip()]
    except UnicodeDecodeError:
        raise InputError(f"list of pairs cannot be read: expected UTF-8 text such as LFW's pairs.txt, received {path}, "
                         "which is no text") from None
    if not os.path.isdir(root):
        raise MissingFileError(f"images are missing: expected a folder, received root={root!r}")
    announced = _header(lines[0][1]) if lines else None
    rows = [_row(path, root, number, line) for number, line in lines[announced is not None:]]
    if not rows:
        raise InputError(f"list of pairs is empty: expected at least one pair, received {path} with none")
    if announced not in (None, len(rows)):
        raise InputError(f"list of pairs is not whole: expected {announced} pairs, as its first line "
                         f"{lines[0][1]!r} announces, received {len(rows)} in {path}; copy it again, or delete that "
                         "line")
    return rows


def _header(line):
    """Return the number of pairs ``folds<tab>n`` or ``n`` announces, n of either kind; None for a pair."""
    words = line.split()
    if len(words) > 2 or not all(word.isdecimal() for word in words):
        return None
    folds, pairs = map(int, ("1", *words)[-2:])
    return 2 * folds * pairs


def _row(path, root, number, line):
    words = [word.strip() for word in (line.split("\t") if "\t" in line else line.split())]
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        named, same = ((words[0], words[1]), (words[0], words[2])), True
    elif len(words) == 4 and words[1].isdecimal() and words[3].isdecimal():
        named, same = ((words[0], words[1]), (words[2], words[3])), False
    elif len(words) == 3 and words[0] and words[1] and words[2] in ("0", "1"):
        files = tuple(os.path.join(root, word) for word in words[:2])
        for file in files:
            if not os.path.isfile(file):
                raise _missing(path, number, line, file, os.path.dirname(file) or ".")
        return PairRow(number, files, words[2] == "1")
    else:
        raise InputError(f"bad row in {path}, line {number}: expected name<tab>number<tab>number, name<tab>number<tab>"
                         f"name<tab>number or path<tab>path<tab>0|1, received {line!r}")
    return PairRow(number, tuple(_find(path, root, number, line, *who) for who in named), same)


def _find(path, root, number, line, name, image):
    """Return the file of a person's image."""
    stem = os.path.join(root, name, f"{name}_{int(image):04d}")
    for suffix in SUFFIXES:
        if os.path.isfile(stem + suffix):
            return stem + suffix
    raise _missing(path, number, line, stem + ".jpg (or .png, .jpeg)", os.path.join(root, name))


def _missing(path, number, line, expected, folder):
    """Return the error for a missing image, with what is there instead."""
    wanted = os.path.basename(expected)
    if not os.path.isdir(folder):
        wanted, folder = os.path.basename(folder), os.path.dirname(folder)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return MissingFileError(f"image is missing: expected {expected}, which line {number} of {path} names, received "
                            f"{line!r}; in {folder}: {nearest(wanted, names)}")
