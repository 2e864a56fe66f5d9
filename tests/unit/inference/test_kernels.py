"""Two passes choose kernels and nothing else: outputs, parameters, statistics and random numbers stay."""
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import RunError
from mxft.inference import kernels
from mxft.inference.executor import InferenceExecutor
from mxft.inference.kernels import worth_choosing
from mxft.machine.processor import cpu_flags

IMAGE = (3, 16, 16)
MANY = 10 ** 6

avx512 = pytest.mark.skipif("avx512f" not in cpu_flags(), reason="the kernels are those of AVX-512")


def network(groups=1, batch_norm_first=False, dropout=False):
    """Return a network with a shortcut; what a BatchNorm before the first convolution does is not folded into it."""
    net = mx.sym.Variable("data")
    if batch_norm_first:
        net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), num_filter=32, name="conv0")
    backbone = mx.sym.Activation(net, act_type="relu")
    if dropout:
        backbone = mx.sym.Dropout(backbone, p=0.5)
    net = mx.sym.Convolution(backbone, kernel=(3, 3), pad=(1, 1), num_filter=32, num_group=groups, name="conv1")
    net = mx.sym.elemwise_add(mx.sym.Convolution(net, kernel=(1, 1), num_filter=32, name="conv2"), backbone)
    net = mx.sym.Activation(net, act_type="relu")
    return mx.sym.FullyConnected(mx.sym.Pooling(net, global_pool=True, pool_type="avg", kernel=(1, 1)), num_hidden=5)


def parameters(symbol, seed=0):
    random = np.random.RandomState(seed)
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, *IMAGE))
    args = {name: mx.nd.array(random.normal(0, 0.2, shape))
            for name, shape in zip(symbol.list_arguments(), shapes) if name != "data"}
    return args, {name: mx.nd.array(random.uniform(0.5, 1.5, shape))
                  for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes)}


def images(seed, count=8):
    return np.random.RandomState(seed).normal(size=(count, *IMAGE)).astype(np.float32)


