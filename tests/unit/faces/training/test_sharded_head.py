"""fc7 divided over devices: loss, gradients and parameters of the undivided head, and the softmax in plain float64."""
import math

import numpy as np
import pytest

from mxft.compat import mx
from mxft.faces.training.network import MONITORS, attach_face_head
from mxft.faces.training.sharded_head import ShardedHead
from mxft.heads import HeadOptions, make_head
from mxft.heads.sharded import divide_classes

ROWS, CLASSES, SIZE = 24, 23, 6
HEADS = {"softmax": (0, {}), "softmax without bias": (0, {"fc7_no_bias": True}), "sphereface": (1, {}),
         "cosface": (2, {"margin_m": 0.35}), "arcface": (4, {}), "easy margin": (4, {"easy_margin": True}),
         "combined": (5, {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15}), "intra": (6, {"margin_b": 2.0})}


def contexts(number):
    return [mx.cpu(i) for i in range(number)]


def close(ours, theirs, tolerance=1e-5):
    """Assert equality to `tolerance` of the largest number expected."""
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(np.abs(theirs).max(), 1e-12))


@pytest.fixture
def case():
    """Embeddings, labels and every variable a head may have; some rows near their centre, most not."""
    rng = np.random.RandomState(3)
    weight, labels = rng.normal(size=(CLASSES, SIZE)), rng.randint(0, CLASSES, ROWS)
    labels[:4] = 0, CLASSES - 1, 11, 12                     # both ends, and both sides of a border
    embedding = rng.normal(size=(ROWS, SIZE)) + np.arange(ROWS)[:, None] % 4 * 0.5 * weight[labels]
    return {"embedding": embedding, "softmax_label": labels, "fc7_weight": weight, "fc7_bias": rng.normal(size=CLASSES),
            "fc7_lambda": np.array([5.0])}


def undivided(head, case):
    """Return {output or gradient: array} of the training network of `head` on one device."""
    network = attach_face_head(mx.sym.identity(mx.sym.Variable("embedding")), head)
    arrays = {name: mx.nd.array(case[name]) for name in network.bound.list_arguments()}
    gradients = {name: mx.nd.zeros(array.shape) for name, array in arrays.items() if name != "softmax_label"}
    executor = network.bound.bind(mx.cpu(), arrays, gradients)
    executor.forward(is_train=True)
    executor.backward()
    measures = zip(MONITORS, executor.outputs[-len(MONITORS):])
    return {**{name: value.asnumpy() for name, value in measures}, "softmax": executor.outputs[1].asnumpy(),
            **{f"d_{name}": gradient.asnumpy() for name, gradient in gradients.items()}}


def divided(head, case, shards, **settings):
    """Return (the ShardedHead after a step, {output or gradient: array} as of `undivided`)."""
    ours = ShardedHead(head, ROWS, contexts(shards), **settings)
    ours.set_params({name: mx.nd.array(case[name]) for name in head.variable_specs()})
    parts = [mx.nd.array(part, context) for part, context in
             zip(np.split(case["embedding"], shards), contexts(shards))]
    ours.forward_backward(parts, mx.nd.array(case["softmax_label"]), step=(0,))
    found = dict(zip(MONITORS, (measure.asnumpy() for measure in ours.measures)))
    found["softmax"] = np.concatenate([executor.outputs[0].asnumpy() for executor in ours.execs], axis=1)
    found["d_embedding"] = ours.embedding_gradient().asnumpy() / shards
    for name in head.parameters:
        found[f"d_{name}"] = np.concatenate([executor.grad_dict[name].asnumpy() for executor in ours.execs]) / shards
    return ours, found


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
@pytest.mark.parametrize("name", HEADS)
def test_loss_and_gradients_are_those_of_the_undivided_head(name, shards, case):
    """23 classes: 12 + 11, 8 + 8 + 7, 6 + 6 + 6 + 5."""
    loss_type, options = HEADS[name]
    head = make_head(loss_type, CLASSES, SIZE, HeadOptions(margin_s=16.0, **options))
    theirs = undivided(head, case)
    _, ours = divided(head, case, shards)
    for what, value in ours.items():
        close(value, theirs[what])
    for what in ("margin_correct", "correct"):
        np.testing.assert_equal(ours[what], theirs[what])
        assert 0 < ours[what].sum() < ROWS


