"""Functions of ours among those that MXNet's engine carries out.

The engine (src/engine/threaded_engine_perdevice.cc of MXNet 1.9.1) has a worker for every CPU number, a thread that
takes the functions pushed for it in order.
"""
import ctypes
import itertools
import threading

from mxft.compat import mx

_pushed = {}  # number: what to call, and the event to set
_numbers = itertools.count(1)


class _Context(ctypes.Structure):
    """``mxnet::Context`` of include/mxnet/base.h."""

    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
def _call(_, number):
    _pushed[number][0]()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _over(number):
    _pushed.pop(number)[1].set()


def push(function, context, reads=()):
    """Have the engine call a function.

    Parameters
    ----------
    function : callable
        Of no arguments. It runs in the worker's thread and must not wait for an array: MXNet waits by way of the worker
        of ``cpu(0)``.
    context : mx.Context
        Whose worker calls it.
    reads : list of mx.nd.NDArray
        It is called once they are computed, and not at all where that failed.

    Returns
    -------
    threading.Event
        Set when the function has been called, or never will be.

    Examples
    --------
    >>> push(lambda: print("from the engine"), mx.cpu()).wait()
    from the engine
    True
    """
    number, over = next(_numbers), threading.Event()
    _pushed[number] = function, over
    handles = (ctypes.c_void_p * len(reads))(*(array.handle for array in reads))
    where = _Context(context.device_typeid, context.device_id)
    mx.base.check_call(mx.base._LIB.MXEnginePushSyncND(
        _call, ctypes.c_void_p(number), _over, ctypes.byref(where), handles, len(reads), None, 0, None, 0, b"mxft"))
    return over
