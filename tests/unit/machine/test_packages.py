"""A package that is missing is refused with what to install."""
import sys

import pytest

from mxft.command import run_command
from mxft.errors import DependencyError
from mxft.machine.packages import require_package, require_packages


def test_a_package_that_is_there_is_given():
    assert require_package("numpy.linalg", "counting").norm([3, 4]) == 5


@pytest.fixture
def without(monkeypatch):
    """A function that hides packages by the names of their modules."""
    def hide(*modules):
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)
    return hide


def test_a_missing_one_is_refused_with_what_to_install(without):
    without("flask", "flask.json")
    with pytest.raises(DependencyError) as refused:
        require_package("flask.json", "serving a page")
    assert str(refused.value) == ("serving a page: expected the package flask, which is not installed; pip install "
                                  "'flask>=2.2'")


def test_several_missing_ones_are_one_sentence_and_one_command(without):
    without("flask", "waitress", "PIL")
    with pytest.raises(DependencyError, match="expected the packages flask, waitress and pillow, received none of them"
                                              "; pip install 'flask>=2.2' waitress pillow"):
        require_packages("flask", "waitress", "PIL", what="serving a page")


def test_one_that_is_there_and_does_not_load_is_to_be_installed_anew(monkeypatch, tmp_path):
    (tmp_path / "tensorboardX.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    monkeypatch.delitem(sys.modules, "tensorboardX", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DependencyError, match="received ImportError: numpy.core.multiarray failed to import; pip "
                                              "install --force-reinstall tensorboardX"):
        require_package("tensorboardX", "--tensorboard")


def test_a_package_that_code_stumbles_over_is_one_sentence_and_a_module_of_mxfts_own_a_defect(without, capsys):
    without("yaml", "mxft.nothing")
    assert run_command("mxft x", lambda argv: __import__("yaml"), []) == 2
    assert capsys.readouterr().err == ("mxft x: mxft lacks a package: expected the package pyyaml, which is not "
                                       "installed; pip install pyyaml\n")
    with pytest.raises(ModuleNotFoundError):
        run_command("mxft x", lambda argv: __import__("mxft.nothing"), [])
