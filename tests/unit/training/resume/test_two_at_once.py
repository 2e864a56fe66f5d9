"""Two processes that resume one run at once: one does, the other is refused by name."""
import os
import re
import signal
import subprocess
import sys

import pytest

from mxft.cli import main
from mxft.errors import InputError
from mxft.files.locks import Lock
from mxft.training.resume.state import RunState
from mxft.training.run import check_run_folder

WRITER = """
import os, sys, time
from mxft.training.resume.state import RunState
from mxft.compat import mx
state = RunState(sys.argv[1], {})
if not state.load():
    state.begin()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path, repository):
    """A process that writes the run ``tmp_path / "run"``."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "run" / "state")], text=True,
                               stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(repository)})
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_and_the_next_resumes(writer, tmp_path):
    run = str(tmp_path / "run")
    message = (rf"^run folder {run} is in use by process {writer.pid} on host \S+ since [\d-]+ [\d:]+; wait until it "
               r"has ended, or choose another run$")
    for refused in (lambda: RunState(f"{run}/state", {}).load(), lambda: check_run_folder(run, "auto"),
                    lambda: RunState(f"{run}/state", {}).begin()):
        with pytest.raises(InputError, match=message):
            refused()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    check_run_folder(run, "auto")
    state = RunState(f"{run}/state", {})
    assert state.load()
    state.release()
    assert os.listdir(f"{run}/state") == ["state.json"]


def test_a_face_run_is_named_by_its_prefix(tmp_path, monkeypatch):
    os.makedirs(tmp_path / "y1-state")
    monkeypatch.setattr(Lock, "_try", lambda self: False)
    with pytest.raises(InputError, match=rf"^run {tmp_path}/y1 is in use by another process; wait until"):
        RunState(f"{tmp_path}/y1-state", {}).load()


def test_a_command_ends_with_status_2(writer, here, tmp_path, capsys, make_checkpoint, coloured_records):
    make_checkpoint(3).save("net", 0)
    train = coloured_records(6).train
    assert main(["finetune", "--model", "net,0", "--run", str(tmp_path / "run"), "--resume", "auto", "--train", train,
                 "--image-shape", "3,8,8", "--num-classes", "3", "--plan", "full"]) == 2
    assert re.match(rf"mxft finetune: run folder {tmp_path}/run is in use by process {writer.pid} on host ",
                    capsys.readouterr().err)
