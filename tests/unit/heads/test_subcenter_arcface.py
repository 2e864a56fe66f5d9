"""Sub-center ArcFace against its formula in plain loops; one sub-centre is ArcFace; shards are the whole."""
import math

import numpy as np
import pytest

from mxft.compat import mx
from mxft.heads import HeadBlock, HeadOptions, make_head, softmax_output
from tests.reference import heads as reference

N, C, K, E = 6, 5, 3, 4


@pytest.fixture
def batch():
    rng = np.random.RandomState(0)
    embedding, weight, label = rng.normal(size=(N, E)), rng.normal(size=(C, K, E)), rng.randint(0, C, N)
    return embedding.astype("float32").astype(float), weight.astype("float32").astype(float), label


def run(head, embedding, weight, label):
    """Return logits, cosine of the target, softmax and the gradients of the loss towards embedding and weight."""
    target = mx.sym.Variable("softmax_label")
    out = head.attach(mx.sym.Variable("embedding"), target)
    symbol = mx.sym.Group([mx.sym.BlockGrad(out.logits), out.target_cosine, softmax_output(out.logits, target)])
    args = {"embedding": mx.nd.array(embedding), "fc7_weight": mx.nd.array(weight), "softmax_label": mx.nd.array(label)}
    grads = {name: mx.nd.zeros(args[name].shape) for name in ("embedding", "fc7_weight")}
    executor = symbol.bind(mx.cpu(), args, grads)
    executor.forward(is_train=True)
    executor.backward()
    return [array.asnumpy() for array in (*executor.outputs, *grads.values())]


def slow_logits(embedding, weight, label, m, s):
    """ECCV 2020, Eq. 3-4: the largest cosine of a class's centres; ArcFace's margin on the right class's."""
    logits = np.zeros((len(embedding), len(weight)))
    for n, x in enumerate(embedding):
        for c, centres in enumerate(weight):
            cosine = max(x @ w / (np.linalg.norm(x) * np.linalg.norm(w)) for w in centres)
            logits[n, c] = s * (reference.arcface(math.acos(cosine), m)[0] if c == label[n] else cosine)
    return logits


@pytest.mark.parametrize("m", [0.0, 0.5])
def test_value_and_gradient_are_the_papers(batch, m):
    embedding, weight, label = batch
    head = make_head("subcenter-arcface", C, E, HeadOptions(margin_m=m, margin_s=4.0, subcenters=K))
    logits, cosine, softmax, d_embedding, d_weight = run(head, *batch)
    expected = slow_logits(*batch, m, 4.0)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
    free = slow_logits(*batch, 0.0, 1.0)
    np.testing.assert_allclose(cosine, free[np.arange(N), label], rtol=0, atol=1e-6)

    def loss(x, w):
        return reference.softmax_loss(slow_logits(x, w, label, m, 4.0), label)[0]

    for ours, place in ((d_embedding, 0), (d_weight, 1)):
        differences = np.zeros(batch[place].shape)
        for at in np.ndindex(*differences.shape):
            values = []
            for sign in (1, -1):
                moved = [embedding.copy(), weight.copy()]
                moved[place][at] += sign * 1e-6
                values.append(loss(*moved))
            differences[at] = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(ours, differences, rtol=0, atol=2e-5)
    assert np.count_nonzero(np.abs(d_weight).sum(axis=2) == 0) > 0  # a centre that is nobody's nearest is not moved


def test_one_subcentre_is_arcface(batch):
    embedding, weight, label = batch
    options = HeadOptions(margin_s=8.0, subcenters=1)
    one, arcface = (make_head(name, C, E, options) for name in ("subcenter-arcface", "arcface"))
    assert one.variable_specs()["fc7_weight"][0] == arcface.variable_specs()["fc7_weight"][0] == (C, E)
    for ours, theirs in zip(run(one, embedding, weight[:, 0], label), run(arcface, embedding, weight[:, 0], label)):
        np.testing.assert_array_equal(ours, theirs)


def test_equal_subcentres_have_arcfaces_logits(batch):
    embedding, weight, label = batch
    alike = np.repeat(weight[:, :1], K, axis=1)
    head = make_head("subcenter-arcface", C, E, HeadOptions(margin_s=8.0, subcenters=K))
    arcface = make_head("arcface", C, E, HeadOptions(margin_s=8.0))
    np.testing.assert_allclose(run(head, embedding, alike, label)[0], run(arcface, embedding, weight[:, 0], label)[0],
                               rtol=1e-6)  # one product of K x C centres, one of C: rounded alike on some CPUs alone


def test_a_shard_has_the_logits_of_its_classes(batch):
    embedding, weight, label = batch
    head = make_head("subcenter-arcface", C, E, HeadOptions(margin_s=8.0, subcenters=K))
    whole = run(head, embedding, weight, label)[0]
    assert head.divisible and head.centres == C * K and head.over(2).centres == 2 * K
    part = head.over(2).forward(mx.nd, mx.nd.array(embedding), mx.nd.array(label - 1), mx.nd.array(weight[1:3]))
    own = (label >= 1) & (label < 3)
    np.testing.assert_allclose(part.logits.asnumpy()[own], whole[own, 1:3], rtol=0, atol=1e-5)


def test_the_block_has_the_symbols_logits(batch):
    embedding, weight, label = batch
    options = HeadOptions(margin_s=8.0, subcenters=K)
    block = HeadBlock("subcenter", C, E, options)
    block.initialize()
    block.fc7_weight.set_data(mx.nd.array(weight))
    ours = block(mx.nd.array(embedding), mx.nd.array(label)).asnumpy()
    np.testing.assert_allclose(ours, run(make_head("subcenter", C, E, options), *batch)[0], rtol=0, atol=1e-5)
