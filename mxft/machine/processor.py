"""What the CPU can do."""
import functools


@functools.cache
def cpu_flags():
    """Return the names of the CPU's instruction sets, such as ``avx2`` and ``avx512f``; none where nothing tells."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            return next((frozenset(line.split()) for line in f if line.startswith("flags")), frozenset())
    except OSError:
        return frozenset()
