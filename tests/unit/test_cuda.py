"""The CUDA libraries of a CUDA build: loaded before mxnet, or named with what brings them."""
import importlib
import shutil
import types

import pytest

from mxft import cuda


def test_another_missing_library_is_left_to_the_system():
    message = cuda.missing_library_message("libgfortran.so.3: cannot open shared object file")
    assert "expected libgfortran.so.3, received none" in message
    assert "install the system package that provides it" in message and "cu112" not in message


@pytest.mark.parametrize("build, expected", [("mxnet-cu112", ["libgood.so.1"]), ("mxnet", [])])
def test_cuda_libraries_of_pip_packages_are_loaded_for_a_cuda_build_alone(monkeypatch, tmp_path, build, expected):
    folder = tmp_path / "nvidia" / "some_package" / "lib"
    folder.mkdir(parents=True)
    shutil.copy(importlib.import_module("_ctypes").__file__, folder / "libgood.so.1")  # any shared library will do
    (folder / "libbad.so.1").write_bytes(b"not a library")
    monkeypatch.setattr(cuda.importlib.util, "find_spec",
                        lambda name: types.SimpleNamespace(submodule_search_locations=[str(tmp_path / "nvidia")]))
    monkeypatch.setattr(cuda.importlib.metadata, "distributions",
                        lambda: [types.SimpleNamespace(metadata={"Name": build})])
    assert cuda.load_cuda_libraries() == expected
