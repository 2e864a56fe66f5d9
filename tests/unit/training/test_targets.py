"""Soft targets against slow loops, and against plain training where the options change nothing."""
import types

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError
from mxft.network.input_spec import InputSpec
from mxft.training.targets import SoftTargets, class_weights_balanced, parse_class_weight, soft_softmax, soften
from tests.reference.targets import soft_gradient, soft_loss, soft_targets

N, C = 12, 5
RNG = np.random.RandomState(3)
LOGITS = RNG.normal(0, 2, (N, C)).astype(np.float32)
LABELS = RNG.randint(0, C, N)
IMAGES = RNG.uniform(-1, 1, (N, 3, 4, 4)).astype(np.float32)
WEIGHTS = (0.5, 1.0, 2.0, 0.0, 3.5)


def options(label_smoothing=0.0, mixup=0.0, class_weights=None):
    return types.SimpleNamespace(label_smoothing=label_smoothing, mixup=mixup, class_weights=class_weights)


def batches(images=IMAGES, labels=LABELS, batch_size=N):
    data = mx.io.NDArrayIter(images, labels.astype(np.float32), batch_size, label_name="softmax_label")
    data.batches = -(-len(images) // batch_size)
    return data


def loss_layer(**attributes):
    return mx.sym.SoftmaxOutput(mx.sym.Variable("logits"), mx.sym.Variable("softmax_label"), name="softmax",
                                **attributes)


def run(symbol, labels, logits=LOGITS):
    """Return probabilities and the gradient towards the logits."""
    executor = symbol.bind(mx.cpu(), {"logits": mx.nd.array(logits), "softmax_label": mx.nd.array(labels)},
                           args_grad={"logits": mx.nd.zeros(logits.shape)},
                           grad_req={"logits": "write", "softmax_label": "null"})
    probabilities = executor.forward(is_train=True)[0].asnumpy()
    executor.backward()
    return probabilities, executor.grad_dict["logits"].asnumpy()


@pytest.mark.parametrize("smoothing, weights, share", [
    (0.0, None, 1.0), (0.1, None, 1.0), (0.0, WEIGHTS, 1.0), (0.0, None, 0.3), (0.2, WEIGHTS, 0.6)])
def test_the_gradient_is_that_of_the_slow_loss(smoothing, weights, share):
    order = np.random.RandomState(0).permutation(N)
    targets = soft_targets(LABELS, C, smoothing, weights, share, order)
    probabilities, gradient = run(soft_softmax(loss_layer()), targets)
    np.testing.assert_allclose(gradient, soft_gradient(LOGITS, targets), atol=2e-6)
    logs = np.log(probabilities.astype(float))
    assert -(np.array(targets) * logs).sum() == pytest.approx(soft_loss(LOGITS.astype(float), targets), rel=1e-5)


@pytest.mark.parametrize("attributes", [{}, {"normalization": "batch"}, {"normalization": "valid"},
                                        {"grad_scale": 2.5}, {"grad_scale": 0.5, "normalization": "batch"}])
def test_hard_targets_have_the_gradient_of_the_layer_itself(attributes):
    plain = loss_layer(**attributes)
    expected = run(plain, LABELS)
    got = run(soft_softmax(plain), np.eye(C)[LABELS])
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_allclose(got[1], expected[1], rtol=3e-7, atol=0)
    assert np.abs(expected[1]).max() > 1e-2
    if attributes.get("grad_scale", 1) == 1:
        np.testing.assert_array_equal(got[1], expected[1])


def test_weights_are_counted_before_the_division_by_the_batch():
    targets = np.array(soft_targets(LABELS, C, weights=WEIGHTS))
    _, summed = run(soft_softmax(loss_layer()), targets)
    _, mean = run(soft_softmax(loss_layer(normalization="batch", grad_scale=3)), targets)
    np.testing.assert_allclose(mean, summed * 3 / N, rtol=1e-5)
    assert (summed[LABELS == 3] == 0).all() and np.abs(summed[LABELS == 4]).max() > 1


def test_the_iterator_smooths_and_weights_like_the_loops():
    data = SoftTargets(batches(), C, 0.1, 0.0, WEIGHTS)
    batch = data.next()
    np.testing.assert_allclose(batch.label[0].asnumpy(), soft_targets(LABELS, C, 0.1, WEIGHTS), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(batch.label[0].asnumpy().sum(axis=1), [WEIGHTS[label] for label in LABELS], rtol=1e-6)
    np.testing.assert_array_equal(batch.data[0].asnumpy(), IMAGES)
    assert data.provide_label[0].name == "softmax_label" and data.provide_label[0].shape == (N, C)
    assert data.provide_data == batches().provide_data and (data.batches, data.batch_size) == (1, N)
    with pytest.raises(StopIteration):
        data.next()


def mixture(batch):
    """Solve for the λ and the order of a batch whose images were mixed."""
    images, mixed = IMAGES.reshape(N, -1), batch.data[0].asnumpy().reshape(N, -1)
    share, order = [], []
    for n in range(N):
        fits = []
        for other in range(N):
            far = images[n] - images[other]
            value = (far @ (mixed[n] - images[other])) / max(far @ far, 1e-9)
            fits.append((np.abs(value * images[n] + (1 - value) * images[other] - mixed[n]).max(), value, other))
        error, value, other = min(fits)
        assert error < 1e-5
        order.append(other)
        share += [value] if other != n else []
    return share, order


def test_mixup_mixes_images_and_targets_by_one_share_and_one_order():
    data = SoftTargets(batches(), C, 0.1, 0.4, WEIGHTS, seed=5)
    batch = data.next()
    share, order = mixture(batch)
    assert sorted(order) == list(range(N)) and np.ptp(share) < 1e-5 and 0 < share[0] < 1
    assert share[0] == pytest.approx(np.random.RandomState([5, 0]).beta(0.4, 0.4), abs=1e-5)
    expected = soft_targets(LABELS, C, 0.1, WEIGHTS, share[0], order)
    np.testing.assert_allclose(batch.label[0].asnumpy(), expected, atol=1e-5)


def test_mixup_has_a_seed_of_its_own_and_moves_on():
    def shares(seed):
        data = SoftTargets(batches(), C, mixup=1.0, seed=seed)
        seen = []
        for _ in range(2):
            data.reset()
            seen.append(mixture(data.next())[0][0])
        return seen

    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = shares(0)
    assert (np.random.get_state()[1] == before).all()
    assert first == shares(0) != shares(1) and first[0] != first[1]


def trained(symbol, data, epochs=3, contexts=None, **arguments):
    """Return the parameters after SGD with momentum and weight decay, gradients divided by the batch."""
    mx.random.seed(7)
    np.random.seed(7)
    module = mx.mod.Module(symbol, context=contexts or [mx.cpu()])
    module.fit(data, num_epoch=epochs, initializer=mx.init.Xavier(), eval_metric=mx.metric.Loss(),
               optimizer_params={"learning_rate": 0.5, "momentum": 0.9, "wd": 1e-3, **arguments})
    return {name: value.asnumpy() for name, value in module.get_params()[0].items()}


def small_network(**attributes):
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=7, name="fc0")
    net = mx.sym.FullyConnected(mx.sym.Activation(net, act_type="relu"), num_hidden=C, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax", **attributes)


@pytest.mark.parametrize("attributes", [{}, {"normalization": "valid"}])
@pytest.mark.parametrize("devices", [1, 2])
def test_options_that_change_nothing_train_bit_for_bit_like_plain_softmax(devices, attributes):
    net, contexts = small_network(**attributes), [mx.cpu(i) for i in range(devices)]
    scale = {"rescale_grad": 1 / devices} if attributes else {}
    plain = trained(net, batches(batch_size=4), contexts=contexts, **scale)
    bound, data = soften(net, batches(batch_size=4), options(class_weights=(1.0,) * C), C, seed=0)
    soft = trained(bound, data, contexts=contexts, **scale)
    assert set(plain) == set(soft)
    for name, value in plain.items():
        np.testing.assert_array_equal(soft[name], value)


def test_options_that_change_something_train_otherwise():
    plain = trained(small_network(), batches())
    for change in ({"label_smoothing": 0.1}, {"mixup": 0.2}, {"class_weights": WEIGHTS}):
        bound, data = soften(small_network(), batches(), options(**change), C, seed=0)
        assert np.abs(trained(bound, data)["fc1_weight"] - plain["fc1_weight"]).max() > 1e-3


def test_a_class_of_weight_3_is_its_images_three_times():
    """Both gradients are sums; Module divides by its batch, so the longer batch is multiplied back."""
    thrice = np.concatenate([np.repeat([n], 3 if LABELS[n] == 2 else 1) for n in range(N)])
    weights = tuple(3.0 if c == 2 else 1.0 for c in range(C))
    assert (LABELS == 2).any()
    bound, data = soften(small_network(), batches(), options(class_weights=weights), C, seed=0)
    weighted = trained(bound, data)
    copied = trained(small_network(), batches(IMAGES[thrice], LABELS[thrice], len(thrice)), rescale_grad=1 / N)
    for name in weighted:
        np.testing.assert_allclose(weighted[name], copied[name], atol=2e-5)


def test_a_record_iterators_last_batch_keeps_its_pad(make_records):
    records = RecordIterator(make_records("a.rec", [0, 1, 2, 1, 0]), InputSpec((3, 8, 8)), 3, 5, threads=1)
    soft = SoftTargets(records, 3, 0.3)
    for _ in range(2):
        soft.reset()
        first, last = soft.next(), soft.next()
        assert (first.pad, last.pad) == (0, 1)
        np.testing.assert_allclose(last.label[0].asnumpy(), soft_targets([1, 0, 0], 3, 0.3), rtol=1e-6)
        with pytest.raises(StopIteration):
            soft.next()


def test_multipliers_on_variables_outlive_the_change():
    weight = mx.sym.Variable("fc1_weight", attr={"__lr_mult__": "10.0"})
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), weight, num_hidden=C, name="fc1")
    bound = soft_softmax(mx.sym.SoftmaxOutput(net, name="softmax"))
    assert bound.attr_dict()["fc1_weight"]["__lr_mult__"] == "10.0"
    assert bound.list_outputs() == ["softmax_output"] and bound.list_arguments()[-1] == "softmax_label"


