"""The layout of a ``.params`` file, followed from length to length before MXNet believes them; src/ndarray/ndarray.cc.

``mx.nd.load`` allocates what a shape asks for and reads afterwards: a few damaged bytes take all the memory there is.
"""
import os
import struct

_LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MOST_DIMENSIONS = 32
_ITEM_BYTES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}  # mshadow's type flags; 12 is bfloat16
_AUXILIARY = {-1: 0, 0: 0, 1: 1, 2: 2}  # arrays of indices beside dense, row-sparse and CSR storage


def check_params_file(path):
    """Refuse (ValueError, with the reason) a file whose lengths do not add up to its size.

    Parameters
    ----------
    path : str
        As ``mx.nd.save`` of any MXNet writes it: dense or sparse arrays, with or without names.

    Notes
    -----
    It reads the headers and passes over the numbers. What is behind the last name is not looked at, as in MXNet.

    Examples
    --------
    >>> check_params_file("resnet-50-0000.params")      # doctest: +SKIP
    """
    with open(path, "rb") as f:
        reader = _Reader(f, os.path.getsize(path))
        magic, _, count = reader.numbers("<QQQ")
        if magic != _LIST_MAGIC:
            raise ValueError(f"expected 0x{_LIST_MAGIC:x} in the beginning, received 0x{magic:x}")
        for number in range(reader.possible(count, 4, "arrays")):
            try:
                _pass_array(reader)
            except ValueError as error:
                raise ValueError(f"array {number} of {count}: {error}") from None
        names, = reader.numbers("<Q")
        if names not in (0, count):
            raise ValueError(f"expected {count} names, one for each array, or none, received {names}")
        for _ in range(reader.possible(names, 8, "names")):
            reader.text()


class _Reader:
    """A file that is passed over, and never behind its end."""

    def __init__(self, file, size):
        self._file, self._left = file, size

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
            self._file.read(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"a name is no UTF-8 text ({error.reason})") from None

    def possible(self, count, least, what):
        if count * least > self._left:
            raise ValueError(f"{count} {what} announced, {self._left} bytes left")
        return count

    def _take(self, length):
        if length > self._left:
            raise ValueError(f"{length} bytes announced, {self._left} left")
        self._left -= length


def _pass_array(reader):
    """Pass over one array of any of the four versions."""
    magic, = reader.numbers("<I")
    if magic not in (_V1, _V2, _V3):  # of before 2016: the number of dimensions stands here
        _pass_dense(reader, _dimensions(reader, magic, "I"))
        return
    storage = reader.numbers("<i")[0] if magic != _V1 else 0
    if storage not in _AUXILIARY:
        raise ValueError(f"unknown storage type {storage}")
    auxiliary = _AUXILIARY[storage]
    stored = _shape(reader) if auxiliary else None
    shape = _shape(reader)
    if shape is None or (not shape and magic != _V3):
        return  # an array that was never filled ends here
    _pass_dense(reader, shape if stored is None else stored, auxiliary)


def _shape(reader):
    count, = reader.numbers("<i")
    return None if count == -1 else _dimensions(reader, count, "q")


def _dimensions(reader, count, form):
    if not 0 <= count <= _MOST_DIMENSIONS:
        raise ValueError(f"{count} dimensions, where at most {_MOST_DIMENSIONS} are possible")
    return reader.numbers(f"<{count}{form}")


def _pass_dense(reader, shape, auxiliary=0):
    """Pass over context, type and numbers of an array, and over its `auxiliary` arrays."""
    if shape == () and not auxiliary:
        shape = (1,)
    _, _, kind = reader.numbers("<iii")
    arrays = [(kind, shape)]
    for _ in range(auxiliary):
        kind, = reader.numbers("<i")
        arrays.append((kind, _shape(reader) or ()))
    for kind, lengths in arrays:
        if kind not in _ITEM_BYTES:
            raise ValueError(f"unknown type of numbers {kind}")
        size = _ITEM_BYTES[kind]
        for length in lengths:
            if length < 0:
                raise ValueError(f"a shape of {tuple(lengths)}")
            size *= length
        reader.skip(size)
