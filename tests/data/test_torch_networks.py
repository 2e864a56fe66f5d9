"""Networks as PyTorch computes them against MXNet: all of the two Gluon zoos, published ones, face networks.

``python -m pytest -m long tests/data/test_torch_networks.py``
"""
import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mxft.backbones.faces import FAMILIES, face_network  # noqa: E402
from mxft.backbones.gluon import checkpoint_from_gluon  # noqa: E402
from mxft.compat import mx  # noqa: E402
from mxft.network.checkpoint import Checkpoint, load_checkpoint, load_symbol  # noqa: E402
from mxft.network.graph import Graph  # noqa: E402
from mxft.surgery import data_name, label_names  # noqa: E402
from mxft.torch import to_torch  # noqa: E402
from mxft.zoo.gluon import models  # noqa: E402
from tests.unit.torch.plain_mxnet import difference, gradients_of, outputs_of  # noqa: E402

FACES = [f"{letter}{depth}" for letter, family in FAMILIES.items() for depth in family.depths]
TRAINED = ("mxnet:mobilenetv2_0.25", "mxnet:resnet18_v1", "mxnet:resnet18_v2", "mxnet:squeezenet1.1",
           "mxnet:densenet121", "mxnet:mobilenet0.25", "gluon:resnet50_v1d", "gluon:mobilenetv3_small",
           "gluon:cifar_resnet20_v1", "gluon:googlenet", "gluon:se_resnext50_32x4d", "gluon:resnest14",
           "gluon:hrnet_w18_small_v1_cls")
SYMBOLS = ("inception-bn", "mobilenet-v2-convhead", "resnet-18", "resnet-50")
PUBLISHED = ("mobilenet-v1-0.25", "mobilenet-v2-1.0", "mobilefacenet-y1/model", "gender-age/model")


def filled(symbol, shape, seed=0):
    """Return a checkpoint of a symbol with random parameters, of the size that keeps the numbers' size."""
    rng = np.random.RandomState(seed)

    def numbers(name, shape):
        if name.endswith(("gamma", "var")):
            return mx.nd.array(rng.uniform(0.5, 1, shape))
        return mx.nd.array(rng.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1, shape))

    args, _, auxs = symbol.infer_shape(**{data_name(symbol): shape})
    left = {data_name(symbol), *label_names(symbol)}
    return Checkpoint(symbol, {name: numbers(name, size) for name, size in zip(symbol.list_arguments(), args)
                               if name not in left},
                      {name: numbers(name, size) for name, size in zip(symbol.list_auxiliary_states(), auxs)})


def of_gluon(row):
    """Return the checkpoint of a row of the zoo with random parameters."""
    return checkpoint_from_gluon(row.model, store=row.store, seed=0, input_size=row.family.size)


def taken(checkpoint, size, count=1, seed=1):
    """Return {input: noise} as a checkpoint takes it: pixels less a mean and scaled, where its manifest says so."""
    pixels = np.random.RandomState(seed).uniform(0, 255, (count, 3, size, size))
    entry = (checkpoint.manifest or {}).get("input")
    if entry:
        mean, scale = (np.reshape(entry[key], (1, 3, 1, 1)) for key in ("mean", "scale"))
        pixels = (pixels - mean) * scale
    return {data_name(checkpoint.symbol): pixels.astype(np.float32)}


def scores(checkpoint):
    """Return a checkpoint whose outputs end before their softmax, which may be 0 and 1 whatever comes before."""
    graph = Graph(checkpoint.symbol)
    places = {node.index: node for node in graph.nodes}
    graph.heads = [places[i].inputs[0] if places[i].op == "SoftmaxOutput" else (i, output) for i, output in graph.heads]
    graph.sort()
    return dataclasses.replace(checkpoint, symbol=graph.to_symbol())


def output_difference(checkpoint, inputs):
    """Return how far PyTorch's outputs are from MXNet's, in parts of the largest number of each."""
    checkpoint = scores(checkpoint)
    expected = outputs_of(checkpoint, inputs)
    arrays = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.no_grad():
        found = to_torch(checkpoint).to(next(iter(arrays.values())).dtype)(**arrays)
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(expected)
    return max(difference(own.numpy(), other) for own, other in zip(found, expected))


