"""``--engine torch``: each verb of inference says what it says by MXNet."""
import json
import re

import numpy as np
import pytest

from mxft.cli import run_verb
from tests.support.images import noise, write_image

pytest.importorskip("torch")


@pytest.fixture
def here(here, make_checkpoint, coloured_records):
    """The checkpoint ``net,0``, records and a picture."""
    checkpoint = make_checkpoint()
    checkpoint.manifest = {"input": {"size": 10, "resize": 10, "mean": [90, 90, 90], "scale": 0.01},
                           "packing": {"resize": 10}, "classes": ["a", "b", "c"]}
    checkpoint.save("net", 0)
    coloured_records(30)
    write_image("cat.png", noise(0, (24, 30)))
    return here


def by_both(capsys, verb, *words):
    """Return what a verb prints by MXNet and by PyTorch; the latter says so."""
    said = []
    for engine in ("mxnet", "torch"):
        assert run_verb(verb, [*words, "--engine", engine]) == 0
        out, err = capsys.readouterr()
        assert ("computing by PyTorch on cpu" in err) == (engine == "torch"), err
        said.append(out)
    return said


def test_score_and_predict(here, capsys):
    ours, theirs = map(json.loads, by_both(capsys, "score", "--model", "net,0", "train.rec", "--json"))
    assert ours["top1"] == theirs["top1"]
    assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5) and theirs["rewrites"][-1] == "PyTorch on cpu"
    ours, theirs = by_both(capsys, "predict", "--model", "net,0", "cat.png")
    assert ours == theirs and "cat.png" in ours


def test_features(here, capsys):
    found = []
    for engine in ("mxnet", "torch"):
        assert run_verb("extract-features", ["--model", "net,0", "--layer", "flatten0", "train.rec", f"{engine}.npz",
                                             "--engine", engine]) == 0
        found.append(np.load(f"{engine}.npz")["features"])
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_faces(here, make_face_checkpoint, capsys):
    from tests.support.images import write_classes

    make_face_checkpoint().save("face", 0)
    write_classes(here / "people", ["ann", "bob"], 3, lambda number, label: noise(10 * label + number, (16, 16)))
    words = ["--images", "aligned", "--image-size", "16,16"]
    for engine in ("mxnet", "torch"):
        assert run_verb("enroll", ["people", f"{engine}.npz", "--model", "face,0", "--engine", engine, *words]) == 0
        said = capsys.readouterr()
        assert "2 people" in said.out and ("PyTorch" in said.err) == (engine == "torch")
    ours, theirs = (np.load(f"{engine}.npz", allow_pickle=False) for engine in ("mxnet", "torch"))
    vectors = next(name for name in ours if ours[name].ndim == 2 and ours[name].dtype == np.float32)
    np.testing.assert_allclose(theirs[vectors], ours[vectors], rtol=1e-4, atol=1e-5)


def test_what_is_not_there_is_refused_before_the_work(here, capsys):
    assert run_verb("score", ["--model", "net,0", "train.rec", "--engine", "mxnet", "--device", "cuda"]) == 2
    assert re.fullmatch(r"mxft score: --device: expected --engine torch beside it, received engine='mxnet'\n",
                        capsys.readouterr().err)


def losses_of(run):
    with open(f"{run}/log.jsonl") as f:
        return [row["train_loss"] for row in map(json.loads, f) if "train_loss" in row]


def frozen_of(run):
    """Return the hashes of the arrays that stayed, those before being those after."""
    with open(f"{run}/freeze.json") as f:
        rows = json.load(f)["parameters"]
    found = {name: row["after"] for name, row in rows.items() if row["frozen"]}
    assert all(rows[name]["before"] == after for name, after in found.items())
    return found


@pytest.mark.parametrize("plan", ["full", "head", "head --no-frozen-backbone", "discriminative",
                                  "two-stage --head-epochs 1", "full --mixup 0.2 --accumulate 2"])
def test_finetune_learns_the_same(here, plan, capsys):
    words = ["--model", "net,0", "--train", "train.rec", "--num-classes", "3", "--epochs", "2", "--batch-size", "10",
             "--lr", "0.05", "--plan", *plan.split()]
    for engine in ("mxnet", "torch"):
        assert run_verb("finetune", [*words, "--run", engine, "--engine", engine]) == 0, capsys.readouterr().err
    assert "computing by PyTorch on cpu\n" in capsys.readouterr().err
    ours, theirs = losses_of("mxnet"), losses_of("torch")
    assert len(ours) >= 2
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)
    assert frozen_of("torch") == frozen_of("mxnet") and bool(frozen_of("torch")) == plan.startswith("head")


def test_a_run_goes_on_in_the_other_engine(here, capsys):
    words = ["--model", "net,0", "--train", "train.rec", "--num-classes", "3", "--batch-size", "10", "--lr", "0.05",
             "--plan", "full"]
    assert run_verb("finetune", [*words, "--epochs", "3", "--run", "whole", "--engine", "torch"]) == 0
    assert run_verb("finetune", [*words, "--epochs", "1", "--run", "run", "--engine", "mxnet"]) == 0
    assert run_verb("finetune", [*words, "--epochs", "2", "--run", "run", "--engine", "torch", "--resume", "auto"]) == 0
    assert run_verb("finetune", [*words, "--epochs", "3", "--run", "run", "--engine", "mxnet", "--resume", "auto"]) == 0
    assert capsys.readouterr().out.count("resuming run after ") == 2
    np.testing.assert_allclose(losses_of("run"), losses_of("whole"), rtol=1e-4)
