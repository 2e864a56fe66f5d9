"""Threads: every core once, and never against the user's word."""
import os
import subprocess
import sys

import pytest

from mxft.machine import threads


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes a machine of the given siblings, one text a logical CPU."""
    def make(*siblings):
        for cpu, text in enumerate(siblings):
            (tmp_path / f"cpu{cpu}").write_text(text)
        monkeypatch.setattr(threads, "_SIBLINGS", str(tmp_path / "cpu{}"))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(len(siblings))), raising=False)
    return make


@pytest.mark.parametrize("siblings, cores", [
    (("0\n", "1\n"), 2), (("0,2\n", "1,3\n", "0,2\n", "1,3\n"), 2), (("0\n",), 1)])
def test_hyper_threads_of_one_core_count_once(siblings, cores, machine, monkeypatch):
    machine(*siblings)
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that what the test leaves is undone
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.use_all_cores()
    assert threads.physical_cores() == cores and os.environ["OMP_NUM_THREADS"] == str(cores)


def test_what_the_user_set_stays(machine, monkeypatch):
    machine("0\n", "1\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads.use_all_cores()
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_system_that_does_not_tell_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "_SIBLINGS", str(tmp_path / "nowhere{}"))
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that what the test leaves is undone
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.use_all_cores()
    assert threads.physical_cores() is None and "OMP_NUM_THREADS" not in os.environ


def test_mxnet_is_loaded_with_it():
    code = "import os\nfrom mxft.compat import mx\nmx.nd\nprint(os.environ.get('OMP_NUM_THREADS'))"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(threads.physical_cores())
