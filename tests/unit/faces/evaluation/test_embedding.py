"""mxft/faces/evaluation/embedding.py: encoded images to embeddings, against the same done by hand."""
import re

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.evaluation.embedding import embed_images, embed_views, embedding_executor
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import Checkpoint
from tests.support.images import encoded, noise

SIZE = (8, 6)


def picture(seed, size=SIZE, suffix=".png"):
    """(RGB pixels, encoded bytes)."""
    pixels = noise(seed, size)
    return pixels, encoded(pixels[:, :, ::-1], suffix)


@pytest.fixture
def halves():
    """A function of the batch size: a network that embeds an image as the means of its halves, channel by channel."""
    def make(batch_size):
        net = mx.sym.Pooling(mx.sym.Variable("data"), kernel=(8, 3), stride=(8, 3), pool_type="avg")
        return InferenceExecutor(mx.sym.Flatten(net), {}, {}, (3, *SIZE), batch_size)
    return make


def by_hand(pixels):
    """R left, R right, G left …"""
    return np.stack([pixels[:, :3].mean((0, 1)), pixels[:, 3:].mean((0, 1))], axis=1).ravel()


@pytest.mark.parametrize("count, batch_size", [(1, 4), (3, 4), (4, 4), (9, 4), (5, 1)])
def test_raw_rgb_in_order_for_any_number_of_images(halves, count, batch_size):
    pixels, images = zip(*(picture(seed) for seed in range(count)))
    done = []
    embeddings = embed_images(halves(batch_size), images, SIZE, progress=done.append)
    assert embeddings.shape == (count, 6) and embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, [by_hand(p) for p in pixels], rtol=1e-5)
    assert sum(done) == count and max(done) <= batch_size


@pytest.mark.parametrize("threads", [1, 3])
def test_the_mirror_image_is_added_or_stands_beside(halves, threads):
    pixels, images = zip(*(picture(seed) for seed in range(7)))
    plain, mirrored = embed_views(halves(3), images, SIZE, threads=threads)
    np.testing.assert_allclose(plain, [by_hand(p) for p in pixels], rtol=1e-5)
    np.testing.assert_allclose(mirrored, [by_hand(p[:, ::-1]) for p in pixels], rtol=1e-5)
    np.testing.assert_allclose(embed_images(halves(3), images, SIZE, flip=True), plain + mirrored, rtol=1e-6)
    assert embed_views(halves(3), images, SIZE, flip=False).shape == (1, 7, 6)


def test_an_image_that_cannot_be_decoded_is_told_with_its_number(halves):
    good, damaged = picture(0)[1], picture(1)[1][:-20]
    for images, message in (
            ([good] * 5 + [damaged], "image 5 cannot be decoded: expected a whole JPEG or PNG, received truncated PNG"),
            ([good, b"GIF89a"], "image 1 cannot be decoded: expected a whole JPEG or PNG, received neither"),
            ([good, picture(2, (6, 8))[1]], "image 1 does not fit the network: expected 6x8 pixels, received 8x6")):
        with pytest.raises(RunError, match=re.escape(message)):
            embed_images(halves(2), images, SIZE)


def test_nothing_to_embed_is_refused(halves):
    with pytest.raises(InputError, match="nothing to embed: expected at least one image, received none"):
        embed_images(halves(2), [], SIZE)


def test_only_a_few_batches_are_in_memory(halves, monkeypatch):
    """Decoding waits for the network: it is never further ahead than the window of `ordered_map`."""
    from mxft.data.packing import WINDOW
    from mxft.faces.evaluation import embedding

    decoded, ahead = [], []
    decode = embedding.decode_rgb
    monkeypatch.setattr(embedding, "decode_rgb", lambda image: decoded.append(1) or decode(image))
    executor = halves(2)
    forward = executor.forward
    consumed = []
    monkeypatch.setattr(executor, "forward", lambda images: consumed.append(len(images)) or ahead.append(
        len(decoded) - sum(consumed)) or forward(images))
    embed_images(executor, [picture(0)[1]] * 200, SIZE, threads=2)
    assert sum(consumed) == 200 and max(ahead) <= 2 * 2 * (WINDOW + 1)


@pytest.fixture
def face_symbols():
    """The training symbol of a face network, and the same slim: ``conv0`` → ``pre_fc1`` → ``fc1`` (→ ``fc7``)."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv0")
    net = mx.sym.FullyConnected(net, num_hidden=5, name="pre_fc1")
    slim = mx.sym.BatchNorm(net, fix_gamma=True, eps=2e-5, name="fc1")
    logits = mx.sym.FullyConnected(mx.sym.L2Normalization(slim), num_hidden=7, name="fc7")
    softmax = mx.sym.SoftmaxOutput(logits, name="softmax")
    return mx.sym.Group([mx.sym.BlockGrad(slim), softmax]), softmax, slim


def test_every_symbol_of_a_face_network_is_cut_at_its_embedding(face_symbols, random_parameters):
    training, softmax, slim = face_symbols
    args, auxs = random_parameters(training, (3, *SIZE))
    images = [picture(seed)[1] for seed in range(3)]
    expected, training_symbol, softmax_only = (
        embed_images(embedding_executor(Checkpoint(symbol, args, auxs), 2, SIZE), images, SIZE)
        for symbol in (slim, training, softmax))
    assert expected.shape == (3, 5)
    np.testing.assert_allclose(training_symbol, expected, rtol=1e-5)
    np.testing.assert_allclose(softmax_only, expected, rtol=1e-5)


def test_a_size_the_network_does_not_take_is_refused(face_symbols, random_parameters):
    args, auxs = random_parameters(face_symbols[0], (3, *SIZE))
    with pytest.raises(InputError, match=r"parameter does not fit: expected fc1_weight|pre_fc1_weight of shape"):
        embedding_executor(Checkpoint(face_symbols[0], args, auxs), 2, (16, 16))
