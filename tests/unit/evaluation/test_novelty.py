"""What lies far from the training images: distances by plain loops, the threshold's rate, and files gone wrong."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.evaluation.novelty import distances, make_reference, sampled, unit_rows
from mxft.evaluation.novelty_file import load_reference, novelty_path, save_reference
from mxft.network.checkpoint import load_checkpoint, save_arrays
from mxft.network.locating import parse_model


def cloud(images, seed, width=20, classes=3, noise=0.5):
    """Features of images of three classes; the centres are the same for every seed."""
    centres = np.abs(np.random.RandomState(0).normal(size=(classes, width)))
    rng = np.random.RandomState(seed)
    return (centres[rng.randint(0, classes, images)] + noise * np.abs(rng.normal(size=(images, width)))).astype("f")


def test_a_distance_is_one_less_the_mean_cosine_to_the_nearest_three():
    train, images = cloud(12, 1), cloud(5, 2)
    expected = []
    for image in images:
        cosines = sorted(image @ row / np.linalg.norm(image) / np.linalg.norm(row) for row in train)
        expected.append(1 - np.mean(cosines[-3:]))
    np.testing.assert_allclose(distances(unit_rows(images), unit_rows(train)), expected, atol=1e-6)


def test_maps_are_averaged():
    maps = np.random.RandomState(0).uniform(size=(4, 6, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(unit_rows(maps), unit_rows(maps.mean(axis=(2, 3))), atol=1e-6)


@pytest.mark.parametrize("held_out, pretrained", [(None, True), (300, True), (300, False)])
def test_one_in_twenty_images_of_the_known_classes_is_marked_and_others_are(held_out, pretrained):
    held_out = held_out and cloud(held_out, 5)
    reference = make_reference("flatten0", cloud(300, 1), held_out, pretrained)
    alarms = np.mean([one.far for one in reference.judge(cloud(2000, 2))])
    assert alarms == pytest.approx(0.05, abs=0.03)
    others = np.abs(np.random.RandomState(7).normal(size=(200, 20))) ** 2
    assert np.mean([one.far for one in reference.judge(others)]) > 0.9


def test_features_that_training_moved_have_no_threshold_without_held_out_images():
    assert make_reference("flatten0", cloud(300, 1)) is None


def test_copies_of_an_image_are_not_its_neighbours():
    train = cloud(30, 1)
    twice = make_reference("flatten0", np.concatenate([train, train]), pretrained=True)
    once = make_reference("flatten0", train, pretrained=True)
    assert 0.2 * once.threshold < twice.threshold < 2 * once.threshold


def test_a_sample_takes_the_classes_in_turn():
    labels = np.array([0] * 90 + [1] * 7 + [2] * 3)
    assert np.bincount(labels[sampled(labels, 15)]).tolist() == [6, 6, 3] and len(sampled(labels, 1000)) == 100


@pytest.fixture
def model(make_checkpoint, tmp_path):
    return make_checkpoint().save(str(tmp_path / "model"), "best")


def test_a_file_is_read_as_it_was_written_beside_its_own_parameters(model, make_checkpoint, tmp_path):
    assert load_reference(load_checkpoint(model)) is None and load_reference(make_checkpoint()) is None
    reference = make_reference("flatten0", cloud(30, 1), pretrained=True)
    assert save_reference(reference, model) == str(tmp_path / "model-best-novelty.nd")
    read = load_reference(load_checkpoint(model))
    assert read.layer == "flatten0" and read.threshold == reference.threshold
    np.testing.assert_array_equal(read.features, reference.features)
    make_checkpoint(seed=2).save(str(tmp_path / "model"), "best")
    with pytest.raises(InputError, match="novelty file is of another checkpoint: expected sha256 .*; move it away"):
        load_reference(load_checkpoint(model))


def test_what_is_no_reference_is_refused(model):
    path = novelty_path(*parse_model(model))
    save_reference(make_reference("flatten0", cloud(30, 1), pretrained=True), model)
    arrays, whole = mx.nd.load(path), open(path, "rb").read()  # noqa: SIM115
    for name, change in (("cut", whole[:-20]), ("text", b"text " * 40), ("empty", b"")):
        with open(path, "wb") as f:
            f.write(change)
        with pytest.raises(InputError, match="novelty file cannot be read: expected what mxft finetune writes"):
            load_reference(load_checkpoint(model)), name
    for change in ({"threshold": mx.nd.array([np.nan])}, {"threshold": mx.nd.ones(2)}, {"more": mx.nd.ones(1)},
                   {"features:flatten0": mx.nd.ones((3, 20))}, {"sha256": mx.nd.ones(32)}):
        save_arrays(path, {**arrays, **change})
        with pytest.raises(InputError, match="novelty file cannot be read"):
            load_reference(load_checkpoint(model))
