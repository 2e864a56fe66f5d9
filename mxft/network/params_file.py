"""A ``.params`` file, followed from length to length and checked against what a network holds before MXNet reads it.

``mx.nd.load`` (src/ndarray/ndarray.cc) allocates what a shape asks for and reads afterwards, gives two arrays of one
name as the last of them, and an array without numbers as one that ends the process when it is used. Files of every
release are read: arrays of 2015 (32-bit shapes), version 1, 2, and 3 (NumPy's shapes).
"""
import dataclasses
import os
import struct

from mxft.compat import mx
from mxft.wording import is_plain

LONGEST_NAME = 1024
_LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MOST_DIMENSIONS = 32
_ITEM_BYTES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}  # mshadow's type flags; 12 is bfloat16
_STORAGE = {-1: "dense", 0: "dense", 1: "row_sparse", 2: "csr"}
_AUXILIARY = {"dense": 0, "row_sparse": 1, "csr": 2}  # arrays of indices beside the values
_DEVICES = (1, 2, 3, 5)  # CPU, GPU, pinned, shared: where an array was when it was saved


class DamagedFile(ValueError):
    """A file whose lengths do not add up: cut short, changed on the way, or something else than parameters."""


def read_arrays(path):
    """Read a ``.params`` file that `check_params_file` lets pass.

    Parameters
    ----------
    path : str

    Returns
    -------
    dict of str to mx.nd.NDArray, or list of mx.nd.NDArray
        As ``mx.nd.load`` gives them; a list where they were saved without names.

    Raises
    ------
    DamagedFile, ValueError
        As `check_params_file`.
    mxnet.base.MXNetError
        MXNet cannot read it all the same.

    Examples
    --------
    >>> mx.nd.save("net-0000.params", {"arg:fc1_bias": mx.nd.zeros((10,))})
    >>> read_arrays("net-0000.params")["arg:fc1_bias"].shape
    (10,)
    """
    with mx.util.np_shape(check_params_file(path)):
        return mx.nd.load(path)


def check_params_file(path):
    """Refuse a file that is not whole, or holds other things than a network's parameters.

    Parameters
    ----------
    path : str
        As ``mx.nd.save`` of any MXNet writes it, with or without names.

    Returns
    -------
    bool
        Whether it was saved with NumPy's shapes (``npx.set_np()``), without which MXNet will not read it.

    Raises
    ------
    DamagedFile
        Its lengths do not add up to its size.
    ValueError
        A sparse array, one without numbers, two of one name, or a name that is none.

    Notes
    -----
    It reads the headers and passes over the numbers, which may be NaN.

    Examples
    --------
    >>> mx.nd.save("net-0000.params", {"arg:fc1_bias": mx.nd.zeros((10,))})
    >>> check_params_file("net-0000.params")
    False
    """
    with open(path, "rb") as f:
        arrays, names, _ = _headers(_Reader(f, os.path.getsize(path)))
    _check_names(names)
    for number, array in enumerate(arrays):
        _check_array(array, repr(names[number]) if names else f"array {number}")
    versions = {array.magic == _V3 for array in arrays}
    if len(versions) > 1:
        raise DamagedFile("arrays with NumPy's shapes beside arrays without")
    return True in versions


def array_spans(path):
    """Return ``(names, spans)``: where each array of a ``.params`` file begins and ends, header and numbers.

    Parameters
    ----------
    path : str

    Returns
    -------
    names : list of str
        Empty where they were saved without names.
    spans : list of (int, int)
        In bytes; what is before the first and behind the last span are the file's header and its names.

    Raises
    ------
    DamagedFile
        Its lengths do not add up to its size.
    """
    with open(path, "rb") as f:
        _, names, spans = _headers(_Reader(f, os.path.getsize(path)))
    return names, spans


@dataclasses.dataclass(frozen=True)
class _Array:
    """A header: the version's mark, the storage, and a shape, None where it was not known."""

    magic: int
    storage: str
    shape: tuple


