"""The only module that imports mxnet: adds missing NumPy and Python names, and says plainly why it cannot be loaded.

MXNet 1.9.1 is the last release. Its wheel carries no Python version of its own, so what stops it today is only
what NumPy (1.24, 2.0, 2.4, 2.5 …) and Python (3.12: distutils) have taken away since. The names are put back before
``import mxnet``, and only those that are missing. Everything else in mxft says ``from mxft.compat import mx``.
"""
import atexit
import importlib
import importlib.util
import logging
import numbers
import os
import struct
import sys
import warnings

from mxft.compat_imports import in_place_of, lean_imports
from mxft.compat_mxnet import repair
from mxft.errors import DependencyError, last_line
from mxft.machine.cuda import CUDA_BUILD, is_cuda_build, load_cuda_libraries, missing_library_message, spare_old_drivers
from mxft.machine.packages import MXNET
from mxft.machine.quiet import native_log_wanted
from mxft.machine.threads import use_all_cores

_NATIVE_LOG_SWITCHES = {"MXNET_SUBGRAPH_VERBOSE": "0", "MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0"}
_GLUONCV_IMPORTS = ("portalocker", "PIL", "scipy", "requests", "tqdm", "cv2")
_FINANCIAL = ("fv", "ipmt", "irr", "mirr", "nper", "npv", "pmt", "ppmt", "pv", "rate")


def _numpy_replacements():
    """Return {name NumPy may have dropped: what it stood for}, for every name MXNet 1.9.1 or GluonCV asks for."""
    import numpy as np

    names = {
        "bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str,
        "PZERO": 0.0, "NZERO": -0.0, "PINF": np.inf, "NINF": -np.inf, "Inf": np.inf, "Infinity": np.inf,
        "NAN": np.nan, "NaN": np.nan,
        "alltrue": np.all, "sometrue": np.any, "product": np.prod, "cumproduct": np.cumprod, "round_": np.round,
        "row_stack": np.vstack, "msort": lambda a: np.sort(a, axis=0),
        "in1d": lambda a, b, **kw: np.isin(np.ravel(a), b, **kw),
        "trapz": getattr(np, "trapezoid", None), "asscalar": lambda a: a.item(),
    }
    names.update({name: _moved_to_numpy_financial(name) for name in _FINANCIAL})
    return names


def _moved_to_numpy_financial(name):
    def moved(*args, **kwargs):
        raise NotImplementedError(f"numpy.{name} left NumPy in 1.20; it lives in the package numpy-financial")

    moved.__name__ = name
    return moved


def restore_numpy_names():
    """Put back the NumPy names MXNet 1.9.1 wants and this NumPy lacks.

    Returns
    -------
    list of str
        The names that were added by this call: empty on an old NumPy, and on every call after the first.

    Notes
    -----
    A name NumPy still has, in whatever meaning, is left alone.
    """
    import numpy as np

    added = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in _numpy_replacements().items():
            if not hasattr(np, name):
                setattr(np, name, value)
                added.append(name)
    return added


def _require_distutils():
    if sys.version_info < (3, 12):
        return
    try:
        importlib.import_module("distutils.version")
    except ImportError:
        raise DependencyError(
            f"mxnet needs the module distutils, which Python {sys.version_info[0]}.{sys.version_info[1]} no longer "
            "has: expected setuptools (it carries distutils), received none; pip install setuptools") from None


def _refuse_broken_import():
    if "mxnet" not in sys.modules and any(name.startswith("mxnet.") for name in sys.modules):
        raise DependencyError(
            "mxnet was imported before mxft in this Python and that import failed half-way: expected mxft first, "
            "received leftovers of mxnet in sys.modules; start Python again and use `from mxft.compat import mx` "
            "(or import mxft.compat; mxft.compat.load_mxnet()) instead of `import mxnet`")


def load_mxnet():
    """Import mxnet with whatever this Python and NumPy need, and return it.

    Returns
    -------
    module
        ``mxnet``, repaired as `mxft.compat_mxnet.repair` says. A second call changes nothing; after a successful
        ``import mxnet`` only the repairs are left to do.

    Raises
    ------
    DependencyError
        mxnet is not installed, a native library is missing, or an earlier import of it failed half-way.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> mx.__version__
    '1.9.1'
    """
    if "mxnet" in sys.modules:
        return _repaired(sys.modules["mxnet"])
    _refuse_broken_import()
    _require_distutils()
    restore_numpy_names()
    if is_cuda_build():
        load_cuda_libraries()
        spare_old_drivers()
    use_all_cores()
    if not native_log_wanted():
        for name, value in _NATIVE_LOG_SWITCHES.items():
            os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings(), lean_imports():
            warnings.simplefilter("ignore")
            mxnet = importlib.import_module("mxnet")
    except ModuleNotFoundError as error:
        raise DependencyError(_missing_module_message(error.name)) from None
    except OSError as error:
        raise DependencyError(missing_library_message(str(error))) from None
    _restore_record_packing(mxnet.recordio)
    _leave_in_one_line(mxnet.base)
    return _repaired(mxnet)


