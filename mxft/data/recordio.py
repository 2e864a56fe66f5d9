"""Read and write MXNet's RecordIO files without MXNet; follows dmlc-core src/recordio.cc and mxnet/recordio.py."""
import contextlib
import mmap
import os
import struct
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from mxft.errors import InputError, nearest
from mxft.files.whole import require_file, whole_file

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
LONGEST = (1 << 29) - 1          # the length shares a 32-bit word with three bits of part flag
WHOLE, FIRST, MIDDLE, LAST = range(4)  # the part flag: dmlc cuts a record wherever its payload holds the magic

_FRAME = struct.Struct("<II")    # magic, part flag << 29 | length
_HEADER = struct.Struct("<IfQQ")

IRHeader = namedtuple("IRHeader", ["flag", "label", "id", "id2"])
IRHeader.__doc__ = """Header of an image record: `flag` labels (0: the one in `label`), `id` and its high bits `id2`."""


@dataclass(frozen=True)
class Record:
    """One image record.

    Attributes
    ----------
    header : IRHeader
        Its `label` is a float, or a float32 array of shape (L,) where ``header.flag`` is L > 0.
    payload : bytes
        What follows the header, commonly an encoded image.
    number, offset : int
        Position in the file: counted from 0, and in bytes.
    """

    header: IRHeader
    payload: bytes
    number: int
    offset: int


def pack(header, payload):
    """Join a header and a payload to the bytes of one record, as ``mx.recordio.pack`` does.

    Parameters
    ----------
    header : IRHeader
        `flag` is ignored: it becomes 0 for a number and L for L labels.
    payload : bytes
        The encoded image.

    Returns
    -------
    bytes

    Examples
    --------
    >>> unpack(pack(IRHeader(0, 4.0, 2574, 0), b"image"))
    (IRHeader(flag=0, label=4.0, id=2574, id2=0), b'image')
    """
    _, label, key, key2 = header
    if np.ndim(label) == 0:
        return _HEADER.pack(0, label, key, key2) + payload
    labels = np.asarray(label, dtype="<f4")
    return _HEADER.pack(labels.size, 0.0, key, key2) + labels.tobytes() + payload


def unpack(data):
    """Split the bytes of one record into its IRHeader and its payload; the inverse of `pack`.

    Raises
    ------
    InputError
        Fewer bytes than the header announces.
    """
    header, size = _unpack_header(data, 0, len(data))
    return header, bytes(data[size:])


def _unpack_header(data, start, available):
    """Return the IRHeader at `start` and the number of bytes it takes, labels included."""
    if available < _HEADER.size:
        raise InputError(f"not an image record: expected a header of {_HEADER.size} bytes, received {available}")
    header = IRHeader(*_HEADER.unpack_from(data, start))
    size = _HEADER.size + 4 * header.flag
    if available < size:
        raise InputError(f"not an image record: expected {header.flag} labels after the header, "
                         f"received {available - _HEADER.size} bytes")
    if header.flag:
        labels = np.frombuffer(data[start + _HEADER.size:start + size], "<f4")
        header = header._replace(label=labels.astype(np.float32))
    return header, size


def frame(data):
    """Return `data` framed as one record: magic, length, padding to four bytes, cut where it holds the magic itself.

    Parameters
    ----------
    data : bytes
        At most 2**29 - 1 bytes, the most the length field holds.

    Returns
    -------
    bytes
        A multiple of four bytes, equal to what ``MXRecordIO.write`` writes.
    """
    if len(data) > LONGEST:
        raise InputError(f"record too long: expected at most {LONGEST} bytes, received {len(data)}")
    cuts = _aligned_magics(data)
    parts, start = [], 0
    for cut in cuts:
        # dmlc calls a part the first while nothing was cut off yet
        parts += [_FRAME.pack(MAGIC, (MIDDLE if start else FIRST) << 29 | cut - start), data[start:cut]]
        start = cut + 4
    parts += [_FRAME.pack(MAGIC, (LAST if start else WHOLE) << 29 | len(data) - start), data[start:]]
    return b"".join(parts) + bytes(-len(data) % 4)


