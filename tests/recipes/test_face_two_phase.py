"""recipes/face_two_phase.py: frozen means bit for bit, and phase 2 moves at the full rate."""
import re

import numpy as np
import pytest

from mxft.command import run_command
from mxft.network.checkpoint import load_checkpoint
from mxft.training.run import read_log
from tests.support.images import noise

pytestmark = pytest.mark.usefixtures("quick_figures")

SIZE = (112, 112)


@pytest.fixture
def run(load_recipe, make_records, make_face_checkpoint, tmp_path, capsys):
    """A function (*flags) -> (exit status, stdout, stderr, the checkpoint it began from)."""
    def picture(number, label):
        return noise(number, SIZE, label * 60, label * 60 + 60)

    def command(*flags):
        from mxft.compat import mx
        from mxft.surgery import cut_at

        net = make_face_checkpoint()
        pooled = mx.sym.Pooling(cut_at(net.symbol, "relu0"), global_pool=True, kernel=(1, 1), pool_type="avg")
        embedding = mx.sym.FullyConnected(mx.sym.Flatten(pooled), num_hidden=4, name="pre_fc1")
        net.symbol = mx.sym.BatchNorm(embedding, fix_gamma=True, name="fc1")
        net.arg_params["pre_fc1_weight"] = mx.nd.random.normal(shape=(4, 6))
        net.save(str(tmp_path / "old"), 0)
        rec = make_records("faces.rec", np.repeat(np.arange(3), 8), picture)
        status = run_command("face_two_phase", load_recipe("face_two_phase").main, [
            "--data-dir", rec, "--pretrained", f"{tmp_path}/old,0", "--prefix", f"{tmp_path}/new/model",
            "--per-batch-size", "8", "--end-epoch", "2", *flags])
        return status, *capsys.readouterr(), net
    return command


def changed(before, after):
    return {name for name, value in before.items() if (value != after[name]).asnumpy().any()}


def test_phase_1_keeps_everything_that_was_loaded_and_phase_2_moves_it(run, tmp_path):
    status, said, _, net = run()
    assert status == 0
    assert "phase 1: 9 frozen arrays are bit for bit the checkpoint's\nphase 2: every multiplier is 1 again" in said
    after = load_checkpoint(f"{tmp_path}/new/model,last")
    assert {"conv0_weight", "pre_fc1_weight"} <= changed(net.arg_params, after.arg_params)
    assert changed(net.aux_params, after.aux_params) == set()  # --bn eval


def test_phase_2_is_not_slowed_by_the_learning_rate_in_the_multipliers(run, tmp_path):
    """As posted, phase 2 ran at lr x lr: a hundredth of the movement at lr 0.01."""
    moved = {}
    for lr in ("0.01", "0.0001"):
        status, _, _, net = run("--lr", lr, "--prefix", f"{tmp_path}/{lr}/model")
        after = load_checkpoint(f"{tmp_path}/{lr}/model,last").arg_params["conv0_weight"]
        moved[lr] = float((after - net.arg_params["conv0_weight"]).norm().asscalar())
        assert status == 0
    assert 30 < moved["0.01"] / moved["0.0001"] < 300


def test_bn_train_lets_the_moving_statistics_move(run, tmp_path):
    status, _, _, net = run("--bn", "train")
    after = load_checkpoint(f"{tmp_path}/new/model,last")
    assert status == 0 and "bn0_moving_mean" in changed(net.aux_params, after.aux_params)


def test_phase_2_needs_an_epoch(run):
    status, _, error, _ = run("--frozen-epochs", "2")
    assert status == 2 and "end-epoch: expected more than the 2 frozen epochs, received end-epoch=2" in error


def test_every_epoch_is_saved_and_said(run, tmp_path):
    _, said, _, _ = run("--end-epoch", "3")
    assert re.findall(r"(epoch \d): loss \d.*; saved", said) == ["epoch 1", "epoch 2", "epoch 3"]
    metrics = load_checkpoint(f"{tmp_path}/new/model,last").manifest["metrics"]
    assert metrics["last"]["epoch"] == 3 and f"loss {metrics['last']['loss']:.4f}" in said
    rows = read_log(tmp_path / "new" / "model-log.jsonl")
    assert [row["event"] for row in rows] == ["start", *["interval", "checkpoint"] * 3, "end"]
    assert rows[0]["phases"] == [{"until": 1, "trainable": 1, "frozen": 9}, {"until": 3, "trainable": 10, "frozen": 0}]
    assert [row["step"] for row in rows if row["event"] == "interval"] == [3, 6, 9]
    assert rows[-2]["loss"] == metrics["last"]["loss"] and rows[-1]["last"] == f"{tmp_path}/new/model,last"


def test_a_run_that_diverges_ends_with_3_and_a_lower_rate(run, tmp_path):
    status, _, error, _ = run("--lr", "1e30")
    with open(f"{tmp_path}/new/model-report.html", encoding="utf-8") as f:
        assert "It failed: training stopped: expected a finite loss" in f.read()
    assert status == 3 and error.endswith("expected a finite loss, received nan in epoch 1: nothing was saved yet; try "
                                          "--lr 1e+29\n")


def test_an_interrupted_run_keeps_its_weights(run, tmp_path, monkeypatch):
    """Ctrl-C in phase 2: what was trained is on disk, and the exit status is 130."""
    from mxft.training.interruption import Interruption

    def interrupt(self, param=None):
        if param.epoch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Interruption, "__call__", interrupt)
    status, said, _, net = run("--end-epoch", "9")
    page = f"{tmp_path}/new/model-report.html"
    assert status == 130 and said.endswith(f"interrupted; saved as {tmp_path}/new/model,last\nreport: {page}\n")
    with open(page, encoding="utf-8") as f:
        assert "It was interrupted at step 9." in f.read()
    after = load_checkpoint(f"{tmp_path}/new/model,last")
    assert after.manifest["metrics"]["last"] == {"interrupted": True}
    assert "conv0_weight" in changed(net.arg_params, after.arg_params)
