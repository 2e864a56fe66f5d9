"""Who may come in: how many requests are under way, in all and of one address, and how many bytes they hold."""
import collections
import contextlib
import ipaddress
import threading

from mxft.deploy.serving.jobs import RETRY_AFTER, Refused

MOST_WAITING = 256_000_000  # bytes of bodies in memory


def household(address):
    """Return what is counted as one address: of IPv6 the network of 64 bits, which one household or server has whole.

    Examples
    --------
    >>> household("192.0.2.1"), household("2001:db8::1") == household("2001:db8::ffff:2")
    ('192.0.2.1', True)
    """
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if number.version == 4 or number.ipv4_mapped:
        return str(getattr(number, "ipv4_mapped", None) or number)
    return str(ipaddress.ip_network((number, 64), strict=False))


class Admission:
    """Counts the requests that are computed or wait.

    Parameters
    ----------
    most, per_address : int

    Examples
    --------
    >>> admission = Admission(most=2, per_address=1)
    >>> with admission.admitted("192.0.2.1", 1000):
    ...     admission.full
    False
    """

    def __init__(self, most, per_address):
        self._most, self._per_address = most, per_address
        self._count, self._bytes, self._of = 0, 0, collections.Counter()
        self._lock = threading.Lock()

    @property
    def full(self):
        """Whether the next request would be refused."""
        return self._count >= self._most

    @contextlib.contextmanager
    def admitted(self, address, size):
        """Count a request for the length of the block.

        Parameters
        ----------
        address : str
        size : int
            Bytes of its body.

        Raises
        ------
        Refused
            503: the queue is full. 429: too many of this address.
        """
        address = household(address)
        with self._lock:
            if self._of[address] >= self._per_address:
                raise Refused(429, f"There are {self._per_address} requests of this address under way already; "
                                   "try again when one is answered.", "address", RETRY_AFTER)
            if self._count >= self._most or (self._count and self._bytes + size > MOST_WAITING):
                raise Refused(503, "The service is busy: its queue is full; try again.", "queue", RETRY_AFTER)
            self._count, self._bytes = self._count + 1, self._bytes + size
            self._of[address] += 1
        try:
            yield
        finally:
            with self._lock:
                self._count, self._bytes = self._count - 1, self._bytes - size
                self._of[address] -= 1
                if not self._of[address]:
                    del self._of[address]
