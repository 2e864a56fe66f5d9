"""What the library logs, told by a command: what was done on standard output, progress and warnings on standard error.

mxft's library prints nothing: it logs to the logger ``mxft``, and what comes and goes (progress, files being fetched)
to ``mxft.progress``. In a notebook ``logging.basicConfig(level="INFO", format="%(message)s")`` shows the same lines.
"""
import contextlib
import logging
import sys

from mxft.command.flags import as_flags
from mxft.errors import plain_message

PROGRESS = "mxft.progress"


class _Told(logging.Handler):
    """Writes the message, settings as flags, to what is a standard stream at that moment; a failing one is an error."""

    def __init__(self, stream, flags):
        super().__init__(logging.INFO)
        self._stream, self.flags = stream, flags

    def filter(self, record):
        """Whether the record goes to this stream."""
        aside = record.levelno >= logging.WARNING or record.name == PROGRESS
        return super().filter(record) and aside == (self._stream == "stderr")

    def emit(self, record):
        """Write one line and flush it: who reads a pipe is told at once."""
        text = record.getMessage()
        text = plain_message(text) if self.flags is False else as_flags(text, self.flags)
        print(text, file=getattr(sys, self._stream), flush=True)


@contextlib.contextmanager
def told(flags=None):
    """Tell what ``mxft`` logs for as long as it lasts; within another one only `flags` are new.

    Parameters
    ----------
    flags : dict of str to str or False, optional
        See `mxft.command.flags`; False names settings as Python does.
    """
    logger = logging.getLogger("mxft")
    outer = [handler for handler in logger.handlers if isinstance(handler, _Told)]
    if outer:
        with _flags_of(outer, flags):
            yield
        return
    handlers, level, hands_on = [_Told("stdout", flags), _Told("stderr", flags)], logger.level, logger.propagate
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # MXNet's logging.info gives the root logger a handler, which would tell it all again
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.propagate = hands_on
        for handler in handlers:
            logger.removeHandler(handler)


@contextlib.contextmanager
def _flags_of(handlers, flags):
    """Give handlers other flags for as long as it lasts; None leaves them theirs."""
    before = [handler.flags for handler in handlers]
    for handler in handlers:
        handler.flags = flags or handler.flags
    try:
        yield
    finally:
        for handler, own in zip(handlers, before):
            handler.flags = own
