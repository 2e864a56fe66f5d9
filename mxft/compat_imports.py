"""Packages that ``import mxnet`` brings along though few programs use them: put off until somebody does.

MXNet 1.9.1 imports ``scipy.stats`` for the entropy calibration of its quantization, ``requests`` for downloads, h5py
and onnx for files of theirs, scikit-learn for the base class of ``mx.model.FeedForward``, and setuptools where that
stands in for distutils, of which it compares versions: together as much time as MXNet's own modules.
"""
import contextlib
import importlib
import importlib.util
import sys
import types

_PUT_OFF = ("scipy.stats", "requests", "h5py", "onnx")


class _Later(types.ModuleType):
    """Stands for a module until one of its names is asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):  # asked by the import system
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def in_place_of(name, module):
    """Have ``import name`` give another module within the block, or fail with ImportError where that is None."""
    kept = {name: sys.modules.pop(name)} if name in sys.modules else {}
    sys.modules[name] = module
    try:
        yield
    finally:
        sys.modules.pop(name, None)
        sys.modules.update(kept)


@contextlib.contextmanager
def lean_imports():
    """Within the block load nothing of `_PUT_OFF`, and find no scikit-learn, unless they were imported before.

    What imports them gets a stand-in, which loads the module when it is used. Without scikit-learn
    ``mx.model.FeedForward`` is no ``sklearn.base.BaseEstimator``: import sklearn first where it is to be one.
    """
    with contextlib.ExitStack() as stack:
        for name in _PUT_OFF:
            if name not in sys.modules and _is_installed(name.partition(".")[0]):
                stack.enter_context(in_place_of(name, _Later(name)))
        if "sklearn" not in sys.modules:
            stack.enter_context(in_place_of("sklearn", None))
        stack.enter_context(_own_distutils())
        yield


@contextlib.contextmanager
def _own_distutils():
    """Have ``import distutils`` find that of Python, where it has one, and not setuptools; forget it afterwards."""
    hack = sys.modules.get("_distutils_hack")
    if sys.version_info >= (3, 12) or "distutils" in sys.modules or not hasattr(hack, "remove_shim"):
        yield
        return
    hack.remove_shim()
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "distutils"]:
            del sys.modules[name]
        hack.add_shim()


def _is_installed(package):
    return importlib.util.find_spec(package) is not None
