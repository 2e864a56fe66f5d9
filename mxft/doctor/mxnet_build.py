"""Which mxnet is installed, whether it can be imported, and what it was built with."""
import re

from mxft.doctor.check import BROKEN, OK, SKIPPED, Check
from mxft.machine.cuda import CUDA_BUILD

VERSION = "1.9.1"
_NEEDED = ("MKLDNN", "OPENCV")


def installed(builds):
    """Look at the packages that bring the module mxnet.

    Parameters
    ----------
    builds : dict
        `mxft.machine.cuda.mxnet_distributions`.
    """
    text = ", ".join(f"{name} {version}" for name, version in builds.items())
    if not builds:
        return Check("package", BROKEN, "mxnet is not installed",
                     f"pip install --no-deps mxnet=={VERSION} (with NVIDIA cards: {CUDA_BUILD})")
    if len(builds) > 1:
        return Check("package", BROKEN, f"{text}: they share one folder, and the later has overwritten the other",
                     f"pip uninstall {' '.join(builds)}, then install one of them", {"builds": builds})
    if set(builds.values()) != {VERSION}:
        return Check("package", BROKEN, f"{text}: mxft is made for {VERSION}",
                     f"pip install --no-deps {next(iter(builds))}=={VERSION}", {"builds": builds})
    return Check("package", OK, text, facts={"builds": builds})


def imported(builds, answer):
    """Look at the import of mxnet, through `mxft.compat`.

    Parameters
    ----------
    builds : dict
    answer : mxft.doctor.child.Answer
        To the question "mxnet".
    """
    if answer.value:
        return Check("import", OK, f"{answer.value['version']} in {answer.value['seconds']} s from "
                                   f"{answer.value['folder']}", facts={"seconds": answer.value["seconds"]})
    text, _, cure = answer.failure.partition("; ")
    module = re.search(r"No module named '(\w+)", text)
    if module and not cure:
        cure = f"pip install {module.group(1)}"
    reinstall = f"pip install --force-reinstall --no-deps {next(iter(builds), 'mxnet')}=={VERSION}"
    return Check("import", BROKEN, text, cure or reinstall)


def features(answer):
    """Look at what this mxnet was built with; mxft needs oneDNN and OpenCV."""
    if answer.value is None:
        return Check("features", SKIPPED, "mxnet does not load")
    enabled = answer.value["features"]
    missing = [name for name in _NEEDED if name not in enabled]
    if missing:
        return Check("features", BROKEN, f"{' '.join(enabled)}; missing: {' '.join(missing)}",
                     f"pip install --force-reinstall --no-deps mxnet=={VERSION}", {"enabled": enabled})
    return Check("features", OK, " ".join(enabled), facts={"enabled": enabled})