@pytest.fixture(params=["one executor", "two streams"])
def threads(request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1" if request.param == "one executor" else "2")


@avx512
@pytest.mark.parametrize("options, expected, is_worth", [
    ({}, 3200, True), ({}, 3199, False), ({"groups": 32}, MANY, False), ({"batch_norm_first": True}, MANY, False),
    ({"dropout": True}, MANY, False)], ids=str)
def test_it_is_worth_choosing_for_many_images_of_a_network_that_computes_the_same_in_training(options, expected,
                                                                                              is_worth):
    assert worth_choosing(network(**options), expected, 32) is is_worth


@pytest.mark.parametrize("name, value", [("MXNET_ENGINE_TYPE", "NaiveEngine"), ("MXNET_CPU_WORKER_NTHREADS", "2")])
def test_an_engine_of_another_kind_is_left_alone(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert not worth_choosing(network(), MANY, 32)


@pytest.mark.parametrize("options", [{}, {"groups": 32}, {"groups": 2}, {"batch_norm_first": True}, {"dropout": True}],
                         ids=str)
def test_outputs_stay_pass_after_pass(options, threads):
    """Grouped convolutions died at the second forward after one in training mode."""
    symbol = network(**options)
    args, auxs = parameters(symbol)
    ours = InferenceExecutor(symbol, args, auxs, IMAGE, 8)
    ours.expect(MANY)
    plain = InferenceExecutor(symbol, args, auxs, IMAGE, 8, rewrite=False)
    for seed in range(4):
        for count in (8, 5, 1):
            np.testing.assert_allclose(ours.forward(images(seed, count)), plain.forward(images(seed, count)), atol=1e-5,
                                       rtol=1e-5)


@pytest.fixture(scope="module")
def resnet():
    from mxft.backbones.gluon import checkpoint_from_gluon
    from mxft.surgery import cut_loss

    checkpoint = checkpoint_from_gluon("resnet18_v1b")
    return cut_loss(checkpoint.symbol), checkpoint.arg_params, checkpoint.aux_params


def test_a_resnet_computes_the_same_bits_however_often_it_is_bound(resnet, threads):
    """Not held up, MXNet overwrites memory: of ResNet-50's executors every other was wrong by a tenth, or died."""
    pixels = [np.random.RandomState(seed).normal(size=(8, 3, 64, 64)).astype(np.float32) for seed in range(3)]
    plain = InferenceExecutor(*resnet, (3, 64, 64), 8, rewrite=False)
    expected = np.concatenate([plain.forward(batch) for batch in pixels])
    found = []
    for _ in range(5):
        executor = InferenceExecutor(*resnet, (3, 64, 64), 8)
        executor.expect(MANY)
        found += [np.concatenate([executor.forward(batch) for batch in pixels]) for _ in range(2)]
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * np.abs(expected).max())
    for outputs in found[1:]:
        np.testing.assert_array_equal(outputs, found[0])


def test_parameters_stay_and_new_ones_take_effect(threads):
    symbol = network()
    args, auxs = parameters(symbol, 0)
    before = {name: array.asnumpy() for name, array in args.items()}
    executor = InferenceExecutor(symbol, args, auxs, IMAGE, 8)
    executor.expect(MANY)
    first = executor.forward(images(0))
    for name, array in args.items():
        np.testing.assert_array_equal(array.asnumpy(), before[name])
    executor.set_params(*parameters(symbol, 1))
    executor.expect(MANY)
    plain = InferenceExecutor(symbol, *parameters(symbol, 1), IMAGE, 8, rewrite=False)
    np.testing.assert_allclose(executor.forward(images(0)), plain.forward(images(0)), atol=1e-5, rtol=1e-5)
    assert np.abs(executor.forward(images(0)) - first).max() > 0.01


@pytest.mark.parametrize("dropout", [False, True])
def test_no_random_number_is_drawn(dropout, threads):
    def next_number():
        return mx.nd.random.uniform(shape=(3,)).asnumpy().tolist()

    symbol = network(dropout=dropout)
    args, auxs = parameters(symbol)
    mx.random.seed(5)
    expected = next_number()
    mx.random.seed(5)
    executor = InferenceExecutor(symbol, args, auxs, IMAGE, 8)
    executor.expect(MANY)
    executor.forward(images(0))
    assert next_number() == expected


@avx512
def test_a_pass_that_does_not_end_ends_with_a_message(threads, monkeypatch):
    monkeypatch.setattr(kernels, "_SECONDS", 0.01)
    monkeypatch.setattr(kernels, "push", lambda *_: threading.Event())  # never set
    symbol = network()
    executor = InferenceExecutor(symbol, *parameters(symbol), IMAGE, 8)
    with pytest.raises(RunError, match="a forward pass did not end: expected it within 0.01 s"):
        executor.expect(MANY)


KERNELS = """
from mxft.inference.executor import InferenceExecutor
from tests.unit.inference.test_kernels import IMAGE, images, network, parameters
symbol = network()
executor = InferenceExecutor(symbol, *parameters(symbol), IMAGE, 8)
print("STEP", flush=True)
executor.expect({expected})
print("STEP", flush=True)
executor.forward(images(0))
print("STEP", flush=True)
executor.forward(images(0))
"""


@pytest.fixture(scope="module")
def steps(repository):
    """What oneDNN computes on two streams while kernels are chosen, in the first pass and in the second, a list each.

    By how many images are expected.
    """
    def of(expected):
        told = subprocess.run(
            [sys.executable, "-c", KERNELS.format(expected=expected)], capture_output=True, text=True, check=True,
            cwd=repository, env={**os.environ, "DNNL_VERBOSE": "1", "PYTHONPATH": str(repository),
                                 "OMP_NUM_THREADS": "2"}).stdout
        return [[line for line in step.splitlines() if ",exec," in line] for step in told.split("STEP")[1:]]
    return {expected: of(expected) for expected in (0, MANY)}


def is_of_weights(line):
    return ",reorder," in line and line.split(",")[-2] in ("32x3x3x3", "32x32x3x3", "32x32x1x1")


@avx512
def test_every_convolution_computes_in_one_layout(steps):
    plain, chosen = steps[0][2], steps[MANY][2]
    assert [line for line in plain if "brgconv" in line], "MXNet no longer mixes layouts: kernels.py is not needed"
    assert not [line for line in chosen if "brgconv" in line]
    assert len([line for line in chosen if ",convolution," in line]) == 6  # 3 layers, 2 streams
    between = [line for line in chosen if ",reorder," in line and "x32x16x16," in line]
    assert not between, "a map between two convolutions changes its layout"


@avx512
def test_weights_are_moved_when_no_convolution_reads_them_any_more(steps):
    choosing, *passes = steps[MANY]
    last = [number for number, line in enumerate(choosing) if ",forward_training," in line][5]
    backwards = [number for number, line in enumerate(choosing)
                 if is_of_weights(line) and "dst_f32::blocked:abcd" in line]
    assert len(backwards) == 6 and min(backwards) > last
    assert not [line for step in passes for line in step if is_of_weights(line)]
