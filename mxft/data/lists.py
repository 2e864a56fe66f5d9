"""Rows of an image list (``.lst``): read, check, shuffle, cut and write; follows tools/im2rec.py of MXNet 1.9.1."""
import math
import random
from array import array
from collections import namedtuple

import numpy as np

from mxft.errors import InputError
from mxft.files.whole import require_file, whole_file

Row = namedtuple("Row", ["index", "labels", "path"])
Row.__doc__ = """One line of a list: int `index`, tuple of float `labels`, `path` relative to the image folder."""

UPSTREAM_SEED = 100


def iter_list(path):
    """Yield the rows of a list one by one.

    Parameters
    ----------
    path : str
        Lines of ``index<tab>label[<tab>label…]<tab>path``, in UTF-8 or, with its byte order mark, UTF-16. Blank lines
        are passed over. A path keeps the blanks it begins with: a file's name may.

    Yields
    ------
    Row

    Raises
    ------
    InputError
        At the first bad row, with file, line and content. (Upstream prints it and continues without the image.)
    """
    with open(require_file(path, "image list"), "rb") as f:
        coding = coding_of(f.read(2))
    # surrogateescape: a file name that is not UTF-8 is found again under the very bytes the list holds
    with open(path, encoding=coding, errors="strict" if coding == "utf-16" else "surrogateescape") as f:
        try:
            for number, line in enumerate(f, 1):
                if line.strip():
                    yield _row(path, number, line)
        except UnicodeError:
            raise InputError(f"image list cannot be read: expected text in UTF-8, received {path}, which begins as "
                             "UTF-16 does and continues otherwise; save it as UTF-8") from None


def coding_of(data):
    """Return the coding of a text by its first bytes: UTF-16 with its byte order mark, else UTF-8 with or without."""
    return "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _row(path, number, line):
    fields = line.rstrip().split("\t")
    try:
        if len(fields) < 3 or not fields[-1].strip():
            raise ValueError
        row = Row(int(fields[0]), tuple(map(float, fields[1:-1])), fields[-1])
        if not 0 <= row.index < 1 << 64 or not all(map(math.isfinite, row.labels)):
            raise ValueError
        return row
    except ValueError:
        raise InputError(f"bad row in {path}, line {number}: expected index<tab>label<tab>path with index from 0 up "
                         f"and finite labels, received {line.rstrip()!r}") from None


def check_list(path):
    """Read a list through and return its number of rows, before anything is packed from it.

    Raises
    ------
    InputError
        A bad row, no rows at all, or an index used twice: the ``.idx`` file could find only one of the two.
    """
    indices = array("Q", (row.index for row in iter_list(path)))
    if not indices:
        raise InputError(f"image list is empty: expected at least one row, received {path} with none; "
                         "mxft im2rec --list --recursive PREFIX ROOT makes one")
    values, counts = np.unique(np.frombuffer(indices, np.uint64), return_counts=True)
    if counts.max() > 1:
        twice = int(values[counts > 1][0])
        paths = [row.path for row in iter_list(path) if row.index == twice]
        raise InputError(f"index used twice in {path}: expected each index once, received index={twice} for "
                         f"{paths[0]} and {paths[1]}; number the rows again or pack the lists apart")
    return len(indices)


def read_list(path):
    """Return all rows of a list; `iter_list` does the same without holding them.

    Examples
    --------
    >>> write_list("/tmp/mxft-example.lst", [Row(0, (1.0,), "cat/1.jpg")])
    >>> read_list("/tmp/mxft-example.lst")
    [Row(index=0, labels=(1.0,), path='cat/1.jpg')]
    """
    check_list(path)
    return list(iter_list(path))


def write_list(path, rows):
    """Write rows as upstream does (labels with six decimals, or as many as they need), whole or not at all.

    Parameters
    ----------
    path : str
    rows : iterable of Row

    Raises
    ------
    InputError
        An image path with a tab or a line end in it, which the format cannot hold.
    """
    with whole_file(path) as f:
        for row in rows:
            if any(mark in row.path for mark in "\t\n\r"):
                raise InputError(f"file name does not fit a list: expected no tab or line end, received {row.path!r}; "
                                 "rename the file")
            labels = "".join(f"{_as_text(label)}\t" for label in row.labels)
            f.write(f"{row.index}\t{labels}{row.path}\n".encode("utf-8", "surrogateescape"))


def _as_text(label):
    """Return six decimals as upstream's, or Python's shortest text where they are another number."""
    text = f"{label:f}"
    return text if float(text) == label else repr(float(label))


def shuffle(rows, seed=UPSTREAM_SEED):
    """Return `rows` shuffled as upstream's ``random.seed(100); random.shuffle`` shuffles them."""
    rows = list(rows)
    random.Random(seed).shuffle(rows)
    return rows


def cut(rows, chunks=1, train_ratio=1.0, test_ratio=0.0):
    """Cut rows into the lists upstream would write.

    Parameters
    ----------
    rows : sequence of Row
    chunks : int
        Number of pieces of equal size (the last may be shorter).
    train_ratio, test_ratio : float
        Parts of each chunk; validation is what they leave.

    Returns
    -------
    dict of str to list of Row
        Keyed by what upstream adds to the prefix: ``""``, ``"_train"``, ``"_val"``, ``"_test"``, ``"_0"``,
        ``"_0_train"`` …

    Raises
    ------
    InputError
        Ratios that are not parts of one whole, or a list that would be empty.

    Examples
    --------
    >>> {name: len(part) for name, part in cut(range(10), train_ratio=0.6).items()}
    {'_val': 4, '_train': 6}
    """
    _check_parts(chunks, train_ratio, test_ratio)
    size = -(-len(rows) // chunks)
    pieces = {}
    for i in range(chunks):
        name = f"_{i}" if chunks > 1 else ""
        piece = rows[i * size:(i + 1) * size]
        if train_ratio == 1:
            pieces[name] = piece
            continue
        test, train = int(size * test_ratio), int(size * train_ratio)
        if test_ratio:
            pieces[name + "_test"] = piece[:test]
        if train_ratio + test_ratio < 1:
            pieces[name + "_val"] = piece[test + train:]
        pieces[name + "_train"] = piece[test:test + train]
    for name, piece in pieces.items():
        if not len(piece):
            raise InputError(f"too few images to cut: expected at least one for each list, received {len(rows)} images "
                             f"of which none is left for PREFIX{name}.lst; lower `chunks` or change the ratios")
    return pieces


def _check_parts(chunks, train_ratio, test_ratio):
    if chunks < 1:
        raise InputError(f"cannot cut the list: expected `chunks` of 1 or more, received chunks={chunks}")
    if not (0 < train_ratio <= 1 and 0 <= test_ratio < 1 and train_ratio + test_ratio <= 1 + 1e-9):
        raise InputError("cannot cut the list: expected 0 < `train_ratio` <= 1, `test_ratio` >= 0 and a sum of at most "
                         f"1, received train_ratio={train_ratio:g} test_ratio={test_ratio:g}")
