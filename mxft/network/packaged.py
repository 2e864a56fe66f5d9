"""A checkpoint as programs that serve it pack it: an archive or a folder, with notes of their own on input and classes.

Amazon SageMaker's image classification writes ``model.tar.gz`` with ``image-classification-symbol.json``,
``image-classification-0010.params`` and ``model-shapes.json``; Multi Model Server a ``.mar`` or ``.model``, a zip with
``signature.json`` and ``synset.txt``; a bundle of mxft's is a ``.tar``.
"""
import json
import os
import shlex
import tarfile
import zipfile

from mxft.errors import InputError
from mxft.files.archive import extract_once
from mxft.files.cache import cache_folder

_IMPORTED = {".onnx": "--from onnx", ".safetensors": "--from timm --arch NAME", ".h5": "--from keras --arch NAME",
             ".pth": "--from torchvision --arch NAME", ".pt": "--from torchvision --arch NAME"}
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip", ".mar", ".model")  # by name, where one is cut short
_SYMBOL, MOST_FACTS = "-symbol.json", 1 << 24  # bytes of a file of facts


def is_packaged(path):
    """Whether `path` is a file that may be an archive, or a folder with symbol files in it or in its only folders.

    Parameters
    ----------
    path : str
    """
    return os.path.isfile(path) or (os.path.isdir(path) and bool(_prefixes(path)))


def packaged_prefix(path):
    """Return the prefix of the one checkpoint in a folder or an archive.

    Parameters
    ----------
    path : str
        An archive is unpacked once, into mxft's cache; what it came from is not changed.

    Returns
    -------
    str

    Raises
    ------
    InputError
        No archive, none in it, or several checkpoints: their names are told.
    """
    folder = path
    if os.path.isfile(path):
        _refuse_weights(path)
        _refuse_others(path)
        folder = extract_once(path, os.path.join(cache_folder(), "unpacked"))
    prefixes = _prefixes(folder)
    if len(prefixes) != 1:
        found = f"{len(prefixes)}: {', '.join(prefixes)}; name one with its epoch" if prefixes else "none"
        raise InputError(f"model: expected one checkpoint in {path}, a NAME{_SYMBOL} with its NAME-EPOCH.params, "
                         f"received {found}")
    return prefixes[0]


def _refuse_weights(path):
    """Refuse the weights of another framework with the command that reads them."""
    source = _IMPORTED.get(os.path.splitext(path)[1].lower())
    if source:
        prefix = os.path.splitext(os.path.basename(path))[0]
        raise InputError(f"model: expected an MXNet checkpoint, received {path}, weights of another framework; "
                         f"mxft import {source} --weights {shlex.quote(path)} --prefix {shlex.quote(prefix)} makes one "
                         "of them")


def _refuse_others(path):
    """Refuse what is no archive, a picture for instance, before unpacking it fails with advice about downloads."""
    if not (tarfile.is_tarfile(path) or zipfile.is_zipfile(path) or path.lower().endswith(_ARCHIVES)):
        raise InputError(f"model: expected 'prefix,epoch', a folder or an archive with one checkpoint, received "
                         f"{path}, a file that is none of them")


def facts_beside(prefix):
    """Return what files beside a checkpoint without manifest tell: ``{"shape": [C, H, W], "classes": […]}``, or less.

    Parameters
    ----------
    prefix : str
        Looked at only where its folder holds no other checkpoint.

    Returns
    -------
    dict
        ``shape`` of ``model-shapes.json`` or ``signature.json``; ``classes`` of ``synset.txt``. Mean and scale are not
        told by any of them.
    """
    folder = os.path.dirname(prefix) or "."
    if len(_prefixes(folder, nested=False)) != 1:
        return {}
    shape = _shape_of(_read(folder, "model-shapes.json"), "shape") or _shape_of(
        (_read(folder, "signature.json") or {}).get("inputs"), "data_shape")
    classes = _classes(os.path.join(folder, "synset.txt"))
    return {**({"shape": shape} if shape else {}), **({"classes": classes} if classes else {})}


def _prefixes(folder, nested=True):
    """Return the prefixes of a folder's checkpoints, those of its folders where it has none itself."""
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    found = [os.path.join(folder, name[:-len(_SYMBOL)]) for name in names if name.endswith(_SYMBOL)]
    if found or not nested:
        return found
    return [prefix for name in names if os.path.isdir(os.path.join(folder, name))
            for prefix in _prefixes(os.path.join(folder, name), nested=False)]


def _read(folder, name):
    """Return the JSON of a file, or None."""
    path = os.path.join(folder, name)
    try:
        if os.path.getsize(path) > MOST_FACTS:
            return None
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict if name == "signature.json" else (dict, list)) else None


def _shape_of(entries, key):
    """Return [C, H, W] of the one input of four axes, or None."""
    if not isinstance(entries, list):
        return None
    shapes = [entry.get(key) for entry in entries if isinstance(entry, dict)]
    shapes = [shape[1:] for shape in shapes if isinstance(shape, list) and len(shape) == 4
              and all(isinstance(size, int) and not isinstance(size, bool) and 0 < size <= 8192 for size in shape[1:])]
    return shapes[0] if len(shapes) == 1 and shapes[0][0] in (1, 3) else None


def _classes(path):
    """Return the lines of a list of class names, or None."""
    try:
        if os.path.getsize(path) > MOST_FACTS:
            return None
        with open(path, encoding="utf-8") as f:
            return [line.strip() for line in f if line.strip()]
    except (OSError, UnicodeDecodeError):
        return None
