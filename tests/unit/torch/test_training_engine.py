"""Training by PyTorch: losses, weights and moving statistics of MXNet's Module; what is saved, frozen and resumed."""
import dataclasses

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.options import FitOptions
from mxft.training.torch_module import TorchTrainingModule, training_module

torch = pytest.importorskip("torch")

from mxft.devices import training_devices  # noqa: E402
from mxft.torch.device import TorchDevice  # noqa: E402

BATCH, IMAGE = 6, (3, 16, 16)


def batches(count, classes=3):
    """Return so many DataBatches, the same at every call."""
    rng = np.random.RandomState(0)
    drawn = [(rng.normal(size=(BATCH, *IMAGE)), rng.randint(0, classes, BATCH)) for _ in range(count)]
    return [mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(labels)]) for images, labels in drawn]


def trained(checkpoint, device, steps=8, accumulate=1, fixed=(), optimizer="sgd", **settings):
    """Train a Module on MXNet (None) or a device; return (losses, arg_params, aux_params)."""
    from mxft.distributed.workers import Workers

    mx.random.seed(0)
    module = training_module(checkpoint.symbol, accumulate, steps, None, Workers("local"), [device or mx.cpu()],
                             data_names=["data"], label_names=["softmax_label"], fixed_param_names=list(fixed))
    module.bind([("data", (BATCH, *IMAGE))], [("softmax_label", (BATCH,))])
    module.init_params(arg_params=checkpoint.arg_params, aux_params=checkpoint.aux_params)
    module.init_optimizer(None, optimizer, {"learning_rate": 0.05, "wd": 0.01, **settings})
    losses, metric = [], mx.metric.CrossEntropy()
    for batch in batches(steps):
        module.forward_backward(batch)
        module.update()
        metric.reset()
        module.update_metric(metric, batch.label)
        losses.append(metric.get()[1])
    return (losses, *({name: value.asnumpy() for name, value in values.items()} for values in module.get_params()))


@pytest.mark.parametrize("accumulate, optimizer, settings", [
    (1, "sgd", {"momentum": 0.9}), (3, "sgd", {"momentum": 0.9, "clip_gradient": 0.1}), (1, "adam", {}),
    (2, "nag", {"momentum": 0.5})])
def test_what_is_learnt_is_what_mxnet_learns(make_checkpoint, accumulate, optimizer, settings):
    checkpoint = make_checkpoint(batch_norm=optimizer != "adam")  # a bias before BatchNorm is moved by rounding alone
    ours, theirs = (trained(checkpoint, device, accumulate=accumulate, optimizer=optimizer, **settings)
                    for device in (None, TorchDevice()))
    np.testing.assert_allclose(theirs[0], ours[0], rtol=1e-4)
    for kind in (1, 2):
        assert theirs[kind].keys() == ours[kind].keys()
        for name in ours[kind]:
            np.testing.assert_allclose(theirs[kind][name], ours[kind][name], rtol=1e-3, atol=2e-4, err_msg=name)
    assert any((theirs[1][name] != checkpoint.arg_params[name].asnumpy()).any() for name in theirs[1])


def test_two_runs_are_the_same_bits(make_checkpoint):
    first, second = (trained(make_checkpoint(), TorchDevice(), momentum=0.9) for _ in range(2))
    assert first[0] == second[0]
    assert all((first[1][name] == second[1][name]).all() for name in first[1])


def test_frozen_parameters_stay_bit_for_bit(make_checkpoint):
    checkpoint = make_checkpoint()
    _, found, _ = trained(checkpoint, TorchDevice(), fixed=["conv0_weight", "bn0_gamma"])
    assert (found["conv0_weight"] == checkpoint.arg_params["conv0_weight"].asnumpy()).all()
    assert (found["bn0_gamma"] == checkpoint.arg_params["bn0_gamma"].asnumpy()).all()
    assert (found["fc1_weight"] != checkpoint.arg_params["fc1_weight"].asnumpy()).any()


def test_bfloat16_keeps_weights_in_float32_and_learns_nearly_the_same(make_checkpoint):
    exact, rounded = (trained(make_checkpoint(), TorchDevice(precision=name)) for name in ("fp32", "bf16"))
    assert rounded[1]["fc1_weight"].dtype == np.float32 and exact[0] != rounded[0]
    np.testing.assert_allclose(rounded[0], exact[0], rtol=0.05)


def test_a_batch_in_evaluation_mode_learns_nothing(make_checkpoint):
    checkpoint = make_checkpoint()
    module = TorchTrainingModule(checkpoint.symbol, 1, 1, None, TorchDevice(), data_names=["data"],
                                 label_names=["softmax_label"])
    module.bind([("data", (BATCH, *IMAGE))], [("softmax_label", (BATCH,))])
    module.init_params(arg_params=checkpoint.arg_params, aux_params=checkpoint.aux_params)
    plain = mx.mod.Module(checkpoint.symbol)
    plain.bind([("data", (BATCH, *IMAGE))], [("softmax_label", (BATCH,))])
    plain.init_params(arg_params=checkpoint.arg_params, aux_params=checkpoint.aux_params)
    for each in (module, plain):
        each.forward(batches(1)[0], is_train=False)
    np.testing.assert_allclose(module.get_outputs()[0].asnumpy(), plain.get_outputs()[0].asnumpy(), rtol=1e-5)
    for name, value in module.get_params()[1].items():
        assert (value.asnumpy() == checkpoint.aux_params[name].asnumpy()).all()


def test_several_devices_are_refused():
    options = dataclasses.replace(FitOptions(), engine="torch")
    with pytest.raises(InputError, match="devices: expected one beside engine='torch', received gpus='' and cpus=2"):
        training_devices(options, cpus=2)
    assert training_devices(options) == [TorchDevice()] and training_devices(FitOptions(), cpus=2) == [mx.cpu(0),
                                                                                                        mx.cpu(1)]


def test_a_divided_fc7_is_mxnets():
    from mxft.faces.training.options import FaceOptions
    from mxft.faces.training.sharding import check_sharding
    from mxft.heads import make_head

    with pytest.raises(InputError, match="sample-rate: expected MXNet's engine beside it, received PyTorch"):
        check_sharding(FaceOptions(sample_rate=0.5), make_head("arcface", 4, 2), [TorchDevice()])
