"""Which wheel of mxnet `make` takes: what the driver and its cards tell, and what .venv has already."""
import os
import shutil
import subprocess
import sys

import pytest


def run(repository, *words, **environment):
    """Run a program in the checkout and return the finished process."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DEVICE", "MAKEFLAGS", "PYTHONPATH")}
    return subprocess.run(words, cwd=repository, env={**kept, **environment}, capture_output=True, text=True)


def wheel(repository, driver_library, cards, **environment):
    done = run(repository, sys.executable, ".ci/wheel_of_machine.py", LD_LIBRARY_PATH=str(driver_library.parent),
               FAKE_CARDS=cards, **environment)
    return done.stdout, done.stderr


@pytest.mark.parametrize("cards", ["NVIDIA A100-SXM4-40GB=8.0", "NVIDIA L4=8.9", "NVIDIA H100=9.0;Tesla T4=7.5"])
def test_a_driver_with_a_card_the_wheel_runs_on_gets_it(repository, driver_library, cards):
    assert wheel(repository, driver_library, cards) == ("cu112\n", "")


def test_a_hopper_card_gets_the_cpu_wheel_and_is_told_why_by_name(repository, driver_library):
    assert wheel(repository, driver_library, "NVIDIA H100 PCIe=9.0") == (
        "cpu\n", "make: NVIDIA H100 PCIe (Hopper, compute capability 9.0): mxnet-cu112 holds code for compute "
                 "capability 5.0 to 8.6 only (runs up to 8.9): taking the CPU wheel of mxnet\n")


def test_no_card_and_a_driver_that_fails_get_the_cpu_wheel(repository, driver_library):
    assert wheel(repository, driver_library, "") == ("cpu\n", "")
    assert wheel(repository, driver_library, "NVIDIA L4=8.9", FAKE_CUINIT="999") == (
        "cpu\n", "make: the NVIDIA driver fails (error 999 from cuInit): taking the CPU wheel of mxnet; DEVICE=cu112 "
                 "takes the other\n")


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_make_takes_what_is_said_then_what_the_environment_has_then_what_the_machine_tells(repository, driver_library,
                                                                                          tmp_path):
    def taken(*words):
        done = run(repository, "make", "--dry-run", "--always-make", "setup", f"VENV={tmp_path}",
                   f"PYTHON={sys.executable}", *words, LD_LIBRARY_PATH=str(driver_library.parent),
                   FAKE_CARDS="NVIDIA L4=8.9")
        assert done.returncode == 0, done.stderr
        return "cu112" if "requirements_of.py cu112" in done.stdout else "cpu"

    assert taken() == "cu112"
    (tmp_path / ".ready-cpu").touch()
    assert taken() == "cpu" and taken("DEVICE=cu112") == "cu112"
