"""Steps of SGD with PyTorch's engine and with MXNet's Module: losses, statistics and parameters stay together.

Both compute in float64. In float32 a number that is 0 but for rounding turns a ReLU on or off, and two trainings of
MXNet's own, on images that differ by a ten-millionth, are a hundredth apart after three steps.
"""
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mxft.backbones.faces import face_network  # noqa: E402
from mxft.compat import mx  # noqa: E402
from mxft.faces.training.network import attach_face_head  # noqa: E402
from mxft.heads import make_head  # noqa: E402
from mxft.network.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from mxft.network.graph import Graph  # noqa: E402
from mxft.surgery import get_fine_tune_model  # noqa: E402
from mxft.torch import to_torch  # noqa: E402

OPTIONS = {"learning_rate": 2 ** -12, "momentum": 0.875, "wd": 2 ** -13}  # MXNet reads them as float32: exact there


def batches(count, steps, size, classes, raw, seed=0):
    """Return [(images, labels)]: every class has a colour, under noise; pixels of 0-255 or of -2 to 2."""
    rng = np.random.RandomState(seed)
    colours = rng.uniform(0, 255, (classes, 3, 1, 1))
    labels = rng.randint(0, classes, (steps, count))
    images = [colours[own] * 0.5 + rng.uniform(0, 128, (count, 3, size, size)) for own in labels]
    return [(image if raw else (image - 128) / 64, own.astype(np.float64)) for image, own in zip(images, labels)]


def slopes(checkpoint):
    """Return the names of the PReLU's slopes: MXNet's gradient of these is another one, see `leaky_relu`."""
    return [name for name in checkpoint.arg_params if name.endswith("relu_gamma")]


def of_mxnet(checkpoint, given, rescale):
    """Return (module, what it gave at each step, its statistics after each)."""
    images, labels = given[0]
    module = mx.mod.Module(checkpoint.symbol, label_names=["softmax_label"], context=mx.cpu(),
                           fixed_param_names=slopes(checkpoint))
    module.bind([mx.io.DataDesc("data", images.shape, np.float64)],
                [mx.io.DataDesc("softmax_label", labels.shape, np.float64)])
    module.set_params(checkpoint.arg_params, checkpoint.aux_params)
    module.init_optimizer(kvstore=None, optimizer="sgd",
                          optimizer_params={**OPTIONS, "rescale_grad": rescale})
    outputs, states = [], []
    for images, labels in given:
        module.forward_backward(mx.io.DataBatch([mx.nd.array(images, dtype=np.float64)],
                                                [mx.nd.array(labels, dtype=np.float64)]))
        module.update()
        mx.nd.waitall()  # or the statistics of some layers are read before the step has moved them
        outputs.append([output.asnumpy() for output in module.get_outputs()])
        states.append({name: value.asnumpy() for name, value in module.get_params()[1].items()})
    return module, outputs, states


def of_torch(checkpoint, given, rescale):
    """Return the same of PyTorch's engine, under MXNet's update."""
    module, moments = to_torch(checkpoint).train().double(), {}
    for name in slopes(checkpoint):
        module.get_parameter(name).requires_grad_(False)
    outputs, states = [], []
    for images, labels in given:
        found = module(torch.from_numpy(images), torch.from_numpy(labels))
        found = found if isinstance(found, tuple) else (found,)
        torch.autograd.backward([output.sum() for output in found if output.requires_grad])
        update(module, moments, rescale)
        outputs.append([output.detach().numpy() for output in found])
        states.append({name: value.numpy().copy() for name, value in module.named_buffers()})
    return module, outputs, states


@torch.no_grad()
def update(module, moments, rescale):
    """Move the parameters as MXNet's SGD: the learning rate is inside of the momentum, biases do not decay."""
    for name, value in module.named_parameters():
        if not value.requires_grad:
            continue
        gradient = torch.zeros_like(value) if value.grad is None else value.grad * rescale
        decay = OPTIONS["wd"] if name.endswith(("_weight", "_gamma")) else 0
        step = OPTIONS["learning_rate"] * (gradient + decay * value)
        moments[name] = OPTIONS["momentum"] * moments[name] - step if name in moments else -step
        value.add_(moments[name])
        value.grad = None


def losses(outputs, given, place=0):
    return np.array([-np.log(step[place][np.arange(len(labels)), labels.astype(int)]).mean()
                     for step, (_, labels) in zip(outputs, given)])


def largest(found, expected):
    """Return the largest difference of arrays by name, in parts of the largest number of each."""
    assert found.keys() == expected.keys()
    return max(np.abs(found[name] - value).max() / max(np.abs(value).max(), 1e-3) for name, value in expected.items())


def run(checkpoint, given, rescale):
    return of_mxnet(checkpoint, given, rescale), of_torch(checkpoint, given, rescale)


def fine_tuning(testdata):
    checkpoint = load_checkpoint(f"{testdata / 'models' / 'mobilenet-v2-1.0'},0")
    symbol, kept = get_fine_tune_model(checkpoint.symbol, checkpoint.arg_params, 10)
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(8, 3, 64, 64))[0]))
    new = {name: mx.nd.array(np.random.RandomState(3).normal(0, 0.01, shapes[name]))
           for name in shapes if name not in kept and name not in ("data", "softmax_label")}
    assert len(new) == 2
    return Checkpoint(symbol, {**kept, **new}, checkpoint.aux_params)


def face_training():
    graph = Graph(attach_face_head(face_network("y1", 128), make_head("arcface", 10, 128)).saved)
    for node in graph.operators():
        if node.op == "one_hot":
            graph.set_attr(node, "dtype", "float64")
        if node.op == "Dropout":  # its chance is each engine's own
            graph.set_attr(node, "p", "0")
    symbol = graph.to_symbol()
    args, _, auxs = symbol.infer_shape(data=(4, 3, 112, 112))
    rng = np.random.RandomState(5)
    values = {name: rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) if len(shape) > 1 else
              np.full(shape, 0.25 if "relu" in name else 1.0 * name.endswith("gamma"))
              for name, shape in zip(symbol.list_arguments(), args)}
    return Checkpoint(symbol, {name: mx.nd.array(value) for name, value in values.items()
                                      if name not in ("data", "softmax_label")},
                      {name: mx.nd.full(shape, float(name.endswith("var")))
                       for name, shape in zip(symbol.list_auxiliary_states(), auxs)})


@pytest.mark.long
@pytest.mark.data
def test_thirty_steps_of_fine_tuning_lose_what_mxnets_lose(testdata):
    given = batches(8, 30, 64, 10, raw=False)
    (_, expected, expected_states), (_, found, states) = run(fine_tuning(testdata), given, 1 / 8)
    np.testing.assert_allclose(losses(found, given), losses(expected, given), rtol=1e-7)
    for own, other in zip(states, expected_states):
        assert largest(own, other) < 1e-5  # MXNet's momentum is 0.9 in float32


@pytest.mark.long
def test_steps_of_face_training_lose_what_mxnets_lose():
    given = batches(4, 5, 112, 10, raw=True)
    (_, expected, expected_states), (_, found, states) = run(face_training(), given, 1.0)
    for place in (0, 1):  # embedding and probabilities, the first time
        np.testing.assert_allclose(found[0][place], expected[0][place], atol=1e-5)
    np.testing.assert_allclose(losses(found, given, 1), losses(expected, given, 1), rtol=1e-6)
    for own, other in zip(states, expected_states):
        assert largest(own, other) < 1e-5
