"""Giving memory back between two networks of one process."""
import contextlib
import ctypes
import gc


def give_back():
    """Free what a finished Module holds, and hand freed pages back to the system.

    A Module is part of a reference cycle, gigabytes large, that Python frees when it likes; and glibc keeps what
    MXNet's threads have freed for arrays of the same sizes, which the next network does not have. Where there is no
    glibc, only the first is done.

    Examples
    --------
    >>> give_back()
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
