"""The rewrites for inference on every published graph: outputs within 1e-5 of their scale of the plain network's."""
import numpy as np
import pytest

from mxft.backbones.faces import Versions, face_network
from mxft.backbones.gluon import checkpoint_from_gluon
from mxft.compat import mx
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint

pytestmark = pytest.mark.data

EXACT = 1e-5


def plain_outputs(symbol, arg_params, aux_params, images):
    """Through a Module bound for training: neither rewritten nor fused by oneDNN."""
    module = mx.mod.Module(symbol, ["data"], [])
    module.bind([("data", images.shape)], for_training=True)
    module.set_params(arg_params, aux_params)
    module.forward(mx.io.DataBatch([mx.nd.array(images)]), is_train=False)
    return module.get_outputs()[0].asnumpy()


def rewritten(symbol, arg_params, aux_params, shape):
    """Return the passes that were applied, and by how much of the outputs' scale two forwards differ from the plain's.

    Two, because MXNet's fused backend changes its weights in the first.
    """
    from mxft.surgery import cut_loss

    images = np.random.RandomState(1).uniform(0, 255, (2, *shape)).astype(np.float32)
    expected = plain_outputs(cut_loss(symbol), arg_params, aux_params, images)
    executor = InferenceExecutor(symbol, arg_params, aux_params, shape, 2)
    scale = np.abs(expected).max()
    assert expected.std() > 1e-2 * scale
    return executor.applied, max(np.abs(executor.forward(images) - expected).max() / scale for _ in range(2))


@pytest.mark.parametrize("name, size, applied", [
    ("mobilenet-v2-1.0", 96, ("pad", "scalar", "batch_norm", "channel_blocks")),
    ("mobilenet-v1-0.25", 128, ("pad", "scalar", "batch_norm")),
    ("mobilefacenet-y1/model", 112, ("scalar", "batch_norm", "prelu_depthwise", "prelu", "flatten")),
    ("gender-age/model", 112, ("scalar", "batch_norm", "prelu"))])
def test_published_checkpoints(testdata, name, size, applied):
    net = load_checkpoint(f"{testdata}/models/{name},0")
    found, error = rewritten(net.symbol, net.arg_params, net.aux_params, (3, size, size))
    assert found == applied and error <= EXACT


@pytest.mark.parametrize("name, applied", [
    ("inception-bn", ("batch_norm",)), ("mobilenet-v2-convhead", ("batch_norm", "channel_blocks")),
    ("resnet-18", ("batch_norm",)), pytest.param("resnet-50", ("batch_norm",), marks=pytest.mark.long)])
def test_published_symbols(testdata, random_parameters, name, applied):
    symbol = mx.sym.load(f"{testdata}/symbols/{name}-symbol.json")
    size = 224 if name.startswith("inception") else 64  # its last pooling is 7x7
    found, error = rewritten(symbol, *calm(*random_parameters(symbol, (3, size, size))), (3, size, size))
    assert found == applied and error <= EXACT


def test_a_resnet_of_the_paper():
    """GluonCV's ResNet-50 v1, as it is made: the stride in the first 1x1 convolution of a stage."""
    net = checkpoint_from_gluon("resnet50_v1")
    found, error = rewritten(net.symbol, net.arg_params, net.aux_params, (3, 65, 96))
    assert found == ("batch_norm", "strides", "flatten") and error <= EXACT


def calm(arg_params, aux_params):
    """Make the random residual branches small.

    With gains near 1 every unit adds to the variance; after fifty the sigmoids of squeeze-and-excitation have
    saturated, and what is left is rounding: two executors of the same unchanged graph differ by half the scale.
    """
    for name, value in arg_params.items():
        if name.endswith("bn3_gamma"):
            value *= 0.2
    return arg_params, aux_params


LONG = [("m1", 512, Versions(), 112), ("r50", 512, Versions(), 64), ("r50", 512, Versions(se=1), 48),
        ("r100", 512, Versions(), 48), ("y1", 512, Versions(), 112)]


@pytest.mark.parametrize("network, emb_size, versions, size", [
    ("r18", 512, Versions(), 64), ("r34", 256, Versions(), 64), ("y1", 128, Versions(output="GDC"), 112),
    *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)])
def test_face_backbones(random_parameters, network, emb_size, versions, size):
    symbol = face_network(network, emb_size, (size, size), versions)
    found, error = rewritten(symbol, *calm(*random_parameters(symbol, (3, size, size))), (3, size, size))
    depthwise = ("prelu_depthwise",) * (network in ("y1", "m1"))
    assert found == ("scalar", "batch_norm", *depthwise, "prelu", "flatten") and error <= EXACT
