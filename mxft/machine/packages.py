"""Packages that only some verbs need: there, or refused with what to install."""
import importlib

from mxft.errors import InputError


def require_package(name, what, extra="import"):
    """Return an optional package, or refuse with what to install.

    Parameters
    ----------
    name : str
        Of the package or of a module in it.
    what : str
        What it is needed for, as the message begins.
    extra : str
        The extra of setup.py that brings it.

    Raises
    ------
    InputError
        It is not installed.

    Examples
    --------
    >>> require_package("onnx", "exporting to ONNX", extra="onnx").__name__
    'onnx'
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.split(".")[0]
        raise InputError(f"{what}: expected the package {package}, which is not installed; pip install {package} "
                         f"(or pip install 'mxft[{extra}]' for all that goes with it)") from None
