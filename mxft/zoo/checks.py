"""What is wrong with a file that came: each check returns text for a file of another kind, None for the right one.

They look at the beginning and the layout alone; sizes and hashes are compared by `mxft.files.download`.
"""
import json
import os
import struct
import zipfile

_PARAMS_MAGIC = struct.pack("<Q", 0x112)
_RECORD_MAGIC = struct.pack("<I", 0xCED7230A)
# What is handed over by mistake, by how it begins.
_KINDS = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"{": "JSON", b"\x89HDF": "an HDF5 file",
          _PARAMS_MAGIC: "an MXNet parameter file", _RECORD_MAGIC: "MXNet records"}


def symbol_flaw(path):
    """Check an MXNet symbol in JSON."""
    try:
        with open(path, encoding="utf-8") as f:
            return None if "nodes" in json.load(f) else "expected an MXNet symbol, received JSON without 'nodes'"
    except (ValueError, TypeError):
        return "expected an MXNet symbol in JSON, received something else or a part of one"


def face_symbol_flaw(path):
    """Check a symbol of insightface's: its embedding is called fc1."""
    return _layer_flaw(path, lambda name: name == "fc1", "insightface's network with an embedding fc1")


def retinaface_symbol_flaw(path):
    """Check a symbol of insightface's RetinaFace: its scores are called face_rpn_cls_prob_…."""
    return _layer_flaw(path, lambda name: str(name).startswith("face_rpn_cls_prob"),
                       "insightface's RetinaFace with its layers face_rpn_cls_prob_…")


def _layer_flaw(path, is_wanted, what):
    wrong = symbol_flaw(path)
    if wrong:
        return wrong
    with open(path, encoding="utf-8") as f:
        found = any(is_wanted(node.get("name")) for node in json.load(f)["nodes"])
    return None if found else f"expected {what}, received a symbol without"


def params_flaw(path):
    """Check the beginning of an MXNet parameter file."""
    return _magic_flaw(path, _PARAMS_MAGIC, "an MXNet parameter file")


def record_flaw(path):
    """Check the beginning of a RecordIO file."""
    return _magic_flaw(path, _RECORD_MAGIC, "MXNet records")


def safetensors_flaw(path):
    """Check that a safetensors header is one, and that the file is as long as it says."""
    with open(path, "rb") as f:
        start = f.read(8)
        length = int.from_bytes(start, "little")
        header = f.read(length) if 2 <= length < os.path.getsize(path) else b""
    try:
        end = max(entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, IndexError):
        return f"expected safetensors, received a file beginning {start!r}"
    size = os.path.getsize(path)
    return None if size == 8 + length + end else f"expected {8 + length + end:,} bytes, received {size:,}"


def zip_flaw(path, member):
    """Check that a zip archive holds `member`, of a size that can be unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(member)
            return None if entry.file_size < 1 << 30 else f"{member} inside it is larger than a gigabyte"
    except (zipfile.BadZipFile, KeyError):
        return f"expected a zip with {member} in it, received something else"


def _magic_flaw(path, magic, what):
    with open(path, "rb") as f:
        start = f.read(8)
    if start.startswith(magic):
        return None
    known = next((kind for beginning, kind in _KINDS.items() if start.startswith(beginning)), None)
    return f"expected {what} (beginning {magic!r}), received " + (known or f"one beginning {start[:len(magic)]!r}")