def _aligned_magics(data):
    """Return the places, multiples of four, at which `data` holds the magic."""
    found, at = [], data.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            found.append(at)
        at = data.find(MAGIC_BYTES, at + 1)
    return found


def join_parts(data):
    """Return the bytes of a record whose framed parts are `data`."""
    parts, at = [], 0
    while at + _FRAME.size <= len(data):
        length = _FRAME.unpack_from(data, at)[1] & LONGEST
        parts.append(data[at + _FRAME.size:at + _FRAME.size + length])
        at += _FRAME.size + length + -length % 4
    return MAGIC_BYTES.join(parts)


class RecordWriter:
    """Write records, and with `idx_path` their index; both files appear whole or not at all.

    Use it as a context manager: the files appear when the block ends, and an exception in it leaves neither. The index
    appears last, and an older one goes first: no index ever stands beside records that it is not of.

    Parameters
    ----------
    path : str
        The ``.rec`` file.
    idx_path : str, optional
        The ``.idx`` file, one ``key<tab>offset`` a line.

    Examples
    --------
    >>> with RecordWriter("/tmp/mxft-example.rec", "/tmp/mxft-example.idx") as writer:
    ...     writer.write(pack(IRHeader(0, 1.0, 7, 0), b"image"), key=7)
    0
    """

    def __init__(self, path, idx_path=None):
        self.path, self.idx_path, self.offset, self.index = path, idx_path, 0, None
        self._files = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as files:
            self.index = files.enter_context(whole_file(self.idx_path, "w")) if self.idx_path else None
            self._rec = files.enter_context(whole_file(self.path))
            files.push(self._before_they_appear)
            self._files = files.pop_all()
        return self

    def __exit__(self, *error):
        return self._files.__exit__(*error)

    def flush(self):
        """Bring all that was written to the disk, where there may be no room for it."""
        for file in filter(None, (self._rec, self.index)):
            file.flush()
            os.fsync(file.fileno())

    def _before_they_appear(self, error, *_):
        if self.idx_path and error is None:
            self.flush()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.idx_path)

    def write(self, data, key=None):
        """Append `data` (bytes) as one record, index it under `key` where one is given, and return its offset."""
        framed, offset = frame(data), self.offset
        self._rec.write(framed)
        self.offset += len(framed)
        if self.index is not None and key is not None:
            self.index.write(f"{key}\t{offset}\n")
        return offset


