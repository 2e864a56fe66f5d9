"""A bias beside a frozen weight trains: by fixed parameters and lr_mult, in the plain graph and the rewritten one."""
import itertools

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.freeze import FreezeOptions, freeze_plan
from mxft.network.input_spec import InputSpec
from mxft.rewrite import rewrite_for_training
from mxft.rewrite.training.frozen_weight import free_biases_of_frozen_weights
from mxft.training.fit import FitOptions, fit
from mxft.training.run import RunFolder
from mxft.training.schedule import learning_rate_schedule

SPEC = InputSpec((3, 4, 4), (127.0,) * 3, (1 / 64,) * 3)
BATCH, RATE = 4, 0.1


def gradients(symbol, shape, requests):
    """Return {name: gradient} of one step on fixed random numbers; arrays MXNet does not write hold 77."""
    rng = np.random.RandomState(0)
    names = symbol.list_arguments()
    executor = symbol.simple_bind(mx.cpu(), grad_req={name: requests.get(name, "null") for name in names}, data=shape)
    for name in sorted(names):
        executor.arg_dict[name][:] = rng.normal(size=executor.arg_dict[name].shape)
    wanted = {name: array for name, array in executor.grad_dict.items() if array is not None}
    for array in wanted.values():
        array[:] = 77
    executor.forward(is_train=True)
    executor.backward(mx.nd.array(rng.normal(size=executor.outputs[0].shape)))
    return {name: array.asnumpy() for name, array in wanted.items()}


