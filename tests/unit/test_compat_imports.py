"""What import mxnet puts off: nothing is loaded that is not used, everything is there when it is."""
import subprocess
import sys
import types

import pytest

from mxft.compat_imports import in_place_of, lean_imports

NO_DISTUTILS = sys.version_info >= (3, 12)  # of Python's own: MXNet needs that of setuptools then


def told_by(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_mxnet_is_loaded_without_them_and_finds_them_when_it_uses_them():
    """One process for all: each takes two seconds."""
    assert told_by("""
import sys
from mxft.compat import mx
mx.nd
print(*(name in sys.modules for name in ("scipy.stats", "sklearn", "requests", "h5py", "onnx", "pkg_resources")))
print("distutils" in sys.modules)
import mxnet.contrib.quantization as quantization
print(quantization.stats.entropy([0.5, 0.5]).round(4), mx.test_utils.ss.norm.cdf(0.0))
print(mx.gluon.utils.requests.Session.__name__)
import requests, scipy.stats, sklearn.linear_model
import distutils.version
print(distutils.version.LooseVersion("1.10") > distutils.version.LooseVersion("1.9"))
print(scipy.stats.entropy is quantization.stats.entropy, requests.Session is mx.gluon.utils.requests.Session)
""") == ["False"] * 6 + [str(NO_DISTUTILS), "0.6931", "0.5", "Session", "True", "True", "True"]


def test_a_module_that_was_imported_before_stays(monkeypatch):
    own = types.ModuleType("requests")
    monkeypatch.setitem(sys.modules, "requests", own)
    monkeypatch.setitem(sys.modules, "sklearn", own)
    with lean_imports():
        assert sys.modules["requests"] is own and sys.modules["sklearn"] is own
    assert sys.modules["requests"] is own


def test_after_the_block_all_is_as_it_was(monkeypatch):
    for name in ("requests", "sklearn", "scipy.stats"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with lean_imports():
        with pytest.raises(ImportError):
            import sklearn  # noqa: F401
        assert sys.modules["requests"].__class__.__name__ == "_Later"
    assert not {"requests", "sklearn", "scipy.stats"} & set(sys.modules)


def test_a_package_that_is_not_there_is_missed_at_once(monkeypatch):
    monkeypatch.delitem(sys.modules, "requests", raising=False)
    monkeypatch.setattr("mxft.compat_imports._is_installed", lambda package: False)
    with lean_imports():
        assert "requests" not in sys.modules


def test_in_place_of_a_module_another_is_imported():
    with in_place_of("json", None), pytest.raises(ImportError):
        import json  # noqa: F401
    import json
    assert json.loads("1") == 1
