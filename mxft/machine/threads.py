"""How many threads MXNet computes with on a CPU, where the user has not said.

MXNet 1.9.1 takes half of the logical CPUs for the number of cores. Where every logical CPU is a core of its own, as on
most virtual machines, it leaves half of the machine idle.
"""
import os

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def physical_cores():
    """Return the number of cores this process may run on, hyper-threads of one core counted once.

    Returns
    -------
    int or None
        None where the system does not tell.
    """
    try:
        cores = set()
        for cpu in os.sched_getaffinity(0):
            with open(_SIBLINGS.format(cpu), encoding="ascii") as f:
                cores.add(f.read())
    except (AttributeError, OSError):
        return None
    return len(cores)


def use_all_cores():
    """Set ``OMP_NUM_THREADS`` to the number of cores, unless the user has set it; to be called before mxnet loads."""
    cores = physical_cores()
    if cores:
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))


def computing_threads():
    """Return how many threads MXNet computes with: the first number of ``OMP_NUM_THREADS``, 1 where it says none."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() else 1
