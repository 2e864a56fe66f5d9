"""What a process that computes may take: memory beside its network, processor time for one picture, no core dump.

RLIMIT_AS counts addresses, of which MXNet and its threads reserve gigabytes that they never use: so it is set only when
the network is bound, to what is reserved by then and so much more. RLIMIT_CPU counts from the start of a process: it is
moved on before every batch. macOS takes neither for memory; there the time limits alone hold.
"""
import contextlib
import os

try:
    import resource
except ImportError:  # Windows
    resource = None

_STATM = "/proc/self/statm"


def limit_memory(megabytes):
    """Let the process reserve so much beside what it has reserved by now; no more than a warning is lost on macOS.

    Parameters
    ----------
    megabytes : int

    Returns
    -------
    int or None
        The limit in bytes; None where the system has none.
    """
    if resource is None or not os.path.exists(_STATM):
        return None
    with open(_STATM, encoding="ascii") as f:
        reserved = int(f.read().split()[0]) * resource.getpagesize()
    wanted = reserved + megabytes * 1_000_000
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    return limit


def limit_processor_time(seconds, threads):
    """Let the process compute so many seconds longer, on each of its threads; SIGXCPU ends it then.

    Parameters
    ----------
    seconds : float
    threads : int
    """
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(used + seconds * threads) + 2
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def leave_no_core():
    """Write no core dump: a crash would fill the disk with the memory of the network."""
    if resource is not None:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
