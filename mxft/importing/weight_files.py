"""Weight files of other frameworks as NumPy arrays under their own names; nothing in them is executed."""
import os

import numpy as np

from mxft.errors import InputError
from mxft.files.whole import require_file
from mxft.machine.packages import require_package

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


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
    ``state_dict`` or ``model`` entry is looked into, and ``module.`` in front of all names (DataParallel) is dropped.

    Examples
    --------
    >>> read_weights("resnet50.safetensors")["conv1.weight"].shape          # doctest: +SKIP
    (64, 3, 7, 7)
    """
    path = require_file(path, "weights")
    ending = os.path.splitext(path)[1].lower()
    readers = {".safetensors": _read_safetensors, ".pth": _read_torch, ".pt": _read_torch, ".bin": _read_torch,
               ".h5": _read_keras, ".hdf5": _read_keras}
    if ending not in readers:
        raise InputError(f"weights: expected a file ending in one of {', '.join(readers)}, received {path}")
    return {name: _as_float32(array) for name, array in readers[ending](path).items()}


def _as_float32(array):
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _read_safetensors(path):
    safetensors = require_package("safetensors", "reading .safetensors")
    numpy_reader = require_package("safetensors.numpy", "reading .safetensors")
    try:
        return numpy_reader.load_file(path)
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise _damaged(path, "a safetensors file", error) from None
    except (KeyError, TypeError):  # bfloat16: NumPy has none
        from safetensors.torch import load_file
        require_package("torch", f"reading bfloat16 numbers of {path}")
        return {name: tensor.float().numpy() for name, tensor in load_file(path).items()}


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
    if all(name.startswith("module.") for name in found):
        found = {name[len("module."):]: value for name, value in found.items()}
    return {name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in found.items()}


def _read_keras(path):
    h5py = require_package("h5py", "reading Keras' .h5")
    entries = {}
    try:
        with h5py.File(path, "r") as f:
            root = f.get("model_weights", f)
            if "layer_names" not in root.attrs:
                raise InputError(f"weights cannot be read: expected Keras' .h5 with layer names in {path}, received "
                                 f"entries {', '.join(list(root)[:4])}; save it with model.save('name.h5')")
            for layer in root.attrs["layer_names"]:
                layer = _text(layer)
                for name in root[layer].attrs["weight_names"]:
                    entries[f"{layer}/{_text(name).split('/')[-1].split(':')[0]}"] = root[layer][_text(name)][()]
    except (OSError, KeyError, RuntimeError) as error:
        raise _damaged(path, "Keras' weights in HDF5", error) from None
    return entries


def _text(name):
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)


def _damaged(path, what, error):
    first = " ".join(str(error).split())[:200]
    return InputError(f"weights cannot be read: expected {what}, received {path} of {os.path.getsize(path):,} bytes "
                      f"({first}); copy or download it again")
