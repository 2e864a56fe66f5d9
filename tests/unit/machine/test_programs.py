"""pip and mxft are typed so that they are this Python's."""
import importlib.metadata
import os
import shutil
import subprocess
import sys

from mxft.machine.programs import for_this_python, mxft_command


def raise_not_found(name):
    raise importlib.metadata.PackageNotFoundError(name)


def test_the_command_is_typed_so_that_it_reaches_this_python(monkeypatch):
    """As it stands where pip lies beside the interpreter; with the interpreter's path where the PATH finds another."""
    assert for_this_python("x; pip install flask") == "x; pip install flask"
    monkeypatch.setattr(shutil, "which", lambda name: "/elsewhere/bin/pip")
    told = for_this_python("pip uninstall a && pip install b")
    assert told == f"{sys.executable} -m pip uninstall a && {sys.executable} -m pip install b"
    done = subprocess.run([*told.split(" && ")[1].split()[:3], "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("pip ")
    monkeypatch.setattr(importlib.metadata, "distribution", raise_not_found)
    assert for_this_python("pip install b") == f"{sys.executable} -m ensurepip && {sys.executable} -m pip install b"


def test_mxft_is_typed_by_name_by_path_or_as_a_module(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    assert mxft_command() == f"{tmp_path}/.venv/bin/python -m mxft"
    os.makedirs(".venv/bin")
    (tmp_path / ".venv" / "bin" / "mxft").touch()
    assert mxft_command() == ".venv/bin/mxft"
    monkeypatch.chdir("/")
    assert mxft_command() == str(tmp_path / ".venv/bin/mxft").lstrip("/")
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / ".venv" / "bin" / name))
    assert mxft_command() == "mxft"
