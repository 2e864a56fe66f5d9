"""recipes/keras_freeze_conv.py: the script's settings, a few steps of it, and what it says of what it read back."""
import math
import os
import re

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.labels import scan_labels
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.training.run import read_log
from tests.support.doubts import without_doubts
from tests.support.images import noise, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and bright, dark and middling photographs."""
    make_checkpoint(3).save("net", 0)
    write_classes("photos", ("dark", "bright", "middling"), 10, lambda number, label: noise(
        10 * label + number, (24, 40), 0, 60) + np.uint8((10, 190, 100)[label]))
    return here


TINY = ["--data", "photos", "--model", "net,0", "--image-shape", "3,16,16", "--rgb-mean", "127,127,127", "--rgb-std",
        "60,60,60", "--epochs", "2"]


def test_help_fits_80_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run("--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_the_settings_are_the_scripts(recipe):
    """Of the seed's fine_tune(): generator, layers, Adam() of Keras 2.2, batch, epochs."""
    args = recipe.parser().parse_args(["--data", "x", "--model", "net,0"])
    recipe_ = recipe.recipe_from(args)
    assert (args.val_fraction, recipe_.batch_size, recipe_.fit.epochs, recipe_.plan) == (0.3, 8, 5, "head")
    assert [(d.units, d.activation, d.dropout, d.initializer) for d in recipe_.hidden] == [
        (128, "relu", 0.25, None), (64, "relu", 0.0, None)]
    assert recipe_.augment.iterator_arguments() == {"max_rotate_angle": 30, "fill_value": 127,
                                                    "max_shear_ratio": math.tan(0.2 * math.pi / 180)}
    adam = mx.optimizer.create(recipe_.fit.optimizer, learning_rate=recipe_.learning_rate,
                               **recipe_.fit.optimizer_params)
    assert (adam.lr, adam.beta1, adam.beta2, adam.epsilon, recipe_.fit.wd) == (0.001, 0.9, 0.999, 1e-7, 0)
    weight = mx.nd.zeros((64, 32))
    recipe_.fit.initializer(mx.init.InitDesc("fc1_weight"), weight)
    assert 0.98 < abs(weight.asnumpy()).max() / math.sqrt(6 / (64 + 32)) <= 1  # glorot_uniform's limit


def test_packed_trained_saved_and_read_back(run, here, capsys):
    assert run("--lr", "0.05") == 0
    out, err = capsys.readouterr()
    assert without_doubts(err) == "" and "steps an epoch: 21 // 8 = 2 in Keras, here 3, the last filled up" in out
    assert "new head: fc1 with 3 classes on flatten0 through 128 relu dropout 0.25, 64 relu" in out
    assert [len(scan_labels(f"data-cache/keras-freeze-conv-16-seed0/images-{part}.rec").ids)
            for part in ("train", "val")] == [21, 9]
    checkpoint = load_checkpoint("runs/keras-freeze-conv/model,2")
    assert checkpoint.manifest["packing"]["squash"] and checkpoint.input_spec.resize is None
    for name, value in load_checkpoint("net,0").arg_params.items():
        if name.startswith(("conv0", "bn0")):
            np.testing.assert_array_equal(value.asnumpy(), checkpoint.arg_params[name].asnumpy())
    ops = [node.op for node in Graph(checkpoint.symbol).operators()][-8:]
    assert ops == ["Flatten", "FullyConnected", "Activation", "Dropout", "FullyConnected", "Activation",
                   "FullyConnected", "SoftmaxOutput"]
    last = [row for row in read_log("runs/keras-freeze-conv/log.jsonl") if row["event"] == "epoch"][-1]
    read_back = re.search(r"reloaded runs/keras-freeze-conv/model,2: top-1 (\S+), top-5 \S+, loss ([\d.]+)", out)
    assert [float(word) for word in read_back.groups()] == pytest.approx([last["val_top1"], last["val_loss"]], abs=6e-5)
    assert "scores 0\n" in out and "last layer: weight (3, 64), bias (3,), the same from both" in out


def test_a_file_that_changed_on_disk_is_told(run, here, capsys, monkeypatch):
    """The comparison can fail: here MXNet's loader is made to return another last layer."""
    def damaged(prefix, epoch):
        symbol, args, auxs = load(prefix, epoch)
        return symbol, {**args, "fc1_weight": args["fc1_weight"] + 1}, auxs

    load = mx.model.load_checkpoint
    monkeypatch.setattr(mx.model, "load_checkpoint", damaged)
    assert run("--epochs", "1") == 0
    out = capsys.readouterr().out
    assert "NOT the same from both" in out and "scores 0\n" not in out


@pytest.mark.long
def test_chosen_classes_and_a_second_run_that_takes_up_the_records(run, here, capsys):
    for time in range(2):
        assert run("--classes", "dark,bright", "--epochs", "1") == 0
        assert ("records are up to date" in capsys.readouterr().out) == bool(time)
    assert load_checkpoint("runs/keras-freeze-conv-2").classes == ["bright", "dark"]


@pytest.mark.parametrize("words, message", [
    (["--classes", "dark,dork"], "no such class: expected a folder in photos, received classes='dork'; nearest: dark"),
    (["--val-fraction", "1"], "--val-fraction: expected a number above 0 and below 1, received val-fraction='1'"),
    (["--data", "nowhere.tar"], "expected a folder, a table, a tar or a zip, received 'nowhere.tar'"),
    (["--model", "nat,0"], "symbol is missing: expected nat-symbol.json"),
    (["--val-fraction", "0.05"], "no images left for validation: expected a class with more than 19 images"),
])
def test_what_is_refused_leaves_no_run(run, here, words, message, capsys):
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and not os.path.exists("runs")
