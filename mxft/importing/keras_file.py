"""Keras' weights in HDF5 (keras/src/legacy/saving/legacy_h5_format.py), read from that one file and nothing beside it.

HDF5 follows links into other files, reads arrays whose numbers lie outside, and allocates what a shape promises whether
or not it was ever stored: only plain arrays of numbers behind plain groups are read here. And HDF5 2.0 does not come
back from some files with a few damaged bytes: it reads in a process of its own, with bounded time and memory.
"""
import json
import math
import os
import resource
import struct
import subprocess
import sys

import numpy as np

from mxft.errors import InputError, last_line
from mxft.machine.packages import require_package
from mxft.wording import is_plain

CPU_SECONDS, BYTES_A_SECOND = 8, 50 << 20  # that the reading process may take; HDF5 reads about 1 GB a second
ADDRESSES = 3 << 29                         # bytes it may map, and four times the file
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from mxft.importing import keras_file; keras_file.send(sys.argv[1])"
MOST_EXPANSION = 64  # numbers stored compressed may be that much larger than the file
_MOST_NAMES = 100_000


def read_keras(path):
    """Return the arrays of Keras' ``.h5`` as ``layer/kernel``, in the order of its layers.

    Parameters
    ----------
    path : str
        As ``model.save("name.h5")`` or ``save_weights`` of Keras 2 writes it.

    Returns
    -------
    dict of str to numpy.ndarray

    Raises
    ------
    InputError
        No such file of Keras', a damaged one, or one with links, numbers outside the file, or other things than
        numbers.
    """
    require_package("h5py", "reading Keras' .h5")
    command = [sys.executable, "-c", _CHILD, os.path.abspath(path), *(folder or os.getcwd() for folder in sys.path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}) as process:
        try:
            return _received(process.stdout, path)
        finally:
            process.kill()


def _received(stream, path):
    """Return the arrays that `send` writes; refuse the file in its words, or for its silence."""
    try:
        length, = struct.unpack("<Q", stream.read(8))
        told = json.loads(stream.read(length))
        arrays = {name: _read_array(stream, np.dtype(kind), shape) for name, kind, shape in told["arrays"]}
    except (ValueError, struct.error):
        raise _damaged(path, "HDF5 crashed, or did not end") from None
    if told["refused"]:
        raise InputError(told["refused"].replace(os.path.abspath(path), os.fspath(path)))
    return arrays


def _read_array(stream, dtype, shape):
    return np.frombuffer(stream.read(dtype.itemsize * math.prod(shape)), dtype).reshape(shape)


def send(path):
    """Write what `arrays_of` returns, or the reason it does not, to standard output, within bounds."""
    size = os.path.getsize(path)
    seconds, addresses = CPU_SECONDS + size // BYTES_A_SECOND, ADDRESSES + 4 * size
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    arrays, refused = {}, None
    try:
        arrays = arrays_of(path)
    except InputError as error:
        refused = str(error)
    told = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    text = json.dumps({"arrays": told, "refused": refused}).encode()
    sys.stdout.buffer.write(struct.pack("<Q", len(text)) + text)
    for array in arrays.values():
        sys.stdout.buffer.write(array.tobytes())


def arrays_of(path):
    """Return the arrays of a file as `read_keras` does, in this very process."""
    h5py = require_package("h5py", "reading Keras' .h5")
    try:
        with h5py.File(path, "r") as f:
            return _arrays(h5py, f, path)
    except InputError:
        raise
    except Exception as error:  # h5py passes on what HDF5 says under a dozen kinds
        raise _damaged(path, last_line(error)) from None


def _damaged(path, reason):
    return InputError(f"weights cannot be read: expected Keras' weights in HDF5, received {path} of "
                      f"{os.path.getsize(path):,} bytes ({' '.join(reason.split())[:200]}); copy or download it again")


def _arrays(h5py, file, path):
    root = _member(h5py, file, "model_weights", path) if "model_weights" in file else file
    if "layer_names" not in root.attrs:
        raise InputError(f"weights cannot be read: expected Keras' .h5 with layer names in {path}, received entries "
                         f"{', '.join(list(root)[:4]) or 'none'}; save it with model.save('name.h5')")
    entries, left = {}, MOST_EXPANSION * os.path.getsize(path)
    for layer in _names(root, "layer_names", path):
        group = _member(h5py, root, layer, path)
        for name in _names(group, "weight_names", path):
            array = _member(h5py, group, name, path)
            left -= _require_numbers(h5py, array, f"{layer}/{name}", path, left)
            entry = f"{layer}/{name.split('/')[-1].split(':')[0]}"
            if entry in entries:
                raise InputError(f"weights cannot be read: expected one array of each name, received {entry!r} twice "
                                 f"in {path}")
            entries[entry] = array[()]
    return entries


def _names(group, attribute, path):
    """Return the text of an attribute that lists names."""
    if attribute not in getattr(group, "attrs", ()):
        raise InputError(f"weights cannot be read: expected the names of its arrays in {group.name!r}, received no "
                         f"{attribute} in {path}")
    found = group.attrs[attribute]
    names = [name.decode("utf-8") if isinstance(name, bytes) else name
             for name in (found.tolist() if getattr(found, "ndim", 0) == 1 else [None])]
    if len(names) > _MOST_NAMES or not all(isinstance(name, str) and is_plain(name) for name in names):
        raise InputError(f"weights cannot be read: expected a list of names as {attribute} of {group.name!r}, received "
                         f"{str(found)[:60]!r} in {path}")
    return names


def _member(h5py, group, name, path):
    """Return what `name`, which may lead through several groups, stands for; a link is refused."""
    found = group
    for part in filter(None, name.split("/")):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise InputError(f"weights cannot be read: expected {name!r} in {group.name!r}, received a file without "
                             f"it: {path}")
        if not isinstance(link, h5py.HardLink):
            where = f" to {link.filename!r}" if isinstance(link, h5py.ExternalLink) else f" to {link.path!r}"
            raise InputError(f"weights cannot be read: expected arrays that lie in the file, received {name!r}, a link"
                             f"{where}, in {path}")
        found = found[part]
    return found


def _require_numbers(h5py, array, name, path, left):
    """Return the bytes of an array of numbers that are in the file, at most `left`; refuse any other."""
    if not isinstance(array, h5py.Dataset) or array.shape is None or array.dtype.kind not in "fiub":
        kind = type(array).__name__
        if isinstance(array, h5py.Dataset):
            kind = "nothing" if array.shape is None else array.dtype
        raise InputError(f"weights cannot be read: expected numbers as {name!r}, received {kind} in {path}")
    if array.external or array.is_virtual:
        raise InputError(f"weights cannot be read: expected arrays that lie in the file, received {name!r}, whose "
                         f"numbers lie in another one, in {path}")
    if array.nbytes > left or (array.nbytes and not array.id.get_storage_size()):
        raise InputError(f"weights cannot be read: expected the numbers of {name!r}, of shape {array.shape}, in the "
                         f"file, received {path} of {os.path.getsize(path):,} bytes")
    return array.nbytes
