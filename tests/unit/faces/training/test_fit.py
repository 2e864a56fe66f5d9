"""Training a face network: devices, freezing, phases, schedules, what the log says and what is kept."""
import shlex

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.data.layout import read_face_set
from mxft.faces.evaluation.verification_file import read_verifications
from mxft.faces.pairs.bin_file import PairSet
from mxft.faces.train import train_faces
from mxft.faces.training.fit import phases
from mxft.faces.training.meters import IntervalMeter
from mxft.faces.training.network import MONITORS, attach_face_head, pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.heads import HeadOptions, make_head
from mxft.network.checkpoint import load_checkpoint, saved_epochs
from mxft.training.run import read_log
from tests.support.images import banded, encoded

SIZE = (16, 16)
CLASSES, EACH = 4, 12


@pytest.fixture
def faces(make_records):
    return read_face_set(make_records("faces.rec", np.repeat(np.arange(CLASSES), EACH), banded))


@pytest.fixture
def train(faces, tmp_path):
    """A function (checkpoint, prefix="a", loss_type=4, head=HeadOptions(margin_s=8), contexts=None, targets=(),
    **options) -> FaceResult."""
    def run(checkpoint, prefix="a", loss_type=4, head=None, contexts=None, targets=(), **options):
        backbone = pretrained_backbone(checkpoint, SIZE)
        head = make_head(loss_type, CLASSES, backbone.emb_size, head or HeadOptions(margin_s=8.0))
        options = FaceOptions(**{"lr": 0.05, "per_batch_size": 16, "frequent": 1, "verbose": 1000, "end_epoch": 2,
                                 "rand_mirror": False, **options})
        return train_faces(backbone, head, faces, str(tmp_path / prefix / "model"), options, contexts or [mx.cpu()],
                           checkpoint, targets)
    return run


def numbers(parameters):
    return {name: value.asnumpy() for name, value in parameters.items()}


def test_one_and_two_devices_have_the_same_losses_for_20_steps(make_face_checkpoint, train):
    """Same global batch and seed, no BatchNorm: the gradient is the mean over the devices' means."""
    net = make_face_checkpoint(batch_norm=False)
    one = train(net, "one", per_batch_size=16, end_epoch=7, max_steps=20)
    two = train(net, "two", per_batch_size=8, end_epoch=7, max_steps=20, contexts=[mx.cpu(0), mx.cpu(1)])
    assert len(one.intervals) == len(two.intervals) == 20
    for a, b in zip(one.intervals, two.intervals):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    assert one.intervals[-1]["loss"] < 0.8 * one.intervals[0]["loss"]


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("frozen", [(), ("conv0_*",)])
@pytest.mark.parametrize("loss_type", [4, 6])  # ArcFace, and with a loss between the centres
def test_two_batches_that_are_added_are_one_of_both(make_face_checkpoint, train, loss_type, frozen, contexts):
    """Same images an update, no BatchNorm: 7 epochs of 3 steps, the last 20 counted, whatever a step is made of."""
    net = make_face_checkpoint(CLASSES, batch_norm=False)
    devices = [mx.cpu(number) for number in range(contexts)]
    same = {"loss_type": loss_type, "freeze": frozen, "max_steps": 20, "end_epoch": 7, "lr_steps": (15,), "verbose": 7}
    one = train(net, "one", per_batch_size=16, **same)
    several = train(net, "several", per_batch_size=8 // contexts, accumulate=2, contexts=devices, **same)
    assert several.steps == 20 and len(several.intervals) == 20
    for a, b in zip(one.intervals, several.intervals):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert [(row["step"], row["epoch"], row["lr"]) for row in (a, b)][0] == (b["step"], b["epoch"], b["lr"])
    expected, found = (numbers(load_checkpoint(result.last).arg_params) for result in (one, several))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)
        if frozen and name.startswith("conv0"):
            assert np.array_equal(found[name], net.arg_params[name].asnumpy())


