"""Read a pickle of bytes, numbers and uint8 arrays and refuse every other; nothing the pickle names is ever called.

Stands where insightface's ``eval/verification.py`` says ``pickle.load``, which runs whatever a file tells it to.
The opcodes are those of the standard library's `pickletools`; the arrays those of NumPy 1 and 2 under Python 2 and 3.
"""
import math
import os
import pickle
import pickletools
import struct

import numpy as np

from mxft.errors import InputError
from mxft.files.whole import require_file

_OPCODES = {ord(op.code): op.name for op in pickletools.opcodes}
_ALLOWED = {
    "PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
_SPARE_OPCODES = 1000
_DTYPES = {"u1": np.uint8, "b1": np.bool_}
_DAMAGED = (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError, OverflowError,
            AssertionError, struct.error)


def load_restricted(path, what="pickle"):
    """Read a pickle that may hold lists, tuples, bools, ints, bytes, text and NumPy arrays of uint8 or bool.

    Parameters
    ----------
    path : str or os.PathLike
        Protocol 0 to 5, of Python 2 or 3.
    what : str
        What messages call the file.

    Returns
    -------
    object
        Python 2's ``str`` as bytes, ``numpy.bool_`` as bool, arrays as read-only arrays.

    Raises
    ------
    InputError
        The pickle names anything else (a function, a class, an object array, a persistent id …): the message says
        what. Or it is cut short, damaged, or no pickle.

    Notes
    -----
    ``pickle._Unpickler`` is the standard library's own unpickler written in Python: there an opcode can be refused
    before it acts, and its memo is a dict. The C one takes gigabytes for one ``LONG_BINPUT``, and overflows the stack
    on a nested tuple that serves as a key. Memory stays below a small multiple of the file: no length is believed
    that goes beyond the file's end, and there may be no more opcodes than half of its bytes.

    Examples
    --------
    >>> with open("/tmp/mxft-example.pkl", "wb") as f:
    ...     pickle.dump(([b"one", b"two"], [True]), f)
    >>> load_restricted("/tmp/mxft-example.pkl")
    ([b'one', b'two'], [True])
    """
    path = require_file(path, what)
    with open(path, "rb") as f:
        source = _Source(f, os.path.getsize(path))
        try:
            return _plain(_Unpickler(source).load())
        except _Refused as error:
            raise InputError(f"{what} is not read: expected a pickle of lists, bools, bytes and uint8 arrays, received "
                             f"{path} with more in it before byte {source.position}: {error}; nothing of it was run, "
                             "do not open it with other programs") from None
        except _DAMAGED as error:
            reason = str(error) or type(error).__name__
            raise InputError(f"{what} cannot be read: expected a whole pickle, received {path} of {source.size} bytes, "
                             f"cut short or damaged before byte {source.position} ({reason}); copy it again or "
                             "make it again") from None


class _Refused(Exception):
    """Something a set of images has no use for; the message names it."""


class _Source:
    """A file that refuses to read beyond its end before any memory is taken for it."""

    def __init__(self, file, size):
        self._file, self.size, self.position = file, size, 0

    def read(self, count):
        if count < 0 or count > self.size - self.position:
            raise EOFError(f"{count} bytes wanted, {self.size - self.position} left")
        self.position += count
        return self._file.read(count)

    def readline(self):
        line = self._file.readline()
        self.position += len(line)
        return line


class _Opcodes:
    """The handlers of the opcodes that are allowed, counted as they are looked up."""

    def __init__(self, most):
        self._left = most

    def __getitem__(self, code):
        name = _OPCODES.get(code)
        if name is None:
            raise pickle.UnpicklingError(f"no opcode {bytes([code])!r}")
        if name not in _ALLOWED:
            raise _Refused(f"refused: the opcode {name}")
        self._left -= 1
        if self._left < 0:
            raise _Refused("refused: more opcodes than the images of such a file could need")
        return _OWN_HANDLERS.get(name) or pickle._Unpickler.dispatch[code]


class _Unpickler(pickle._Unpickler):
    """Python's unpickler with the doors closed: names become stand-ins, and only stand-ins are called."""

    def __init__(self, source):
        super().__init__(source, encoding="bytes")
        self.dispatch = _Opcodes(_SPARE_OPCODES + source.size // 2)

    def find_class(self, module, name):
        """Return the stand-in for a name."""
        full = f"{module}.{name}"
        if full not in _STAND_INS:
            raise _Refused(f"refused: {full}")
        return _STAND_INS[full]

    def load_reduce(self):
        """Call a stand-in, and nothing else."""
        arguments, function = self.stack.pop(), self.stack[-1]
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise _Refused(f"refused: a call of {_kind(function)}")
        self.stack[-1] = function.call(*arguments)

    def load_build(self):
        """Give an array or a dtype its state."""
        state, instance = self.stack.pop(), self.stack[-1]
        if not isinstance(instance, (_Array, _Dtype)) or not isinstance(state, tuple):
            raise _Refused(f"refused: a state for {_kind(instance)}")
        instance.set_state(*state)

    def load_bytearray8(self):
        """Read a bytearray's bytes; the library would take memory for the length that is announced first."""
        self.append(self.read(struct.unpack("<Q", self.read(8))[0]))


_OWN_HANDLERS = {"REDUCE": _Unpickler.load_reduce, "BUILD": _Unpickler.load_build,
                 "BYTEARRAY8": _Unpickler.load_bytearray8}


class _Function:
    """The stand-in of a function or class that a harmless pickle names."""

    def __init__(self, call):
        self.call = call


class _Dtype:
    """A NumPy dtype in the making: only uint8 and bool."""

    def __init__(self, code, *_):
        code = _text(code)
        if code.lstrip("|") not in _DTYPES:
            raise _Refused(f"refused: a NumPy array of dtype {code!r}" + " (objects)" * code.startswith(("O", "|O")))
        self.type = _DTYPES[code.lstrip("|")]

    def set_state(self, version, order, subdtype=None, names=None, fields=None, *_):
        if (subdtype, names, fields) != (None, None, None):
            raise _Refused("refused: a NumPy array with fields")


class _Array:
    """A NumPy array in the making."""

    def __init__(self, *_):
        self.value = None

    def set_state(self, version, shape, dtype, fortran, data):
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data, dtype, shape, order):
    """Return the array, after a look at what its pickle says of it."""
    if isinstance(data, list):
        raise _Refused("refused: a NumPy array of objects")
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or not isinstance(shape, tuple):
        raise ValueError("a NumPy array without dtype, shape or data")
    if any(not isinstance(n, int) or n < 0 for n in shape) or math.prod(shape) != len(data):
        raise ValueError(f"a NumPy array of shape {shape} with {len(data)} bytes")
    return np.frombuffer(data, dtype.type).reshape(shape, order=order)


def _scalar(dtype, data):
    """Stand in for what makes ``numpy.bool_`` values."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or len(data) != 1:
        raise ValueError("a NumPy scalar without dtype or data")
    return np.frombuffer(data, dtype.type)[0].item()


def _encode(text, encoding):
    """Stand in for ``_codecs.encode``, with which Python 3 writes bytes in protocol 2."""
    if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise _Refused(f"refused: _codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*arguments):
    """Stand in for ``bytes()``, with which Python 3 writes empty bytes in protocol 2."""
    if arguments:
        raise _Refused("refused: bytes() of something")
    return b""


def _from_buffer(data, dtype, shape, order, *_):
    """Stand in for what protocol 5 makes arrays with."""
    return _array(data, dtype, shape, "F" if _text(order) == "F" else "C")


def _stand_ins():
    functions = {"_codecs.encode": _encode, "__builtin__.bytes": _no_bytes, "builtins.bytes": _no_bytes,
                 "numpy.dtype": _Dtype, "numpy.ndarray": _Array}
    for core in ("numpy.core", "numpy._core"):
        functions.update({f"{core}.multiarray._reconstruct": _Array, f"{core}.multiarray.scalar": _scalar,
                          f"{core}.numeric._frombuffer": _from_buffer})
    return {name: _Function(call) for name, call in functions.items()}


_STAND_INS = _stand_ins()


def _text(value):
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"text expected, {_kind(value)} found")
    return text


def _kind(value):
    return type(value).__name__.lstrip("_").lower()


def _plain(value):
    """Replace the stand-ins in a result, two levels deep: the tuple and the lists in it."""
    if isinstance(value, (list, tuple)):
        return type(value)(_plain_item(item) for item in value)
    return _plain_item(value)


def _plain_item(value):
    if isinstance(value, (list, tuple)):
        return type(value)(_finished(item) for item in value)
    return _finished(value)


def _finished(value):
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("a NumPy array without data")
        return value.value
    if isinstance(value, (_Function, _Dtype)):
        raise _Refused("refused: a function or dtype in place of an image")
    return value
