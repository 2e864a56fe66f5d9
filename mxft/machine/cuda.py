"""The CUDA libraries of mxnet-cu112: loaded before it from the ``nvidia-*-cu11`` packages, or named with the package.

The table is what ``readelf -d libmxnet.so`` of the wheel lists as NEEDED, without the driver's libcuda.so.1 and with
libcublasLt, which cuBLAS and cuSOLVER need. A library stands behind those it needs.
"""
import ctypes
import importlib.metadata
import os
import re
import sys
from typing import NamedTuple

from mxft.machine.cards import cards_without_code, cuda_of_driver, query_driver

WHEEL = "mxnet-cu112"
# mxnet's metadata asks for numpy<2, which Python 3.13 cannot install: there the extra leaves mxnet itself out
CUDA_BUILD = "pip install 'mxft[cu112]'" + (f" && pip install --no-deps {WHEEL}==1.9.1"
                                            if sys.version_info >= (3, 13) else "")
CPU_BUILD = f"pip uninstall {WHEEL} && pip install --no-deps mxnet==1.9.1"
_FUSION = "MXNET_USE_FUSION"


class Library(NamedTuple):
    """A shared library: its soname, the folder below ``nvidia/`` and the package that brings it."""

    soname: str
    folder: str
    package: str


LIBRARIES = (
    Library("libcudart.so.11.0", "cuda_runtime", "nvidia-cuda-runtime-cu11"),
    Library("libcublasLt.so.11", "cublas", "nvidia-cublas-cu11"),
    Library("libcublas.so.11", "cublas", "nvidia-cublas-cu11"),
    Library("libnvrtc.so.11.2", "cuda_nvrtc", "nvidia-cuda-nvrtc-cu11"),
    Library("libcudnn.so.8", "cudnn", "nvidia-cudnn-cu11==8.*"),
    Library("libnccl.so.2", "nccl", "nvidia-nccl-cu11"),
    Library("libcufft.so.10", "cufft", "nvidia-cufft-cu11"),
    Library("libcurand.so.10", "curand", "nvidia-curand-cu11"),
    Library("libcusolver.so.11", "cusolver", "nvidia-cusolver-cu11"),
    Library("libnvToolsExt.so.1", "nvtx", "nvidia-nvtx-cu11"),
)


def mxnet_distributions():
    """Return {name: version} of the installed packages that bring the module mxnet, such as ``{"mxnet": "1.9.1"}``."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = ((distribution.metadata or {}).get("Name") or "").replace("_", "-").lower()  # a damaged one has none
        if re.fullmatch(r"mxnet(-cu\d+)?", name):
            found.setdefault(name, distribution.version)  # the first on sys.path is the one Python takes
    return found


def is_cuda_build():
    """Whether a package mxnet-cuNNN is installed."""
    return any(name.startswith("mxnet-cu") for name in mxnet_distributions())


def find_library(library):
    """Return the path of a library in the ``nvidia-*-cu11`` packages; None where its package is not installed.

    All of sys.path is searched: a virtual environment that sees the system's packages has two folders nvidia.
    """
    paths = (os.path.join(root, "nvidia", library.folder, "lib", library.soname) for root in sys.path)
    return next(filter(os.path.isfile, paths), None)


def load_cuda_libraries():
    """Load what mxnet-cu112 links from the ``nvidia-*-cu11`` packages, so that it needs no LD_LIBRARY_PATH.

    Returns
    -------
    list of str
        Sonames of the libraries loaded: empty where those packages are not installed.

    Notes
    -----
    What else lies in those folders stays closed: libnvblas would take the place of every BLAS in the process, and
    PyTorch's CUDA 12 libraries live in the same folders. What is loaded is global (RTLD_GLOBAL): the linker takes it
    for what libmxnet.so asks for under the same soname. A library that does not load is left for mxnet to complain of.
    """
    return [library.soname for library in LIBRARIES if _load(library)]


def _load(library):
    path = find_library(library)
    try:
        return bool(path and ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL))
    except OSError:
        return False


def compiler_version():
    """Return the CUDA version of NVRTC as it will be loaded, such as (11, 8); None where there is none."""
    library = next(library for library in LIBRARIES if library.soname.startswith("libnvrtc."))
    major, minor = ctypes.c_int(), ctypes.c_int()
    try:
        nvrtc = ctypes.CDLL(find_library(library) or library.soname)
        return (major.value, minor.value) if nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) == 0 else None
    except (OSError, AttributeError):
        return None


def spare_old_drivers():
    """Switch pointwise fusion off (``MXNET_USE_FUSION=0``) where the driver is older than NVRTC and the user is silent.

    MXNet compiles fused operators with NVRTC to PTX, and a driver refuses PTX that is newer than itself
    (CUDA_ERROR_UNSUPPORTED_PTX_VERSION). CUDA's other libraries run on any driver of CUDA 11.

    Returns
    -------
    bool
        Whether it was switched off by this call.
    """
    if _FUSION in os.environ:
        return False
    driver, compiler = cuda_of_driver(), compiler_version()
    if not driver or not compiler or driver >= compiler:
        return False
    os.environ[_FUSION] = "0"
    return True


def missing_library_message(text):
    """Return what to say of the OSError with which mxnet's native library did not load: which one, and the cure."""
    library = re.search(r"(lib[\w.+-]+\.so[\w.]*)", text)
    name = library.group(1) if library else "a native library"
    without_card = f"without an NVIDIA card install the CPU build: {CPU_BUILD}"
    package = next((known.package for known in LIBRARIES if known.soname == name), None)
    cards = cards_without_code(query_driver()) if package else ""
    if name.startswith("libcuda.so"):
        cure = f"it comes with the NVIDIA driver, not from pip; {without_card}"
    elif cards:
        cure = f"it would not help here: {cards}; install the CPU build: {CPU_BUILD}"
    elif package:
        cure = f"pip install '{package}' brings it, pip install 'mxft[cu112]' all CUDA libraries; {without_card}"
    else:
        cure = "install the system package that provides it"
    return f"mxnet's native library cannot be loaded: expected {name}, received none ({text}); {cure}"
