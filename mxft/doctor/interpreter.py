"""Python, the operating system and OpenCV."""
import importlib.util
import platform
import struct
import sys

from mxft.doctor.check import BROKEN, OK, WARNING, Check
from mxft.doctor.child import ask

OLDEST, NEWEST = (3, 9), (3, 13)
_LINUX = ("x86_64", "aarch64")


def python():
    """Look at the interpreter."""
    version, have, bits = ".".join(map(str, sys.version_info[:3])), sys.version_info[:2], 8 * struct.calcsize("P")
    facts = {"version": version, "executable": sys.executable}
    if have < OLDEST or bits != 64:
        return Check("Python", BROKEN, f"{version}, {bits} bit: mxft runs on 64-bit Python 3.9 to 3.13",
                     "install Python 3.9 to 3.13 and mxft into it", facts)
    if have > NEWEST:
        return Check("Python", WARNING, f"{version}: mxft is tested on 3.9 to 3.13",
                     "install mxft into Python 3.13 if something fails", facts)
    if have >= (3, 12) and importlib.util.find_spec("distutils") is None:
        return Check("Python", BROKEN, f"{version}, without distutils, which mxnet imports", "pip install setuptools",
                     facts)
    return Check("Python", OK, f"{version}, {sys.executable}", facts=facts)


def system():
    """Look at the operating system: mxnet 1.9.1 has wheels for Linux with glibc, and for macOS on Intel."""
    kind, machine, (libc, version) = platform.system(), platform.machine(), platform.libc_ver()
    text = " ".join(filter(None, (kind, platform.release(), machine, libc, version)))
    linux = (kind, libc) == ("Linux", "glibc") and machine in _LINUX
    if linux or (kind, machine) == ("Darwin", "x86_64"):
        return Check("system", OK, text)
    return Check("system", BROKEN, f"{text}: mxnet 1.9.1 has wheels for Linux with glibc on {' and '.join(_LINUX)}, "
                                   "and for macOS on x86_64", "use a container of Debian or Ubuntu (linux/amd64)")


def opencv():
    """Load OpenCV: on bare servers it lacks libGL."""
    answer = ask("opencv", 60)
    if answer.value:
        return Check("OpenCV", OK, answer.value["version"], facts=answer.value)
    text, _, cure = answer.failure.partition("; ")
    return Check("OpenCV", BROKEN, text, cure or "pip install --force-reinstall opencv-python-headless")
