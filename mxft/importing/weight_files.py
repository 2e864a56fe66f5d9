"""Weight files of other frameworks as NumPy arrays under their own names; nothing in them is executed."""
import os

import numpy as np

from mxft.errors import InputError
from mxft.files.whole import require_file
from mxft.importing.keras_file import read_keras
from mxft.machine.packages import require_package

_SAFETENSORS_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
                       "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_WRAPPERS = ("state_dict", "state_dict_backbone", "model_state_dict", "model", "net")


def read_weights(path):
    """Return the arrays of a weight file.

    Parameters
    ----------
    path : str or os.PathLike
        ``.safetensors``; ``.pth``, ``.pt`` or ``.bin`` of PyTorch; ``.h5`` or ``.hdf5`` of Keras.

    Returns
    -------
    dict of str to numpy.ndarray
        Float32 (whole numbers as they are), in the file's order. Names are those of the file; of Keras
        ``layer/kernel``, without the ``:0`` behind it and without the scopes in front.

    Raises
    ------
    InputError
        No such file, an ending that is none of these, a package that is missing, or a file that is damaged or holds
        more than weights.

    Notes
    -----
    PyTorch's files are pickles: they are opened with ``weights_only=True``, which refuses anything that could run. A
    ``state_dict``, ``state_dict_backbone`` (arcface_torch's ``checkpoint_gpu_0.pt``) or ``model`` entry is looked into,
    and ``module.`` in front of all names (DataParallel) is dropped.

    Examples
    --------
    >>> from safetensors.numpy import save_file
    >>> save_file({"conv1.weight": np.ones((64, 3, 7, 7), np.float16)}, "net.safetensors")
    >>> read_weights("net.safetensors")["conv1.weight"].dtype
    dtype('float32')
    """
    path = require_file(path, "weights")
    ending = os.path.splitext(path)[1].lower()
    readers = {".safetensors": _read_safetensors, ".pth": _read_torch, ".pt": _read_torch, ".bin": _read_torch,
               ".h5": read_keras, ".hdf5": read_keras}
    if ending not in readers:
        raise InputError(f"weights: expected a file ending in one of {', '.join(readers)}, received {path}")
    arrays = {name: _as_float32(array) for name, array in readers[ending](path).items()}
    if not arrays:
        raise InputError(f"weights cannot be read: expected arrays, received none in {path}")
    prefix = "module." if all(name.startswith("module.") for name in arrays) else ""
    return {name[len(prefix):]: array for name, array in arrays.items()}


def _as_float32(array):
    array = np.asarray(array)
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def _read_safetensors(path):
    safetensors = require_package("safetensors", "reading .safetensors")
    try:
        with open(path, "rb") as f:
            entries = safetensors.deserialize(f.read())  # lengths, offsets, names and overlaps are checked there
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise _damaged(path, "a safetensors file", error) from None
    return {name: _safetensors_array(name, entry, path) for name, entry in entries}


def _safetensors_array(name, entry, path):
    kind, shape = entry["dtype"], entry["shape"]
    if kind == "BF16":  # the upper half of a float32; NumPy has none
        halves = np.frombuffer(entry["data"], "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    if kind not in _SAFETENSORS_DTYPES:
        raise InputError(f"weights cannot be read: expected {', '.join(_SAFETENSORS_DTYPES)} or BF16 numbers, received "
                         f"{name!r} of {kind} in {path}; save the network in float32 or float16")
    return np.frombuffer(entry["data"], _SAFETENSORS_DTYPES[kind]).reshape(shape)


def _read_torch(path):
    torch = require_package("torch", "reading PyTorch's pickles")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what it raises for a damaged or unsafe file is of a dozen kinds
        if "Weights only load failed" in str(error):
            raise InputError(f"weights cannot be read: expected a state_dict, received {path}, a pickle that "
                             "wants to run code (a whole network?); save one with torch.save(model.state_dict(), "
                             "path)") from None
        raise _damaged(path, "a file of PyTorch with weights alone", error) from None
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"weights cannot be read: expected a state_dict in {path}, received "
                         f"{type(found).__name__}; save one with torch.save(model.state_dict(), path)")
    return {name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in found.items()}


def _damaged(path, what, error):
    first = " ".join(str(error).split())[:200]
    return InputError(f"weights cannot be read: expected {what}, received {path} of {os.path.getsize(path):,} bytes "
                      f"({first}); copy or download it again")