DATA = mx.sym.Variable("data")
MAP = (2, 16, 5, 5)
LAYERS = {
    "FullyConnected": (mx.sym.FullyConnected(DATA, num_hidden=3, name="op"), (4, 6)),
    "FullyConnected of a map": (mx.sym.FullyConnected(DATA, num_hidden=3, name="op"), MAP),
    "FullyConnected of rows": (mx.sym.FullyConnected(DATA, num_hidden=3, flatten=False, name="op"), (2, 5, 6)),
    "Convolution": (mx.sym.Convolution(DATA, num_filter=8, kernel=(3, 3), name="op"), MAP),
    "Convolution 1x1": (mx.sym.Convolution(DATA, num_filter=8, kernel=(1, 1), name="op"), MAP),
    "depthwise Convolution": (mx.sym.Convolution(DATA, num_filter=16, num_group=16, kernel=(3, 3), name="op"), MAP),
    "Deconvolution": (mx.sym.Deconvolution(DATA, num_filter=8, kernel=(3, 3), no_bias=False, name="op"), MAP),
    "BatchNorm": (mx.sym.BatchNorm(DATA, fix_gamma=False, name="op"), MAP),
    "LayerNorm": (mx.sym.LayerNorm(DATA, name="op"), (4, 6)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_gradient_depends_on_which_others_are_asked_for(layer):
    """Of what is bound for training; MXNet's own FullyConnected leaves the bias' as it finds it."""
    symbol, shape = LAYERS[layer]
    names = symbol.list_arguments()
    expected = gradients(symbol, shape, dict.fromkeys(names, "write"))
    for asked in itertools.chain.from_iterable(itertools.combinations(names, count) for count in (1, 2)):
        bound, applied = rewrite_for_training(symbol, rewrite=False, fixed=set(names) - set(asked))
        assert applied in ((), ("frozen-weight",))
        for name, gradient in gradients(bound, shape, dict.fromkeys(asked, "write")).items():
            np.testing.assert_allclose(gradient, expected[name], rtol=1e-4, atol=1e-4, err_msg=f"{name} of {asked}")


def test_the_bias_gradient_is_numpys_also_where_the_weight_is_computed_or_blocked():
    weight = mx.sym.Variable("w", shape=(3, 6))
    for frozen, fixed in ((mx.sym.L2Normalization(weight), ["w"]), (mx.sym.BlockGrad(weight), ["data"])):
        net = mx.sym.FullyConnected(DATA, frozen, mx.sym.Variable("b"), num_hidden=3, name="fc")
        bound = free_biases_of_frozen_weights(net, fixed)
        rng = np.random.RandomState(0)
        for name in sorted(net.list_arguments()):
            rng.normal(size={"b": (3,), "data": (4, 6), "w": (3, 6)}[name])
        expected = rng.normal(size=(4, 3)).sum(axis=0)
        np.testing.assert_allclose(gradients(bound, (4, 6), {"b": "write"})["b"], expected, rtol=1e-4)


def test_what_needs_no_change_stays_the_very_graph():
    net = mx.sym.FullyConnected(mx.sym.FullyConnected(DATA, num_hidden=4, name="a"), num_hidden=2, no_bias=True,
                                name="b")
    for fixed in ((), ("a_weight", "a_bias"), ("a_bias",), ("b_weight",)):
        assert free_biases_of_frozen_weights(net, fixed) is net
        assert rewrite_for_training(net, "cpu", False, fixed) == (net, ())
    assert rewrite_for_training(net, "gpu", True, ("a_weight",)) == (net, ())  # CUDA's FullyConnected is right
    changed = free_biases_of_frozen_weights(net, ("a_weight",))
    assert changed is not net and changed.list_arguments() == net.list_arguments()
    assert changed.list_outputs() == net.list_outputs() and "a_output" in changed.get_internals().list_outputs()


@pytest.fixture
def records(make_records):
    rng = np.random.RandomState(0)
    return make_records("train.rec", [i % 3 for i in range(12)],
                        lambda number, label: rng.randint(0, 255, (4, 4, 3)).astype(np.uint8))


def network():
    net = mx.sym.FullyConnected(DATA, num_hidden=5, name="fc0")
    net = mx.sym.FullyConnected(mx.sym.Activation(net, act_type="relu"), num_hidden=3, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax")


def batches(records):
    return RecordIterator(records, SPEC, BATCH, 12, 0, shuffle=False, seed=0, threads=1)


def biases_by_numpy(values, records):
    """Return both biases after an epoch of gradient descent on them alone, in float64."""
    w0, b0, w1, b1 = (values[name].asnumpy().astype(float) for name in ("fc0_weight", "fc0_bias", "fc1_weight",
                                                                       "fc1_bias"))
    for batch in batches(records):
        x = batch.data[0].asnumpy().reshape(BATCH, -1).astype(float)
        hidden = x @ w0.T + b0
        scores = np.maximum(hidden, 0) @ w1.T + b1
        error = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        error[np.arange(BATCH), batch.label[0].asnumpy().ravel().astype(int)] -= 1
        b1 = b1 - RATE * error.mean(axis=0)
        b0 = b0 - RATE * ((error @ w1) * (hidden > 0)).mean(axis=0)
    return b0, b1


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("rewrite", [True, False])
@pytest.mark.parametrize("method", ["fixed", "lr_mult"])
def test_biases_train_beside_frozen_weights_as_numpy_says(method, rewrite, contexts, records, random_parameters,
                                                          tmp_path):
    symbol = network()
    values, _ = random_parameters(symbol, SPEC.shape)
    plan = freeze_plan("full", symbol, (), options=FreezeOptions(patterns=("*_weight",), method=method))
    train = batches(records)
    result = fit(symbol, values, {}, plan, train, RunFolder(str(tmp_path / "run"), symbol, {}),
                 learning_rate_schedule("constant", RATE, 1, train.batches),
                 FitOptions(epochs=1, momentum=0.0, rewrite=rewrite), [mx.cpu(i) for i in range(contexts)])
    for name, expected in zip(("fc0_bias", "fc1_bias"), biases_by_numpy(values, records)):
        np.testing.assert_allclose(result.parameters[0][name].asnumpy(), expected, rtol=1e-5, atol=1e-6)
    for name in ("fc0_weight", "fc1_weight"):
        assert (result.parameters[0][name] == values[name]).asnumpy().all()
