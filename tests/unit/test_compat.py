"""The door to mxnet: opened late, only what is missing put back, and plain words where it stays shut."""
import ast
import builtins
import os
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

from mxft import compat
from mxft.errors import DependencyError

HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Hide())
"""
REPORT = """
from mxft.errors import DependencyError
try:
    {call}
except DependencyError as error:
    print(error)
"""


@pytest.fixture
def python(repository):
    """A function that runs code in a Python of its own and returns the finished process."""
    def run(code, *arguments, path=(), **environment):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), str(repository)]), **environment}
        return subprocess.run([sys.executable, *(["-c", code] if code else []), *arguments], env=environment,
                              capture_output=True, text=True, timeout=120)

    return run


def report(call, before=""):
    """Return code that prints the DependencyError of a call."""
    return before + REPORT.format(call=call)


def test_importing_mxft_imports_no_mxnet(python):
    done = python("import mxft, sys; assert mxft.__version__; print([m for m in sys.modules if 'mxnet' in m])")
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_help_imports_no_mxnet_and_needs_none(python):
    done = python(HIDE.format(name="mxnet") + "from mxft.cli import main; print(main(['--help']))\n"
                  "print([m for m in sys.modules if 'mxnet' in m])")
    assert done.stdout.endswith("0\n[]\n") and "finetune" in done.stdout, done.stderr
    done = python("", "-X", "importtime", "-m", "mxft", "--help")
    assert done.returncode == 0 and "mxft.cli" in done.stderr and "mxnet" not in done.stderr


def test_a_public_name_is_loaded_when_it_is_used(python):
    done = python("import mxft, sys; print('mxnet' in sys.modules); mxft.cut_at; print('mxnet' in sys.modules)")
    assert done.stdout == "False\nTrue\n", done.stderr


def test_every_public_name_exists_and_another_does_not():
    import mxft
    for name in mxft.__all__:
        assert getattr(mxft, name) is not None
    assert set(dir(mxft)) == set(mxft.__all__)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        mxft.no_such_name  # noqa: B018


def test_only_missing_numpy_names_are_restored_and_only_once(monkeypatch):
    compat.restore_numpy_names()
    monkeypatch.delattr(np, "PINF")
    monkeypatch.setattr(np, "NINF", "somebody's own")
    before = {name: vars(np)[name] for name in compat._numpy_replacements() if name in vars(np)}
    assert compat.restore_numpy_names() == ["PINF"]
    assert float("inf") == np.PINF
    assert all(vars(np)[name] is value for name, value in before.items())
    assert compat.restore_numpy_names() == []


def test_names_numpy_itself_has_stay_numpys_own(python):
    done = python("import numpy as np, warnings; warnings.simplefilter('ignore')\n"
                  "from mxft.compat import _numpy_replacements, restore_numpy_names\n"
                  "own = {k: vars(np)[k] for k in _numpy_replacements() if k in vars(np)}\n"  # 1.26 makes others anew
                  "added = restore_numpy_names()\n"
                  "print(not set(own) & set(added), all(vars(np)[k] is v for k, v in own.items()))")
    assert done.stdout == "True True\n", done.stderr


def test_restored_names_do_what_they_did():
    compat.restore_numpy_names()
    rows = np.array([[3, 1], [2, 4]])
    assert np.alltrue([1, 1]) and not np.sometrue([0, 0]) and np.product([2, 3]) == 6
    np.testing.assert_array_equal(np.msort(rows), [[2, 1], [3, 4]])
    np.testing.assert_array_equal(np.in1d(rows, [1, 4]), [False, True, False, True])
    assert np.asscalar(np.array([7])) == 7 and np.isnan(np.NAN) and -np.inf == np.NINF


def test_a_financial_name_is_there_and_says_where_it_went():
    with pytest.raises(NotImplementedError, match="numpy.npv left NumPy in 1.20; .* numpy-financial"):
        compat._moved_to_numpy_financial("npv")(0.1, [1])


def numpy_names_of(path):
    """Return {name: line} of every attribute a Python file takes from the module numpy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MXNet's docstrings hold "\\d"
        tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
               for alias in node.names if alias.name == "numpy"}
    return {node.attr: node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases}


