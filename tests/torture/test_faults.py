"""Faults of the machine: a process killed while it saves, a disk that fills up; no half file has a final name."""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from mxft.network.checkpoint import load_checkpoint, saved_epochs
from tests.torture.kinds import FACES, SCORE, TRAIN
from tests.torture.specimens import make_specimens

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
KILLS = 30
SAVE = """
import sys
from mxft.network.checkpoint import load_checkpoint
from mxft.compat import mx
checkpoint = load_checkpoint("tiny,0")
checkpoint.arg_params["fc7_weight"] = mx.nd.zeros((1000, 5000))
print("ready", flush=True)
for epoch in range(1, 100000):
    checkpoint.manifest["metrics"] = {str(epoch): {"val_top1": 1.0}}
    checkpoint.save("out", epoch % 3)
    checkpoint.save("out", "best")
"""
FULL = """
import resource, sys
from mxft.compat import mx
from tests.torture.worker import run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(run(sys.argv[2:]))
"""
WRITERS = {
    "im2rec": ("im2rec", "--num-thread", "1", "t", "photos"), "list": ("im2rec", "--list", "--recursive", "new",
                                                                       "photos"),
    "split": ("split", "photos", "out/s", "--per-class", "3", "--num-thread", "1"),
    "face-pack": ("face-pack", "people", "out", "--num-thread", "1"),
    "pairs-pack": ("pairs-pack", "pairs.txt", "pairs-people", "out.bin"), "unpack": ("unpack", "t.rec", "out"),
    "slim": ("slim", "--model", "tiny,0", "--layer", "flatten0", "--output", "out"), "report": ("report", "run"),
    "score": (*SCORE, "t.rec", "--per-class", "out.csv"), "tar": ("extract_tar", "photos.tar", "out"),
    "features": ("extract-features", "--model", "tiny,0", "t.rec", "out.npz"), "train": (*TRAIN, "--train", "t.rec"),
    "export": ("export", "--to", "onnx", "--model", "tiny,0", "--output", "out.onnx"), "faces": FACES,
    "bundle": ("bundle", "--model", "tiny,0", "--no-onnx", "--image", "photos/a/0.jpg", "--output", "out.tar"),
    "predict": ("predict", "--model", "tiny,0", "photos/a/0.jpg"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with all specimens."""
    folder = tmp_path_factory.mktemp("specimens") / "good"
    make_specimens(str(folder))
    return folder


def start(code, *words, cwd):
    return subprocess.Popen([sys.executable, "-c", code, *words], cwd=cwd, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "Agg"}, text=True)


@pytest.mark.torture
def test_a_kill_at_any_moment_of_saving_leaves_only_whole_checkpoints(good, tmp_path):
    for name in ("tiny-symbol.json", "tiny-0000.params", "tiny-manifest.json"):
        shutil.copy(good / name, tmp_path)
    draw, found = random.Random(int(os.environ.get("SEED", 0))), 0
    for _ in range(KILLS):
        with start(SAVE, cwd=tmp_path) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(draw.uniform(0, 0.7))
            process.send_signal(signal.SIGKILL)
        for epoch in saved_epochs(str(tmp_path / "out")):
            loaded = load_checkpoint(f"{tmp_path / 'out'},{epoch}")
            assert loaded.arg_params["fc7_weight"].shape == (1000, 5000) and loaded.classes == ["a", "b", "c"]
            found += 1
    assert found > KILLS
    print(f"{KILLS} kills, {found} checkpoints loaded")


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.torture
@pytest.mark.parametrize("most", [700])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_no_half_file(good, tmp_path, writer, most):
    """No file may grow beyond `most` bytes, which is what a full disk looks like to a program."""
    folders = tmp_path / "full", tmp_path / "roomy"
    for folder, limit in zip(folders, (most, 1 << 30)):
        shutil.copytree(good, folder)
        before = files_of(folder)
        with start(FULL, str(limit), *WRITERS[writer], cwd=folder) as process:
            stdout, stderr = process.communicate()
        assert process.returncode in ((0, 2, 3) if limit == most else (0,)), stderr
        assert "Traceback" not in stderr
        if process.returncode:
            assert len(stderr.strip()) > 20
    full, roomy = map(files_of, folders)
    # a log grows line by line, a page differs by its times, extract-features goes on with its hidden .part; every
    # other file is whole or is not there
    grows = (".jsonl", ".html", ".png")
    for name, content in full.items():
        if content != before.get(name) and not name.endswith(grows) and not name.startswith("."):
            assert len(content) == len(roomy[name]), f"{name}: {len(content)} of {len(roomy[name])} bytes"
