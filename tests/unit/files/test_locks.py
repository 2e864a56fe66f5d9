"""Locks: one process at a time, given up by one that is killed, and told who holds them."""
import os
import re
import signal
import subprocess
import sys

import pytest

from mxft.errors import InputError
from mxft.files import locks
from mxft.files.locks import Lock

HOLDER = """
import sys, time
from mxft.files.locks import Lock
lock = Lock(sys.argv[1], "example").take()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path, repository):
    """A process that holds ``tmp_path / "lock"``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE,
                               text=True, env={**os.environ, "PYTHONPATH": str(repository)})
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_by_name(holder, tmp_path):
    with pytest.raises(InputError, match=rf"^run x is in use by process {holder.pid} on host \S+ since "
                                         r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d; do something else$"):
        Lock(str(tmp_path / "lock"), "run x").take("do something else")
    assert (tmp_path / "lock").exists()


def test_a_killed_process_holds_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Lock(str(tmp_path / "lock"), "run x") as lock:
        assert str(os.getpid()) in lock.holder()
    assert os.listdir(tmp_path) == []


def test_one_that_waits_says_whom_for_and_is_next(holder, tmp_path):
    told = []

    def tell(who):
        told.append(who)
        holder.kill()
    lock = Lock(str(tmp_path / "lock"), "run x").wait(tell)
    assert len(told) == 1 and re.match(rf"process {holder.pid} on host ", told[0])
    lock.release()
    assert os.listdir(tmp_path) == []


def test_within_one_process_it_may_be_taken_twice(tmp_path):
    first, second = Lock(str(tmp_path / "lock"), "x").take(), Lock(str(tmp_path / "lock"), "x").take()
    first.release()
    first.release()
    assert (tmp_path / "lock").exists()
    second.release()
    assert os.listdir(tmp_path) == []


PARENT = """
import os, sys, time
from mxft.files.locks import Lock
lock = Lock(sys.argv[1], "example").take()
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(600)
"""


def test_a_child_that_outlives_its_parent_holds_nothing(tmp_path, repository):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "lock")], stdout=subprocess.PIPE,
                              text=True, env={**os.environ, "PYTHONPATH": str(repository)})
    child = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        os.kill(child, 0)
        Lock(str(tmp_path / "lock"), "x").wait().release()
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()
    assert os.listdir(tmp_path) == []


def test_a_lock_file_that_was_left_can_be_cleared(holder, tmp_path):
    Lock(str(tmp_path / "lock"), "x").clear()
    assert (tmp_path / "lock").exists()
    holder.kill()
    holder.wait()
    Lock(str(tmp_path / "lock"), "x").clear()
    assert os.listdir(tmp_path) == []


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"^run x cannot be locked: expected a plain file that can be written to, "
                                         r"received '.*/lock' \(a link\)$"):
        Lock(str(tmp_path / "lock"), "run x").take()
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_file_system_without_locks_is_not_mentioned(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with Lock(str(tmp_path / "lock"), "x"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_holder_that_wrote_no_sense_is_another_process(tmp_path):
    (tmp_path / "lock").write_text("[1]")
    assert Lock(str(tmp_path / "lock"), "x").holder() == "another process"
