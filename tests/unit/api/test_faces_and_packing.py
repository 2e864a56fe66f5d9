"""The front door for faces and for packing: the same files and numbers as the commands, and refusals by name."""
import os

import cv2
import numpy as np
import pytest

import mxft
from mxft.cli import main
from mxft.errors import InputError, MissingFileError
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from tests.support.images import levelled, noise, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")
INPUT = {"image_shape": (3, 16, 16), "rgb_mean": (90, 90, 90), "rgb_std": (60, 60, 60)}


@pytest.fixture(autouse=True)
def as_told():
    """Nobody listens, so that the calls tell by themselves."""


@pytest.fixture
def here(here, make_face_checkpoint):
    """A working directory with a face network ``face,0`` of 16 pixels, and 4 people of 6 pictures in people."""
    checkpoint = make_face_checkpoint()
    checkpoint.manifest = {"format": 1, "input": InputSpec((3, 16, 16)).to_dict()}
    checkpoint.save("face", 0)
    write_classes("people", ["Ann", "Bob", "Cleo", "Dan"], 6, lambda number, label: noise(4 * number + label, (16, 16)))
    return here


def pairs():
    return [(f"people/{left}/{i}.png", f"people/{right}/{i + 1}.png", left == right)
            for i in range(4) for left, right in (("Ann", "Ann"), ("Bob", "Bob"), ("Ann", "Cleo"), ("Bob", "Dan"))]


def test_a_face_network_learns_people_and_is_slimmed_again(here, capsys):
    mxft.pack_faces("people", "faces", size=(16, 16))
    packed = mxft.pack_pairs(pairs(), "mine.bin")
    assert (packed.same, packed.different, packed.image_size) == (8, 8, (16, 16))
    result = mxft.finetune_faces("face,0", "faces", pairs="mine.bin", epochs=2, verify_every=2)
    out = capsys.readouterr().out
    assert "packed 24 images of 4 identities" in out and "mine.bin: 16 pairs (8 same, 8 different)" in out
    assert "class centres imprinted from 24 images" in out and "report: " in out
    assert result.prefix == "runs/faces/model" and os.path.isfile(result.report) and result.fit.steps == 6
    assert repr(result).startswith("<FaceFinetuneResult runs/faces/model: 6 steps, mine 0.") and len(repr(result)) < 300
    assert "accuracy on mine" in result._repr_html_() and "<svg" in result._repr_html_()
    found = mxft.verify(result.model, "mine.bin")
    assert "same, 8 different" in found._repr_html_() and repr(found).startswith("<Verification ")
    assert found.cosine == pytest.approx(1 - found.thresholds.mean() / 2)
    slim = mxft.slim(result.model, "slim")
    assert slim.name == "slim,0" and "fc7_weight" not in slim.arg_params
    assert mxft.verify(slim, "mine.bin").accuracy == found.accuracy
    with pytest.raises(InputError, match="output name: expected one that is free, received 'slim'"):
        mxft.slim(result.model, "slim")
    assert mxft.slim(result.model).name.endswith(", slim")


def test_triplets_have_a_batch_of_three_parts_and_no_class_centres(here, capsys):
    mxft.pack_faces("people", "faces", size=(16, 16))
    capsys.readouterr()
    result = mxft.finetune_faces("face,0", "faces", "runs/triplets/model", loss="triplet", margin=1.0, epochs=1)
    out = capsys.readouterr().out
    assert "steps an epoch of 6 images" in out and "loss max(0, |a - p|² - |a - n|² + α), α 1, 4 classes" in out
    assert 0 < result.fit.steps <= 4 and load_checkpoint(result.model).symbol.list_outputs() == ["fc1_output"]


def test_a_batch_of_one_image_is_warned_of(here, capsys):
    mxft.pack_faces("people", "faces", size=(16, 16))
    mxft.finetune_faces("face,0", "faces", "runs/one/model", batch_size=1, epochs=1)
    said = capsys.readouterr().err
    assert "a batch of one image under BatchNorm: 2 layers would normalise each image by itself" in said


