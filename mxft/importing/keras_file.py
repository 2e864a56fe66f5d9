"""Keras' weights in HDF5 (keras/src/legacy/saving/legacy_h5_format.py), read from that one file and nothing beside it.

HDF5 follows links into other files, reads arrays whose numbers lie outside, and allocates what a shape promises whether
or not it was ever stored: only plain arrays of numbers behind plain groups are read here.
"""
import os

from mxft.errors import InputError, last_line
from mxft.machine.packages import require_package
from mxft.wording import is_plain

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
    h5py = require_package("h5py", "reading Keras' .h5")
    try:
        with h5py.File(path, "r") as f:
            return _arrays(h5py, f, path)
    except InputError:
        raise
    except Exception as error:  # h5py passes on what HDF5 says under a dozen kinds
        raise InputError(f"weights cannot be read: expected Keras' weights in HDF5, received {path} of "
                         f"{os.path.getsize(path):,} bytes ({' '.join(last_line(error).split())[:200]}); copy or "
                         "download it again") from None


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