def assert_same_outputs(checkpoint, inputs):
    """Hold the outputs to 1e-5, or, where rounding alone is more, those in float64 to 1e-6.

    MXNet multiplies with a PReLU's slope in float32 there too.
    """
    found = output_difference(checkpoint, inputs)
    if found >= 1e-5:
        found = output_difference(of_any_type(checkpoint), {name: value.astype(np.float64)
                                                            for name, value in inputs.items()})
        assert found < 1e-6


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in models() if row.name != "gluon:resnet50_v1b_gn"],  # no symbol of it
                         ids=lambda row: row.name)
def test_a_network_of_the_zoos_gives_what_mxnet_gives(row):
    checkpoint = of_gluon(row)
    assert_same_outputs(checkpoint, taken(checkpoint, row.family.size))


def of_any_type(checkpoint):
    """Return a checkpoint whose variables are of the type that is given and not of one they name."""
    graph = Graph(checkpoint.symbol)
    for node in graph.nodes:
        node.attrs.pop("__dtype__", None)
    return dataclasses.replace(checkpoint, symbol=graph.to_symbol())


def with_loss(checkpoint):
    """Return a checkpoint with a loss on its scores, and no dropout, whose chance is each engine's own."""
    graph = Graph(mx.sym.SoftmaxOutput(of_any_type(checkpoint).symbol, name="softmax"))
    for node in graph.operators():
        if node.op == "Dropout":
            graph.set_attr(node, "p", "0")
    return dataclasses.replace(checkpoint, symbol=graph.to_symbol())


def gradient_differences(checkpoint, inputs):
    """Return {parameter or state: how far PyTorch's gradient or new value is from MXNet's}, both in float64.

    In parts of the largest number of its own, or of a millionth of the largest of all: a bias before a BatchNorm has
    no gradient but rounding's. In float32 one number that is 0 but for rounding turns a ReLU on or off, and gradients
    of either engine are a hundredth away from those of float64.
    """
    inputs = {name: value.astype(np.float64) for name, value in inputs.items()}
    _, gradients, states = gradients_of(checkpoint, inputs)
    module = to_torch(checkpoint).train().double()
    found = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    found.sum().backward()
    own = {name: value.grad for name, value in module.named_parameters()}
    own.update(module.named_buffers())
    assert own.keys() == gradients.keys() | states.keys()
    least = max(np.abs(value).max() for value in gradients.values()) * 1e-6
    return {name: float(np.abs(value if own[name] is None else own[name].numpy() - value).max()
                        / max(np.abs(value).max(), least)) for name, value in {**gradients, **states}.items()}


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in models() if row.name in TRAINED], ids=lambda row: row.name)
def test_the_gradient_of_every_parameter_is_mxnets(row):
    checkpoint = with_loss(of_gluon(row))
    inputs = {**taken(checkpoint, row.family.size, count=4), "softmax_label": np.float32([0, 3, 9, 3])}
    differences = gradient_differences(checkpoint, inputs)
    assert max(differences.values()) < 1e-6, max(differences.items(), key=lambda item: item[1])


@pytest.mark.parametrize("name", [name if name in ("r18", "y1", "m1") else pytest.param(name, marks=pytest.mark.long)
                                  for name in FACES])
def test_a_face_network_gives_what_mxnet_gives(name):
    checkpoint = filled(face_network(name, 128), (1, 3, 112, 112))
    assert_same_outputs(checkpoint, taken(checkpoint, 112))


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_checkpoint_gives_what_mxnet_gives(name, testdata):
    checkpoint = load_checkpoint(f"{testdata / 'models' / name},0")
    assert output_difference(checkpoint, taken(checkpoint, checkpoint.proposed_shape[-1], count=2)) < 1e-5


@pytest.mark.long
@pytest.mark.data
@pytest.mark.parametrize("name", SYMBOLS)
def test_a_published_symbol_gives_what_mxnet_gives(name, testdata):
    checkpoint = filled(load_symbol(str(testdata / "symbols" / f"{name}-symbol.json")), (1, 3, 224, 224))
    assert output_difference(checkpoint, taken(checkpoint, 224)) < 1e-5
