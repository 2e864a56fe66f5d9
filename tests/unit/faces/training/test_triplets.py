"""Training on triplets: batches, devices, resuming, what is said, and what is refused."""
import dataclasses
import logging

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.data.layout import read_face_set
from mxft.faces.pairs.bin_file import PairSet
from mxft.faces.report.face_page import write_face_page
from mxft.faces.train import train_faces
from mxft.faces.training.fit import _Loop
from mxft.faces.training.network import attach_face_head, pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.faces.training.preparation import prepare_faces
from mxft.heads import HeadOptions, make_head
from mxft.network.checkpoint import load_checkpoint
from mxft.training.resume.state import Keeping
from mxft.training.run import read_log
from tests.reference import triplets as reference
from tests.support.images import banded, encoded
from tests.support.killing import killed_when

SIZE, CLASSES, EACH = (16, 16), 4, 12
OPTIONS = {"lr": 0.002, "per_batch_size": 12, "frequent": 1, "verbose": 1000, "end_epoch": 2, "rand_mirror": False,
           "triplet_bag_size": 20, "images_per_identity": 6}
HEAD = HeadOptions(triplet_alpha=1.0)


@pytest.fixture
def faces(make_records):
    return read_face_set(make_records("faces.rec", np.repeat(np.arange(CLASSES), EACH), banded))


@pytest.fixture
def train(faces, tmp_path):
    """A function (checkpoint, prefix="a", loss_type=12, head=HEAD, contexts=1, targets=(), keeping=None, **options)."""
    def run(checkpoint, prefix="a", loss_type=12, head=HEAD, contexts=1, targets=(), keeping=None, **options):
        backbone = pretrained_backbone(checkpoint, SIZE)
        return train_faces(backbone, make_head(loss_type, CLASSES, backbone.emb_size, head), faces,
                           str(tmp_path / prefix / "model"), FaceOptions(**{**OPTIONS, **options}),
                           [mx.cpu(number) for number in range(contexts)], checkpoint, targets, keeping=keeping)
    return run


def prepared(net, faces, contexts=1, **options):
    """The run that would begin, its iterator mining with the checkpoint's embedding."""
    backbone = pretrained_backbone(net, SIZE)
    task = prepare_faces(backbone, make_head(12, CLASSES, backbone.emb_size, HEAD), faces,
                         FaceOptions(**{**OPTIONS, **options}), [mx.cpu(number) for number in range(contexts)], net)
    task.train.follow(lambda part: embed(net, part))
    return task


def embed(net, faces):
    """Embeddings by a plain MXNet forward pass."""
    from mxft.faces.data.iterators import FaceIterator

    batch = next(FaceIterator(faces, len(faces.labels), SIZE, shuffle=False))
    executor = net.symbol.bind(mx.cpu(), {**net.arg_params, "data": batch.data[0]}, aux_states=net.aux_params)
    return executor.forward(is_train=False)[0].asnumpy()