def margin_head():
    scores = mx.sym.broadcast_add(mx.sym.Variable("data"), mx.sym.Reshape(mx.sym.Variable("softmax_label"), (-1, 1)))
    return mx.sym.SoftmaxOutput(scores, mx.sym.Variable("softmax_label"), name="softmax")


@pytest.mark.parametrize("net, message", [
    (lambda: mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1"),
     "ends in one SoftmaxOutput, received FullyConnected 'fc1' as the first of 1 outputs"),
    (lambda: mx.sym.Group([loss_layer(), mx.sym.BlockGrad(mx.sym.Variable("logits"))]), "the first of 2 outputs"),
    (lambda: loss_layer(multi_output=True), "expected one label an image, received multi_output=True on 'softmax'"),
    (lambda: loss_layer(use_ignore=True), "received use_ignore=True"),
    (lambda: loss_layer(smooth_alpha=0.1), "received smooth_alpha=0.1 on 'softmax'; take it off"),
    (margin_head, r"reads 'softmax_label' \(a margin head\)"),
])
def test_a_loss_that_cannot_be_softened_is_refused(net, message):
    with pytest.raises(InputError, match=message):
        soft_softmax(net())


@pytest.mark.parametrize("change, message", [
    ({"label_smoothing": 1.0}, "at least 0 and below 1, received label_smoothing=1.0"),
    ({"label_smoothing": float("nan")}, "received label_smoothing=nan"),
    ({"mixup": -0.1}, "mixup: expected alpha to be a finite number of at least 0, received mixup=-0.1"),
    ({"class_weights": (1.0, 2.0)}, "one for each of the 5 classes, received 2"),
    ({"class_weights": (1.0, -2.0, 1, 1, 1)}, "not all of them 0, received class_weight=.1.0, -2.0, 1, 1, 1."),
    ({"class_weights": (0.0,) * 5}, "received class_weight=.0.0, 0.0, 0.0, 0.0, 0.0."),
])
def test_options_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        soften(small_network(), batches(), options(**change), C, seed=0)


def test_balanced_weights_are_scikit_learns():
    labels = RNG.choice(4, 50, p=[.6, .2, .1, .1])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    assert class_weights_balanced(labels.astype(np.float32), 4) == pytest.approx(tuple(expected))


def test_a_class_without_images_is_refused_by_name():
    with pytest.raises(InputError, match="received none of 'cat', 'emu'; leave the class out"):
        class_weights_balanced([1, 1, 2], 4, ["cat", "dog", "cow", "emu"])
    with pytest.raises(InputError, match="received none of '2', '3', '4' and 5 more;"):
        class_weights_balanced([0, 1], 10)


def test_a_class_weight_is_read():
    assert parse_class_weight("balanced") == "balanced"
    assert parse_class_weight("1, 2.5,0") == (1.0, 2.5, 0.0)
    for text, message in (("balancd", "received class_weight='balancd'; nearest: balanced"),
                          ("1,x", "received class_weight='1,x'"), ("1,nan", "received class_weight=.1.0, nan."),
                          ("0,0", "class_weight=.0.0, 0.0."), ("", "received class_weight=''")):
        with pytest.raises(InputError, match=message):
            parse_class_weight(text)
