"""Rows of whole numbers from a text file of millions of lines, every line checked, a few MiB at a time.

insightface's scripts read such lists with pandas, which takes a line with a number too many for the next column.
"""
from itertools import count, islice

import numpy as np

from mxft.data.text_rows import DIGITS
from mxft.errors import InputError
from mxft.files.whole import require_file

BLOCK = 1 << 22  # bytes
_BOM = b"\xef\xbb\xbf"


def iter_number_rows(path, columns, what):
    """Read lines of whole numbers, some MiB at a time.

    Parameters
    ----------
    path : str
        Numbers from 0 up, separated by blanks or tabs; any line ends; blank lines are passed over.
    columns : sequence of str
        What each number of a line is, for the message.
    what : str
        The list, for the message.

    Yields
    ------
    numpy.ndarray
        Int64 ``(n, len(columns))``, n from 1 up.

    Raises
    ------
    InputError
        No file, no rows, or a line of anything else, with its number and text.

    Examples
    --------
    >>> with open("pairs.txt", "w") as f:
    ...     _ = f.write("1 11065 1\\r\\n\\n11\\t11066 0\\n")
    >>> [rows.tolist() for rows in iter_number_rows("pairs.txt", ("template", "template", "0|1"), "list of pairs")]
    [[[1, 11065, 1], [11, 11066, 0]]]
    """
    line, found = 1, False
    with open(require_file(path, what), "rb") as f:
        for number in count():
            data = f.read(BLOCK) + f.readline()
            if not data:
                break
            data = data[len(_BOM):] if not number and data.startswith(_BOM) else data
            rows = _fast(data, len(columns))
            rows = _line_by_line(data, columns, path, line) if rows is None else rows
            line += data.count(b"\n")
            if len(rows):
                found = True
                yield rows
    if not found:
        raise InputError(f"{what} is empty: expected at least one line of {' '.join(columns)}, received {path} with "
                         "none")


def _fast(data, columns):
    """Return the rows of some lines, None where one of them is not `columns` plain numbers."""
    codes = np.frombuffer(data, np.uint8)
    digit = (codes >= ord("0")) & (codes <= ord("9"))
    ends = codes == ord("\n")
    if not (digit | ends | np.isin(codes, list(b" \t\r"))).all():
        return None
    starts = digit.copy()
    starts[1:] &= ~digit[:-1]
    before = np.cumsum(starts, dtype=np.int32)
    in_line = np.diff(np.concatenate([[0], before[ends], before[-1:]]))
    if not np.isin(in_line, (0, columns)).all():
        return None
    if not before[-1]:
        return np.empty((0, columns), np.int64)
    values = np.fromstring(data, np.int64, sep=" ")
    return values.reshape(-1, columns) if len(values) == before[-1] and values.max() < 10 ** DIGITS else None


def _line_by_line(data, columns, path, first):
    rows = []
    for number, line in enumerate(data.split(b"\n"), first):
        words = line.split()
        if words and (len(words) != len(columns) or not all(word.isdigit() and len(word) <= DIGITS for word in words)):
            raise InputError(f"bad row in {path}, line {number}: expected {' '.join(columns)}, whole numbers from 0 "
                             f"up, received {line.decode(errors='replace').strip()!r}")
        if words:
            rows.append([int(word) for word in words])
    return np.array(rows, np.int64).reshape(-1, len(columns))


def line_of_row(path, row):
    """Return the line, from 1, on which row `row` (from 0, blank lines not counted) of a list stands, and its text."""
    with open(path, "rb") as f:
        lines = ((number, line) for number, line in enumerate(f, 1) if line.strip() and line.strip() != _BOM)
        number, line = next(islice(lines, row, None))
    return number, line.decode("utf-8-sig", errors="replace").strip()
