"""A face set or a verification set as plain records, one label each, for what reads records of any kind."""
import os
from collections import namedtuple

import numpy as np

from mxft.data.recordio import IRHeader, RecordReader, RecordWriter, pack
from mxft.errors import MxftError
from mxft.faces.data.layout import FaceSet, read_face_set
from mxft.faces.data.records import RecordFile
from mxft.faces.data.sources import NAMES
from mxft.faces.pairs.bin_file import check_images, load_pairs
from mxft.files.staging import scratch_folder

CHUNK = 8192  # images copied at a time

Chunk = namedtuple("Chunk", ["path", "records", "left_out"])


def is_face_set(path):
    """Whether a path is a face training set in insightface's layout: its folder, or its ``train.rec``.

    Parameters
    ----------
    path : str

    Returns
    -------
    bool
        Of a ``.rec``: whether it begins with the header record, which has two labels and no image.

    Examples
    --------
    >>> is_face_set("photos")
    False
    """
    if os.path.isdir(path):
        return all(os.path.isfile(os.path.join(path, name)) for name in ("train.rec", "train.idx"))
    if not (path.endswith(".rec") and os.path.isfile(path)):
        return False
    try:
        with RecordReader(path) as reader:
            first = next(iter(reader))
    except (MxftError, StopIteration):
        return False
    return first.header.flag == 2 and not first.payload


def write_plain_records(faces, path, begin=0, count=None):
    """Write images of a face set as plain records: their bytes unchanged, their class as the one label.

    Parameters
    ----------
    faces : FaceSet
    path : str
        ``.rec`` to write.
    begin, count : int
        Which images, in the order of their keys; all when None.

    Returns
    -------
    int
        How many were written.
    """
    stop = len(faces.keys) if count is None else min(begin + count, len(faces.keys))
    records = RecordFile(faces.rec)
    try:
        with RecordWriter(path) as writer:
            for i in range(begin, stop):
                _, payload = records.image(int(faces.offsets[i]), int(faces.sizes[i]))
                writer.write(pack(IRHeader(0, float(faces.labels[i]), int(faces.keys[i]), 0), payload.tobytes()))
    finally:
        records.close()
    return stop - begin


class FaceSetImages:
    """The images of a face set, for an extraction: see `mxft.features.image_chunks.FolderImages`.

    Parameters
    ----------
    path : str
        See `is_face_set`.

    Attributes
    ----------
    names : list of str
        Keys of the records.
    labels : float32 array ``(N,)``
    classes : list of str or None
        Of ``identities.txt`` beside the records.
    facts : dict
    """

    def __init__(self, path):
        self._faces: FaceSet = read_face_set(path, show=False)
        self.names = [str(int(key)) for key in self._faces.keys]
        self.labels = self._faces.labels.astype(np.float32)
        beside = os.path.join(os.path.dirname(os.path.abspath(self._faces.rec)), NAMES)
        self.classes = None
        if os.path.isfile(beside):
            with open(beside, encoding="utf-8", errors="replace") as f:
                names = [line.rstrip("\n") for line in f]
            self.classes = names if len(names) == self._faces.num_classes else None
        status = os.stat(self._faces.rec)
        self.facts = {"images": [len(self.names), status.st_size, status.st_mtime_ns], "packing": None}

    def chunks(self, begin=0, size=CHUNK):
        """Yield a Chunk of each `size` images from number `begin` on; its file goes when the next one is asked for."""
        for start in range(begin, len(self.names), size):
            with scratch_folder("faces") as scratch:
                part = os.path.join(scratch, "chunk.rec")
                yield Chunk(part, write_plain_records(self._faces, part, start, size), [])


class PairSetImages:
    """The images of a verification set, for an extraction: see `mxft.features.image_chunks.FolderImages`.

    Parameters
    ----------
    path : str
        A ``.bin`` file.

    Attributes
    ----------
    names : list of str
        ``"0/left"``, ``"0/right"``, ``"1/left"`` …: the pair's number and the side.
    labels : float32 array ``(N,)``
        1 of an image whose pair shows one person, 0 of the others.
    classes : None
    facts : dict

    Raises
    ------
    InputError
        What `mxft.faces.pairs.bin_file.load_pairs` refuses, and an image that cannot be decoded.
    """

    classes = None

    def __init__(self, path):
        pairs = load_pairs(path)
        check_images(pairs)
        self._images = pairs.images
        self.names = [f"{number}/{side}" for number in range(len(pairs.issame)) for side in ("left", "right")]
        self.labels = np.repeat(pairs.issame, 2).astype(np.float32)
        status = os.stat(path)
        self.facts = {"images": [len(self.names), status.st_size, status.st_mtime_ns], "packing": None}

    def chunks(self, begin=0, size=CHUNK):
        """Yield a Chunk of each `size` images from number `begin` on; its file goes when the next one is asked for."""
        for start in range(begin, len(self.names), size):
            images = self._images[start:start + size]
            with scratch_folder("faces") as scratch:
                part = os.path.join(scratch, "chunk.rec")
                with RecordWriter(part) as writer:
                    for number, image in enumerate(images, start):
                        writer.write(pack(IRHeader(0, float(self.labels[number]), number, 0), bytes(image)))
                yield Chunk(part, len(images), [])
