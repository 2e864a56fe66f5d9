"""Write a feature file as its rows come: memory stays flat, and the file appears whole or not at all.

The formats are NumPy's (numpy/lib/format.py, header version 1.0; a ``.npz`` is a zip archive of such files).
"""
import contextlib
import json
import os
import shutil
import zipfile

import numpy as np

from mxft.data.classes import write_classes
from mxft.errors import InputError, RunError
from mxft.features.files import check_feature_path, side_paths
from mxft.features.view_file import differing
from mxft.files.staging import no_link
from mxft.files.whole import lock, require_folder, whole_file, whole_path, write_json

_HEADER = 192  # bytes kept free for the .npy header, whose row count is known at the end; a multiple of 64


class FeatureWriter:
    """Write a feature file in pieces; it appears under its name when `finish` has succeeded, whole or not at all.

    Parameters
    ----------
    path : str
        Ends in ``.npz`` or ``.npy``.
    facts : dict
        What the features depend on; JSON must hold it.
    dtype : {"float32", "float16"}
    resume : bool
        Continue after the last `commit` of an extraction with the same facts that was ended. Otherwise start again.

    Attributes
    ----------
    done : int
        Images dealt with so far.
    rows : int
        Rows committed so far.
    left_out : list of [int, str]
        Number and reason of the images that have no row.
    stale : str
        Why an earlier extraction could not be resumed; empty where it was, or where there is none.

    Raises
    ------
    InputError
        Another ending, a folder that cannot be written to, or another extraction is writing this file.
    RunError
        A feature is not finite or too large for float16.

    Notes
    -----
    Until then the rows are in ``.NAME.part`` in the same folder, with ``.NAME.part.json`` saying how far they are
    valid. Both go with `finish`, and at the end where no row was committed.

    Examples
    --------
    >>> with FeatureWriter("/tmp/mxft-example.npz", {"layer": "flatten0"}) as writer:
    ...     writer.append(np.zeros((2, 3), np.float32))
    ...     writer.commit(2)
    ...     writer.finish(["a.jpg", "b.jpg"], [0, 1], ["cat", "dog"])
    ['/tmp/mxft-example.npz']
    """

    def __init__(self, path, facts, dtype="float32", resume=False):
        check_feature_path(path)
        self.path, self.dtype = os.path.abspath(os.path.expanduser(path)), np.dtype(dtype).newbyteorder("<")
        folder, name = os.path.split(self.path)
        require_folder(folder)
        self._part, self._progress = (os.path.join(folder, f".{name}.part{end}") for end in ("", ".json"))
        self._facts = json.loads(json.dumps({**facts, "dtype": dtype}))
        self.done, self.rows, self.left_out, self._shape, self.stale = 0, 0, [], None, ""
        try:
            self._file = open(self._part, "ab", opener=no_link)  # noqa: SIM115 (__exit__ closes it)
        except OSError as error:
            raise InputError(f"feature file: expected a folder to write {self.path!r} in, received {self._part!r} "
                             f"there ({(error.strerror or str(error)).lower()}); remove it") from None
        self._lock()
        if resume:
            self._take_up()
        self._file.truncate(self._valid_bytes())
        self._pending = 0
        if not self.done:
            _unlink(self._progress)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()
        if not self.rows:
            _unlink(self._part)
            _unlink(self._progress)

    def _lock(self):
        if not lock(self._file):
            self._file.close()
            raise InputError(f"feature file: expected one extraction at a time, received {self.path!r}, which another "
                             "process is writing")

    def _take_up(self):
        """Read how far an earlier extraction came; say in `stale` why it does not count."""
        try:
            with open(self._progress, encoding="utf-8") as f:
                known = json.load(f)
            other = differing(known["facts"], self._facts)
            self.done, self.rows, self.left_out = known["done"], known["rows"], known["left_out"]
            self._shape = tuple(known["shape"]) if known["shape"] is not None else None
            if other:
                self.stale = f"it was made with other {', '.join(other)}"
            elif os.path.getsize(self._part) < self._valid_bytes():
                self.stale = "its rows are cut short"
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            self.stale = "its state cannot be read"
        if self.stale:
            self.done, self.rows, self.left_out, self._shape = 0, 0, [], None

    def _valid_bytes(self):
        return _HEADER + self.rows * self._row_bytes()

    def _row_bytes(self):
        return int(np.prod(self._shape, dtype=np.int64)) * self.dtype.itemsize if self._shape is not None else 0

    def append(self, features):
        """Add rows ``(n, …)``; they count from the next `commit` on."""
        with np.errstate(over="ignore"):
            block = np.ascontiguousarray(features, self.dtype)
        if not np.isfinite(block).all():
            received = "a number too large for it; leave `float16` out" if np.isfinite(features).all() else \
                "NaN or infinity; wrong mean or scale for this network, or damaged parameters?"
            raise RunError(f"features are not written: expected finite {self.dtype.name} numbers, received {received}")
        if self._shape is None:
            self._shape = block.shape[1:]
        self._file.write(block)
        self._pending += len(block)

    def commit(self, done, left_out=()):
        """Make what was appended last: `done` images are dealt with, of the new ones `left_out` have no row.

        Parameters
        ----------
        done : int
        left_out : iterable of (int, str)
            Number of the image, and why.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows, self.done, self._pending = self.rows + self._pending, done, 0
        self.left_out += [list(image) for image in left_out]
        write_json(self._progress, {"facts": self._facts, "done": done, "rows": self.rows, "left_out": self.left_out,
                                    "shape": self._shape})

    def finish(self, names, labels, classes=None):
        """Put everything under its final name.

        Parameters
        ----------
        names : sequence of str
        labels : sequence of float
            One for each row.
        classes : list of str, optional

        Returns
        -------
        list of str
            The files written, the features last.
        """
        if not len(names) == len(labels) == self.rows or not self.rows:
            raise RunError(f"features are not written: expected a name and a label for each of {self.rows} rows, "
                           f"received {len(names)} names and {len(labels)} labels")
        self._file.flush()
        with open(self._part, "r+b") as f:
            f.write(_npy_header((self.rows, *self._shape), self.dtype))
            f.flush()
            os.fsync(f.fileno())
        labels = np.asarray(labels, np.float32)
        write = self._finish_npz if self.path.endswith(".npz") else self._finish_npy
        written = write(list(names), labels, classes)
        _unlink(self._progress)
        self.done = self.rows = 0  # nothing is left to resume: __exit__ removes what remains
        return written

    def _finish_npz(self, names, labels, classes):
        with whole_path(self.path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
            with open(self._part, "rb") as rows, archive.open("features.npy", "w", force_zip64=True) as entry:
                shutil.copyfileobj(rows, entry, 1 << 20)
            arrays = {"labels": labels, "names": np.array(names), **({"classes": np.array(classes)} if classes else {})}
            for name, array in arrays.items():
                with archive.open(name + ".npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
        return [self.path]

    def _finish_npy(self, names, labels, classes):
        beside = side_paths(self.path)
        _unlink(self.path)  # an older file must not stand beside new labels, should the next lines be cut short
        with whole_path(beside["labels"]) as temporary, open(temporary, "wb") as f:
            np.save(f, labels)
        with whole_file(beside["names"]) as f:
            f.writelines(f"{name}\n".encode("utf-8", "surrogateescape") for name in names)
        if classes:
            write_classes(beside["classes"], classes)
        else:
            _unlink(beside["classes"])
        os.replace(self._part, self.path)
        return [path for path in beside.values() if os.path.exists(path)] + [self.path]


def _npy_header(shape, dtype):
    """Return the header of version 1.0, padded with blanks as the format allows, `_HEADER` bytes long."""
    text = repr({"descr": dtype.str, "fortran_order": False, "shape": tuple(int(n) for n in shape)})
    length = _HEADER - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode("latin1") + b"\n"


def _unlink(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
