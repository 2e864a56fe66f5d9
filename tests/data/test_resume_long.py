"""kill -9 at random moments: the run goes on every time, and ends with the numbers of one that was never stopped."""
import os
import random
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

from mxft.compat import mx
from mxft.files.archive import extract_tar
from tests.support.groups import start_logged, training_pids, wait_for

KILLS = 30
ROLES = ("worker", "server", "scheduler", "launcher", "TERM to the launcher")
ALL_GONE = 10  # seconds after one has failed, as recipes/many_machines.md says
pytestmark = [pytest.mark.long, pytest.mark.data]


@pytest.fixture
def words(testdata, tmp_path):
    """The command without its run: eight classes of photographs, everything trains, augmented."""
    unpacked = extract_tar(str(testdata / "data" / "caltech256-subset.tar"), str(tmp_path / "caltech"), progress=False)
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in sorted(os.listdir(os.path.join(unpacked, "256_ObjectCategories")))[:8]:
        os.symlink(os.path.join(unpacked, "256_ObjectCategories", name), photos / name)
    return ["--model", f"{testdata}/models/mobilenet-v1-0.25,0", "--image-shape", "3,128,128", "--data", str(photos),
            "--plan", "full", "--per-class", "12", "--epochs", "25", "--batch-size", "16", "--mom", "0.9",
            "--lr-schedule", "step", "--lr-step-epochs", "10,20", "--save-batches", "2"]


def finetune(words, run, repository, *more):
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "mxft", "finetune", *words, "--run", str(run), *more],
                            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_thirty_kills_leave_no_trace_in_the_parameters(words, tmp_path, repository):
    assert finetune(words, tmp_path / "whole", repository).wait() == 0
    moments, kills, ended = random.Random(7), 0, 0
    while kills < KILLS:
        run = tmp_path / f"run-{ended}"
        process = finetune(words, run, repository, "--resume", "auto")
        time.sleep(moments.uniform(0.5, 6))
        if process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0, process.stderr.read()
            ended += 1
    last = finetune(words, tmp_path / f"run-{ended}", repository, "--resume", "auto")
    assert last.wait() == 0, last.stderr.read()
    print(f"{kills} kills, {ended + 1} runs brought to their end")
    for number in range(ended + 1):
        assert_equal(tmp_path / f"run-{number}" / "model-0025.params", tmp_path / "whole" / "model-0025.params")


def assert_equal(path, expected_path):
    """Compare two files of parameters bit for bit."""
    found, expected = mx.nd.load(str(path)), mx.nd.load(str(expected_path))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].asnumpy(), value.asnumpy(), err_msg=name)


def end(role, launcher, tag):
    """Kill one process of a group, or have it save; wait for the launcher and return its exit status."""
    number = signal.SIGTERM if "TERM" in role else signal.SIGKILL
    os.kill(launcher.pid if "launcher" in role else training_pids(tag, role)[0], number)
    limit = time.monotonic() + (ALL_GONE if number == signal.SIGKILL else 70)
    while training_pids(tag, None) and time.monotonic() < limit:
        time.sleep(0.2)
    assert training_pids(tag, None) == [], f"{role}: some are left"
    return launcher.wait(10)


def end_each_role_in_turn(start, begun, finished, rounds, seed):
    """Start a group again and again, and end each of `ROLES` in turn in the middle; return the log of the last."""
    draw = random.Random(seed)
    for number in range(rounds):
        role = ROLES[number % len(ROLES)]
        launcher, log = start(number)
        wait_for(log, begun, 1)
        time.sleep(draw.uniform(0, 3))
        assert not finished.exists() and launcher.poll() is None, "it was done before it could be killed"
        status = end(role, launcher, log)
        assert status == {"launcher": -signal.SIGKILL, ROLES[-1]: 143}.get(role, 137), log.read_text()
        assert "Traceback" not in log.read_text()
    launcher, log = start(rounds)
    assert launcher.wait() == 0, log.read_text()
    return log.read_text()


@pytest.fixture
def start(repository, tmp_path):
    """A function ``(words, name) -> (launcher, log)``: two workers, one server."""
    def begin(words, name):
        log = tmp_path / f"{name}.log"
        return start_logged([sys.executable, str(repository / "tools/launch.py"), "-n", "2", "-s", "1", sys.executable,
                             *words], {"TAG": str(log)}, log), log
    return begin


@pytest.mark.parametrize("kvstore", ["dist_sync", "dist_device_sync"])
def test_a_group_goes_on_whichever_of_its_processes_was_killed(kvstore, words, start, tmp_path):
    def finetuning(run, *more):
        return ["-m", "mxft", "finetune", *words, "--kv-store", kvstore, "--run", str(tmp_path / run), *more]
    assert start(finetuning("whole"), "whole")[0].wait() == 0
    said = end_each_role_in_turn(lambda number: start(finetuning("run", "--resume", "auto"), number), "run folder: ",
                                 tmp_path / "run" / "model-0025.params", 10, seed=3)
    assert "worker 0 | resuming" in said and "worker 1 | resuming" not in said
    for epoch in ("0025", "best"):
        assert_equal(tmp_path / "run" / f"model-{epoch}.params", tmp_path / "whole" / f"model-{epoch}.params")


@pytest.fixture
def faces(testdata, tmp_path):
    """A folder with a set of twelve of LFW's people, ten images each."""
    from mxft.cli import run_verb

    people = {}
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        for member in (member for member in tar if member.name.endswith(".jpg")):
            person, name = member.name.split("/")[-2:]
            people.setdefault(person, []).append((name, tar.extractfile(member).read()))
    for person in [person for person, images in people.items() if len(images) >= 10][:12]:
        (tmp_path / "people" / person).mkdir(parents=True)
        for name, image in people[person][:10]:
            (tmp_path / "people" / person / name).write_bytes(image)
    assert run_verb("face-pack", [str(tmp_path / "people"), str(tmp_path / "faces")]) == 0
    return tmp_path / "faces"


def test_a_group_goes_on_with_faces_in_two_phases(faces, start, tmp_path, repository, testdata):
    def training(run, *more):
        return [str(repository / "recipes/train_softmax.py"), "--network", "y1", "--version-output", "GDC",
                "--emb-size", "128", "--pretrained", f"{testdata}/models/mobilefacenet-y1/model,0",
                "--data-dir", str(faces), "--prefix", str(tmp_path / run / "model"), "--lr", "0.01",
                "--per-batch-size", "6", "--end-epoch", "8",
                "--freeze-epochs", "2", "--fc7-init", "imprint", "--verbose", "20", "--frequent", "5",
                "--save-batches", "3", "--kv-store", "dist_sync", *more]
    assert start(training("whole"), "whole")[0].wait() == 0
    end_each_role_in_turn(lambda number: start(training("run", "--resume", "auto"), number), "writing ",
                          tmp_path / "run" / "model-report.html", 5, seed=5)
    for epoch in ("last", "best"):
        assert_equal(tmp_path / "run" / f"model-{epoch}.params", tmp_path / "whole" / f"model-{epoch}.params")
