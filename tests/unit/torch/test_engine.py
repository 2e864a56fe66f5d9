"""The inference executor on a device of PyTorch's computes what it computes by MXNet; which engine is chosen when."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import DependencyError, InputError, RunError
from mxft.inference.executor import InferenceExecutor

torch = pytest.importorskip("torch")

from mxft import devices  # noqa: E402
from mxft.devices import computed_by_torch, inference_context  # noqa: E402
from mxft.torch.device import TorchDevice, torch_device  # noqa: E402

IMAGE = (3, 16, 16)


def images(n, seed=0):
    return np.random.RandomState(seed).normal(size=(n, *IMAGE)).astype(np.float32)


def executor_of(checkpoint, context=None, batch_size=4, **options):
    return InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, IMAGE, batch_size,
                             context, **options)


@pytest.mark.parametrize("rewrite", [True, False])
def test_scores_are_those_of_mxnet(make_checkpoint, rewrite):
    checkpoint = make_checkpoint()
    ours, theirs = (executor_of(checkpoint, context, rewrite=rewrite) for context in (None, TorchDevice()))
    assert ours.output_shape == theirs.output_shape == (4, 3) and theirs.applied[-1] == "PyTorch on cpu"
    for count in (4, 1, 3):
        np.testing.assert_allclose(theirs.forward(images(count)), ours.forward(mx.nd.array(images(count))), rtol=1e-5,
                                   atol=1e-6)
    assert ("batch_norm" in theirs.applied) == rewrite


def test_new_parameters_are_computed_with(make_checkpoint):
    first, second = make_checkpoint(seed=1), make_checkpoint(seed=2)
    executor = executor_of(first, TorchDevice())
    executor.set_params(second.arg_params, second.aux_params)
    np.testing.assert_allclose(executor.forward(images(2)), executor_of(second).forward(images(2)), rtol=1e-5,
                               atol=1e-6)


def test_an_iterator_is_gone_through_once_each(make_checkpoint):
    checkpoint = make_checkpoint()
    iterator = mx.io.NDArrayIter(images(10), np.arange(10), batch_size=4)
    found = list(executor_of(checkpoint, TorchDevice()).over(iterator))
    assert np.concatenate([label for _, label in found]).tolist() == list(range(10))
    np.testing.assert_allclose(np.concatenate([scores for scores, _ in found])[:4],
                               executor_of(checkpoint).forward(images(10)[:4]), rtol=1e-5, atol=1e-6)


def test_bfloat16_is_near_and_not_the_same(make_checkpoint):
    checkpoint = make_checkpoint()
    exact, rounded = (executor_of(checkpoint, TorchDevice(precision=name)).forward(images(4))
                      for name in ("fp32", "bf16"))
    assert rounded.dtype == np.float32 and 0 < abs(exact - rounded).max() < 0.02 * abs(exact).max()


def test_what_is_not_finite_is_refused(make_checkpoint):
    checkpoint = make_checkpoint()
    checkpoint.arg_params["fc1_bias"][:] = float("nan")
    with pytest.raises(RunError, match="NaN"):
        executor_of(checkpoint, TorchDevice()).forward(images(2))


@pytest.mark.parametrize("net, message", [
    (mx.sym.sum(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc1"), axis=0, keepdims=True),
     "network does not take batches: expected a row for each of 2 images, received an output of shape"),
    (mx.sym.FullyConnected(mx.sym.khatri_rao(mx.sym.Flatten(mx.sym.var("data")), name="odd"), num_hidden=2, name="fc1"),
     "expected an operator that has a PyTorch function, received khatri_rao odd")])
def test_networks_that_cannot_be_computed(net, message, random_parameters):
    with pytest.raises((InputError, RunError), match=message):
        InferenceExecutor(net, {"fc1_weight": mx.nd.ones((2, 768)), "fc1_bias": mx.nd.zeros(2)}, {}, IMAGE, 2,
                          TorchDevice())


def test_which_engine_is_chosen(monkeypatch):
    assert inference_context() == mx.cpu(0) == inference_context(engine="mxnet", device="cpu")
    assert inference_context(engine="torch", precision="bf16") == TorchDevice("cpu", "bf16")
    assert not computed_by_torch(gpus="0")  # PyTorch sees no card here either: MXNet's refusal tells why
    monkeypatch.setattr(devices, "_torch_sees_cards", lambda: True)
    assert computed_by_torch(gpus="0") and computed_by_torch(device="mps")
    monkeypatch.setattr(devices, "_has_code_for", lambda gpus: True)
    assert not computed_by_torch(gpus="0")


@pytest.mark.parametrize("settings, message", [
    ({"engine": "tensorflow"}, "engine: expected one of auto, mxnet, torch, received engine='tensorflow'"),
    ({"engine": "mxnet", "device": "cuda"}, "device: expected engine='torch' beside it, received engine='mxnet'"),
    ({"engine": "torch", "device": "tpu"}, "device: expected one of cpu, cuda, mps, xpu, or cuda:1 for the second"),
    ({"engine": "torch", "device": "cpu:1"}, "expected a device that PyTorch .* finds, received device='cpu:1'"),
    ({"engine": "torch", "precision": "int8"}, "precision: expected one of fp32, bf16, fp16 of PyTorch's engine")])
def test_refusals(settings, message):
    with pytest.raises(InputError, match=message):
        inference_context(**settings)


def test_pytorch_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("mxft.machine.packages.is_installed", lambda module: module != "torch")
    with pytest.raises(DependencyError, match="PyTorch's engine: expected the package torch.*pip install 'torch>=2.4'"):
        torch_device()
