"""Named arrays in an ``.npz``, read without trusting it: nothing is unpickled, and no array outgrows its file."""
import math
import os
import struct
import tokenize
import zipfile

import numpy as np

# what damage looks like to zipfile and NumPy
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, MemoryError, RecursionError,
          RuntimeError, SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile)


def read_arrays(path, names):
    """Read arrays as ``numpy.savez`` writes them.

    Parameters
    ----------
    path : str
    names : sequence of str
        Those that must be there.

    Returns
    -------
    dict of str to numpy.ndarray

    Raises
    ------
    ValueError
        Not such a file, one without an array of these, or damaged; the text says what is wrong with it, for a message.

    Notes
    -----
    Compressed members are refused: a small file could hold more than the memory. Nor is an array taken whose header
    promises more than there is.

    Examples
    --------
    >>> np.savez("made.npz", vectors=np.eye(2), names=np.array(["a", "b"]))
    >>> read_arrays("made.npz", ["names"])["names"].tolist()
    ['a', 'b']
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            most = os.fstat(file.fileno()).st_size
            return {name: _member(archive, name, most) for name in names}
    except DAMAGE as error:
        raise ValueError(str(error)[:200] or type(error).__name__) from None


def _member(archive, name, most):
    """Return one array of an open archive; its bytes are at most those of the whole file."""
    if f"{name}.npy" not in archive.namelist():
        raise ValueError(f"{name} is missing")
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with archive.open(member) as file:
        shape, fortran, dtype = _header(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or not dtype.itemsize or min(shape, default=0) < 0 or size > most:
            raise ValueError(f"{name} is {dtype} {shape}")
        data = np.empty(size, np.uint8)
        if file.readinto(memoryview(data)) != size or file.read(1):
            raise ValueError(f"{name} has not the {size:,} bytes of {dtype} {shape}")
    array = data.view(dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(file):
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"an array is of version {version}")
