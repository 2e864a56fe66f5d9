"""A folder of images or a record file of any size, as small record files one after another.

An extraction that holds one chunk at a time needs no disk for the rest and can be taken up at any chunk.
"""
import contextlib
import hashlib
import os
from collections import namedtuple

import numpy as np

from mxft.data.labels import scan_labels
from mxft.data.lists import iter_list, write_list
from mxft.data.packing import pack_list
from mxft.data.target_spec import CLASSES
from mxft.data.validation import check_records
from mxft.errors import InputError
from mxft.files.staging import scratch_folder

FOLDER_CHUNK, RECORD_CHUNK = 1024, 8192  # images: one has to be packed before the network sees it, the other copied

Chunk = namedtuple("Chunk", ["path", "records", "left_out"])
Chunk.__doc__ = """`records` images in the record file `path` (None: there are none); `left_out`: (number, reason)."""


class FolderImages:
    """Pictures of any layout, those for validation behind those for training.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
    packing : dict
        ImageOptions: what an image goes through, as it would on its way into a record file.
    threads : int

    Attributes
    ----------
    names : list of str
        Paths below the pictures' folder.
    labels : float32 array ``(N,)``
        The first label of each, 0 where there are none.
    classes : list of str or None
        Their names, where they are classes.
    facts : dict
        What tells these images from others: names, sizes and times of change, and the packing.
    """

    def __init__(self, pictures, packing, threads=1):
        rows = [*pictures.rows, *(pictures.val or ())]
        self._folder, self._packing, self._threads = os.path.abspath(pictures.root), packing, threads
        self._rows = [row._replace(index=number) for number, row in enumerate(rows)]
        self.names = [row.path for row in rows]
        self.labels = np.array([row.labels[0] for row in rows], np.float32)
        target = pictures.target
        self.classes = list(target.names) if target is not None and target.kind == CLASSES else None
        self.facts = {"images": self._fingerprint(), "packing": packing}

    def _fingerprint(self):
        digest = hashlib.sha256()
        for row in self._rows:
            status = os.stat(os.path.join(self._folder, row.path))
            digest.update(f"{row.path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def chunks(self, begin=0, size=FOLDER_CHUNK):
        """Yield a Chunk of each `size` images from number `begin` on; its file goes when the next one is asked for."""
        for start in range(begin, len(self._rows), size):
            rows = self._rows[start:start + size]
            with scratch_folder("features") as scratch:
                yield self._pack(os.path.join(scratch, "chunk"), rows)

    def _pack(self, prefix, rows):
        write_list(prefix + ".lst", rows)
        try:
            packed = pack_list(prefix + ".lst", self._folder, num_thread=self._threads, show=False, **self._packing)
        except InputError:  # not one of them can be read
            if not os.path.exists(prefix + ".bad.tsv"):
                raise
            with open(prefix + ".bad.tsv", encoding="utf-8", errors="surrogateescape") as f:
                bad = [line.rstrip("\n").split("\t") for line in f][1:]
            return Chunk(None, 0, [(int(row[0]), row[3]) for row in bad])
        return Chunk(packed.rec, packed.packed, [(bad.row.index, bad.reason) for bad in packed.bad])


class RecordImages:
    """The images of a record file, named by a list of the same prefix if there is one, else by their ids.

    Parameters
    ----------
    path : str
        A ``.rec`` file with one label a record.

    Attributes
    ----------
    names, labels, classes, facts
        As of FolderImages; `classes` is None: a record file does not tell.

    Raises
    ------
    InputError
        Damage, no records, or an image MXNet cannot decode.
    """

    def __init__(self, path):
        scan = scan_labels(path)
        if not len(scan.ids):
            raise InputError(f"no records: expected at least one, received {path} with none")
        check_records(scan)
        self._path, self._offsets = path, np.append(scan.offsets, os.path.getsize(path))
        self.labels = scan.labels if scan.labels.ndim == 1 else scan.labels[:, 0]
        self.names = _names_of(path, scan.ids)
        self.classes = None
        status = os.stat(path)
        self.facts = {"images": [len(scan.ids), status.st_size, status.st_mtime_ns], "packing": None}

    def chunks(self, begin=0, size=RECORD_CHUNK):
        """Yield a Chunk of each `size` records from number `begin` on."""
        if begin == 0 and size >= len(self.names):
            yield Chunk(self._path, len(self.names), [])
            return
        for start in range(begin, len(self.names), size):
            stop = min(start + size, len(self.names))
            with scratch_folder("features") as scratch:
                part = os.path.join(scratch, "chunk.rec")
                _copy_bytes(self._path, part, int(self._offsets[start]), int(self._offsets[stop]))
                yield Chunk(part, stop - start, [])


def _copy_bytes(source, target, begin, end, block=1 << 20):
    with open(source, "rb") as f, open(target, "wb") as g:
        f.seek(begin)
        while begin < end:
            data = f.read(min(block, end - begin))
            if not data:
                break
            begin += len(data)
            g.write(data)


def _names_of(path, ids):
    """Return the paths a list of the same prefix gives to these ids, or the ids as text."""
    list_path, names = os.path.splitext(path)[0] + ".lst", {}
    if os.path.isfile(list_path):
        with contextlib.suppress(InputError):  # a list that cannot be read names nothing
            names = {row.index: row.path for row in iter_list(list_path)}
    return [names.get(int(number), str(number)) for number in ids]
