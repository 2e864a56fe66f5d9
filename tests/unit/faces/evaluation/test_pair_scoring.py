"""mxft/faces/evaluation/pair_scoring.py: a verification set through a network, against the steps one by one."""
import re

import cv2
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.evaluation.pair_scoring import distinct_images, verify_pairs
from mxft.faces.pairs.bin_file import PairSet
from mxft.inference.executor import InferenceExecutor
from tests.reference.verification import slow_verification

SIZE = (8, 6)


@pytest.fixture
def executor():
    """Embeds an image as the means of its left and right half, less their usual value."""
    net = mx.sym.Pooling(mx.sym.Variable("data"), kernel=(4, 3), stride=(4, 3), pool_type="avg") - 127.5
    return InferenceExecutor(mx.sym.Flatten(net), {}, {}, (3, *SIZE), 4)


def pair_set(pairs, seed=0):
    """Pairs of small pictures, among them repeated ones; about half are two noisy copies of one."""
    rng = np.random.RandomState(seed)
    pixels, issame = [], rng.rand(pairs) < 0.5
    for same in issame:
        left = rng.randint(0, 255, (*SIZE, 3)) if not pixels or rng.rand() < 0.7 else pixels[rng.randint(len(pixels))]
        right = np.clip(left + rng.randint(-90, 90, left.shape), 0, 255) if same else rng.randint(0, 255, left.shape)
        pixels += [left.astype(np.uint8), right.astype(np.uint8)]
    images = [cv2.imencode(".png", p[:, :, ::-1])[1].tobytes() for p in pixels]
    return PairSet("small", images, issame), np.stack(pixels)


def embed(pixels):
    """The executor's embedding of ``(N, H, W, 3)`` pixels."""
    return (pixels.reshape(-1, 2, 4, 2, 3, 3).mean((2, 4)) - 127.5).transpose(0, 3, 1, 2).reshape(len(pixels), -1)


@pytest.mark.parametrize("pairs, folds", [(40, 10), (23, 4)])
def test_it_equals_the_steps_one_by_one(executor, pairs, folds):
    faces, pixels = pair_set(pairs)
    views = embed(pixels), embed(pixels[:, :, ::-1])
    summed = views[0] + views[1]
    accuracies, thresholds = slow_verification(summed[0::2], summed[1::2], faces.issame, folds)
    result = verify_pairs(executor, faces, folds, image_size=SIZE)
    np.testing.assert_allclose(result.fold_accuracies, accuracies)
    np.testing.assert_allclose(result.thresholds, thresholds)
    # the mean norm over every place of every pair, both views: not over the different images
    assert result.xnorm == pytest.approx(np.linalg.norm(views, axis=2).mean(), rel=1e-5)
    assert result.xnorm != pytest.approx(np.linalg.norm(summed, axis=1).mean(), rel=1e-2)


def test_without_mirror_images(executor):
    faces, pixels = pair_set(40)
    plain = embed(pixels)
    result = verify_pairs(executor, faces, flip=False, image_size=SIZE)
    np.testing.assert_allclose(result.fold_accuracies, slow_verification(plain[0::2], plain[1::2], faces.issame, 10)[0])
    assert result.xnorm == pytest.approx(np.linalg.norm(plain, axis=1).mean(), rel=1e-5)


def test_each_different_image_is_embedded_once(executor, monkeypatch):
    faces, _ = pair_set(40)
    images, places = distinct_images(faces)
    assert len(images) == len(set(faces.images)) < 80
    assert [images[place] for place in places] == faces.images
    seen, forward = [], executor.forward
    monkeypatch.setattr(executor, "forward", lambda batch: seen.append(len(batch)) or forward(batch))
    done = []
    verify_pairs(executor, faces, image_size=SIZE, progress=done.append)
    assert sum(seen) == 2 * len(images) and sum(done) == len(images)


def test_what_cannot_be_verified_is_refused_before_the_network_runs(executor, monkeypatch):
    monkeypatch.setattr(executor, "forward", None)
    faces, _ = pair_set(12)
    with pytest.raises(InputError, match="received pairs=12 folds=13; choose from folds 1 to folds 12"):
        verify_pairs(executor, faces, 13, image_size=SIZE)
    with pytest.raises(InputError, match="image 0 of small .*expected 112x112 pixels, received 6x8"):
        verify_pairs(executor, faces)
    cut = PairSet("small", [*faces.images[:-1], faces.images[-1][:-5]], faces.issame)
    with pytest.raises(InputError, match=re.escape("image 23 of small (pair 11) cannot be used: ")):
        verify_pairs(executor, cut, image_size=SIZE)


def test_embeddings_that_are_not_finite_stop_it(random_parameters):
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=3, no_bias=True, name="fc1")
    args, _ = random_parameters(net, (3, *SIZE))
    args["fc1_weight"][0, 0] = np.nan
    with pytest.raises(RunError, match="are not finite: received NaN or infinity from layer fc1 for 4 of 4 images"):
        verify_pairs(InferenceExecutor(net, args, {}, (3, *SIZE), 4), pair_set(12)[0], image_size=SIZE)
