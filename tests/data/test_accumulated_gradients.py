"""Published networks: MXNet adds the gradient of every parameter, and a group of batches is the batch of them all."""
import numpy as np
import pytest

from mxft.backbones.faces import Versions, face_network
from mxft.compat import mx
from mxft.faces.training.network import attach_face_head
from mxft.freeze import freeze_plan
from mxft.heads import HeadOptions, make_head
from mxft.machine.quiet import quiet_native
from mxft.network.checkpoint import load_checkpoint
from mxft.rewrite import rewrite_for_training
from mxft.surgery import attach_head, data_name, label_names
from mxft.training.fit import FitOptions, fit
from mxft.training.run import SilentRun
from mxft.training.schedule import learning_rate_schedule

pytestmark = pytest.mark.data


def gradients(symbol, size, values, request, times):
    """Return {name: gradient} after so many equal forward and backward passes."""
    inputs = {data_name(symbol), *label_names(symbol)}
    requests = {name: "null" if name in inputs else request for name in symbol.list_arguments()}
    executor = symbol.simple_bind(mx.cpu(), grad_req=requests, **{data_name(symbol): (2, 3, size, size)})
    rng = np.random.RandomState(1)
    for name, array in executor.arg_dict.items():
        array[:] = values.get(name, mx.nd.array(rng.uniform(0, 255, array.shape)) if array.ndim == 4 else 1)
    for _ in range(times):
        for name, array in executor.aux_dict.items():
            array[:] = values[name]
        outputs = executor.forward(is_train=True)
        executor.backward([mx.nd.ones(output.shape) for output in outputs])
    return {name: array.asnumpy() for name, array in executor.grad_dict.items() if array is not None}


def classifier(path):
    def load(testdata):
        with quiet_native():
            return mx.sym.load(str(testdata / f"{path}-symbol.json"))
    return load


def mobilefacenet(_):
    embedding = face_network("y1", 64, versions=Versions(output="GDC"))
    return attach_face_head(embedding, make_head("arcface", 10, 64, HeadOptions(margin_s=16.0))).bound


NETWORKS = {
    "mobilenet-v2": (classifier("models/mobilenet-v2-1.0"), 64), "resnet-18": (classifier("symbols/resnet-18"), 64),
    "gender-age": (classifier("models/gender-age/model"), 112), "y1, ArcFace": (mobilefacenet, 112),
}


@pytest.mark.parametrize("name", [name if name in ("mobilenet-v2", "gender-age") else
                                  pytest.param(name, marks=pytest.mark.long) for name in NETWORKS])
def test_adding_twice_is_twice_the_gradient_to_the_bit(name, testdata, random_parameters):
    make, size = NETWORKS[name]
    symbol = make(testdata)
    values = {name: value for group in random_parameters(symbol, (3, size, size)) for name, value in group.items()}
    for bound in (symbol, rewrite_for_training(symbol)[0]):
        once, twice = (gradients(bound, size, values, *how) for how in (("write", 1), ("add", 2)))
        assert len(once) == len(set(symbol.list_arguments()) - {data_name(symbol), *label_names(symbol)})
        for parameter, gradient in once.items():
            np.testing.assert_array_equal(twice[parameter], 2 * gradient, err_msg=parameter)


class Batches(mx.io.NDArrayIter):
    """The same 32 images in batches of any size."""

    def __init__(self, size):
        images = np.random.RandomState(0).uniform(0, 255, (32, 3, 128, 128))
        super().__init__(images, np.arange(32.0) % 4, size, label_name="softmax_label")
        self.batches = 32 // size


@pytest.mark.parametrize("plan, tolerance", [("head", 1e-6), ("full", 1e-4)])
def test_a_published_network_learns_the_same_from_4_batches_of_4_as_from_one_of_16(plan, tolerance, testdata):
    """BatchNorm in eval mode: in train mode it would see 4 images at a time."""
    old = load_checkpoint(str(testdata / "models" / "mobilenet-v1-0.25") + ",0")
    head = attach_head(old.symbol, 4)
    rng = np.random.RandomState(0)
    given = {**{name: value for name, value in old.arg_params.items() if name not in head.parameters},
             head.parameters[0]: mx.nd.array(rng.normal(0, 0.01, (4, 256))), head.parameters[1]: mx.nd.zeros(4)}
    found = [fit(head.symbol, given, old.aux_params, freeze_plan(plan, head.symbol, head.parameters, "eval"),
                 Batches(size), SilentRun("nowhere"), learning_rate_schedule("constant", 0.01, 2, 2),
                 FitOptions(epochs=2, momentum=0.9, wd=1e-4, accumulate=16 // size), quiet=True).parameters[0]
             for size in (16, 4)]
    assert np.abs((found[0]["fc1_weight"] - given["fc1_weight"]).asnumpy()).max() > 0.01
    for name, value in found[0].items():
        value = value.asnumpy()
        np.testing.assert_allclose(found[1][name].asnumpy(), value, rtol=0, atol=tolerance * np.abs(value).max(),
                                   err_msg=name)
