"""What the service can be told, with its defaults; nothing here needs mxnet or Flask."""
import dataclasses
import ipaddress
import os

from mxft.errors import InputError
from mxft.settings import check_settings, real, setting, several, text, whole

MOST_PROCESSES = 8  # by default: each holds the network
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclasses.dataclass(frozen=True)
class ServingOptions:
    """How to serve.

    Parameters
    ----------
    max_megabytes : int
        Of a request's body.
    processes : int or None
        That compute; one a core, at most `MOST_PROCESSES`, when None.
    batch_size : int
        Pictures that wait are computed together, up to so many.
    batch_wait : float
        Milliseconds that a picture waits for others, where `batch_size` is more than 1.
    queue : int
        Requests that wait for a process; more are answered 503.
    timeout : float
        Seconds for a request once it has come whole; and for one picture in a process, which is ended then.
    read_timeout : float
        Seconds from the first byte of a request to its last, and of silence between two.
    connections : int
        In all.
    per_address : int
        Connections, and requests under way, of one address.
    memory : int
        Megabytes that reading a picture may take beside the network, in each process.
    grace : float
        Seconds to answer the requests under way after SIGTERM.
    proxy : tuple of str
        Of reverse proxies, whose word about the client's address (X-Forwarded-For) is believed.
    allow_host : tuple of str
        Names the service is reached by, beside its own.
    metrics_from : tuple of str
        Addresses or networks that may read ``/metrics``; this machine when empty.
    access_log : str or None
        A file; ``-`` is stderr.

    Raises
    ------
    InputError
        A value out of its range.
    """

    max_megabytes: int = setting(10, whole(1, 1000))
    processes: int = setting(None, whole(1, 64))
    batch_size: int = setting(1, whole(1, 64))
    batch_wait: float = setting(2.0, real(least=0, most=1000))
    queue: int = setting(64, whole(1, 1000))
    timeout: float = setting(20.0, real(above=0, most=3600))
    read_timeout: float = setting(60.0, real(above=0, most=3600))
    connections: int = setting(512, whole(1, 10_000))
    per_address: int = setting(64, whole(1, 10_000))
    memory: int = setting(2048, whole(64, 1 << 20))
    grace: float = setting(20.0, real(least=0, most=3600))
    proxy: tuple = setting((), several(text()))
    allow_host: tuple = setting((), several(text()))
    metrics_from: tuple = setting((), several(text()))
    access_log: str = setting(None, text())

    def __post_init__(self):
        check_settings(self)
        for name in ("proxy", "metrics_from"):
            for value in getattr(self, name):
                _network(name, value)

    @property
    def max_bytes(self):
        """Of a request's body."""
        return self.max_megabytes * 1_000_000

    @property
    def under_way(self):
        """How many requests are computed or wait, at most."""
        return self.queue + self.process_count * self.batch_size

    @property
    def process_count(self):
        """How many processes compute.

        Notes
        -----
        Measured with MobileNetV2 at 224 on two busy cores, six turns: two processes with a thread each answered 52
        pictures a second, one with two threads 52; but of two, one is left when the other dies.
        """
        return self.processes or min(cores(), MOST_PROCESSES)

    def may_read_metrics(self, address):
        """Whether an address may read ``/metrics``."""
        return _within(address, self.metrics_from or LOOPBACK)

    def is_proxy(self, address):
        """Whether an address is that of a reverse proxy."""
        return _within(address, self.proxy)


def cores():
    """Return how many logical CPUs this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _within(address, networks):
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    number = getattr(number, "ipv4_mapped", None) or number
    return any(number in ipaddress.ip_network(network, strict=False) for network in networks)


def _network(name, value):
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise InputError(f"`{name}`: expected an address or a network such as 10.0.0.0/8, received {name}={value!r}"
                         ) from None
