"""Face runs whose fc7 is divided: numbers, files and log of the undivided network; resumed, frozen, sampled."""
import re

import numpy as np
import pytest

from mxft.compat import mx
from mxft.deploy.slim import slim
from mxft.errors import InputError
from mxft.faces.data.layout import read_face_set
from mxft.faces.train import train_faces
from mxft.faces.training.fit import _Loop
from mxft.faces.training.network import pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.faces.training.sharding import check_sharding, describe_shards
from mxft.heads import HeadOptions, make_head
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.training.resume.state import Keeping
from mxft.training.run import read_log
from tests.support.images import banded
from tests.support.killing import killed_when

SIZE = (16, 16)
CLASSES, EACH = 7, 8  # 4 + 3 classes on two devices, 3 + 2 + 2 on three


def picture(number, label):
    return banded(number, label, SIZE, step=2, rows=3)


@pytest.fixture
def train(make_records, make_face_checkpoint, tmp_path):
    """A function (prefix, contexts=2, loss_type=4, head={}, checkpoint=None, resume="", **options) -> FaceResult."""
    faces = read_face_set(make_records("faces.rec", np.repeat(np.arange(CLASSES), EACH), picture))

    def run(prefix, contexts=2, loss_type=4, head=None, checkpoint=None, resume="", **options):
        checkpoint = checkpoint or make_face_checkpoint()
        backbone = pretrained_backbone(checkpoint, SIZE)
        head = make_head(loss_type, CLASSES, backbone.emb_size, HeadOptions(**{"margin_s": 8.0, **(head or {})}))
        options = FaceOptions(**{"lr": 0.05, "wd": 0.01, "per_batch_size": 24 // contexts, "frequent": 1,
                                 "verbose": 5, "end_epoch": 4, **options})
        return train_faces(backbone, head, faces, str(tmp_path / prefix / "model"), options,
                           [mx.cpu(number) for number in range(contexts)], checkpoint,
                           keeping=Keeping(state_batches=1, state_minutes=0, resume=resume))
    return run


def parameters(name):
    checkpoint = load_checkpoint(name)
    return {name: value.asnumpy() for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}


def assert_close(ours, theirs, tolerance=1e-5):
    """Assert the same names in the same order, and values equal to `tolerance` of the largest."""
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance * np.abs(value).max(), err_msg=name)


RUNS = {"softmax": {"loss_type": 0}, "sphereface": {"loss_type": 1, "head": {"beta": 100.0}},
        "cosface": {"loss_type": 2}, "arcface, three devices": {"contexts": 3},
        "combined": {"loss_type": 5, "head": {"margin_m": 0.3, "margin_b": 0.2}},
        "subcenter": {"loss_type": "subcenter-arcface"},
        "subcenter, three devices, imprinted": {"loss_type": "subcenter-arcface", "contexts": 3, "fc7_init": "imprint",
                                                "head": {"subcenters": 2}},
        "intra": {"loss_type": 6, "head": {"margin_b": 1.0}},
        "multipliers": {"head": {"fc7_lr_mult": 3.0, "fc7_wd_mult": 5.0}}, "no momentum": {"mom": 0.0},
        "gradients added, the last three of an epoch": {"per_batch_size": 4, "accumulate": 4},
        "fc7 frozen": {"freeze": ("fc7_weight",)},
        "backbone frozen": {"freeze": ("conv*", "bn*", "relu*", "pre*", "fc1*")},
        "two phases, lr falls, imprinted": {"freeze_epochs": 1, "lr_steps": (3, 5), "fc7_init": "imprint"}}


@pytest.mark.parametrize("case", RUNS)
def test_a_run_is_that_of_the_undivided_network(case, train, tmp_path):
    """8 steps with momentum and weight decay: every parameter, every line of the log."""
    whole = train("whole", **RUNS[case])
    ours = train("shards", shard_fc7=True, **RUNS[case])
    assert ours.steps == whole.steps == 8
    assert_close(parameters(ours.last), parameters(whole.last))
    assert_close(parameters(ours.best), parameters(whole.best))
    for mine, theirs in zip(ours.intervals, whole.intervals):
        for name in ("loss", "margin_correct", "correct", "target_cosine", "lr"):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-5, rel=1e-5)


def test_files_are_those_of_the_undivided_network_and_go_back_and_forth(train, tmp_path):
    whole, ours = train("whole", ce_loss=True), train("shards", shard_fc7=True, ce_loss=True)
    files = [{path.name for path in (tmp_path / run).rglob("*") if "state" not in str(path)}
             for run in ("whole", "shards")]
    assert files[0] == files[1]
    symbols = [load_checkpoint(result.last).symbol for result in (whole, ours)]
    assert [node.op for node in Graph(symbols[0]).nodes] == [node.op for node in Graph(symbols[1]).nodes]
    assert symbols[0].list_arguments() == symbols[1].list_arguments()
    assert "fc7_weight" in slim(load_checkpoint(ours.last)).dropped
    onwards = [train(f"on {divided}", checkpoint=load_checkpoint(ours.last), shard_fc7=divided)
               for divided in (False, True)]
    assert_close(parameters(onwards[1].last), parameters(onwards[0].last))
    assert onwards[1].intervals[0]["loss"] < 0.9 * whole.intervals[0]["loss"]


