"""The CUDA libraries of a CUDA build of mxnet: loaded before it from the ``nvidia-*-cu11`` packages, or named."""
import contextlib
import ctypes
import glob
import importlib.metadata
import importlib.util
import os
import re


def load_cuda_libraries():
    """Load the CUDA libraries of the ``nvidia-*-cu11`` packages: mxnet-cu112 needs no LD_LIBRARY_PATH then.

    Returns
    -------
    list of str
        Names of the libraries loaded: empty for the CPU build, or where those packages are not installed.
    """
    nvidia = importlib.util.find_spec("nvidia")
    installed = {d.metadata["Name"] for d in importlib.metadata.distributions() if d.metadata["Name"]}
    if nvidia is None or not any(name.startswith("mxnet-cu") for name in installed):
        return []
    waiting = sorted(path for folder in nvidia.submodule_search_locations
                     for path in glob.glob(os.path.join(folder, "*", "lib", "*.so.*")))
    loaded, before = [], None
    while len(waiting) != before:  # a library whose own needs are not loaded yet waits for the next round
        before = len(waiting)
        for path in list(waiting):
            with contextlib.suppress(OSError):
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
                waiting.remove(path)
                loaded.append(os.path.basename(path))
    return loaded


def missing_library_message(text):
    """Return what to say of the OSError with which mxnet's native library did not load: which one, and the cure."""
    library = re.search(r"(lib[\w.+-]+\.so[\w.]*)", text)
    name = library.group(1) if library else "a native library"
    without_card = ("without an NVIDIA card install the CPU build: pip uninstall mxnet-cu112 && "
                    "pip install --no-deps mxnet==1.9.1")
    if name.startswith("libcuda.so"):
        cure = f"it comes with the NVIDIA driver, not from pip; {without_card}"
    elif re.match(r"lib(cudart|cublas|cudnn|nccl|cufft|curand|cusolver|nvrtc|nvToolsExt)", name):
        cure = f"pip install 'mxft[cu112]' brings the CUDA libraries; {without_card}"
    else:
        cure = "install the system package that provides it"
    return f"mxnet's native library cannot be loaded: expected {name}, received none ({text}); {cure}"
