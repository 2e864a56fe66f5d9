"""A server that sends a byte now and then is given up: a socket's timeout starts again with every byte."""
import contextlib
import socket
import threading

LEAST_BYTES_A_SECOND = 1000
SECONDS = 60.0


class TooSlow(Exception):
    """Less came than `LEAST_BYTES_A_SECOND` over `SECONDS`."""


class Rate:
    """What came of a body, looked at every `SECONDS`.

    Parameters
    ----------
    slack : int
        Bytes that may have come without having been counted yet.
    """

    def __init__(self, slack):
        self._slack, self._bytes, self.is_slow = slack, 0, False

    def count(self, received):
        """Note that so many bytes came."""
        self._bytes += received

    def check(self):
        """Return whether enough came since the last call."""
        self.is_slow = self._bytes + self._slack < LEAST_BYTES_A_SECOND * SECONDS
        self._bytes = 0
        return not self.is_slow

    def require(self):
        """Raise TooSlow where the body was cut off because too little came."""
        if self.is_slow:
            raise TooSlow(f"less than {LEAST_BYTES_A_SECOND:,} bytes a second came over {SECONDS:g} seconds")


@contextlib.contextmanager
def least_rate(response, slack):
    """Yield the Rate of a body that is read in this block; where it is too low, the connection is cut.

    Parameters
    ----------
    response : requests.Response
        Of a request with ``stream=True``.
    slack : int
        See `Rate`.

    Raises
    ------
    TooSlow
        In place of whatever reading from a connection that was cut raises.
    """
    rate, is_read, connection = Rate(slack), threading.Event(), _socket_of(response)

    def watch():
        while not is_read.wait(SECONDS):
            if not rate.check():
                with contextlib.suppress(OSError, AttributeError):
                    connection.shutdown(socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield rate
    except Exception:
        rate.require()
        raise
    finally:
        is_read.set()
        watcher.join()


def _socket_of(response):
    """Return the socket behind a response, None where it cannot be found: then only the timeout holds."""
    connection = getattr(getattr(response.raw, "connection", None), "sock", None)
    if connection is None:  # the response keeps it alone, where the server is to close the connection
        connection = getattr(getattr(getattr(getattr(response.raw, "_fp", None), "fp", None), "raw", None), "_sock",
                             None)
    return connection
