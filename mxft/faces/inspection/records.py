"""What a .rec file holds, read to the end or to where it is damaged, without MXNet.

The layout is that of insightface's src/data/face2rec2.py: key 0 is a header, images follow, then a record an identity.
"""
import contextlib
import os
from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from mxft.data.images import BadImage, decode, inspect
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.data.progress import progress
from mxft.data.recordio import RecordReader
from mxft.errors import InputError
from mxft.machine.quiet import quiet_native
from mxft.network.image_options import ImageOptions

SAMPLED_FIRST, SAMPLED_EVERY = 256, 100  # where not all images are decoded: the first records, then one in so many


@dataclass
class RecordTable:
    """What one pass over a record file found.

    Attributes
    ----------
    path : str
    offsets, lengths : int64 arrays, shape (N,)
        Of the records that could be read: byte offset, and bytes of payload.
    ids : uint64 array, shape (N,)
    flags : int64 array, shape (N,)
        How many labels each says it has; 0 stands for one.
    labels : float64 array, shape (N, 2)
        The first two, NaN where there is no second.
    sizes, formats : Counter
        Of the images, by (H, W) and by name.
    heights, widths : int64 arrays, shape (N,)
        Of the images; 0 where they are not known.
    bad : list of (int, str)
        Number and reason of each image that cannot be decoded.
    decoded : int
        Images that were decoded.
    damage : str or None
        What stopped the reading before the end of the file.
    """

    path: str
    offsets: np.ndarray
    lengths: np.ndarray
    ids: np.ndarray
    flags: np.ndarray
    labels: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    formats: Counter
    bad: list = field(default_factory=list)
    decoded: int = 0
    damage: str = None

    @property
    def bounds(self):
        """Which records are bounds of others, header or identity: two labels and no payload (bool array, (N,))."""
        return (self.flags == 2) & (self.lengths == 0)


def scan_records(path, decode_all=False, num_thread=1, show=None):
    """Read every record of a file and the opening of every image.

    Parameters
    ----------
    path : str
    decode_all : bool
        Decode every image; otherwise the first 256 records and one in a hundred after them.
    num_thread : int
    show : bool, optional
        False: no progress on stderr.

    Returns
    -------
    RecordTable
        Damage is stated in it, not raised.

    Raises
    ------
    MissingFileError
        There is no such file.
    """
    offsets, lengths, flags = array("q"), array("q"), array("q")
    ids, labels, edges = array("Q"), array("d"), array("q")
    table_formats, bad, damage, decoded = Counter(), [], [], 0
    with contextlib.ExitStack() as reading:
        reader = reading.enter_context(RecordReader(path))
        reading.enter_context(one_opencv_thread())
        reading.enter_context(quiet_native())
        label = f"reading {os.path.basename(path)}"
        advance = reading.enter_context(progress(os.path.getsize(path), label, "bytes", show))
        look = partial(_look, decode_all=decode_all)
        for record, image, reason in ordered_map(look, _until_damage(reader, damage), num_thread):
            header = record.header
            several = np.atleast_1d(header.label)
            advance(record.offset - (offsets[-1] if offsets else 0))
            offsets.append(record.offset)
            lengths.append(len(record.payload))
            ids.append(header.id)
            flags.append(header.flag)
            labels.extend((several[0], several[1] if len(several) > 1 else np.nan))
            edges.extend((image.height, image.width) if image else (0, 0))
            table_formats.update([image.format] if image else [])
            bad += [(record.number, reason)] if reason else []
            decoded += _is_sampled(record.number, decode_all) and not _is_bound(record)
    edges, labels = np.array(edges, np.int64).reshape(-1, 2), np.array(labels, np.float64).reshape(-1, 2)
    return RecordTable(os.fspath(path), np.array(offsets, np.int64), np.array(lengths, np.int64),
                       np.array(ids, np.uint64), np.array(flags, np.int64), labels, edges[:, 0], edges[:, 1],
                       table_formats, bad, decoded, damage[0] if damage else None)


def _until_damage(reader, damage):
    """Yield the records of a file; what stops them is added to `damage` instead of being raised."""
    try:
        yield from reader
    except InputError as error:
        damage.append(str(error))


def _is_bound(record):
    return record.header.flag == 2 and not record.payload


def _is_sampled(number, decode_all):
    return decode_all or number < SAMPLED_FIRST or number % SAMPLED_EVERY == 0


def _look(record, decode_all):
    """Return (record, ImageFile or None, reason why its image cannot be used or None)."""
    if _is_bound(record):
        return record, None, None
    image, reason = look_at(record.payload, _is_sampled(record.number, decode_all))
    return record, image, reason


def look_at(payload, decoded):
    """Return the ImageFile an encoded image says it is (or None), and why it cannot be used (or None).

    Parameters
    ----------
    payload : bytes
    decoded : bool
        Decode it too, which finds more damage and the size of other formats than JPEG and PNG.
    """
    try:
        image = inspect(payload)
        if decoded:
            _, _, (height, width) = decode(payload, image, ImageOptions())
            image = image._replace(height=height, width=width)
    except BadImage as error:
        return None, str(error)
    return image, None
