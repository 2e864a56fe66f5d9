"""Records by byte offset: the openings of millions at once, or one whole record; follows dmlc-core src/recordio.cc."""
import os
import struct
from collections import namedtuple

import numpy as np

from mxft.data.recordio import FIRST, LAST, LONGEST, MAGIC, MAGIC_BYTES, WHOLE, join_parts, unpack

OPENING_BYTES = 32               # the frame of 8 bytes and the IRHeader of 24
CHUNK = 1 << 18                  # openings gathered at a time

_FRAME = struct.Struct("<II")    # magic, part flag << 29 | length
_FLAG_LABEL = struct.Struct("<If")

Openings = namedtuple("Openings", ["flags", "labels", "payloads", "sizes"])
Openings.__doc__ = """How records begin: `flags` uint32 (N,), `labels` float64 (N, 2), bytes of payload `payloads` int64
(N,), and bytes in the file `sizes` int64 (N,), frames and padding included. A second label is 0 where there is none."""


class Damage(ValueError):
    """What stands at an offset is no record of this file; `at` is the index of the offset, the message the reason."""

    def __init__(self, reason, at=0):
        super().__init__(reason)
        self.at = at


class RecordFile:
    """One record at a time, by offset and size, from any number of threads.

    Parameters
    ----------
    path : str

    Notes
    -----
    It reads by ``pread`` and not through a memory map: while the disk is waited for the interpreter lock is free, and
    a file that is cut short meanwhile is an error and not the end of the process.
    """

    def __init__(self, path):
        self.path = path
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._descriptor = self._file.fileno()

    def close(self):
        """Let go of the file."""
        self._file.close()

    def image(self, offset, size):
        """Return the first label (float) and the payload (uint8 array) of the record of `size` bytes at `offset`.

        Raises
        ------
        Damage
            There is no record of that size.
        """
        data = self._read(offset, size)
        if len(data) < max(size, OPENING_BYTES):
            raise Damage(f"expected {size} bytes, received {len(data)} before the end of the file")
        magic, word = _FRAME.unpack_from(data)
        start, end = _FRAME.size, _FRAME.size + (word & LONGEST)
        if magic != MAGIC or word >> 29 not in (WHOLE, FIRST) or end > size:
            raise Damage(f"expected a record of {size} bytes, received the frame 0x{magic:08x} 0x{word:08x}")
        if word >> 29 == FIRST:
            data = join_parts(data)
            start, end = 0, len(data)
        flag, label = _FLAG_LABEL.unpack_from(data, start)
        image = start + 24 + 4 * flag
        if image > end:
            raise Damage(f"expected {flag} labels, received {end - start - 24} bytes")
        if flag:
            label, = struct.unpack_from("<f", data, start + 24)
        return label, np.frombuffer(data, np.uint8, end - image, image)

    def _read(self, offset, size):
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:  # a network file system may give less than there is
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def cut_record(self, offset):
        """Return the bytes and the size in the file of a record that dmlc cut where its payload holds the magic."""
        at = offset
        while True:
            frame = self._read(at, _FRAME.size)
            if len(frame) < _FRAME.size or frame[:4] != MAGIC_BYTES:
                raise Damage(f"expected a part that continues the record at byte {at}, received "
                             f"{'0x' + frame[:4][::-1].hex() if frame else 'the end of the file'}")
            word, = struct.unpack_from("<I", frame, 4)
            at += _FRAME.size + (word & LONGEST) + -(word & LONGEST) % 4
            if word >> 29 in (WHOLE, LAST):
                break
        data = self._read(offset, at - offset)
        if len(data) < at - offset:
            raise Damage(f"expected {at - offset} bytes, received {len(data)} before the end of the file")
        return join_parts(data), at - offset


def read_openings(path, offsets, advance=lambda count: None):
    """Read how the records at `offsets` begin, without their payloads.

    Parameters
    ----------
    path : str
        The ``.rec`` file.
    offsets : int64 array, shape (N,)
    advance : callable
        Told how many are done, now and then.

    Returns
    -------
    Openings

    Raises
    ------
    Damage
        For the first offset at which no whole record stands.
    """
    length = os.path.getsize(path)
    words = np.memmap(path, "<u4", "r", shape=(length // 4,)) if length >= 4 else np.zeros(0, "<u4")
    table = Openings(np.zeros(len(offsets), np.uint32), np.zeros((len(offsets), 2)),
                     np.zeros(len(offsets), np.int64), np.zeros(len(offsets), np.int64))
    for start in range(0, len(offsets), CHUNK):
        part = slice(start, start + CHUNK)
        try:
            cut = _gather(words, length, offsets[part], Openings(*(column[part] for column in table)))
            _replace_cut(path, offsets[part], cut, Openings(*(column[part] for column in table)))
        except Damage as damage:
            raise Damage(str(damage), start + damage.at) from None
        advance(len(offsets[part]))
    return table


def _gather(words, length, offsets, table):
    """Fill `table` for whole records and return the indices of those that are cut."""
    _refuse(offsets < 0, lambda i: "expected an offset of 0 or more")
    _refuse(offsets > length - OPENING_BYTES,
            lambda i: f"expected an offset that leaves {OPENING_BYTES} bytes of the file's {length}")
    _refuse(offsets % 4 != 0, lambda i: "expected a record's start, a multiple of 4")
    at = offsets // 4
    magic, frame, flags = words[at], words[at + 1], words[at + 2]
    _refuse(magic != MAGIC, lambda i: f"expected a record's start, the magic 0x{MAGIC:08x}, received 0x{magic[i]:08x}")
    kind = frame >> 29
    _refuse((kind != WHOLE) & (kind != FIRST), lambda i: f"expected a record's start, received part flag {kind[i]}")
    data = (frame & LONGEST).astype(np.int64)
    payload = data - 24 - 4 * flags.astype(np.int64)
    whole = kind == WHOLE
    size = 8 + data + -data % 4
    _refuse(offsets + size > length,
            lambda i: f"expected {size[i]} bytes, received {length - offsets[i]} before the end of the file")
    _refuse(whole & (payload < 0), lambda i: f"expected {flags[i]} labels, received {max(0, data[i] - 24)} bytes")
    table.flags[:], table.payloads[:], table.sizes[:] = flags, payload, size
    last = len(words) - 1
    single, first, second = (words[np.minimum(at + k, last)].view("<f4") for k in (3, 8, 9))
    table.labels[:, 0] = np.where(flags > 0, first, single)
    table.labels[:, 1] = np.where(flags > 1, second, 0)
    return np.flatnonzero(~whole)


def _replace_cut(path, offsets, cut, table):
    """Fill `table` for the few records that are cut: in millions of images some hold the magic by chance."""
    if not len(cut):
        return
    records = RecordFile(path)
    try:
        for i in cut:
            try:
                data, table.sizes[i] = records.cut_record(int(offsets[i]))
                header, payload = unpack(data)
            except ValueError as error:  # Damage, or InputError for a header that is cut short
                raise Damage(str(error), int(i)) from None
            labels = np.atleast_1d(header.label)
            table.flags[i], table.payloads[i] = header.flag, len(payload)
            table.labels[i] = labels[0], labels[1] if len(labels) > 1 else 0
    finally:
        records.close()


def _refuse(wrong, reason):
    """Raise Damage for the first True of `wrong`."""
    if wrong.any():
        i = int(wrong.argmax())
        raise Damage(reason(i), i)
