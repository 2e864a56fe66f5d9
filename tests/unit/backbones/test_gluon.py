"""An exported symbol computes what the Gluon network computes, under names that do not depend on the day."""
import numpy as np
import pytest

from mxft.backbones.gluon import build, checkpoint_from_gluon
from mxft.compat import load_gluoncv, mx
from mxft.errors import InputError

NETS = ["resnet18_v1", "mobilenetv2_0.25", "resnet18_v1b"]


def outputs(checkpoint, data):
    """Forward `data` (N, 3, H, W) through the checkpoint's symbol with a plain executor."""
    executor = checkpoint.symbol.simple_bind(mx.cpu(), data=data.shape, grad_req="null")
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params)
    return executor.forward(is_train=False, data=data)[0].asnumpy()


def pictures(size=64, seed=1):
    return mx.nd.array(np.random.RandomState(seed).uniform(-2, 2, (2, 3, size, size)))


def same(a, b):
    return a.keys() == b.keys() and all((a[name].asnumpy() == b[name].asnumpy()).all() for name in a)


@pytest.mark.parametrize("name", NETS)
def test_the_symbol_computes_what_the_network_computes(name, tmp_path):
    net = build(name, classes=7)
    mx.random.seed(3)
    net.initialize(mx.init.Xavier())
    data = pictures()
    with mx.autograd.record(train_mode=True):
        net(data * 3 + 1)  # so that BatchNorm's statistics are not 0 and 1
    expected = net(data).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    net.collect_params().save(str(tmp_path / "legacy.params"), strip_prefix=net.prefix)
    for file in ("net.params", "legacy.params"):
        checkpoint = checkpoint_from_gluon(name, tmp_path / file, classes=7, input_size=64)
        assert np.abs(outputs(checkpoint, data) - expected).max() < 1e-5
        assert checkpoint.manifest["source"] == f"Gluon {name}, {file}"


@pytest.mark.parametrize("name", NETS)
def test_the_same_call_gives_the_same_names_and_numbers_twice(name):
    first = checkpoint_from_gluon(name, classes=5, input_size=64)
    mx.gluon.model_zoo.vision.resnet18_v1()
    second = checkpoint_from_gluon(name, classes=5, input_size=64)
    assert first.symbol.tojson() == second.symbol.tojson()
    assert same(first.arg_params, second.arg_params) and same(first.aux_params, second.aux_params)
    assert not same(first.arg_params, checkpoint_from_gluon(name, classes=5, input_size=64, seed=1).arg_params)


def test_parameters_are_split_and_complete():
    checkpoint = checkpoint_from_gluon("resnet18_v1", classes=5, input_size=64)
    arguments = set(checkpoint.symbol.list_arguments()) - {"data"}
    assert set(checkpoint.arg_params) == arguments
    assert set(checkpoint.aux_params) == set(checkpoint.symbol.list_auxiliary_states())
    assert "resnetv10_conv0_weight" in arguments
    assert checkpoint.symbol.list_outputs() == ["resnetv10_dense0_fwd_output"]


def test_a_network_that_was_passed_keeps_its_parameters_and_shares_none():
    net = mx.gluon.model_zoo.vision.mobilenet_v2_0_25(classes=4)
    net.initialize(mx.init.Xavier())
    data = pictures()
    expected = net(data).asnumpy()
    checkpoint = checkpoint_from_gluon(net, input_size=64)
    assert np.abs(outputs(checkpoint, data) - expected).max() < 1e-5
    for value in checkpoint.arg_params.values():
        value[:] = 0
    assert (net(data).asnumpy() == expected).all()


def test_a_gluoncv_network_that_was_passed(tmp_path):
    net = load_gluoncv().model_zoo.get_model("cifar_resnet20_v1", pretrained=False, classes=3)
    net.initialize(mx.init.Xavier())
    data = pictures(32)
    checkpoint = checkpoint_from_gluon(net, classes=["a", "b", "c"], input_size=32)
    assert np.abs(outputs(checkpoint, data) - net(data).asnumpy()).max() < 1e-5
    assert checkpoint.classes == ["a", "b", "c"]
    assert checkpoint.manifest["source"] == f"Gluon {net.name}, as passed"


def test_the_manifest_tells_the_input(tmp_path):
    manifest = checkpoint_from_gluon("mobilenetv2_0.25", classes=["cat", "dog"]).manifest
    assert manifest == {
        "input": {"size": 224, "resize": 256, "mean": [123.675, 116.28, 103.53],
                  "scale": [1 / 58.395, 1 / 57.12, 1 / 57.375], "channel_order": "RGB"},
        "classes": ["cat", "dog"], "parent": None, "source": "Gluon mobilenetv2_0.25, seed 0"}


def test_what_is_saved_can_be_loaded(tmp_path):
    from mxft.network.checkpoint import load_checkpoint
    checkpoint = checkpoint_from_gluon("mobilenetv2_0.25", classes=4, input_size=64)
    again = load_checkpoint(checkpoint.save(str(tmp_path / "net"), 0))
    assert (outputs(again, pictures()) == outputs(checkpoint, pictures())).all()
    assert again.manifest == checkpoint.manifest


def test_mxnets_zoo_comes_first_and_a_store_can_be_named():
    mxnets, gluoncvs = (checkpoint_from_gluon("resnet18_v1", classes=2, input_size=64, store=store)
                        for store in ("mxnet", "gluoncv"))
    assert checkpoint_from_gluon("resnet18_v1", classes=2, input_size=64).symbol.tojson() == mxnets.symbol.tojson()
    assert {value.shape for value in mxnets.arg_params.values()} == {v.shape for v in gluoncvs.arg_params.values()}


def test_an_unknown_model_or_store_is_refused():
    with pytest.raises(InputError, match="unknown Gluon model: received 'resnet51_v1'; nearest: .*resnet50_v1"):
        checkpoint_from_gluon("resnet51_v1")
    with pytest.raises(InputError, match="unknown model store: expected one of mxnet, gluoncv, received store='timm'"):
        checkpoint_from_gluon("resnet50_v1", store="timm")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    net = build("mobilenetv2_0.25", classes=4)
    net.initialize()
    net(pictures())
    path = tmp_path / "net.params"
    net.save_parameters(str(path))
    with pytest.raises(InputError, match="net.params does not fit mobilenetv2_0.25: expected its parameters, received"):
        checkpoint_from_gluon("mobilenetv2_0.25", path, classes=5, input_size=64)
    with pytest.raises(InputError, match="net.params does not fit resnet18_v1"):
        checkpoint_from_gluon("resnet18_v1", path, classes=4, input_size=64)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="Gluon weights cannot be read: expected what save_parameters writes, received "
                                         ".*net.params .*arrays announced, 976 bytes left.*download it again"):
        checkpoint_from_gluon("mobilenetv2_0.25", path, classes=4, input_size=64)
    with pytest.raises(InputError, match="Gluon weights is missing"):
        checkpoint_from_gluon("mobilenetv2_0.25", tmp_path / "nett.params")


def test_a_network_with_another_number_of_outputs_is_refused():
    net = build("mobilenetv2_0.25", classes=4)
    with pytest.raises(InputError, match="mobilenetv20 does not fit the classes: expected 3 outputs, received 4"):
        checkpoint_from_gluon(net, classes=3, input_size=64)


def test_a_network_with_two_outputs_is_refused():
    class Two(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return x, x

    with pytest.raises(InputError, match="expected a classifier with one output, received 2 outputs"):
        checkpoint_from_gluon(Two(), input_size=8)
