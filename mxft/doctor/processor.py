"""The CPU as MXNet uses it: oneDNN's instruction set, OpenBLAS's kernels, threads."""
import os
import re

from mxft.doctor.check import OK, SKIPPED, WARNING, Check
from mxft.machine.threads import physical_cores

# oneDNN's word: the kernel's, best first
_SETS = {"AVX-512": "avx512f", "AVX2": "avx2", "AVX": "avx", "SSE4.1": "sse4_1"}
_KERNELS_WITH_AVX2 = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids"}
_QUOTA = "/sys/fs/cgroup/cpu.max"
_OLD_QUOTA = ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def onednn(answer, flags):
    """Look at the instruction set oneDNN itself says it takes.

    Parameters
    ----------
    answer : mxft.doctor.child.Answer
        To the question "mxnet", asked with ``DNNL_VERBOSE=1``.
    flags : set of str
        `mxft.machine.processor.cpu_flags`.
    """
    best = next((word for word, flag in _SETS.items() if flag in flags), None)
    told = re.search(r"^dnnl_verbose,info,cpu,isa:(.*)$", answer.output, re.MULTILINE)
    if answer.value is None:
        return Check("oneDNN", SKIPPED, f"mxnet does not load; the CPU has {best or 'nothing oneDNN is fast with'}")
    if not told:
        return Check("oneDNN", WARNING, "off: convolutions run several times slower",
                     "unset MXNET_MKLDNN_ENABLED (mxft cures the crashes it was set for)")
    taken, version = told.group(1).strip(), re.search(r"info,oneDNN v([\d.]+)", answer.output)
    text = f"{version.group(1) + ', ' if version else ''}{taken}"
    facts = {"isa": taken, "cpu": best, "version": version and version.group(1)}
    used = next((word for word in _SETS if word in taken), None)
    limit = os.environ.get("DNNL_MAX_CPU_ISA")
    if best and used != best:
        return Check("oneDNN", WARNING, f"{text}, though the CPU has {best}",
                     "unset DNNL_MAX_CPU_ISA" if limit else "", {**facts, "DNNL_MAX_CPU_ISA": limit})
    return Check("oneDNN", OK, text, facts=facts)


def openblas(answer, flags):
    """Look at the kernels of the wheel's OpenBLAS: 0.3.13 does not know the CPUs of today and may take the oldest."""
    told = (answer.value or {}).get("openblas")
    if not told:
        return Check("BLAS", SKIPPED, "mxnet does not load" if answer.value is None else "no OpenBLAS in this build")
    text = f"{' '.join(told['config'].split()[:2])}, {told['core']} kernels"
    if "avx2" in flags and told["core"] not in _KERNELS_WITH_AVX2:
        return Check("BLAS", WARNING, f"{text}: it does not know this CPU, which has AVX2; mx.nd.dot and mx.nd.linalg "
                                      "run at a third of their speed (convolutions and fully connected layers are "
                                      "oneDNN's, at full speed)", "export OPENBLAS_CORETYPE=Haswell", told)
    return Check("BLAS", OK, text, facts=told)


def threads(answer):
    """Look at how many threads compute, beside the cores and the share of them a container grants."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores, share, given = physical_cores() or usable, _granted(), os.environ.get("OMP_NUM_THREADS")
    used = given or ((answer.value or {}).get("set") or {}).get("OMP_NUM_THREADS") or str(cores)
    facts = {"threads": used, "cores": cores, "logical_cpus": usable, "granted_cpus": share, "OMP_NUM_THREADS": given}
    text = (f"{used} (OMP_NUM_THREADS is {'yours' if given else 'set by mxft'}), {cores} cores, {usable} logical CPUs"
            + (f", {share:g} CPUs granted by the container" if share else ""))
    first = used.split(",")[0].strip()
    limit = min(usable, share or usable)
    if not first.isdigit() or int(first) < 1:
        return Check("threads", WARNING, f"{text}: expected a number", "unset OMP_NUM_THREADS", facts)
    if int(first) > max(1, limit):
        return Check("threads", WARNING, f"{text}: more threads than CPUs wait for one another",
                     f"export OMP_NUM_THREADS={max(1, int(limit))}", facts)
    return Check("threads", OK, text, facts=facts)


def _granted():
    """Return the CPUs a container's quota is worth, None without one."""
    for files in ((_QUOTA,), _OLD_QUOTA):
        try:
            words = " ".join(_read(file) for file in files).split()
            if words[0] not in ("max", "-1"):
                return int(words[0]) / int(words[1])
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return None


def _read(path):
    with open(path, encoding="ascii") as f:
        return f.read()
