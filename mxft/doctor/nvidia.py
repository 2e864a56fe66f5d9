"""Driver, cards and CUDA libraries: what mxnet-cu112 needs of them, and what of it is there."""
import importlib.metadata
import os
import re

from mxft.doctor.check import BROKEN, OK, SKIPPED, WARNING, Check
from mxft.machine.cards import LEAST_CUDA, Card, wheel_code
from mxft.machine.cuda import CPU_BUILD, CUDA_BUILD, LIBRARIES, WHEEL

KERNEL_MODULE = "/proc/driver/nvidia/version"


def driver(answer, cuda_build):
    """Look at the NVIDIA driver.

    Parameters
    ----------
    answer : mxft.doctor.child.Answer
        To the question "driver".
    cuda_build : bool
        Whether mxnet-cu112 is installed, which cannot do without.
    """
    bad, module = (BROKEN if cuda_build else WARNING), _kernel_module()
    told = answer.value and answer.value["driver"]
    if answer.failure:
        return Check("driver", bad, f"does not answer: {answer.failure}", "restart the machine, or install it again")
    if told is None and module:
        return Check("driver", bad, f"{module} in the kernel, but no libcuda.so.1 beside it",
                     "in a container: run it with --gpus all (NVIDIA Container Toolkit); else install libcuda1")
    if told is None:
        return Check("driver", BROKEN if cuda_build else SKIPPED, "none: libcuda.so.1 cannot be loaded" +
                     ("" if cuda_build else f"; only {WHEEL} needs one"),
                     f"install NVIDIA's driver, 450.80.02 or newer; without a card: {CPU_BUILD}" if cuda_build else "")
    version = told["cuda"] and ".".join(map(str, told["cuda"]))
    text, facts = " for ".join(filter(None, (module, f"CUDA {version}"))), {"release": module, "cuda": version}
    if told["trouble"]:
        return Check("driver", bad, f"{text} fails: {told['trouble']}",
                     "restart the machine (after an update the old kernel module may still be loaded)", facts)
    if told["cuda"] and tuple(told["cuda"]) < LEAST_CUDA:
        return Check("driver", bad, f"{text}: older than CUDA 11.0", "install driver 450.80.02 or newer", facts)
    return Check("driver", OK, text, facts=facts)


def _kernel_module():
    """Return the release of the driver in the kernel, such as ``"535.104.05"``, None where there is none."""
    try:
        with open(KERNEL_MODULE, encoding="ascii", errors="replace") as f:
            release = re.search(r"\s(\d+\.[\d.]+)\s", f.readline())
    except OSError:
        return None
    return release.group(1) if release else "NVIDIA driver"


def told_cards(answer):
    """Return the Cards of an answer to the question "driver"."""
    told = answer.value and answer.value["driver"]
    return [Card(number, name, tuple(capability), memory)
            for number, name, capability, memory in (told["cards"] if told else ())]


def cards(answer, cuda_build):
    """Look at every card: whether mxnet-cu112 runs on it. At least one must, where mxnet-cu112 is installed."""
    found = told_cards(answer)
    if not found:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES={hidden!r} hides what is not in it)"
        there = bool(answer.value and answer.value["driver"])
        return Check("cards", WARNING if cuda_build and there else SKIPPED, f"none{why}",
                     "unset CUDA_VISIBLE_DEVICES, or plug one in" if cuda_build and there else "")
    none_runs = not any(card.runs_wheel for card in found)
    return [_card(card, cuda_build, none_runs) for card in found]