@pytest.mark.parametrize("settings", [
    {"contexts": 2, "shard_fc7": True, "end_epoch": 5},
    {"contexts": 2, "shard_fc7": True, "accumulate": 4, "per_batch_size": 4, "max_steps": 4},
    {"contexts": 2, "shard_fc7": True, "sample_rate": 0.5, "per_batch_size": 1},
    {"contexts": 2, "shard_fc7": True, "sample_rate": 0.5, "per_batch_size": 1, "loss_type": "subcenter-arcface"},
    {"contexts": 1, "sample_rate": 0.5, "per_batch_size": 2, "loss_type": 0, "freeze_epochs": 1}])
def test_a_killed_run_goes_on_bit_for_bit(settings, train, make_face_checkpoint):
    """Two devices without BatchNorm, whose moving statistics are the devices' mean in what is saved."""
    batch_norm = settings["contexts"] == 1
    settings = {"end_epoch": 2, "max_steps": 9, "checkpoint": make_face_checkpoint(batch_norm=batch_norm), **settings}
    whole = train("whole", **settings)
    for batches in (1, 2, 5):
        with killed_when(_Loop, "snapshot", lambda loop, batches=batches: loop._batches_done == batches):
            train(f"at {batches}", **settings)
        result = train(f"at {batches}", resume="must", **settings)
        np.testing.assert_equal(parameters(result.last), parameters(whole.last))
        assert [row["loss"] for row in result.intervals] == [row["loss"] for row in whole.intervals]


def test_samples_are_the_seeds(train):
    few = {"sample_rate": 0.3, "per_batch_size": 2, "contexts": 1, "max_steps": 6, "rand_mirror": False}
    first, again = (parameters(train(name, **few).last) for name in ("a", "b"))
    np.testing.assert_equal(again, first)
    other = parameters(train("c", **few, seed=1, freeze=("fc1*",)).last)
    assert (other["fc7_weight"] != first["fc7_weight"]).any()


def test_a_run_says_how_its_classes_are_divided(train, tmp_path, capsys):
    train("a", shard_fc7=True, max_steps=1, sample_rate=0.5)
    assert ("fc7: 7 classes in 2 shards of 4 or 3: 0 MB a device and not 0 MB; a step trains those of its batch and "
            "others drawn at random, 0.5 of all") in capsys.readouterr().out
    start, = (row for row in read_log(tmp_path / "a" / "model-log.jsonl") if row["event"] == "start")
    assert start["options"]["shard_fc7"] and start["options"]["sample_rate"] == 0.5


def test_what_a_device_is_spared_is_said_in_megabytes():
    """Five arrays of classes x 512 numbers of 4 bytes; sampled two of all classes and five of a tenth."""
    assert describe_shards(FaceOptions(), 10**7, 512, 8) is None
    assert describe_shards(FaceOptions(shard_fc7=True), 10**7, 512, 8) == (
        "fc7: 10,000,000 classes in 8 shards of 1,250,000: 12,800 MB a device and not 102,400 MB")
    assert describe_shards(FaceOptions(sample_rate=0.1), 10**6, 512, 1) == (
        "fc7: 1,000,000 classes: 5,120 MB a device and not 10,240 MB; a step trains those of its batch and others "
        "drawn at random, 0.1 of all")


REFUSED = {
    "shard-fc7: expected at least 2 devices to divide the classes over, received cpu(0) alone; list cards in "
    "CUDA_VISIBLE_DEVICES, or cpus 2": {"contexts": 1, "shard_fc7": True},
    "sample-rate: expected shard_fc7 or one device, received sample-rate=0.5 on 2 devices": {"sample_rate": 0.5},
    "shard-fc7: expected one process, received kvstore='dist_sync'": {"shard_fc7": True, "kvstore": "dist_sync"},
    "shard-fc7: expected a head whose loss is made row by row, received loss-type=7 (arcface-inter)":
        {"shard_fc7": True, "loss_type": 7},
    "sample-rate: expected batches that are updates beside it, received accumulate=2, whose batches would each draw "
    "other classes": {"contexts": 1, "sample_rate": 0.5, "accumulate": 2},
    "shard-fc7: expected at least a class a device, received 7 classes on 8 devices": {"shard_fc7": True,
                                                                                       "contexts": 8},
    "sample_rate: expected a number above 0 and of at most 1, received sample_rate=0": {"sample_rate": 0}}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_divided_is_refused_before_anything_is_written(message, train, tmp_path):
    with pytest.raises(InputError, match=re.escape(message)):
        train("a", **REFUSED[message])
    assert not (tmp_path / "a").exists()


def test_half_precision_beside_a_divided_fc7_is_refused():
    options = FaceOptions(shard_fc7=True, fp16=True)
    with pytest.raises(InputError, match="shard-fc7: expected training in float32 beside it, received fp16"):
        check_sharding(options, make_head(4, CLASSES, 8), [mx.cpu(0), mx.cpu(1)])
