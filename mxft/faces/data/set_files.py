"""The files of a face training set, property and index: which there are and what stands in them."""
import os
import re
import shlex
import warnings
from dataclasses import dataclass
from typing import Optional

import numpy as np

from mxft.data.recordio import RecordReader, read_index
from mxft.errors import InputError, MissingFileError
from mxft.files.whole import require_file

NAMES = "identities.txt"  # a name a line; its number, from 0, is the label


@dataclass(frozen=True)
class SetFiles:
    """The files of a set: the `path` that was given, `rec`, and `idx` and `property` or None where there are none."""

    path: str
    rec: str
    idx: Optional[str]
    property: Optional[str]

    @classmethod
    def find(cls, path):
        """Return the files of a folder or of a ``.rec`` file, or refuse a folder that lacks one (MissingFileError)."""
        path = os.fspath(path)
        if os.path.isdir(path):
            files = {name: os.path.join(path, name) for name in ("property", "train.rec", "train.idx")}
            missing = [name for name, file in files.items() if not os.path.isfile(file)]
            if missing:
                raise MissingFileError(
                    f"{path} is no face training set: expected {', '.join(files)} in it, received none named "
                    f"{' and '.join(missing)}; mxft face-pack makes all three, and a plain .rec is given by its name")
            return cls(path, files["train.rec"], files["train.idx"], files["property"])
        rec = require_file(path, "face training set")
        idx = os.path.splitext(rec)[0] + ".idx"
        beside = os.path.join(os.path.dirname(rec), "property")
        return cls(path, rec, idx if os.path.isfile(idx) else None, beside if os.path.isfile(beside) else None)

    def refuse(self, what, advice=None):
        """Return the InputError that says `what` of this set."""
        return InputError(f"{self.path} cannot be trained on: {what}; {advice + ' ' if advice else ''}"
                          f"mxft inspect {shlex.quote(self.path)} shows more")


def read_property(path):
    """Return (num_classes, height, width), int, of a ``property`` file; a malformed one is refused (InputError).

    Examples
    --------
    >>> with open("/tmp/mxft-example-property", "w") as f:
    ...     _ = f.write("85742,112,112")
    >>> read_property("/tmp/mxft-example-property")
    (85742, 112, 112)
    """
    with open(require_file(path, "property file"), encoding="utf-8", errors="replace") as f:
        text = f.read(4096).strip()
    match = re.fullmatch(r"(\d+)\s*,\s*(\d+)\s*,\s*(\d+)", text, re.ASCII)
    numbers = tuple(map(int, match.groups())) if match else ()
    if not numbers or min(numbers) < 1:
        raise InputError(f"malformed {path}: expected one line num_classes,height,width like 85742,112,112, received "
                         f"{text[:60]!r}; write N,112,112 with N classes, or pack again with mxft face-pack")
    return numbers


def read_keys(source):
    """Return (keys, offsets), int64 arrays in the order of the keys, from the ``.idx`` or by a walk over the file."""
    if source.idx:
        keys, offsets = _index_columns(source.idx)
    else:
        with RecordReader(source.rec) as reader:
            offsets = np.fromiter((offset for _, offset, _ in reader.walk()), np.int64)
        keys = np.arange(len(offsets))
    if not len(keys):
        raise source.refuse(f"expected at least one record, received none in {source.idx or source.rec}")
    if (np.diff(keys) <= 0).any():
        order = np.argsort(keys, kind="stable")
        keys, offsets = keys[order], offsets[order]
        twice = np.flatnonzero(np.diff(keys) == 0)
        if len(twice):
            raise source.refuse(f"{source.idx} names {len(twice)} keys twice, the first key={keys[twice[0]]} at bytes "
                                f"{offsets[twice[0]]} and {offsets[twice[0] + 1]}: expected each once")
    return keys, offsets


def _index_columns(path):
    """Return the two columns of an ``.idx`` file; millions of rows take about a second."""
    with open(path, "rb") as f:
        text = f.read()
    rows = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    if rows == text.count(b"\t"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)
                numbers = np.fromstring(text.decode("ascii"), np.int64, sep=" ")
            if len(numbers) == 2 * rows:
                return numbers[::2].copy(), numbers[1::2].copy()
        except (DeprecationWarning, ValueError):
            pass
    index = read_index(path)  # names the bad row
    return as_column(index.keys()), as_column(index.values())


def as_column(numbers):
    """Return whole numbers of any size as int64 (N,); what does not fit becomes the nearest that does."""
    limits = np.iinfo(np.int64)
    return np.fromiter((min(max(number, limits.min), limits.max) for number in numbers), np.int64, len(numbers))


def require_all_named(source, offsets, sizes):
    """Refuse an index that leaves out records: each must end where another begins, the last at the file's end."""
    order = np.argsort(offsets)
    begins = np.append(offsets[order], os.path.getsize(source.rec))
    ends = begins[:-1] + sizes[order]
    wrong = np.flatnonzero(np.append(0, ends) != begins)
    if len(wrong):
        i = wrong[0]
        raise source.refuse(f"{source.idx} does not name all records of {source.rec}: expected one at byte "
                            f"{np.append(0, ends)[i]}, received the next at byte {begins[i]} (file or index cut short, "
                            "or of two different packings)", "without the .idx a plain .rec is read whole;")
