"""One view's features in one file: a header that says what they are, a checksum, features, labels.

Layout: ``MXFTFEAT``, the header's length (uint32, little-endian), the header (JSON), zeros up to a multiple of 64,
the features in C order, the labels as float32. Numbers are little-endian. ``.npz`` has checksums too, but can neither
be written as the features come nor mapped into memory.
"""
import hashlib
import json
import os
import struct

import numpy as np

from mxft.errors import RunError
from mxft.features.extraction import FeatureView
from mxft.files.whole import whole_file

_MAGIC, _ALIGN, _MOST_HEADER = b"MXFTFEAT", 64, 1 << 20
_LABELS = np.dtype("<f4")


class UnusableView(Exception):
    """A view file that must not be used; the argument says why."""


def key_of(facts):
    """Return the SHA-256, as hex digits, of a dict that JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_view(path, facts, shape, dtype, batches):
    """Write a view as its batches come, whole or not at all.

    Parameters
    ----------
    path : str
    facts : dict
        What the features depend on; JSON must hold it.
    shape : tuple of int
        ``(N, …)`` of the features.
    dtype : {"float32", "float16"}
    batches : iterable of (numpy.ndarray, numpy.ndarray)
        Features ``(n, …)`` and labels ``(n,)`` or ``(n, L)``; N rows in all.

    Raises
    ------
    RunError
        The batches hold another number of rows.
    """
    header = {"format": 1, "facts": facts, "shape": list(shape), "dtype": dtype, "sha256": "0" * 64}
    digest, labels, rows = hashlib.sha256(), [], 0
    with whole_file(path) as f:
        f.write(_header_bytes(header))
        for features, label in batches:
            block = np.ascontiguousarray(features, _number_type(dtype))
            f.write(block)
            digest.update(block)
            labels.append(np.asarray(label, _LABELS))
            rows += len(block)
        if rows != shape[0]:
            raise RunError(f"features cannot be kept: expected {shape[0]} records, received {rows}")
        block = np.concatenate(labels)
        f.write(block)
        digest.update(block)
        f.seek(0)
        f.write(_header_bytes({**header, "sha256": digest.hexdigest()}))


def read_view(path, facts, shape, dtype):
    """Return the view a file holds, once every byte of it has been checked.

    Parameters
    ----------
    path : str
    facts, shape, dtype
        What it must have been made with.

    Returns
    -------
    FeatureView
        Its features are a read-only ``numpy.memmap``.

    Raises
    ------
    UnusableView
        Made with other facts (the message names them), truncated, or damaged.
    FileNotFoundError
    """
    with open(path, "rb") as f:
        header, offset = _read_header(f)
        other = differing(header.get("facts"), facts)
        if other:
            raise UnusableView(f"stale: made with other {', '.join(other)}")
        if (header.get("format"), header.get("shape"), header.get("dtype")) != (1, list(shape), dtype):
            raise UnusableView("damaged: its header does not fit its facts")
        size = int(np.prod(shape, dtype=np.int64)) * _number_type(dtype).itemsize
        width = (facts.get("reading") or {}).get("label_width", 1)
        expected, received = offset + size + shape[0] * width * _LABELS.itemsize, os.fstat(f.fileno()).st_size
        if received != expected:
            raise UnusableView(f"truncated: expected {expected:,} bytes, received {received:,}")
        digest = hashlib.sha256()
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != header["sha256"]:
        raise UnusableView("damaged: its checksum does not fit its contents")
    features = np.memmap(path, _number_type(dtype), "r", offset, tuple(shape))
    labels = np.fromfile(path, _LABELS, shape[0] * width, offset=offset + size).astype(np.float32)
    return FeatureView(features, labels.reshape(-1, width) if width > 1 else labels)


def read_facts(path):
    """Return the facts a view file was made with; UnusableView where it is none."""
    with open(path, "rb") as f:
        return _read_header(f)[0].get("facts")


def differing(these, those):
    """Return the names of the facts in which two dicts differ, a nested dict's by its own names."""
    if not isinstance(these, dict):
        return ["facts"]
    names = []
    for name in sorted({*these, *those}):
        this, that = these.get(name), those.get(name)
        if this != that:
            both = isinstance(this, dict) and isinstance(that, dict)
            names += differing(this, that) if both else [name]
    return names


def _number_type(dtype):
    return np.dtype({"float32": "<f4", "float16": "<f2"}[dtype])


def _header_bytes(header):
    text = json.dumps(header).encode()
    whole = _MAGIC + struct.pack("<I", len(text)) + text
    return whole + b"\0" * (-len(whole) % _ALIGN)


def _read_header(f):
    """Return the header and where the features begin."""
    start = f.read(len(_MAGIC) + 4)
    if len(start) < len(_MAGIC) + 4 or not start.startswith(_MAGIC):
        raise UnusableView("damaged: it does not begin as a file of features does")
    length = struct.unpack("<I", start[len(_MAGIC):])[0]
    try:
        header = json.loads(f.read(min(length, _MOST_HEADER)))
        if not isinstance(header, dict) or not isinstance(header.get("sha256"), str):
            raise ValueError("no header")
    except ValueError:
        raise UnusableView("damaged: its header cannot be read") from None
    offset = len(start) + length
    offset += -offset % _ALIGN
    f.seek(offset)
    return header, offset