def test_the_sets_are_those_of_the_commands(here, capsys):
    mxft.pack_faces("people", "ours", size=(16, 16), hold_out=0.5)
    assert main(["face-pack", "people", "theirs", "--size", "16,16", "--hold-out", "0.5"]) == 0
    for name in ("train.rec", "property", "held-out/train.rec"):
        assert (here / "ours" / name).read_bytes() == (here / "theirs" / name).read_bytes()
    (here / "pairs.txt").write_text("".join(f"{left[7:]} {right[7:]} {int(same)}\n" for left, right, same in pairs()))
    mxft.pack_pairs(pairs(), "ours.bin")
    mxft.pack_pairs("pairs.txt", "listed.bin", "people")
    assert main(["pairs-pack", "pairs.txt", "people", "theirs.bin"]) == 0
    assert len({(here / f"{name}.bin").read_bytes() for name in ("ours", "listed", "theirs")}) == 1


def test_a_batch_leaves_some_steps_an_epoch():
    from mxft.api.face_training import _batch

    assert [_batch(images, 1) for images in (5, 80, 300, 5000)] == [5, 8, 32, 64] and _batch(300, 2) == 16
    assert [_batch(images, 1, 3) for images in (5, 80, 300, 5000)] == [6, 6, 30, 63]


@pytest.mark.parametrize("call, message", [
    (lambda: mxft.pack_pairs([], "a.bin"), "pairs: expected at least one, received none"),
    (lambda: mxft.pack_pairs([("people/Ann/0.png", "people/Ann/9.png", True)], "a.bin"),
     "image is missing: expected a file, received './people/Ann/9.png', which pair 1 names"),
    (lambda: mxft.pack_pairs([("people/Ann/0.png", "large.png", True)], "a.bin"),
     "expected 16x16 pixels, received 20x20 in ./large.png, which pair 1 names"),
    (lambda: mxft.finetune_faces("face,0", "people"), "people is no face training set: .* mxft face-pack makes"),
    (lambda: mxft.finetune_faces("face,0", "faces"), r"expected images of \(16, 16\), which face,0 takes, received"),
    (lambda: mxft.finetune_faces("face,0", "faces", resume="auto"), "resume: expected the run's folder or prefix"),
    (lambda: mxft.fetch("resnet-500"), "nearest"),
])
def test_what_is_refused_is_said_before_anything_is_written(call, message, here):
    cv2.imwrite("large.png", np.zeros((20, 20, 3), np.uint8))
    mxft.pack_faces("people", "faces", size=(32, 32))
    before = sorted(os.listdir())
    with pytest.raises((InputError, MissingFileError), match=message):
        call()
    assert sorted(os.listdir()) == before


def test_pictures_are_divided_once_for_many_runs(here, make_checkpoint, capsys):
    make_checkpoint(3).save("net", 0)
    write_classes("photos", ["high", "low", "middle"], 6, levelled)
    records = mxft.split("photos", "data/photos", per_class=4, resize=20)
    assert main(["split", "photos", "typed/photos", "--per-class", "4", "--resize", "20", "--quality", "90"]) == 0
    assert (here / "data/photos-val.rec").read_bytes() == (here / "typed/photos-val.rec").read_bytes()
    capsys.readouterr()
    assert mxft.split(mxft.open_pictures("photos"), "data/photos", per_class=4, resize=20) == records
    assert "records are up to date" in capsys.readouterr().out
    steps = {"plan": "full", "epochs": 1, "batch_size": 4, **INPUT}
    first, second = (mxft.finetune(load_checkpoint("net,0"), records, **steps) for _ in range(2))
    assert first.run.endswith("runs/photos") and second.run.endswith("runs/photos-2")
    assert first.score.records == 6 and first.score.top1 == second.score.top1