class RecordReader:
    """Read the image records of a ``.rec`` file in order, or by key where an ``.idx`` file stands beside it.

    It decodes no images and does not need MXNet.

    Parameters
    ----------
    path : str
        The ``.rec`` file.
    idx_path : str, optional
        The ``.idx`` file; by default the one of the same name beside `path`, read when a key is first asked for.

    Raises
    ------
    InputError
        While reading, for damage: with path, record number and byte offset. For a key that is not in the index.

    Examples
    --------
    >>> with RecordWriter("/tmp/mxft-example.rec", "/tmp/mxft-example.idx") as writer:
    ...     _ = writer.write(pack(IRHeader(0, 1.0, 7, 0), b"image"), key=7)
    >>> with RecordReader("/tmp/mxft-example.rec") as reader:
    ...     reader[7].payload, [record.header.label for record in reader]
    (b'image', [1.0])
    """

    def __init__(self, path, idx_path=None):
        self.path = require_file(path, "record file")
        self.idx_path = idx_path or os.path.splitext(self.path)[0] + ".idx"
        self._index = None
        with open(self.path, "rb") as f:
            # mmap refuses an empty file; an empty record file is one with no records
            self._bytes = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) if os.path.getsize(self.path) else b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Let go of the file."""
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()

    def raw(self):
        """Yield (offset, bytes) of every record, whatever it holds."""
        for number, offset, parts in self.walk():
            yield offset, self._join(parts, number)

    def walk(self):
        """Yield (number, offset, parts) of every record without reading payloads; a part is (start, length)."""
        offset = number = 0
        while offset < len(self._bytes):
            parts, end = self._parts(offset, number)
            yield number, offset, parts
            offset, number = end, number + 1

    def headers(self):
        """Yield (number, offset, IRHeader, payload length) of every record, seeking over the payloads."""
        for number, offset, parts in self.walk():
            # the magic that cut a record is data again; only then is there anything to join
            data, start, length = self._bytes, *parts[0]
            if len(parts) > 1:
                data = self._join(parts, number)
                start, length = 0, len(data)
            header, size = self._header(data, start, length, number, offset)
            yield number, offset, header, length - size

    def __iter__(self):
        for number, offset, parts in self.walk():
            yield self._record(parts, number, offset)

    def __getitem__(self, key):
        if key not in self.index:
            raise InputError(f"no record {key!r} in {self.idx_path}: it holds {len(self.index)} keys; "
                             f"{nearest(str(key), map(str, self.index))}")
        offset = self.index[key]
        number = f"with key {key}"
        if not 0 <= offset < len(self._bytes):
            raise InputError(f"index does not belong to {self.path}: expected offsets below {len(self._bytes)}, "
                             f"received {offset} for key {key} in {self.idx_path}; "
                             "mxft.data.recordio.write_index repairs it")
        return self._record(self._parts(offset, number)[0], number, offset)

    @property
    def index(self):
        """The ``.idx`` file as a dict from int key to int offset, in the file's order."""
        if self._index is None:
            self._index = read_index(self.idx_path)
        return self._index

    def _record(self, parts, number, offset):
        data = self._join(parts, number)
        header, size = self._header(data, 0, len(data), number, offset)
        return Record(header, data[size:], number, offset)

    def _header(self, data, start, length, number, offset):
        try:
            return _unpack_header(data, start, length)
        except InputError as error:
            raise InputError(f"{error} (record {number} at byte {offset} of {self.path})") from None

    def _join(self, parts, number):
        return MAGIC_BYTES.join(self._bytes[start:start + length] for start, length in parts)

    def _parts(self, offset, number):
        """Return the (start, length) of a record's parts and the offset after it, checking every frame."""
        parts, at = [], offset
        while True:
            flag, length = self._frame(at, number)
            # a record opens with WHOLE or FIRST and continues with MIDDLE or LAST
            if (flag in (MIDDLE, LAST)) != bool(parts) or flag > LAST:
                raise self._damage(number, at, "a part that continues the record", f"part flag {flag}")
            start, end = at + _FRAME.size, at + _FRAME.size + length + -length % 4
            if end > len(self._bytes):
                raise self._damage(number, at, f"{length} bytes of payload",
                                   f"{max(0, len(self._bytes) - start)} before the end of the file")
            parts.append((start, length))
            at = end
            if flag in (WHOLE, LAST):
                return parts, at

    def _frame(self, at, number):
        if at + _FRAME.size > len(self._bytes):
            raise self._damage(number, at, "a frame of 8 bytes", f"{len(self._bytes) - at} before the end of the file")
        magic, word = _FRAME.unpack_from(self._bytes, at)
        if magic != MAGIC:
            raise self._damage(number, at, f"the magic 0x{MAGIC:08x}", f"0x{magic:08x}")
        return word >> 29, word & LONGEST

    def _damage(self, number, at, expected, received):
        return InputError(f"record file is damaged: expected {expected}, received {received}, in record {number} "
                          f"at byte {at} of {self.path}; copy it again or pack it again with mxft im2rec")


def read_index(path):
    """Read an ``.idx`` file into a dict from int key to int byte offset; a bad line is refused with its number."""
    index = {}
    with open(require_file(path, "record index"), encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            try:
                key, offset = line.split("\t")
                index[int(key)] = int(offset)
            except ValueError:
                raise InputError(f"bad row in {path}, line {number}: expected key<tab>offset, "
                                 f"received {line.rstrip()!r}; mxft.data.recordio.write_index repairs it") from None
    return index


def write_index(path, idx_path=None):
    """Write the ``.idx`` file of a ``.rec`` file from the ids in its headers, and return the number of records.

    It is upstream's tools/rec2idx.py with the record's own id as the key, as im2rec writes it.
    """
    idx_path = idx_path or os.path.splitext(path)[0] + ".idx"
    count = 0
    with RecordReader(path) as reader, whole_file(idx_path, "w") as f:
        for _, offset, header, _ in reader.headers():
            f.write(f"{header.id}\t{offset}\n")
            count += 1
    return count