@pytest.mark.parametrize("classes, shards", [(1, 1), (7, 7), (10, 4), (85742, 4), (85742, 512)])
def test_classes_are_divided_without_a_gap_and_as_evenly_as_can_be(classes, shards):
    bounds = divide_classes(classes, shards)
    sizes = np.diff(bounds)
    assert (bounds[0], bounds[-1], len(sizes)) == (0, classes, shards) and sizes.max() - sizes.min() <= 1


def plain_softmax(logits, labels):
    """Loss of each row and gradient of their mean, float64, class by class."""
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    gradient = probability.copy()
    gradient[rows, labels] -= 1
    top = logits.max(axis=1)
    loss = top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - logits[rows, labels]
    return loss, gradient / len(labels)


@pytest.mark.parametrize("scale", [1, 64, 500, 3e4])
@pytest.mark.parametrize("shards", [2, 3])
def test_the_softmax_over_shards_is_the_plain_one_and_never_overflows(scale, shards):
    """Logits up to ±scale, largest and least in different shards; float32 holds no exp(89)."""
    rng = np.random.RandomState(int(scale))
    logits = rng.uniform(-1, 1, (ROWS, CLASSES)) * scale
    logits[0, 0], logits[0, -1], logits[1, 0], logits[1, -1] = scale, -scale, -scale, scale
    logits = logits.astype(np.float32).astype(float)
    labels = rng.randint(0, CLASSES, ROWS)
    labels[:4] = 0, 0, CLASSES - 1, 5
    head = make_head(0, CLASSES, CLASSES, HeadOptions(fc7_no_bias=True))   # weight 1 on the diagonal: x is the logits
    case = {"embedding": logits, "softmax_label": labels, "fc7_weight": np.eye(CLASSES)}
    loss, gradient = plain_softmax(logits, labels)
    _, ours = divided(head, case, shards)
    np.testing.assert_allclose(ours["d_embedding"], gradient, rtol=0, atol=1e-5 / ROWS)
    np.testing.assert_allclose(ours["loss"], np.minimum(loss, -math.log(1e-30)), rtol=1e-5, atol=1e-5)


def test_many_classes_are_nearer_to_float64_in_shards_than_in_one_piece():
    """SoftmaxOutput sums a row in float32, one number after another: short rows lose less."""
    rng, classes = np.random.RandomState(7), 60_000
    weight, labels = rng.normal(size=(classes, 4)), rng.randint(0, classes, ROWS)
    case = {"embedding": rng.normal(size=(ROWS, 4)), "softmax_label": labels, "fc7_weight": weight}
    logits = case["embedding"] @ weight.T
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    head = make_head(0, classes, 4, HeadOptions(fc7_no_bias=True))
    theirs, (_, ours) = undivided(head, case), divided(head, case, 3)
    assert np.abs(ours["softmax"] - probability).max() < np.abs(theirs["softmax"] - probability).max()
    loss, _ = plain_softmax(logits, labels)
    for expected in (loss, theirs["loss"]):
        close(ours["loss"], expected)
    close(ours["d_embedding"], theirs["d_embedding"], 3e-5)


def test_a_logit_that_is_no_number_is_no_finite_loss(case):
    case["embedding"][3, 0] = np.nan
    head = make_head(4, CLASSES, SIZE)
    loss = divided(head, case, 2)[1]["loss"]
    assert np.isnan(loss[3]) and np.isfinite(np.delete(loss, 3)).all()


def test_no_array_of_batch_by_all_classes_or_of_all_centres_is_on_a_device(case):
    ours, _ = divided(make_head(0, CLASSES, SIZE), case, 3)
    held = {name: array.shape for name, array in ours.arrays().items()}
    for shard, classes in enumerate((8, 8, 7)):
        for kind in ("argument", "gradient"):
            assert held[f"{kind}:fc7_weight@{shard}"] == (classes, SIZE)
            assert held[f"{kind}:fc7_bias@{shard}"] == (classes,)
            assert held[f"{kind}:embedding@{shard}"] == (ROWS, SIZE)
        assert [output.shape for output in ours.execs[shard].outputs] == [(ROWS, classes)] + 6 * [(ROWS,)]
    assert len(held) == 3 * 7 and not any(name.startswith("whole") for name in held)
    sampled, _ = divided(make_head(0, CLASSES, SIZE), case, 1, sample_rate=0.5)
    assert sampled.arrays()["whole:fc7_weight@0"].shape == (CLASSES, SIZE)


