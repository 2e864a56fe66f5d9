"""setup.py: the packages it asks for are those mxft knows of, and everything a verb reads is in the wheel."""
import fnmatch
import pathlib

import pytest

from mxft.machine.packages import BASE, EXTRAS

DISTUTILS = "setuptools; python_version >= '3.12'"  # carries what mxnet imports there, see mxft.compat


@pytest.fixture(scope="module")
def declared(repository):
    """The arguments of setup.py's ``setup``."""
    import setuptools

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        found = {}
        patch.setattr(setuptools, "setup", lambda **arguments: found.update(arguments))
        text = (repository / "setup.py").read_text(encoding="utf-8")
        exec(compile(text, "setup.py", "exec"), {"__file__": str(repository / "setup.py"), "__name__": "__main__"})
    return found


def test_the_table_of_packages_is_what_setup_declares(declared):
    assert {package.requirement for package in BASE} == set(declared["install_requires"]) - {DISTUTILS}
    for extra in EXTRAS:
        assert {package.requirement for package in extra.packages} == set(declared["extras_require"][extra.name])


def test_cpu_and_cu112_bring_what_verbs_need(declared):
    extras = declared["extras_require"]
    for name in ("cpu", "cu112"):
        assert set(extras["onnx"] + extras["serve"]) <= set(extras[name])


def test_every_module_and_every_file_of_a_package_is_in_the_wheel(declared, repository):
    """The recipes' folder is the package mxft_recipes; what is no Python is named by a pattern."""
    folders = {name: pathlib.Path(declared["package_dir"].get(name, name.replace(".", "/")))
               for name in declared["packages"]}
    held = {path for folder in folders.values() for path in (repository / folder).glob("*.py")}
    for name, patterns in declared["package_data"].items():
        root = repository / folders[name]
        held |= {path for path in root.rglob("*") if any(fnmatch.fnmatch(path.relative_to(root).as_posix(), pattern)
                                                         for pattern in patterns)}
    guides = (".md", ".ipynb", ".png")  # are read in the checkout
    there = {path for root in ("mxft", "recipes") for path in (repository / root).rglob("*")
             if path.is_file() and "__pycache__" not in path.parts and path.suffix not in guides}
    assert there - held == set() and folders["mxft_recipes"] == pathlib.Path("recipes")