@pytest.mark.parametrize("devices", [1, 2])
def test_batches_are_semi_hard_triplets_of_the_embedding_as_it_is(make_face_checkpoint, faces, devices):
    net = make_face_checkpoint()
    train = prepared(net, faces, devices, per_batch_size=12 // devices).train
    bag = train._mining.bags.draw(0)
    candidates = reference.candidates(embed(net, faces.at(bag)), faces.labels[bag], 1.0, reference.squared)
    place = {int(key): row for row, key in enumerate(bag)}
    seen, pixels = set(), {plain(faces, row): row for row in range(len(faces.labels))}
    assert train.batches == 4
    for _ in range(sum(map(bool, candidates.values())) // 4):
        batch = train.next() if train._done < 4 else train.reset() or train.next()
        rows = [pixels[image.tobytes()] for image in batch.data[0].asnumpy()]
        assert [faces.labels[row] for row in rows] == batch.label[0].asnumpy().tolist()
        for part in np.reshape(rows, (devices, 3, -1)):
            for anchor, positive, negative in part.T:
                assert place[negative] in candidates[place[anchor], place[positive]]
                seen.add((anchor, positive))
    assert len(seen) == 4 * (sum(map(bool, candidates.values())) // 4)  # each pair once


def plain(faces, row):
    from mxft.faces.data.iterators import FaceIterator

    return next(FaceIterator(faces.at(np.array([row])), 1, SIZE, shuffle=False)).data[0].asnumpy().tobytes()


def test_the_log_has_loss_and_distances_of_the_batch(make_face_checkpoint, faces, train, tmp_path):
    """No BatchNorm, so that a plain forward pass of the first batch gives what training saw."""
    net = make_face_checkpoint(batch_norm=False)
    result = train(net, max_steps=1)
    batch = prepared(net, faces).train.next()
    executor = net.symbol.bind(mx.cpu(), {**net.arg_params, "data": batch.data[0]})
    loss, positive, negative = reference.loss(executor.forward()[0].asnumpy(), 1.0, reference.squared)
    expected = {"loss": np.mean(loss), "active": np.mean(np.array(loss) > 0),
                "nearer": np.mean(np.array(positive) < np.array(negative)),
                "positive_distance": np.mean(positive), "negative_distance": np.mean(negative)}
    assert {name: result.intervals[0][name] for name in expected} == pytest.approx(expected, abs=1e-5)
    mined = [row for row in read_log(tmp_path / "a" / "model-log.jsonl") if row["event"] == "mined"]
    assert [(row["bag"], row["images"]) for row in mined] == [(0, 20)] and mined[0]["triplets"] <= mined[0]["pairs"]


def test_one_and_two_devices_do_the_same(make_face_checkpoint, train):
    net = make_face_checkpoint(batch_norm=False)
    one, two = (train(net, f"on {n}", contexts=n, per_batch_size=12 // n, end_epoch=3, head=HeadOptions(
        triplet_alpha=3.0)) for n in (1, 2))
    assert len(one.intervals) == len(two.intervals) == 12
    for a, b in zip(one.intervals, two.intervals):
        for name in ("loss", "active", "positive_distance"):
            assert b[name] == pytest.approx(a[name], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss_type", [12, 13])
def test_identities_part(make_face_checkpoint, train, loss_type):
    result = train(make_face_checkpoint(), loss_type=loss_type, end_epoch=8, lr=0.01)

    def mean(rows, name):
        return np.mean([row[name] for row in rows])

    first, last = result.intervals[:5], result.intervals[-5:]
    assert mean(last, "loss") < 0.6 * mean(first, "loss")
    assert mean(last, "negative_distance") - mean(last, "positive_distance") > 1.2 * (
        mean(first, "negative_distance") - mean(first, "positive_distance"))


CASES = {"plain": {}, "mirrored, accumulated": {"accumulate": 2, "rand_mirror": True, "end_epoch": 3},
         "two phases": {"freeze": ("conv0*",), "freeze_epochs": 1}}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_goes_on_bit_for_bit(case, make_face_checkpoint, train, tmp_path):
    """A bag is up after 4 or 5 batches of 12, so a run is killed within a bag and between two."""
    net, keeping = make_face_checkpoint(), Keeping(state_batches=1, state_minutes=0)
    whole = train(net, "whole", keeping=keeping, **CASES[case])
    for batch in (2, 4, 5):
        with killed_when(_Loop, "snapshot", lambda loop, batch=batch: loop._batches_done == batch):
            train(net, f"at {batch}", keeping=keeping, **CASES[case])
        result = train(net, f"at {batch}", keeping=dataclasses.replace(keeping, resume="auto"), **CASES[case])
        ours, theirs = (load_checkpoint(f"{tmp_path}/{name}/model,last") for name in (f"at {batch}", "whole"))
        for name, value in {**theirs.arg_params, **theirs.aux_params}.items():
            found = {**ours.arg_params, **ours.aux_params}[name]
            np.testing.assert_array_equal(found.asnumpy(), value.asnumpy(), err_msg=name)
        assert [row["loss"] for row in result.intervals] == [row["loss"] for row in whole.intervals]


def test_after_arcface_its_fc7_is_left_out_and_that_is_said(make_face_checkpoint, train, tmp_path, caplog):
    arcface = train(make_face_checkpoint(), "arcface", loss_type=4, head=HeadOptions(margin_s=8.0))
    images = [encoded(banded(n, n // 2 % CLASSES)) for n in range(24)]
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="mxft"):
        result = train(load_checkpoint(arcface.last), "after", targets=[PairSet("lfw", images, np.arange(12) % 2 == 0)])
    assert "fc7 of the checkpoint is left out: triplet trains the embedding alone" in caplog.text
    assert "fc7 is new" not in caplog.text and "too few updates for a new head" not in caplog.text
    saved = load_checkpoint(result.best)
    assert saved.symbol.list_outputs() == ["fc1_output"] and "fc7_weight" not in saved.arg_params
    assert saved.manifest["head"]["loss"] == "triplet" and saved.manifest["metrics"]["best"]["accuracy"] is not None
    page = write_face_page(str(tmp_path / "after" / "model"))
    with open(page, encoding="utf-8") as f:
        text = f.read()
    assert "triplets with a loss" in text and "accuracy with margin" not in text
    assert "part of the triplets by step" in text and "distance in triplets by step" in text


def test_a_run_ends_where_no_triplets_are_left(make_face_checkpoint, train, caplog):
    result = train(make_face_checkpoint(), head=HeadOptions(triplet_alpha=0.02), end_epoch=50, lr=0.05)
    assert 0 < result.steps < 200 and result.last
    assert f"the run ends at step {result.steps}: mining stopped: expected a batch of 4 triplets, " in caplog.text


def test_none_at_the_beginning_is_a_failure(make_face_checkpoint, train):
    with pytest.raises(RunError, match="mining stopped: expected a batch of 4 triplets, received 0 of 3 passes over "
                                       "the identities: no other negative is farther than the positive by less than "
                                       "triplet_alpha=1e-09"):
        train(make_face_checkpoint(), head=HeadOptions(triplet_alpha=1e-9))


@pytest.mark.parametrize("options, words", [
    ({"per_batch_size": 16}, "per-batch-size: expected a multiple of 3 with loss-type=12 (triplet), as anchors, "
     "positives and negatives, received per-batch-size=16; try per_batch_size 15"),
    ({"per_batch_size": 2}, "try per_batch_size 3"),
    ({"fc7_init": "imprint"}, "fc7-init: expected no class centres with loss-type=12 (triplet), which compares images"),
    ({"ce_loss": True}, "ce-loss: expected a loss with logits, received loss-type=12 (triplet)"),
    ({"kvstore": "dist_sync"}, "kvstore: expected one process with loss-type=12 (triplet)"),
    ({"sample_rate": 0.5}, "sample-rate: expected a head with class centres, received loss-type=12 (triplet), which "
     "has none to divide"),
    ({"freeze_epochs": 1}, "freeze-epochs: expected freeze PATTERN with loss-type=12 (triplet)"),
])
def test_what_triplets_have_not_is_refused(options, words, make_face_checkpoint, train):
    with pytest.raises(InputError) as error:
        train(make_face_checkpoint(), **options)
    assert words in str(error.value)


def test_no_gradient_goes_through_what_is_measured(make_face_checkpoint):
    net = make_face_checkpoint()
    network = attach_face_head(net.symbol, make_head(12, CLASSES, 4, HEAD))
    assert network.saved is net.symbol
    assert [name for name in network.bound.list_outputs() if name.startswith("monitor_")] == [
        f"monitor_{name}_output" for name in network.monitors]