def rows_of_samples(head):
    """Return the class numbers of each shard's last sample, counted from 0 over all shards."""
    return [shard.rows.asnumpy().astype(int) + shard.classes.start for shard in head.shards]


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("name", ["softmax", "sphereface", "arcface", "intra"])
def test_a_sample_is_a_head_over_the_sampled_classes(name, shards, case):
    """Loss and gradients are those of an undivided head that knows no other classes."""
    loss_type, options = HEADS[name]
    options = HeadOptions(margin_s=16.0, **options)
    case["softmax_label"] = np.arange(ROWS) % 3 * 9
    ours, found = divided(make_head(loss_type, CLASSES, SIZE, options), case, shards, sample_rate=0.4, seed=5)
    rows = np.concatenate(rows_of_samples(ours))
    few = {**case, "fc7_weight": case["fc7_weight"][rows], "fc7_bias": case["fc7_bias"][rows],
           "softmax_label": np.searchsorted(rows, case["softmax_label"])}
    theirs = undivided(make_head(loss_type, len(rows), SIZE, options), few)
    assert {0, 9, 18} <= set(rows)
    for what, value in found.items():
        close(value, theirs[what])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_update_touches_the_sampled_rows_alone(momentum, case):
    """Weight decay and momentum as SGD's formula has them; every other row and its momentum bit for bit as it was."""
    head = make_head(0, CLASSES, SIZE)
    ours = ShardedHead(head, 4, contexts(2), sample_rate=0.3, seed=1)
    ours.set_params({name: mx.nd.array(case[name]) for name in head.parameters})
    optimizer = mx.optimizer.SGD(learning_rate=0.1, momentum=momentum, wd=0.2, rescale_grad=0.5,
                                 param_idx2name=ours.indices())
    updater = mx.optimizer.get_updater(optimizer)
    expected = {name: [case[name].astype(np.float32), np.zeros(case[name].shape, np.float32)]
                for name in head.parameters}
    trained = set()
    for step in range(4):
        before = {name: array.asnumpy() for name, array in ours.get_params().items()}
        labels = np.array([0, 9, 9, 18 + step])
        ours.forward_backward([mx.nd.array(case["embedding"][:4])], mx.nd.array(labels), step=(step,))
        ours.update(updater)
        rows = np.concatenate(rows_of_samples(ours))
        assert set(labels) <= set(rows) and len(rows) == 8 and len(set(rows)) == 8
        trained |= set(rows)
        for name, decay in (("fc7_weight", 0.2), ("fc7_bias", 0.0)):
            gradient = np.concatenate([executor.grad_dict[name].asnumpy() for executor in ours.execs])
            weight, moving = expected[name]
            moving[rows] = momentum * moving[rows] - 0.1 * (0.5 * gradient + decay * weight[rows])
            weight[rows] += moving[rows]
            after = ours.get_params()[name].asnumpy()
            others = np.setdiff1d(np.arange(CLASSES), rows)
            np.testing.assert_equal(after[others], before[name][others])
            close(after, weight)
    never = np.setdiff1d(np.arange(CLASSES), sorted(trained))
    assert len(never)
    np.testing.assert_equal(ours.get_params()["fc7_weight"].asnumpy()[never],
                            case["fc7_weight"].astype(np.float32)[never])
    for index, state in updater.states.items():
        if momentum:
            name, shard = index.split("@")
            first, end = ((0, 12), (12, CLASSES))[int(shard)]
            close(state.asnumpy(), expected[name][1][first:end])
            assert not state.asnumpy()[[row - first for row in never if first <= row < end]].any()


def test_a_sample_of_everything_is_no_sample(case):
    """More rows than a shard has classes: every class is in every sample."""
    head = make_head(4, CLASSES, SIZE, HeadOptions(margin_s=16.0))
    _, whole = divided(head, case, 3)
    _, sampled = divided(head, case, 3, sample_rate=0.99)
    for what, value in whole.items():
        np.testing.assert_equal(sampled[what], value)


def test_what_is_fixed_gets_no_gradient_and_stays(case):
    head = make_head(0, CLASSES, SIZE)
    ours = ShardedHead(head, ROWS, contexts(2), fixed={"fc7_weight"}, embedding_gradient=False)
    assert set(ours.indices().values()) == {"fc7_bias"}
    for executor in ours.execs:
        assert executor.grad_dict["fc7_weight"] is None and executor.grad_dict["embedding"] is None
