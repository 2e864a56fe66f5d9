"""Lists of image pairs: LFW's ``pairs.txt`` (vis-www.cs.umass.edu/lfw, README) and lines of ``path path 0|1``."""
import os
from collections import namedtuple

from mxft.errors import InputError, MissingFileError, nearest
from mxft.files.whole import require_file

SUFFIXES = (".jpg", ".png", ".jpeg")

PairRow = namedtuple("PairRow", ["number", "files", "same"])
PairRow.__doc__ = """One pair: line `number` from 1, the two image `files`, and whether they show the `same` person."""

_Row = namedtuple("_Row", ["number", "line", "names", "numbered", "same"])
_Row.__doc__ = """One line as it stands: its text, the names in it, and whether they are LFW's, without an ending."""


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
    rows = _read(path)
    if not os.path.isdir(root):
        raise MissingFileError(f"images are missing: expected a folder, received root={root!r}")
    return [PairRow(row.number, tuple(_find(path, root, row, name) for name in row.names), row.same) for row in rows]


def read_named_pairs(path):
    """Read a list of pairs without looking for its images.

    Parameters
    ----------
    path : str
        See `read_pair_list`.

    Returns
    -------
    list of PairRow
        With ``name/name_0001``, without an ending, or the path as it stands there.

    Raises
    ------
    InputError
        A malformed row; no rows, or another number of them than the header announces.
    """
    return [PairRow(row.number, row.names, row.same) for row in _read(path)]


def _read(path):
    """Return the `_Row`s of a list."""
    try:
        with open(require_file(path, "list of pairs"), encoding="utf-8-sig") as f:
            lines = [(number, line.rstrip("\r\n")) for number, line in enumerate(f, 1) if line.strip()]
    except UnicodeDecodeError:
        raise InputError(f"list of pairs cannot be read: expected UTF-8 text such as LFW's pairs.txt, received {path}, "
                         "which is no text") from None
    announced = _header(lines[0][1]) if lines else None
    rows = [_parsed(path, number, line) for number, line in lines[announced is not None:]]
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


def _parsed(path, number, line):
    words = [word.strip() for word in (line.split("\t") if "\t" in line else line.split())]
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        return _Row(number, line, (_stem(words[0], words[1]), _stem(words[0], words[2])), True, True)
    if len(words) == 4 and words[1].isdecimal() and words[3].isdecimal():
        return _Row(number, line, (_stem(words[0], words[1]), _stem(words[2], words[3])), True, False)
    if len(words) == 3 and words[0] and words[1] and words[2] in ("0", "1"):
        return _Row(number, line, tuple(words[:2]), False, words[2] == "1")
    raise InputError(f"bad row in {path}, line {number}: expected name<tab>number<tab>number, name<tab>number<tab>"
                     f"name<tab>number or path<tab>path<tab>0|1, received {line!r}")


def _stem(name, image):
    return f"{name}/{name}_{int(image):04d}"


def _find(path, root, row, name):
    """Return the file of an image that a row names."""
    file = os.path.join(root, name)
    for suffix in SUFFIXES if row.numbered else ("",):
        if os.path.isfile(file + suffix):
            return file + suffix
    expected = f"{file}.jpg (or .png, .jpeg)" if row.numbered else file
    raise _missing(path, row.number, row.line, expected, os.path.dirname(file) or ".")


def _missing(path, number, line, expected, folder):
    """Return the error for a missing image, with what is there instead."""
    wanted = os.path.basename(expected)
    if not os.path.isdir(folder):
        wanted, folder = os.path.basename(folder), os.path.dirname(folder)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return MissingFileError(f"image is missing: expected {expected}, which line {number} of {path} names, received "
                            f"{line!r}; in {folder}: {nearest(wanted, names)}")
