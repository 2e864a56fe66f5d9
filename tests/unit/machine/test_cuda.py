"""The CUDA libraries of a CUDA build: loaded before mxnet, or named with what brings them."""
import importlib
import os
import re
import shutil
import subprocess
import sys
import types

import pytest

from mxft.machine import cuda
from mxft.machine.cards import Card, Driver


@pytest.fixture
def nvidia_packages(monkeypatch, tmp_path):
    """Stand-ins for the nvidia packages of pip: a library that loads, one that does not, and others beside them."""
    for name in ("cublas/lib/libcublasLt.so.11", "cublas/lib/libnvblas.so.11", "cudnn/lib/libcudnn.so.9"):
        (tmp_path / "nvidia" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(importlib.import_module("_ctypes").__file__, tmp_path / "nvidia" / name)  # any library will do
    (tmp_path / "nvidia/cublas/lib/libcublas.so.11").write_bytes(b"not a library")
    monkeypatch.setattr(cuda.sys, "path", ["/another/site-packages", str(tmp_path)])


def test_what_mxnet_links_is_loaded_and_nothing_else(nvidia_packages):
    assert cuda.load_cuda_libraries() == ["libcublasLt.so.11"]


LOAD = """
from mxft import compat
compat.load_cuda_libraries = lambda: print("libraries")
compat.spare_old_drivers = lambda: print("fusion")
try:
    compat.load_mxnet()
except compat.DependencyError:
    print("mxnet")
"""


@pytest.mark.parametrize("build, expected", [("mxnet-cu112", "libraries\nfusion\nmxnet\n"), ("mxnet", "mxnet\n")])
def test_libraries_are_loaded_before_mxnet_for_a_cuda_build_alone(build, expected, repository, tmp_path):
    (tmp_path / "mxnet.py").write_text("raise OSError('libcuda.so.1: no such file')\n")
    folder = tmp_path / f"{build.replace('-', '_')}-1.9.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {build}\nVersion: 1.9.1\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(repository)])}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True)
    assert done.stdout == expected, done.stderr


@pytest.mark.parametrize("names, expected", [(["mxnet_cu112", "numpy"], {"mxnet-cu112": "1.9.1"}), ([None], {}),
                                             (["mxnet", "mxnet-cu112"], {"mxnet": "1.9.1", "mxnet-cu112": "1.9.1"})])
def test_the_packages_that_bring_mxnet_are_found(names, expected, monkeypatch):
    monkeypatch.setattr(cuda.importlib.metadata, "distributions", lambda: [
        types.SimpleNamespace(metadata={"Name": name}, version="1.9.1") for name in names])
    assert cuda.mxnet_distributions() == expected


def test_every_library_is_brought_by_the_extra_of_setup_py(repository):
    extra = re.search(r"CUDA_RUNTIME = \[(.*?)\]", (repository / "setup.py").read_text(), re.DOTALL).group(1)
    assert set(re.findall(r'"(.*?)"', extra)) == {library.package for library in cuda.LIBRARIES}


def test_a_library_that_is_not_installed_is_not_found(nvidia_packages):
    names = {library.soname: cuda.find_library(library) for library in cuda.LIBRARIES}
    assert names["libcublasLt.so.11"].endswith(os.path.join("cublas", "lib", "libcublasLt.so.11"))
    assert names["libcudnn.so.8"] is None  # its place holds the libcudnn.so.9 of PyTorch


def test_a_missing_cuda_library_is_told_with_its_package():
    message = cuda.missing_library_message("libcudnn.so.8: cannot open shared object file: No such file or directory")
    assert "expected libcudnn.so.8, received none" in message
    assert "pip install 'nvidia-cudnn-cu11==8.*' brings it, pip install 'mxft[cu112]' all CUDA libraries" in message


def test_on_a_hopper_card_no_library_is_told_to_be_installed(monkeypatch):
    monkeypatch.setattr(cuda, "query_driver", lambda: Driver((12, 2), (Card(0, "NVIDIA H100", (9, 0)),)))
    message = cuda.missing_library_message("libcudnn.so.8: cannot open shared object file: No such file or directory")
    assert message.endswith(
        "it would not help here: NVIDIA H100 (Hopper, compute capability 9.0): mxnet-cu112 holds code for compute "
        "capability 5.0 to 8.6 only (runs up to 8.9); install the CPU build: pip uninstall mxnet-cu112 && "
        "pip install --no-deps mxnet==1.9.1")


def test_the_drivers_library_is_not_looked_for_in_pip():
    message = cuda.missing_library_message("libcuda.so.1: cannot open shared object file: No such file or directory")
    assert "it comes with the NVIDIA driver, not from pip; without an NVIDIA card install the CPU build: " in message
    assert "pip uninstall mxnet-cu112 && pip install --no-deps mxnet==1.9.1" in message


def test_another_missing_library_is_left_to_the_system():
    message = cuda.missing_library_message("libgfortran.so.3: cannot open shared object file")
    assert "expected libgfortran.so.3, received none" in message
    assert "install the system package that provides it" in message and "cu112" not in message


@pytest.mark.parametrize("driver, compiler, given, expected", [
    ((11, 4), (11, 8), None, "0"), ((11, 8), (11, 8), None, None), ((12, 2), (11, 8), None, None),
    (None, (11, 8), None, None), ((11, 4), None, None, None), ((11, 4), (11, 8), "1", "1")])
def test_fusion_is_off_where_the_driver_is_older_than_the_compiler(driver, compiler, given, expected, monkeypatch):
    monkeypatch.setenv("MXNET_USE_FUSION", "1")  # so that it is put back, whatever the test does
    if given is None:
        monkeypatch.delenv("MXNET_USE_FUSION")
    monkeypatch.setattr(cuda, "cuda_of_driver", lambda: driver)
    monkeypatch.setattr(cuda, "compiler_version", lambda: compiler)
    assert cuda.spare_old_drivers() is (expected == "0")
    assert os.environ.get("MXNET_USE_FUSION") == expected
