"""The first pass in training mode chooses kernels and nothing else: outputs, statistics, random numbers stay."""
import os
import subprocess
import sys

import numpy as np
import pytest

from mxft.compat import mx
from mxft.inference import InferenceExecutor
from mxft.processor import cpu_flags

IMAGE = (3, 16, 16)


def network(groups=1, batch_norm_first=False, dropout=False):
    """Return a network with a shortcut; what a BatchNorm before the first convolution does is not folded into it."""
    net = mx.sym.Variable("data")
    if batch_norm_first:
        net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), num_filter=32, name="conv0")
    trunk = mx.sym.Activation(net, act_type="relu")
    if dropout:
        trunk = mx.sym.Dropout(trunk, p=0.5)
    net = mx.sym.Convolution(trunk, kernel=(3, 3), pad=(1, 1), num_filter=32, num_group=groups, name="conv1")
    net = mx.sym.elemwise_add(mx.sym.Convolution(net, kernel=(1, 1), num_filter=32, name="conv2"), trunk)
    net = mx.sym.Activation(net, act_type="relu")
    return mx.sym.FullyConnected(mx.sym.Pooling(net, global_pool=True, pool_type="avg", kernel=(1, 1)), num_hidden=5)


def parameters(symbol, seed=0):
    random = np.random.RandomState(seed)
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, *IMAGE))
    args = {name: mx.nd.array(random.normal(0, 0.2, shape))
            for name, shape in zip(symbol.list_arguments(), shapes) if name != "data"}
    return args, {name: mx.nd.array(random.uniform(0.5, 1.5, shape))
                  for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes)}


def images(seed):
    return np.random.RandomState(seed).normal(size=(4, *IMAGE)).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"groups": 32}, {"groups": 2}, {"batch_norm_first": True}, {"dropout": True}],
                         ids=str)
def test_outputs_stay_pass_after_pass(options):
    """Grouped convolutions died at the second forward after one in training mode."""
    symbol = network(**options)
    args, auxs = parameters(symbol)
    ours = InferenceExecutor(symbol, args, auxs, IMAGE, 4)
    plain = InferenceExecutor(symbol, args, auxs, IMAGE, 4, rewrite=False)
    for seed in range(3):
        np.testing.assert_allclose(ours.forward(images(seed)), plain.forward(images(seed)), atol=1e-5, rtol=1e-5)


def test_new_parameters_and_statistics_take_effect():
    symbol = network(batch_norm_first=True)
    executor = InferenceExecutor(symbol, *parameters(symbol, 0), IMAGE, 4)
    before = executor.forward(images(0))
    executor.set_params(*parameters(symbol, 1))
    after = executor.forward(images(0))
    plain = InferenceExecutor(symbol, *parameters(symbol, 1), IMAGE, 4, rewrite=False)
    np.testing.assert_allclose(after, plain.forward(images(0)), atol=1e-5, rtol=1e-5)
    assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize("dropout", [False, True])
def test_no_random_number_is_drawn(dropout):
    def next_number():
        return mx.nd.random.uniform(shape=(3,)).asnumpy().tolist()

    symbol = network(dropout=dropout)
    args, auxs = parameters(symbol)
    mx.random.seed(5)
    expected = next_number()
    mx.random.seed(5)
    InferenceExecutor(symbol, args, auxs, IMAGE, 4).forward(images(0))
    assert next_number() == expected


KERNELS = """
import sys
sys.path.insert(0, {here!r})
from test_kernels import IMAGE, images, network, parameters
from mxft.inference import InferenceExecutor
symbol = network()
executor = InferenceExecutor(symbol, *parameters(symbol), IMAGE, 4, rewrite={rewrite})
executor.forward(images(0))
print("SECOND", flush=True)
executor.forward(images(0))
"""


@pytest.mark.skipif("avx512f" not in cpu_flags(), reason="the kernels are those of AVX-512")
def test_every_convolution_computes_in_one_layout():
    def second_pass(rewrite):
        script = KERNELS.format(here=os.path.dirname(__file__), rewrite=rewrite)
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                              env={**os.environ, "DNNL_VERBOSE": "1", "OMP_NUM_THREADS": "1"}).stdout
        return [line for line in told.split("SECOND")[1].splitlines() if ",exec," in line]

    ours, plain = second_pass(True), second_pass(False)
    assert [line for line in plain if "brgconv" in line], "MXNet no longer mixes layouts: mxft.kernels is not needed"
    assert not [line for line in ours if "brgconv" in line]
    assert len([line for line in ours if ",convolution," in line]) == 3
    between = [line for line in ours if ",reorder," in line and "x32x16x16," in line]
    assert not between, "a map between two convolutions changes its layout"
