"""The triplet losses against FaceNet's formula in plain loops, and their gradients against differences of it."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.heads import HeadBlock, HeadOptions, make_head
from tests.reference import triplets as reference

KINDS = {12: reference.squared, 13: reference.angle}


def run(loss_type, embedding, alpha):
    """Return (loss, positive distance, negative distance, gradient of the mean loss towards the embedding)."""
    head = make_head(loss_type, 5, embedding.shape[1], HeadOptions(triplet_alpha=alpha))
    out = head.attach(mx.sym.Variable("embedding"), None)
    symbol = mx.sym.Group([mx.sym.MakeLoss(mx.sym.mean(out.loss)), mx.sym.BlockGrad(out.loss), out.positive,
                           out.negative])
    gradient = mx.nd.zeros(embedding.shape)
    executor = symbol.bind(mx.cpu(), {"embedding": mx.nd.array(embedding)}, {"embedding": gradient})
    executor.forward(is_train=True)
    executor.backward()
    return [output.asnumpy() for output in executor.outputs[1:]] + [gradient.asnumpy()]


@pytest.mark.parametrize("alpha", [0.2, 1.5])
@pytest.mark.parametrize("loss_type", KINDS)
def test_value_and_gradient_are_the_papers(loss_type, alpha):
    embedding = np.random.RandomState(0).normal(size=(3 * 6, 4)).astype(np.float32).astype(float)
    *values, gradient = run(loss_type, embedding, alpha)
    expected = reference.loss(embedding, alpha, KINDS[loss_type])
    for ours, theirs in zip(values, expected):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    with_loss = np.count_nonzero(expected[0])
    assert with_loss and (alpha > 1 or with_loss < 6)
    differences = np.zeros_like(embedding)
    for place in np.ndindex(*embedding.shape):
        step = np.zeros_like(embedding)
        step[place] = 1e-6
        up, down = (np.mean(reference.loss(embedding + sign * step, alpha, KINDS[loss_type])[0]) for sign in (1, -1))
        differences[place] = (up - down) / 2e-6
    np.testing.assert_allclose(gradient, differences, rtol=0, atol=2e-5)


@pytest.mark.parametrize("loss_type", KINDS)
def test_an_image_as_its_own_positive_or_negative_keeps_the_gradient_finite(loss_type):
    row = np.random.RandomState(1).normal(size=(1, 4))
    for parts in ([row, row, -row], [row, -row, row], [0 * row, row, row]):
        assert all(np.isfinite(value).all() for value in run(loss_type, np.concatenate(parts), 0.3))


@pytest.mark.parametrize("loss_type", KINDS)
def test_cosines_become_the_distances_the_loss_has(loss_type):
    rows = reference.unit(np.random.RandomState(2).normal(size=(8, 5)))
    ours = make_head(loss_type, 5, 5).distances(rows @ rows.T)
    theirs = [[KINDS[loss_type](a, b) for b in rows] for a in rows]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("loss_type, alpha", [(12, 0), (12, 4.0), (13, 3.2), (12, -1.0)])
def test_a_margin_wider_than_any_distance_is_refused(loss_type, alpha):
    with pytest.raises(InputError, match=r"triplet(-angular)?: expected above 0 and below .*, received triplet_alpha="):
        make_head(loss_type, 5, 4, HeadOptions(triplet_alpha=alpha))


def test_it_has_no_logits_and_says_where_a_block_is():
    block = HeadBlock("triplet", 5, 4)
    block.initialize()
    with pytest.raises(InputError, match="expected a loss with logits, received loss_type='triplet'.*TripletLoss"):
        block(mx.nd.ones((3, 4)), mx.nd.zeros(3))


def test_describe_names_the_margin():
    head = make_head("atriplet", 10, 4, HeadOptions(triplet_alpha=0.35))
    assert head.describe() == "triplet-angular (loss type 13): loss max(0, θ(a, p) - θ(a, n) + α), α 0.35"
    assert (head.centres, head.parameters, head.variable_specs()) == (0, (), {})
