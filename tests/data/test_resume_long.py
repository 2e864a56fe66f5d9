"""kill -9 at random moments: the run goes on every time, and ends with the numbers of one that was never stopped."""
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from mxft.archive import extract_tar
from mxft.compat import mx

KILLS = 30
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
            "--per-class", "12", "--epochs", "25", "--batch-size", "16", "--mom", "0.9", "--lr-schedule", "step",
            "--lr-step-epochs", "10,20", "--save-batches", "2"]


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
    expected = mx.nd.load(str(tmp_path / "whole" / "model-0025.params"))
    for number in range(ended + 1):
        found = mx.nd.load(str(tmp_path / f"run-{number}" / "model-0025.params"))
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name].asnumpy(), value.asnumpy(), err_msg=name)