def _repaired(mxnet):
    if not getattr(mxnet.__spec__, "_initializing", False):  # a server unpickles optimizers while mxnet is imported
        repair(mxnet)
    return mxnet


def _leave_in_one_line(base):
    """Have MXNet's farewell say in one line, without a traceback, what it had kept to itself: most was told before."""
    def notify():
        if base._LIB.MXNotifyShutdown():
            logging.getLogger("mxft").warning(
                f"mxnet ended with an error: {last_line(base.py_str(base._LIB.MXGetLastError()))}")

    atexit.unregister(base._notify_shutdown)
    atexit.register(notify)


def _restore_record_packing(recordio):
    """Give mx.recordio.pack and pack_img back where NumPy 2.3 took ``ndarray.tostring`` from under them."""
    import numpy as np

    if hasattr(np.ndarray, "tostring"):
        return

    def pack(header, s):
        header = recordio.IRHeader(*header)
        if isinstance(header.label, numbers.Number):
            header = header._replace(flag=0)
        else:
            label = np.asarray(header.label, dtype=np.float32)
            header = header._replace(flag=label.size, label=0)
            s = label.tobytes() + s
        return struct.pack(recordio._IR_FORMAT, *header) + s

    def pack_img(header, img, quality=95, img_fmt=".jpg"):
        cv2 = load_cv2()
        flag = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY,
                ".png": cv2.IMWRITE_PNG_COMPRESSION}.get(img_fmt.lower())
        written, buffer = cv2.imencode(img_fmt, img, None if flag is None else [flag, quality])
        if not written:
            raise ValueError(f"cannot encode the image as {img_fmt}")
        return pack(header, buffer.tobytes())

    recordio.pack, recordio.pack_img = pack, pack_img


def _missing_module_message(name):
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if name != "mxnet":
        return f"mxnet cannot be imported: it needs the package {name!r}, which is not installed; pip install {name}"
    return (f"mxnet is not installed for Python {python}: expected mxnet 1.9.1, received none; {MXNET} "
            f"(with NVIDIA cards: {CUDA_BUILD})")


def load_cv2():
    """Import OpenCV and return it; the missing libGL of bare servers gets its cure named.

    Raises
    ------
    DependencyError
        OpenCV is not installed, or a system library it links against is missing.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))  # read once; its own bound is four times that
    try:
        import cv2
    except ImportError as error:
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            raise DependencyError(
                f"OpenCV cannot be loaded: expected the desktop libraries opencv-python links against, received "
                f"{error}; pip uninstall opencv-python && pip install opencv-python-headless (the same module "
                "without windows), or install libgl1 and libglib2.0-0") from None
        raise DependencyError(f"OpenCV cannot be loaded: {error}; pip install opencv-python") from None
    return cv2


def _repair_autocfg():
    """Let autocfg 0.0.8, which gluoncv.auto reads, know Optional (a name of its own since 3.10) and Any (a class)."""
    if importlib.util.find_spec("autocfg") is None:
        return
    checks = importlib.import_module("autocfg.type_check")
    checks._get_name = lambda kind: getattr(kind, "_name", None) or kind.__name__
    checks._SPECIAL_INSTANCE_CHECKERS["Optional"] = checks._instancecheck_union


def load_gluoncv():
    """Import GluonCV (after mxnet) and return it; ``gluoncv.auto`` can be imported then, if autocfg is installed.

    Raises
    ------
    DependencyError
        GluonCV or one of the packages it imports is missing.
    """
    load_mxnet()
    try:
        with warnings.catch_warnings(), in_place_of("torch", None):  # GluonCV 0.10.5 refuses PyTorch 2
            warnings.simplefilter("ignore")
            _repair_autocfg()
            return importlib.import_module("gluoncv")
    except ImportError as error:  # GluonCV turns a missing portalocker or scipy into "missing mxnet & torch"
        name = getattr(error, "name", None) or next(
            (name for name in _GLUONCV_IMPORTS if importlib.util.find_spec(name) is None), None)
        advice = f"it needs the package {name!r}, which is not installed; pip install {name}" if name else str(error)
        raise DependencyError(f"gluoncv cannot be imported: {advice}") from None


def __getattr__(name):
    if name == "mx":
        return load_mxnet()
    raise AttributeError(f"module 'mxft.compat' has no attribute {name!r}")
