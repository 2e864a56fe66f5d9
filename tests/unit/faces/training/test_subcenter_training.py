"""Training with several centres a class: memory and centres counted, kept, imprinted, and one centre is ArcFace."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.faces.data.layout import read_face_set
from mxft.faces.train import train_faces
from mxft.faces.training.imprint import imprint_head
from mxft.faces.training.network import pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.faces.training.preparation import prepare_faces
from mxft.heads import HeadOptions, make_head
from mxft.network.checkpoint import load_checkpoint
from tests.support.images import banded

SIZE, CLASSES = (16, 16), 4
OPTIONS = {"lr": 0.05, "per_batch_size": 16, "frequent": 1, "verbose": 1000, "end_epoch": 2}


@pytest.fixture
def faces(make_records):
    return read_face_set(make_records("faces.rec", np.repeat(np.arange(CLASSES), 12), banded))


@pytest.fixture
def train(faces, tmp_path):
    """A function (checkpoint, prefix, loss, subcenters=3, **options) -> FaceResult."""
    def run(checkpoint, prefix, loss, subcenters=3, **options):
        backbone = pretrained_backbone(checkpoint, SIZE)
        head = make_head(loss, CLASSES, backbone.emb_size, HeadOptions(margin_s=8.0, subcenters=subcenters))
        return train_faces(backbone, head, faces, str(tmp_path / prefix / "model"), FaceOptions(**OPTIONS, **options),
                           [mx.cpu()], checkpoint)
    return run


def test_one_subcentre_trains_as_arcface_does(make_face_checkpoint, train):
    net = make_face_checkpoint()
    one, arcface = train(net, "one", "subcenter-arcface", 1), train(net, "arcface", "arcface")
    figures = [[(row["loss"], row["correct"], row["target_cosine"]) for row in result.intervals]
               for result in (one, arcface)]
    assert len(figures[0]) == 6 and figures[0] == figures[1]
    ours, theirs = (load_checkpoint(result.last).arg_params for result in (one, arcface))
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name].asnumpy(), value.asnumpy())


def test_centres_of_the_same_shape_are_kept_and_others_are_new(make_face_checkpoint, train):
    three = load_checkpoint(train(make_face_checkpoint(), "three", "subcenter-arcface").last)
    assert three.arg_params["fc7_weight"].shape == (CLASSES, 3, 4)
    assert three.manifest["head"]["loss"] == "subcenter-arcface" and three.manifest["head"]["subcenters"] == 3
    onwards = train(three, "onwards", "subcenter-arcface")
    again = train(three, "again", "subcenter-arcface", fc7_init="normal")
    assert onwards.intervals[0]["loss"] < 0.8 * again.intervals[0]["loss"]
    assert load_checkpoint(train(three, "two", "subcenter-arcface", 2).last).arg_params["fc7_weight"].shape[1] == 2
    assert load_checkpoint(train(three, "arcface", "arcface").last).arg_params["fc7_weight"].shape == (CLASSES, 4)


def test_of_several_centres_the_first_is_imprinted():
    weight, centres = np.ones((3, 2, 4), np.float32), np.full((3, 4), 7, np.float32)
    found = imprint_head(weight, centres, np.array([5, 0, 1]))
    assert found[:, 0, 0].tolist() == [7, 1, 7] and (found[:, 1] == 1).all() and (weight == 1).all()


def test_memory_counts_every_centre(make_face_checkpoint, faces):
    net = make_face_checkpoint()
    backbone = pretrained_backbone(net, SIZE)
    heads = [prepare_faces(backbone, make_head(loss, CLASSES, 4, HeadOptions(subcenters=3)), faces,
                           FaceOptions(**{**OPTIONS, "per_batch_size": 15}), [mx.cpu()], net).estimate.head
             for loss in ("arcface", "subcenter-arcface", "triplet")]
    assert heads == [CLASSES * 4 * 4 * 5, 3 * CLASSES * 4 * 4 * 5, 0]


@pytest.mark.parametrize("batch_norm, per_batch_size, freeze, warned", [
    (True, 1, (), True), (True, 2, (), False), (False, 1, (), False),
    (True, 1, ("bn0_*", "fc1_*"), False)])  # with fixed statistics each image is alone anyway
def test_a_batch_of_one_image_under_batch_norm_is_warned_of(make_face_checkpoint, faces, batch_norm, per_batch_size,
                                                            freeze, warned):
    from mxft.faces.training.announcing import face_doubts

    net = make_face_checkpoint(batch_norm=batch_norm)
    backbone = pretrained_backbone(net, SIZE)
    options = FaceOptions(**{**OPTIONS, "per_batch_size": per_batch_size, "freeze": freeze})
    task = prepare_faces(backbone, make_head("arcface", CLASSES, 4), faces, options, [mx.cpu()], net)
    said = [line for line in face_doubts(task) if line.startswith("a batch of one image under BatchNorm: 2 layers ")]
    assert bool(said) == warned
    assert not warned or said[0].endswith("; `per_batch_size=8`, on each device")
