"""``mxft lr-find``: a finetune's own command with another verb; what it refuses leaves nothing."""
import json
import os

import numpy as np
import pytest

from mxft.cli import finetune, lr_find
from mxft.command import run_command
from mxft.files.whole import sha256
from mxft.training.lr_curve import LearningRates, smooth, suggest
from mxft.workflows import lr_finder
from tests.support.images import levelled

COMMAND = ["--model", "net,0", "--train", "train.rec", "--val", "val.rec", "--run", "runs/one", "--epochs", "3",
           "--lr-schedule", "cosine", "--batch-size", "4", "--lr", "0.1", "--image-shape", "3,16,16", "--rgb-mean",
           "90,90,90", "--rgb-std", "60,60,60", "--plan", "head"]


@pytest.fixture
def here(here, make_checkpoint, make_records):
    """A working directory with a checkpoint ``net,0`` of 3 classes, train.rec and val.rec."""
    make_checkpoint(3).save("net", 0)
    make_records("train.rec", [0, 1, 2] * 4, levelled)
    make_records("val.rec", [0, 1, 2] * 2, levelled)
    return here


def find(*words):
    return run_command("mxft lr-find", lr_find.main, [*COMMAND, *words])


def files():
    return {path: sha256(path) for path in sorted(os.listdir(".")) if os.path.isfile(path)}


@pytest.mark.long
def test_it_takes_finetunes_own_command_and_changes_no_file(here, capsys):
    assert finetune.parser().parse_args(COMMAND).lr == 0.1
    before = files()
    assert find("--start-lr", "1e-4", "--end-lr", "1", "--batches", "30", "--data-nthreads", "1") == 0
    out, err = capsys.readouterr()
    assert err == "note: --lr, --lr-schedule, --epochs, --val change nothing here\n"
    assert files() == before
    assert sorted(os.listdir("runs")) == ["one-lr.json", "one-lr.png"]
    with open("runs/one-lr.json", encoding="utf-8") as f:
        found = json.load(f)
    np.testing.assert_allclose(found["rates"], np.geomspace(1e-4, 1, 30))
    assert found["losses"][-1] < found["losses"][0] and found["stage"] == "head"
    lines = out.splitlines()
    assert lines[0] == "net,0, head: sgd, batch 4" and lines[1].split() == ["rate", "loss", "smoothed"]
    assert lines[-2] == "wrote runs/one-lr.png, runs/one-lr.json"
    assert lines[-1].startswith(f"suggestion: --plan head --batch-size 4 --lr {found['suggestion']:.2g} (the steepest "
                                "descent of the smoothed")


def fake(losses, rates, diverged=False):
    def find(*_, **__):
        return LearningRates(tuple(rates), tuple(losses), suggest(rates, losses), tuple(smooth(losses)), "head",
                             diverged)
    return find


def test_without_a_fall_it_says_so(here, monkeypatch, capsys):
    monkeypatch.setattr(lr_finder, "find_learning_rate", fake(np.linspace(2, 9, 40), np.geomspace(1, 9, 40), True))
    assert find() == 0
    out, err = capsys.readouterr()
    assert "suggestion" not in out and "stopped at 9: the loss diverged" in out
    assert err.endswith("the data unlearnable?\n") and "no suggestion: the loss did not fall" in err


def test_without_a_run_the_files_have_the_verbs_name(here, monkeypatch, capsys):
    monkeypatch.setattr(lr_finder, "find_learning_rate", fake(np.linspace(9, 2, 40), np.geomspace(1, 9, 40)))
    at = COMMAND.index("--run")
    assert run_command("mxft lr-find", lr_find.main, COMMAND[:at] + COMMAND[at + 2:]) == 0
    assert sorted(os.listdir("runs")) == ["lr-find.json", "lr-find.png"]
    assert "suggestion: --plan head --batch-size 4 --lr " in capsys.readouterr().out


@pytest.mark.parametrize("words, message", [
    (["--start-lr", "1", "--end-lr", "0.1"], "expected 0 < start-lr < end-lr, received start-lr=1 and end-lr=0.1"),
    (["--start-lr", "0"], "--start-lr: expected a number above 0, received start-lr='0'"),
    (["--batches", "5"], "--batches: expected a whole number of at least 20, received batches='5'"),
    (["--plan", "heda"], "received plan='heda'; nearest: head"),
    (["--model", "net,7"], "net-0007.params"),
    (["--records", "x"], "data: expected one of --data, --records, --train, received --records and --train"),
    (["--run", "net-symbol.json/x"], "--run: expected a folder that can be written to"),
])
def test_what_it_refuses_leaves_nothing(here, capsys, words, message):
    before = files()
    assert find(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("mxft lr-find: ") and message in err, err
    assert files() == before and not os.path.exists("runs")


def test_the_childs_refusal_is_told_as_its_own(here, capsys, make_records):
    assert find("--train", make_records("two.rec", [0, 1]), "--image-shape", "3,8,8") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("mxft lr-find: label out of range in val.rec: expected whole numbers in [0, 2)")
    assert err.count("\n") == 1 and not os.path.exists("runs")