def test_every_name_mxnets_python_files_take_from_numpy_is_there():
    root = pathlib.Path(compat.load_mxnet().__file__).parent
    missing = {(name, f"{path.relative_to(root)}:{line}") for path in root.rglob("*.py")
               for name, line in numpy_names_of(path).items() if not hasattr(np, name)}
    # np.compat.unicode stands in two functions only, behind a test for Python 2
    assert {name for name, _ in missing} <= {"compat"}, missing


def test_loading_twice_gives_the_same_module():
    assert compat.load_mxnet() is compat.load_mxnet() is compat.mx is sys.modules["mxnet"]
    with pytest.raises(AttributeError, match="'mxft.compat' has no attribute 'mxn'"):
        compat.mxn  # noqa: B018


def test_leftovers_of_a_failed_import_are_named(python):
    done = python(report("compat.load_mxnet()", "import sys, types\nfrom mxft import compat\n"
                         "sys.modules['mxnet.base'] = types.ModuleType('mxnet.base')\n"))
    assert "mxnet was imported before mxft in this Python and that import failed half-way" in done.stdout, done.stderr
    assert "start Python again and use `from mxft.compat import mx`" in done.stdout


def test_a_missing_mxnet_is_told_with_the_command_that_installs_it(python):
    done = python(report("from mxft.compat import mx", HIDE.format(name="mxnet")))
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"mxnet is not installed for Python {version}: expected mxnet 1.9.1, received none; pip install --no-deps "\
        "mxnet==1.9.1 (" in done.stdout
    assert done.returncode == 0 and done.stderr == ""


def test_a_missing_requirement_of_mxnet_is_named(python):
    done = python(report("from mxft.compat import mx", HIDE.format(name="requests")))
    assert done.stdout == ("mxnet cannot be imported: it needs the package 'requests', which is not installed; "
                           "pip install requests\n"), done.stderr


def test_a_missing_cuda_library_is_told_with_both_ways_out(python, tmp_path):
    (tmp_path / "mxnet.py").write_text("raise OSError('libcudart.so.11.0: cannot open shared object file: No such "
                                       "file or directory')\n")
    done = python(report("from mxft.compat import mx"), path=[tmp_path])
    assert "expected libcudart.so.11.0, received none" in done.stdout, done.stderr
    assert "pip install 'mxft[cu112]'" in done.stdout and "pip uninstall mxnet-cu112" in done.stdout


def cv2_that_raises(monkeypatch, text):
    """Let ``import cv2`` fail with ImportError(text)."""
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name == "cv2":
            raise ImportError(text)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_opencv_without_libgl_is_told_to_go_headless(monkeypatch):
    cv2_that_raises(monkeypatch, "libGL.so.1: cannot open shared object file: No such file or directory")
    with pytest.raises(DependencyError, match="received libGL.so.1: cannot open.*; pip uninstall opencv-python && "
                                              "pip install opencv-python-headless"):
        compat.load_cv2()


def test_missing_opencv_is_told_with_its_package(monkeypatch):
    cv2_that_raises(monkeypatch, "No module named 'cv2'")
    with pytest.raises(DependencyError, match="OpenCV cannot be loaded: No module named 'cv2'; pip install opencv-pyt"):
        compat.load_cv2()


def test_missing_distutils_is_told_with_setuptools(monkeypatch):
    monkeypatch.setattr(compat.sys, "version_info", (3, 12, 1, "final", 0))
    monkeypatch.setitem(sys.modules, "distutils.version", None)
    with pytest.raises(DependencyError, match="needs the module distutils, which Python 3.12 no longer has: .*"
                                              "pip install setuptools"):
        compat._require_distutils()


def test_distutils_is_not_asked_for_where_python_has_it(monkeypatch):
    monkeypatch.setattr(compat.sys, "version_info", (3, 11, 9, "final", 0))
    monkeypatch.setitem(sys.modules, "distutils.version", None)
    assert compat._require_distutils() is None