def _card(card, cuda_build, none_runs):
    name, text = f"card {card.number}", f"{card}, {card.memory / 2**30:.0f} GiB"
    facts = {"name": card.name, "capability": ".".join(map(str, card.capability)), "memory": card.memory,
             "runs": card.runs_wheel}
    if not card.runs_wheel:
        status = BROKEN if cuda_build and none_runs else WARNING
        return Check(name, status, f"{text}: {WHEEL} holds {wheel_code()} and no PTX, so nothing of "
                     "MXNet's runs on this card",
                     "compute by PyTorch: pip install 'mxft[torch]', then --device cuda in place of --gpus; or "
                     + (f"on the CPU ({CPU_BUILD})" if cuda_build and none_runs else
                        "leave it out of --gpus and CUDA_VISIBLE_DEVICES"), facts)
    if not cuda_build:
        return Check(name, WARNING, f"{text}: {WHEEL} runs on it, the CPU build that is installed does not",
                     f"pip uninstall mxnet && {CUDA_BUILD}", facts)
    return Check(name, OK, f"{text}: {WHEEL} runs on it", facts=facts)


def libraries(answer, cuda_build):
    """Look at every CUDA library mxnet-cu112 links: where it is, or the package that brings it.

    Parameters
    ----------
    answer : mxft.doctor.child.Answer or None
        To the question "cuda_libraries"; None for the CPU build.
    cuda_build : bool
    """
    if not cuda_build:
        return Check("CUDA libraries", SKIPPED, f"only {WHEEL} needs them: {len(LIBRARIES)}, from "
                     f"{len({library.package for library in LIBRARIES})} packages")
    if answer.value is None:
        return Check("CUDA libraries", BROKEN, answer.failure, "pip install --force-reinstall 'mxft[cu112]'")
    found = answer.value["libraries"]
    checks = [_library(library.soname, library.package, found[library.soname]) for library in LIBRARIES]
    zlib = found["libz.so.1"]
    return [*checks, Check("libz.so.1", OK, zlib["path"], facts=zlib) if zlib["path"] else
            Check("libz.so.1", BROKEN, f"{zlib['error']}: cuDNN's convolutions need it", "apt install zlib1g", zlib)]


def _library(soname, package, found):
    if found["path"] is None:
        return Check(soname, BROKEN, found["error"], f"pip install '{package}' (or pip install 'mxft[cu112]' for all)",
                     {**found, "package": package})
    name = re.split("[=<>]", package)[0]
    try:
        text = f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        text = found["path"]  # the system's own
    return Check(soname, OK, text, facts={**found, "package": package})


def fusion(driver_answer, libraries_answer):
    """Look at whether what MXNet compiles as it goes (fused operators) can be loaded and suits the cards.

    Parameters
    ----------
    driver_answer, libraries_answer : mxft.doctor.child.Answer or None
        To the questions "driver" and "cuda_libraries".
    """
    told = driver_answer.value and driver_answer.value["driver"]
    compiler = libraries_answer and libraries_answer.value and libraries_answer.value["compiler"]
    if not told or not told["cuda"] or not compiler:
        return []
    driver_cuda, compiler, found = tuple(told["cuda"]), tuple(compiler), told_cards(driver_answer)
    versions = f"NVRTC {'.'.join(map(str, compiler))}, driver of CUDA {'.'.join(map(str, driver_cuda))}"
    given = os.environ.get("MXNET_USE_FUSION")
    if given == "0":
        return Check("fusion", OK, f"off: MXNET_USE_FUSION=0 is yours ({versions})")
    if driver_cuda < compiler and given is not None:
        return Check("fusion", WARNING, f"MXNET_USE_FUSION={given}, but {versions}: the driver refuses newer PTX",
                     "unset MXNET_USE_FUSION; mxft then switches fusion off, or update the driver")
    if driver_cuda < compiler:
        return Check("fusion", OK, f"switched off by mxft: {versions} refuses newer PTX")
    if compiler < (11, 8) and any(card.capability == (8, 9) for card in found):
        return Check("fusion", WARNING, f"{versions}: NVRTC before 11.8 does not know Ada cards",
                     "pip install -U nvidia-cuda-nvrtc-cu11, or export MXNET_USE_FUSION=0")
    return Check("fusion", OK, versions)
