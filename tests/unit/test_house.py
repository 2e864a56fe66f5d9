"""The house's floors: no import of mxft points up, and what stands beside it is not imported from inside."""
import ast
import os
import subprocess
import sys

import pytest

import mxft

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(mxft.__file__)))


def imported_by(path):
    """Return the names of the modules a file imports, anywhere in it."""
    with open(path, encoding="utf-8") as f:
        nodes = list(ast.walk(ast.parse(f.read())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


def python_files(folder):
    return [os.path.join(root, name) for root, _, names in os.walk(os.path.join(ROOT, folder)) for name in names
            if name.endswith(".py")]


def test_no_import_points_up():
    """The contracts of pyproject.toml, as `make lint` holds them."""
    pytest.importorskip("importlinter")
    done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "lint-imports"), "--no-logo", "--no-cache"],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "0 broken" in done.stdout, done.stdout


def test_nothing_in_mxft_imports_recipes_tools_or_tests():
    wrong = [(path, name) for path in python_files("mxft") for name in imported_by(path)
             if name.split(".")[0] in ("recipes", "tools", "tests")]
    assert wrong == [] and len(python_files("mxft")) > 200


def test_recipes_use_the_library_and_not_the_command():
    wrong = [(path, name) for path in python_files("recipes") for name in imported_by(path)
             if name == "mxft.cli" or name.startswith("mxft.cli.")]
    assert wrong == [] and len(python_files("recipes")) > 10
