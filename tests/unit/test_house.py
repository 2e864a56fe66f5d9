"""The layers: no module of mxft imports one above it, and mxft imports no recipe, tool or test."""
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


def library():
    """The files of mxft that are no commands; the child processes that answer on their standard streams aside."""
    apart = ("cli", "command", "commandline", "doctor/child.py", "distributed/tether.py")
    return [path for path in python_files("mxft")
            if not os.path.relpath(path, os.path.join(ROOT, "mxft")).replace(os.sep, "/").startswith(apart)]


def test_the_library_logs_and_prints_nothing():
    calls = []
    for path in library():
        with open(path, encoding="utf-8") as f:
            calls += [(path, node.lineno) for node in ast.walk(ast.parse(f.read()))
                      if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"]
    assert calls == []


@pytest.mark.parametrize("wing", ["training", "features", "freeze.py", "options.py", "faces/training"])
def test_what_is_refused_by_the_trainings_names_fields_and_not_flags(wing):
    """A flag stands only in a command that is told whole, such as ``mxft finetune --plan head``."""
    wrong = []
    for path in library():
        if not os.path.relpath(path, os.path.join(ROOT, "mxft")).replace(os.sep, "/").startswith(wing):
            continue
        with open(path, encoding="utf-8") as f:
            raised = [node for node in ast.walk(ast.parse(f.read())) if isinstance(node, ast.Raise)]
        texts = ["".join(part.value for part in ast.walk(node) if isinstance(part, ast.Constant)
                         and isinstance(part.value, str)) for node in raised]
        wrong += [(path, text) for text in texts if " --" in text and "mxft " not in text and "python " not in text]
    assert wrong == []