def _headers(reader):
    """Return (arrays, names, spans) of a file that ends behind its names."""
    magic, _, count = reader.numbers("<QQQ")
    if magic != _LIST_MAGIC:
        raise DamagedFile(f"0x{_LIST_MAGIC:x} expected in the beginning, 0x{magic:x} found")
    arrays, spans = [], []
    for number in range(reader.possible(count, 4, "arrays")):
        try:
            begin = reader.size - reader.left
            arrays.append(_pass_array(reader))
            spans.append((begin, reader.size - reader.left))
        except DamagedFile as error:
            raise DamagedFile(f"array {number} of {count}: {error}") from None
    names, = reader.numbers("<Q")
    if names not in (0, count):
        raise DamagedFile(f"{count} names expected, one for each array, or none, {names} found")
    names = [reader.text() for _ in range(reader.possible(names, 8, "names"))]
    if reader.left:
        raise DamagedFile(f"the end expected behind the last name, {reader.left} bytes found")
    return arrays, names, spans


def _check_names(names):
    seen = set()
    for name in names:
        if name in ("", "arg:", "aux:"):
            raise ValueError(f"expected a name for each array, received {name!r}")
        if len(name) > LONGEST_NAME or not is_plain(name):
            shown = name if len(name) < 80 else name[:80] + " …"
            raise ValueError(f"expected names of at most {LONGEST_NAME} characters, none of them a control character, "
                             f"received {shown!r}")
        if name in seen:
            raise ValueError(f"expected a name of its own for each array, received {name!r} twice")
        seen.add(name)


def _check_array(array, name):
    if array.storage != "dense":
        raise ValueError(f"expected dense arrays, received {name} in {array.storage} storage; save it with "
                         "value.tostype('default')")
    if not array.shape or 0 in array.shape:
        shape = "no shape" if array.shape is None else f"shape {array.shape}"
        raise ValueError(f"expected numbers in every array, received {name} with {shape}: it was saved before it was "
                         "filled; run the network once before it is saved")


class _Reader:
    """A file that is passed over, and never behind its end."""

    def __init__(self, file, size):
        self._file, self.size, self.left = file, size, size

    def numbers(self, form):
        length = struct.calcsize(form)
        self._take(length)
        return struct.unpack(form, self._file.read(length))

    def skip(self, length):
        self._take(length)
        self._file.seek(length, os.SEEK_CUR)

    def text(self):
        length, = self.numbers("<Q")
        self._take(length)
        try:
            return self._file.read(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DamagedFile(f"a name is no UTF-8 text ({error.reason})") from None

    def possible(self, count, least, what):
        if count * least > self.left:
            raise DamagedFile(f"{count} {what} announced, {self.left} bytes left")
        return count

    def _take(self, length):
        if length > self.left:
            raise DamagedFile(f"{length} bytes announced, {self.left} left")
        self.left -= length


def _pass_array(reader):
    """Pass over one array of any of the four versions; return its header."""
    magic, = reader.numbers("<I")
    if magic not in (_V1, _V2, _V3):  # of before 2016: the number of dimensions stands here
        shape = _dimensions(reader, magic, "I")
        return _pass_numbers(reader, _Array(magic, "dense", shape)) if shape else _Array(magic, "dense", None)
    code = reader.numbers("<i")[0] if magic != _V1 else 0
    if code not in _STORAGE:
        raise DamagedFile(f"unknown storage type {code}")
    storage = _STORAGE[code]
    stored = _shape(reader) if _AUXILIARY[storage] else None
    shape = _shape(reader)
    if shape is None or (not shape and magic != _V3):
        return _Array(magic, storage, None)  # an array that was never filled ends here
    return _pass_numbers(reader, _Array(magic, storage, shape), stored)


def _shape(reader):
    count, = reader.numbers("<i")
    return None if count == -1 else _dimensions(reader, count, "q")


def _dimensions(reader, count, form):
    if not 0 <= count <= _MOST_DIMENSIONS:
        raise DamagedFile(f"{count} dimensions, where at most {_MOST_DIMENSIONS} are possible")
    return reader.numbers(f"<{count}{form}")


def _pass_numbers(reader, array, stored=None):
    """Pass over device, type and numbers of an array, and over its arrays of indices; return the header."""
    device, _, kind = reader.numbers("<iii")
    if device not in _DEVICES:
        raise DamagedFile(f"unknown device {device}")
    parts = [(kind, array.shape if stored is None else stored)]
    for _ in range(_AUXILIARY[array.storage]):
        kind, = reader.numbers("<i")
        parts.append((kind, _shape(reader) or ()))
    for kind, lengths in parts:
        if kind not in _ITEM_BYTES:
            raise DamagedFile(f"unknown type of numbers {kind}")
        size = _ITEM_BYTES[kind]
        for length in lengths:
            if length < 0:
                raise DamagedFile(f"a shape of {tuple(lengths)}")
            size *= length
        reader.skip(size)
    return array
