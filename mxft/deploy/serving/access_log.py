"""The access log: one JSON object a line, for each request that was answered or refused."""
import datetime
import json
import logging
import logging.handlers
import os
import sys

from mxft.errors import InputError


class AccessLog:
    """Writes lines to a file, to stderr, or nowhere.

    Parameters
    ----------
    path : str or None
        A file, which is opened again where logrotate has moved it away; ``-`` is stderr; None writes nothing.

    Raises
    ------
    InputError
        The file cannot be opened.
    """

    def __init__(self, path):
        self._handler = None
        if path == "-":
            self._handler = logging.StreamHandler(sys.stderr)
        elif path:
            try:
                self._handler = logging.handlers.WatchedFileHandler(os.path.abspath(path), encoding="utf-8")
            except OSError as error:
                raise InputError(f"`access_log`: expected a file that can be written, received access_log={path!r} "
                                 f"({error.strerror.lower()})") from None

    def write(self, **entry):
        """Write one line: the time in UTC, and what is given.

        Parameters
        ----------
        **entry
            For JSON: address, method, path, status, ms, received, bytes, queue_ms, batch.
        """
        if self._handler is None:
            return
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **entry})
        self._handler.handle(logging.LogRecord("access", logging.INFO, "", 0, line, None, None))

    def close(self):
        """Close the file."""
        if self._handler and self._handler.__class__ is not logging.StreamHandler:
            self._handler.close()