def test_an_epochs_last_step_may_be_of_fewer_batches(make_face_checkpoint, train, capfd, tmp_path):
    """6 batches of 8 an epoch in steps of 4: one of 32 images and one of 16."""
    result = train(make_face_checkpoint(), per_batch_size=8, accumulate=4, end_epoch=2)
    assert [(row["step"], row["epoch"]) for row in result.intervals] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert "2 steps an epoch of 4 x 8 = 32 images on cpu(0)" in capfd.readouterr().out
    start = read_log(tmp_path / "a" / "model-log.jsonl")[0]
    assert start["data"]["steps_an_epoch"] == 2 and start["data"]["batch_size"] == 32
    assert start["lr_steps"] == [1600000, 2240000, 2560000]  # upstream's 100k, 140k, 160k of 512 images


def test_the_same_seed_gives_the_same_weights_and_another_does_not(make_face_checkpoint, train):
    net = make_face_checkpoint()
    weights = [numbers(load_checkpoint(train(net, prefix, seed=seed).last).arg_params)
               for prefix, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert (weights[0]["fc7_weight"] != weights[2]["fc7_weight"]).any()


def test_frozen_parameters_and_their_moving_statistics_stay_bit_for_bit(make_face_checkpoint, train):
    net = make_face_checkpoint()
    after = load_checkpoint(train(net, freeze=("conv0_*", "bn0_*")).last)
    for name in ("conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta"):
        assert (after.arg_params[name] == net.arg_params[name]).asnumpy().all()
    for name in ("bn0_moving_mean", "bn0_moving_var"):
        assert (after.aux_params[name] == net.aux_params[name]).asnumpy().all()
    assert (after.arg_params["pre_fc1_weight"] != net.arg_params["pre_fc1_weight"]).asnumpy().any()
    assert (after.aux_params["fc1_moving_mean"] != net.aux_params["fc1_moving_mean"]).asnumpy().any()


@pytest.mark.parametrize("rewrite", [True, False])
def test_a_bias_trains_beside_its_frozen_weight(make_face_checkpoint, train, rewrite):
    """MXNet's FullyConnected computes no gradient of such a bias on a CPU."""
    net = make_face_checkpoint(CLASSES, batch_norm=False)
    after = load_checkpoint(train(net, freeze=("pre_fc1_weight",), max_steps=1, rewrite=rewrite, wd=0.0).last)
    assert (after.arg_params["pre_fc1_weight"] == net.arg_params["pre_fc1_weight"]).asnumpy().all()
    free = load_checkpoint(train(net, "free", max_steps=1, rewrite=rewrite, wd=0.0).last)
    moved = (after.arg_params["pre_fc1_bias"] - net.arg_params["pre_fc1_bias"]).asnumpy()
    assert np.abs(moved).max() > 1e-6
    np.testing.assert_allclose(after.arg_params["pre_fc1_bias"].asnumpy(), free.arg_params["pre_fc1_bias"].asnumpy(),
                               rtol=1e-5, atol=1e-7)


def test_freezing_for_an_epoch_lets_everything_go_afterwards(make_face_checkpoint, train, tmp_path):
    """The posted two-phase script: what was loaded is frozen first, then trains at the full rate."""
    net = make_face_checkpoint()
    train(net, freeze_epochs=1, end_epoch=2, verbose=3, ckpt=2)  # 48 images in 16s: 3 steps an epoch
    first, second = (load_checkpoint(f"{tmp_path}/a/model,{number}") for number in (1, 2))
    for name, value in net.arg_params.items():
        assert (first.arg_params[name] == value).asnumpy().all(), name
    for name, value in net.aux_params.items():
        assert (first.aux_params[name] == value).asnumpy().all(), name
    moved = [name for name, value in net.arg_params.items() if (second.arg_params[name] != value).asnumpy().any()]
    assert set(moved) == set(net.arg_params) - {"fc1_gamma"}  # read as 1, whatever weight decay made of it
    assert (second.aux_params["bn0_moving_mean"] != net.aux_params["bn0_moving_mean"]).asnumpy().any()


def test_a_pattern_that_matches_nothing_or_everything_is_refused_before_anything_is_written(
        make_face_checkpoint, train, tmp_path):
    with pytest.raises(InputError, match="freeze: expected a pattern that matches a parameter, received freezing."
                                         "patterns='conv9"):
        train(make_face_checkpoint(), freeze=("conv9_*",))
    with pytest.raises(InputError, match=r"freeze: expected something left to train, received freezing.patterns=\('\*"):
        train(make_face_checkpoint(), freeze=("*",))
    assert not (tmp_path / "a").exists()


def test_imprinted_class_centres_start_right_where_random_ones_do_not(make_face_checkpoint, train):
    net = load_checkpoint(train(make_face_checkpoint(), "pretrained", end_epoch=20).last)
    random = train(net, "random", fc7_init="normal", max_steps=1, lr=0.0, per_batch_size=48)
    imprinted = train(net, "imprinted", fc7_init="imprint", max_steps=1, lr=0.0, per_batch_size=48)
    assert imprinted.intervals[0]["correct"] > 0.9 > 0.6 > random.intervals[0]["correct"]
    assert imprinted.intervals[0]["target_cosine"] > random.intervals[0]["target_cosine"] + 0.3


def test_imprinting_without_a_pretrained_embedding_is_refused(make_face_checkpoint, train):
    with pytest.raises(InputError, match="fc7_init: expected a pretrained embedding to imprint from"):
        train(make_face_checkpoint(), fc7_init="imprint", reinit_embedding=True)


def test_the_learning_rate_falls_after_the_steps_given(make_face_checkpoint, train):
    rows = train(make_face_checkpoint(), lr_steps=(2, 4), end_epoch=2).intervals
    assert [round(row["lr"], 6) for row in rows] == [0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005]


def test_the_schedule_goes_on_over_the_phases(make_face_checkpoint, train):
    rows = train(make_face_checkpoint(), lr_steps=(2, 4), freeze_epochs=1, end_epoch=2).intervals
    assert [round(row["lr"], 6) for row in rows] == [0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005]


def test_spherefaces_lambda_is_set_before_every_step(make_face_checkpoint, train, monkeypatch):
    seen, saw = [], IntervalMeter.saw
    head = HeadOptions(beta=100.0, beta_min=5.0, gamma=1.0, power=1.0)

    def watch(meter, step, outputs):
        seen.append(step)
        saw(meter, step, outputs)

    monkeypatch.setattr(IntervalMeter, "saw", watch)
    result = train(make_face_checkpoint(), loss_type=1, head=head, end_epoch=2)
    saved = load_checkpoint(result.last).arg_params["fc7_lambda"].asscalar()
    assert seen == [1, 2, 3, 4, 5, 6] and saved == pytest.approx(max(5, 100 / (1 + 5)))


def test_a_loss_that_is_not_finite_stops_the_run_with_step_rate_and_advice(make_face_checkpoint, train, tmp_path):
    with pytest.raises(RunError) as stop:
        train(make_face_checkpoint(batch_norm=False), loss_type=0, lr=1e20, end_epoch=9)
    message = str(stop.value)
    assert "training stopped: expected a finite loss, received nan at step " in message
    assert "lr 1e+20): nothing was saved yet; try lr 1e+19" in message
    assert saved_epochs(f"{tmp_path}/a/model") == []


def test_verification_is_told_at_step_0_now_and_then_and_at_the_end(make_face_checkpoint, train, tmp_path, capsys):
    images = [encoded(banded(n, n // 2 % CLASSES)) for n in range(24)]
    pairs = PairSet("lfw", images, np.arange(12) % 2 == 0)
    train(make_face_checkpoint(), targets=[pairs], verbose=4)
    said = capsys.readouterr().out
    assert [line.split("]")[1] for line in said.splitlines() if "Accuracy-Flip" in line] == ["[0", "[4", "[6"]
    assert "since step 0)" in said and "[lfw][0]XNorm: " in said and "lfw: " in said.splitlines()[-2]
    rows = read_log(tmp_path / "a" / "model-log.jsonl")
    assert [row["event"] for row in rows] == [
        "start", "bound", "verification", *["interval"] * 4, "verification", "checkpoint", *["interval"] * 2,
        "verification", "checkpoint", "end"]
    assert rows[0]["targets"] == [{"name": "lfw", "pairs": 12, "same": 6}] and rows[0]["head"].startswith("arcface")
    assert rows[0]["phases"] == [{"until": 2, "trainable": 10, "frozen": 0}] and rows[0]["memory"] > 0
    assert rows[2]["targets"]["lfw"]["tar_at_far"]["0.01"] is None and rows[2]["seconds"] > 0
    assert rows[-1]["last"] == rows[-2]["saved"][0] == f"{tmp_path}/a/model,last"
    metrics = load_checkpoint(rows[-1]["last"]).manifest["metrics"]["last"]
    assert metrics["sets"] == {"lfw": rows[-3]["targets"]["lfw"]["accuracy"]}


def test_the_distances_of_first_best_and_last_give_the_logged_numbers_again(make_face_checkpoint, train, tmp_path):
    images = [encoded(banded(n, n // 2 % CLASSES)) for n in range(24)]
    train(make_face_checkpoint(), targets=[PairSet("lfw", images, np.arange(12) % 2 == 0)], verbose=1)
    logged = {row["step"]: row["targets"]["lfw"] for row in read_log(tmp_path / "a" / "model-log.jsonl")
              if row["event"] == "verification"}
    kept = read_verifications(tmp_path / "a" / "model-verification.json")
    assert list(logged) == list(range(7)) and len(kept) <= 3 and {0, 6} <= set(kept)
    assert max(row["accuracy"] for step, row in logged.items() if step) in [v["lfw"].accuracy for v in kept.values()]
    for step, results in kept.items():
        assert {name: results["lfw"].to_dict()[name] for name in logged[step]} == logged[step]


def test_a_failure_is_in_the_log(make_face_checkpoint, train, tmp_path):
    with pytest.raises(RunError) as failed:
        train(make_face_checkpoint(), lr=1e30, end_epoch=9)
    row = read_log(tmp_path / "a" / "model-log.jsonl")[-1]
    assert row["event"] == "failed" and row["reason"] == str(failed.value)


def test_the_monitors_are_what_plain_numpy_makes_of_the_embeddings(make_face_checkpoint):
    net, head = make_face_checkpoint(), make_head("arcface", CLASSES, 4, HeadOptions(margin_s=8.0))
    network = attach_face_head(pretrained_backbone(net, SIZE).symbol, head, ce_loss=True)
    executor = network.bound.simple_bind(mx.cpu(), data=(6, 3, *SIZE), softmax_label=(6,))
    weight = np.random.RandomState(1).normal(size=(CLASSES, 4)).astype(np.float32)
    executor.copy_params_from({**net.arg_params, "fc7_weight": mx.nd.array(weight)}, net.aux_params)
    images = np.stack([banded(n, n % CLASSES) for n in range(6)]).transpose(0, 3, 1, 2).astype(np.float32)
    label = np.arange(6) % CLASSES
    outputs = executor.forward(False, data=mx.nd.array(images), softmax_label=mx.nd.array(label))
    embedding, _, ce, *monitors = [output.asnumpy() for output in outputs]
    cosine = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)) @ (
        weight / np.linalg.norm(weight, axis=1, keepdims=True)).T
    target = cosine[np.arange(6), label]
    logits = 8 * cosine
    logits[np.arange(6), label] = 8 * np.where(target > np.cos(np.pi - .5), np.cos(np.arccos(target) + .5),
                                               target - .5 * np.sin(np.pi - .5))
    loss = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), label]
    expected = [loss, logits.argmax(axis=1) == label, cosine.argmax(axis=1) == label, target]
    for name, value, want in zip(MONITORS, monitors, expected):
        np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-5, err_msg=name)
    assert ce == pytest.approx(loss.mean(), rel=1e-4)
    assert network.saved.list_outputs()[1] == "softmax_output" and "fc7_weight" in network.saved.list_arguments()


def test_interrupting_saves_the_weights_as_last(make_face_checkpoint, train, monkeypatch):
    from mxft.training.interruption import Interruption

    calls = []

    def raise_at_the_third(_, param=None):
        calls.append(param)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Interruption, "__call__", raise_at_the_third)
    result = train(make_face_checkpoint())
    assert result.interrupted and result.steps == 3
    assert load_checkpoint(result.last).manifest["metrics"]["last"] == {"step": 3, "interrupted": True}


def test_what_is_kept_between_two_lines_of_the_log_has_the_loss_up_to_there(make_face_checkpoint, train, tmp_path):
    """Verification every 2 steps, a line every 20: the best is known all the same, and the log stays JSON."""
    result = train(make_face_checkpoint(), frequent=20, verbose=2, end_epoch=2)
    assert [row["step"] for row in result.intervals] == [2, 4, 6]
    metrics = load_checkpoint(result.last).manifest["metrics"]
    assert metrics["last"]["loss"] == pytest.approx(result.intervals[-1]["loss"])
    assert metrics["best"]["loss"] == pytest.approx(min(row["loss"] for row in result.intervals))


def test_freezing_for_an_epoch_needs_something_that_was_loaded(make_face_checkpoint, train, tmp_path):
    network = attach_face_head(pretrained_backbone(make_face_checkpoint(), SIZE).symbol, make_head(4, CLASSES, 4))
    with pytest.raises(InputError, match="expected pretrained, .*received freeze-epochs=1 with neither"):
        phases(FaceOptions(freeze_epochs=1), network, {})
    assert len(phases(FaceOptions(freeze_epochs=1, freeze=("conv0_*",)), network, {})) == 2


def test_a_batch_larger_than_the_set_is_refused_with_the_largest_that_works(make_face_checkpoint, train, tmp_path):
    net, two = make_face_checkpoint(), [mx.cpu(0), mx.cpu(1)]
    with pytest.raises(InputError, match="per-batch-size: expected at most 24, as 48 images fill no larger batch on 2 "
                                         "devices, received per-batch-size=25; try per_batch_size 24"):
        train(net, per_batch_size=25, contexts=two)
    assert not (tmp_path / "a").exists()
    assert train(net, per_batch_size=24, contexts=two).steps == 2


def test_the_command_at_the_end_can_be_pasted_whatever_the_prefix_holds(make_face_checkpoint, train, tmp_path, capsys):
    best = train(make_face_checkpoint(), "with blank", max_steps=1).best
    command = capsys.readouterr().out.rsplit("--model ", 1)[1]
    assert shlex.split(command) == [best]


def test_imprinting_is_advised_only_where_it_is_possible(make_face_checkpoint, train, capsys):
    for reinit_embedding, advised in ((False, True), (True, False)):
        train(make_face_checkpoint(), str(reinit_embedding), max_steps=1, reinit_embedding=reinit_embedding)
        said = capsys.readouterr().out
        assert "fc7 is new: accuracy starts near 0" in said and ("--fc7-init imprint" in said) == advised


def test_what_makes_a_targets_accuracy_mean_little_is_said_once(make_face_checkpoint, train, capsys):
    images = [encoded(banded(n, n % CLASSES)) for n in range(24)]
    train(make_face_checkpoint(), targets=[PairSet("toy", images, np.arange(12) < 6)], verbose=2)
    said = capsys.readouterr().out
    assert said.count("[toy]note: ") == 1 and "folds hold pairs of one kind only" in said


@pytest.fixture
def pairs():
    return PairSet("lfw", [encoded(banded(n, n // 2 % CLASSES)) for n in range(24)], np.arange(12) % 2 == 0)


def best_of(tmp_path, prefix="a"):
    checkpoint = load_checkpoint(f"{tmp_path}/{prefix}/model,best")
    return checkpoint, checkpoint.manifest["metrics"]["best"]


def test_step_0_stays_the_best_where_no_verification_is_better(make_face_checkpoint, train, pairs, tmp_path, capsys):
    """A rate at which the embedding collapses; the head saved is of step 0 as well."""
    net = make_face_checkpoint()
    result = train(net, targets=[pairs], lr=5.0, verbose=1)
    accuracies = [row["targets"]["lfw"]["accuracy"] for row in read_log(tmp_path / "a" / "model-log.jsonl")
                  if row["event"] == "verification"]
    checkpoint, metrics = best_of(tmp_path)
    assert accuracies[0] >= max(accuracies[1:]) and (metrics["step"], metrics["accuracy"]) == (0, accuracies[0])
    assert all((checkpoint.arg_params[name] == value).asnumpy().all() for name, value in net.arg_params.items())
    assert f"best {result.best} (step 0: no verification since was better)" in capsys.readouterr().out


def test_a_head_that_learns_on_a_frozen_embedding_is_better_than_step_0(make_face_checkpoint, train, pairs, tmp_path):
    """Every verification is the same: the last head is kept, and numbered checkpoints are upstream's."""
    net = make_face_checkpoint()
    train(net, targets=[pairs], verbose=1, max_steps=2, freeze=tuple(net.arg_params))
    _, metrics = best_of(tmp_path)
    assert metrics["step"] == 2 and saved_epochs(f"{tmp_path}/a/model") == ["1", "best", "last"]