@pytest.mark.long
def test_a_missing_requirement_of_gluoncv_is_named(python):
    done = python(report("compat.load_gluoncv()", "import sys\nfrom mxft import compat\n"
                         "sys.modules['portalocker'] = None\n"))
    assert done.stdout == ("gluoncv cannot be imported: it needs the package 'portalocker', which is not installed; "
                           "pip install portalocker\n"), done.stderr


def test_gluoncv_auto_can_be_imported_and_its_settings_are_checked():
    pytest.importorskip("autocfg")
    compat.load_gluoncv()
    from gluoncv.auto import estimators
    from gluoncv.auto.estimators.image_classification.default import ImageClassificationCfg
    settings = ImageClassificationCfg()
    assert (settings.train.teacher, settings.gpus) == (None, (0,)) and estimators.SSDEstimator
    settings.train.teacher = "resnet50_v1"  # Union[None, str]
    with pytest.raises(TypeError, match="teacher` requires typing.*, given <class 'int'>:5"):
        settings.train.teacher = 5


@pytest.mark.parametrize("label", [4.0, 3, np.float32(2), [1.0, 2.0, 5.0], np.array([7, 8], np.float32)])
def test_mxnets_record_packing_works_and_equals_ours(label):
    from mxft.data.recordio import IRHeader, pack
    mx = compat.load_mxnet()
    header = mx.recordio.IRHeader(9, label, 2574, 1)
    assert mx.recordio.pack(header, b"image") == pack(IRHeader(9, label, 2574, 1), b"image")
    again, payload = mx.recordio.unpack(mx.recordio.pack(header, b"image"))
    np.testing.assert_array_equal(again.label, label)
    assert payload == b"image"


@pytest.mark.parametrize("kind, quality", [(".png", 3), (".PNG", 3), (".jpg", 90), (".jpeg", 90)])
def test_mxnets_image_packing_works(kind, quality):
    import cv2
    mx = compat.load_mxnet()
    image = np.random.RandomState(0).randint(0, 255, (9, 7, 3)).astype(np.uint8)
    header, payload = mx.recordio.unpack(mx.recordio.pack_img((0, 1.0, 5, 0), image, quality=quality, img_fmt=kind))
    assert header.id == 5
    flag = cv2.IMWRITE_PNG_COMPRESSION if kind.lower() == ".png" else cv2.IMWRITE_JPEG_QUALITY
    assert payload == cv2.imencode(kind, image, [flag, quality])[1].tobytes()


OLD_SYMBOL = """
import sys
from mxft.network.checkpoint import load_symbol
from mxft.inference.executor import InferenceExecutor
from mxft.compat import mx
symbol = load_symbol(sys.argv[1])
if {bind}:
    args, _, auxs = symbol.infer_shape(data=(1, 3, 32, 32))
    args = dict(zip(symbol.list_arguments(), map(mx.nd.zeros, args)))
    InferenceExecutor(symbol, args, dict(zip(symbol.list_auxiliary_states(), map(mx.nd.ones, auxs))), (3, 32, 32), 1)
print(symbol.list_outputs())
"""


@pytest.mark.data
def test_an_old_symbol_is_loaded_and_bound_without_a_byte_on_stderr(python, testdata):
    done = python(OLD_SYMBOL.format(bind=True), str(testdata / "symbols" / "resnet-50-symbol.json"), MXFT_MXNET_LOG="")
    assert (done.stdout, done.stderr) == ("['softmax_output']\n", "")


@pytest.mark.data
def test_mxnets_own_log_is_there_where_it_is_wanted(python, testdata):
    done = python(OLD_SYMBOL.format(bind=False), str(testdata / "symbols" / "resnet-50-symbol.json"),
                  MXFT_MXNET_LOG="1")
    assert done.stdout == "['softmax_output']\n"
    assert "Loading symbol saved by previous version" in done.stderr


def test_mxnets_farewell_is_one_line():
    code = ("from mxft.compat import mx\nimport ctypes\n"
            "class Lib:\n    MXNotifyShutdown = staticmethod(lambda: -1)\n"
            "    MXGetLastError = staticmethod(lambda: b'Traceback\\n  bad_alloc')\n"
            "mx.base._LIB = Lib")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stderr == "mxnet ended with an error: bad_alloc\n"
