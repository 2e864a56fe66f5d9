"""What C and C++ libraries print by themselves, kept off the terminal."""
import contextlib
import os
import sys

from mxft.machine.terminal import CleanStream

VERBOSE_SWITCH = "MXFT_MXNET_LOG"


def native_log_wanted():
    """Whether the user asked (``MXFT_MXNET_LOG=1``) to see what MXNet, libjpeg and libpng print themselves."""
    return os.environ.get(VERBOSE_SWITCH, "0") not in ("", "0")


@contextlib.contextmanager
def quiet_native():
    """Send what C libraries write to file descriptor 2 to nowhere; Python's own ``sys.stderr`` still reaches it.

    MXNet logs the loading of an old symbol, libjpeg prints "Corrupt JPEG data …", both past every switch they offer.
    With ``MXFT_MXNET_LOG=1`` nothing is held back. Whoever keeps the former ``sys.stderr`` object (a logging handler,
    say) is silent for the length of the block too.
    """
    python_stderr = sys.stderr
    if native_log_wanted() or python_stderr is None:  # None: started with a closed stderr
        yield
        return
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        python_stderr.flush()
        if _writes_to_2(python_stderr):
            fresh = os.fdopen(os.dup(saved), "w", encoding=python_stderr.encoding, errors="backslashreplace",
                              buffering=1)
            sys.stderr = CleanStream(fresh) if isinstance(python_stderr, CleanStream) else fresh
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        if sys.stderr is not python_stderr:
            sys.stderr.close()
            sys.stderr = python_stderr
        os.close(saved)
        os.close(nowhere)


def _writes_to_2(stream):
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False
