"""Face backbones: counted parameters, the versions' differences, the output heads, refusals, identification."""
import dataclasses
import math

import numpy as np
import pytest

from mxft.backbones.embedding_output import OUTPUTS, embedding_output
from mxft.backbones.faces import Versions, current_names, face_network, identify, initializer
from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.graph import Graph


def parameter_shapes(symbol, image_size=(112, 112)):
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, *image_size))[0]))
    return {name: shape for name, shape in shapes.items() if name != "data"}


def node(symbol, name):
    return next(node for node in Graph(symbol).nodes if node.name == name)


def count(symbol):
    return sum(math.prod(shape) for shape in parameter_shapes(symbol).values())


def ir_resnet_parameters(units, emb_size=512):
    """The arithmetic of ArcFace's section 3.2: a unit is BN-Conv-BN-PReLU-Conv-BN, a stage's first also projects."""
    total, width_in = 3 * 64 * 9 + 2 * 64 + 64, 64
    for count, width in zip(units, (64, 128, 256, 512)):
        for number in range(count):
            total += 2 * width_in + 9 * width_in * width + 2 * width + width + 9 * width * width + 2 * width
            if number == 0:
                total += width_in * width + 2 * width
            width_in = width
    return total + 2 * 512 + 512 * 7 * 7 * emb_size + emb_size + 2 * emb_size


@pytest.mark.parametrize("network, units", [("r18", (2, 2, 2, 2)), ("r34", (3, 4, 6, 3)), ("r50", (3, 4, 14, 3)),
                                            ("r100", (3, 13, 30, 3))])
def test_face_resnets_have_the_parameters_of_the_papers_arithmetic(network, units):
    assert count(face_network(network)) == ir_resnet_parameters(units)
    assert count(face_network(network, 256)) == ir_resnet_parameters(units, 256)


def test_mobilefacenet_has_the_weights_of_its_papers_table():
    """Table 1 of arXiv:1804.07573, row by row as (expansion, channels, repeats); it says 0.99 million in all."""
    weights, channels = 64 * 3 * 9 + 64 * 9, 64
    for expansion, width, repeats in ((2, 64, 5), (4, 128, 1), (2, 128, 6), (4, 128, 1), (2, 128, 2)):
        for _ in range(repeats):
            wide = expansion * channels
            weights += channels * wide + wide * 9 + wide * width
            channels = width
    weights += channels * 512 + 512 * 7 * 7 + 512 * 128
    net = face_network("y1", 128, versions=Versions(output="GDC"))
    shapes = parameter_shapes(net)
    assert sum(math.prod(shape) for name, shape in shapes.items() if name.endswith("weight")) == weights
    assert 0.985e6 < count(net) < 1.005e6


@pytest.mark.parametrize("network, emb_size", [("r18", 512), ("r101", 256), ("y1", 128), ("y2", 256), ("m1", 512)])
def test_a_network_ends_in_the_embedding_and_takes_pixels(network, emb_size):
    net = face_network(network, emb_size)
    assert net.list_outputs() == ["fc1_output"] and net.list_arguments()[0] == "data"
    assert net.infer_shape(data=(2, 3, 112, 112))[1] == [(2, emb_size)]


@pytest.mark.parametrize("network", ["r18", "y1", "m1"])
def test_a_network_normalizes_its_pixels_itself(network):
    net = face_network(network)
    pixels = np.array([[[[0., 127.5, 255.]]]])
    executor = net.get_internals()["_mulscalar0_output"].bind(mx.cpu(), {"data": mx.nd.array(pixels)})
    np.testing.assert_array_equal(executor.forward()[0].asnumpy(), (pixels - 127.5) / 128)


def test_input_version_2_leaves_normalization_to_a_batch_norm_of_fixed_scale():
    net = face_network("r18", versions=Versions(input=2))
    operators = Graph(net).operators()
    assert (operators[0].name, operators[0].flag("fix_gamma")) == ("bn_data", True)
    assert not {"_minus_scalar", "_mul_scalar"} & {n.op for n in operators}


def test_names_begin_anew_at_each_call():
    assert face_network("y1").tojson() == face_network("y1").tojson()
    assert {"_minusscalar0", "_mulscalar0", "_plus0", "_plus11"} <= {n.name for n in Graph(face_network("y1")).nodes}


def test_batch_norms_have_upstreams_attributes():
    resnet, mobile = face_network("r18", versions=Versions(bn_mom=.8)), face_network("m1", versions=Versions(bn_mom=.8))
    norms = [n for n in Graph(resnet).operators() if n.op == "BatchNorm"]
    assert {(n.attrs["eps"], n.attrs["momentum"]) for n in norms} == {("2e-05", "0.8")}
    assert [n.name for n in norms if n.flag("fix_gamma")] == ["fc1"]
    body = node(mobile, "conv_7_batchnorm")
    assert body.flag("fix_gamma") and "eps" not in body.attrs and "momentum" not in body.attrs
    assert node(mobile, "fc1").attrs["momentum"] == "0.8"
    body = node(face_network("y1", versions=Versions(bn_mom=.8)), "conv_6sep_batchnorm")
    assert body.attrs == {"fix_gamma": "False", "momentum": "0.8"}


@pytest.mark.parametrize("versions, strided", [
    (Versions(unit=1), "conv2"), (Versions(unit=1, input=0), "conv1"), (Versions(unit=2), "conv1"),
    (Versions(unit=3), "conv2"), (Versions(unit=3, input=0), "conv2")])
def test_one_convolution_of_a_stages_first_unit_strides(versions, strided):
    net = face_network("r18", versions=versions)
    for name in ("conv1", "conv2"):
        assert node(net, f"stage2_unit1_{name}").numbers("stride") == ((2, 2) if name == strided else (1, 1))
        assert node(net, f"stage2_unit2_{name}").numbers("stride") == (1, 1)
    side = 4 if versions.input == 0 else 7
    assert parameter_shapes(net)["pre_fc1_weight"] == (512, 512 * side * side)


@pytest.mark.parametrize("unit, strided", [(1, "conv3"), (2, "conv2"), (3, "conv3")])
def test_a_bottleneck_unit_narrows_convolves_and_widens(unit, strided):
    net = face_network("r101", versions=Versions(unit=unit))
    nodes = [node(net, f"stage2_unit1_conv{i}") for i in (1, 2, 3)]
    assert [(n.numbers("kernel")[0], n.attrs["num_filter"]) for n in nodes] == [(1, "128"), (3, "128"), (1, "512")]
    assert [n.name for n in nodes if n.numbers("stride") == (2, 2)] == [f"stage2_unit1_{strided}"]
    assert parameter_shapes(net)["pre_fc1_weight"] == (512, 2048 * 49)


@pytest.mark.parametrize("unit, order", [
    (1, "conv1 bn1 relu1 conv2 bn2 conv1sc sc _plus relu3"), (2, "bn1 relu1 conv1 bn2 relu2 conv2 sc _plus"),
    (3, "bn1 conv1 bn2 relu1 conv2 bn3 conv1sc sc _plus")])
def test_the_three_units_order_their_layers_differently(unit, order):
    names = [n.name for n in Graph(face_network("r18", versions=Versions(unit=unit))).operators()]
    names = names[names.index("relu0") + 1:][:len(order.split())]
    assert [name.replace("stage1_unit1_", "").replace("_plus0", "_plus") for name in names] == order.split()


def test_squeeze_excitation_gates_every_unit_by_a_sixteenth_of_its_channels():
    plain, gated = (parameter_shapes(face_network("r18", versions=Versions(se=se))) for se in (0, 1))
    new = set(gated) - set(plain)
    assert len(new) == 8 * 5 and set(plain) <= set(gated)
    assert gated["stage3_unit2_se_conv1_weight"] == (16, 256, 1, 1)
    assert gated["stage3_unit2_se_conv2_weight"] == (256, 16, 1, 1)
    assert gated["stage3_unit2_se_conv1_bias"] == gated["stage3_unit2_se_relu1_gamma"] == (16,)


def test_relu_has_no_slopes():
    for network in ("r18", "y1", "m1"):
        net = face_network(network, versions=Versions(act="relu", output="GAP"))
        assert "LeakyReLU" not in {n.op for n in Graph(net).operators()}
        assert "LeakyReLU" in {n.op for n in Graph(face_network(network)).operators()}


def test_m1_scales_with_the_multiplier():
    shapes = parameter_shapes(face_network("m1", versions=Versions(multiplier=.5, input=0)))
    assert shapes["conv_1_conv2d_weight"] == (16, 3, 3, 3) and shapes["conv_14_conv2d_weight"] == (512, 512, 1, 1)
    assert shapes["pre_fc1_weight"] == (512, 512 * 4 * 4)


HEADS = {"E": "bn1_gamma bn1_beta pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
         "F": "bn1_gamma bn1_beta fc1_weight fc1_bias", "G": "bn1_gamma bn1_beta fc1_weight fc1_bias",
         "H": "fc1_weight fc1_bias", "I": "bn1_gamma bn1_beta pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
         "J": "pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
         "GAP": "bn1_gamma bn1_beta relu1_gamma pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
         "C": "bn1_gamma bn1_beta relu1_gamma pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
         "GNAP": "bn6f_gamma bn6f_beta bn6w_gamma bn6w_beta pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
         "GDC": "conv_6dw7_7_conv2d_weight conv_6dw7_7_batchnorm_gamma conv_6dw7_7_batchnorm_beta pre_fc1_weight "
                "pre_fc1_bias fc1_gamma fc1_beta"}


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_head_has_upstreams_layers(output):
    head = embedding_output(mx.sym.Variable("map"), 128, Versions(output=output))
    assert head.list_arguments() == ["map", *HEADS[output].split()] and head.list_outputs() == ["fc1_output"]
    assert [n.attrs["p"] for n in Graph(head).operators() if n.op == "Dropout"] == ["0.4"] * (output in "EF")


def test_norm_aware_pooling_brings_every_position_to_the_batchs_mean_norm():
    head = embedding_output(mx.sym.Variable("map"), 512, Versions(output="GNAP"))
    rng = np.random.RandomState(0)
    images = rng.normal(size=(2, 512, 3, 3)).astype(np.float32)
    executor = head.simple_bind(mx.cpu(), map=images.shape, grad_req="null")
    for name, values in executor.aux_dict.items():
        values[:] = float(name.endswith("var"))
    got = executor.forward(is_train=False, map=mx.nd.array(images))[0].asnumpy()
    norms = np.sqrt((images ** 2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(got, (images * norms.mean() / norms).mean(axis=(2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network, options, message", [
    ("r51", {}, "network is not built: expected of face ResNet one of r18, r34,"),
    ("d121", {}, "received network=d121 (DenseNet); network pretrained uses the checkpoint's own graph"),
    ("R50", {}, "expected one of r face ResNet: r18, r34,"),
    ("m2", {}, "expected of MobileNet one of m1, received network=m2; network pretrained uses"),
    ("", {}, "received network=; network pretrained"),
    ("r50", {"unit": 4}, "r50 has no such version: expected version-unit 1, 2, 3, received version-unit=4"),
    ("r50", {"act": "swish"}, "expected version-act prelu, relu, sigmoid, softrelu, softsign, tanh, received "
                              "version-act=swish"),
    ("r50", {"output": "Z"}, "expected one of E, F, G, H, I, J, GAP, C, GNAP, GDC, received version-output=Z, which "
                             "ends in a dropped-out map and not in fc1"),
    ("r50", {"output": "Q"}, "received version-output=Q"),
    ("r50", {"multiplier": .5}, "r50 has no such version: expected version-multiplier 1.0, received "
                                "version-multiplier=0.5"),
    ("y1", {"se": 1}, "y1 has no such version: expected version-se 0, received version-se=1"),
    ("m1", {"input": 2}, "m1 has no such version: expected version-input 0, 1, received version-input=2"),
    ("m1", {"multiplier": 0.}, "expected a multiplier of at least 1/32, received version-multiplier=0.0")])
def test_what_is_not_built_is_refused_with_what_is(network, options, message):
    with pytest.raises(InputError) as error:
        face_network(network, versions=Versions(**options))
    assert message in str(error.value)


def test_sizes_the_layers_cannot_take_are_refused(capfd):
    with pytest.raises(InputError, match=r"y1 with version-output=GDC cannot be built: .* image-size=96,96 "
                                         r"emb-size=128 .*kernel size exceed input\); image_size 112,112"):
        face_network("y1", 128, (96, 96), Versions(output="GDC"))
    with pytest.raises(InputError, match="at least 1, received emb_size=0"):
        face_network("y1", 0)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("network, emb_size, versions, extra", [
    ("r18", 512, Versions(), []), ("r50", 256, Versions(se=1), ["--version-se 1"]),
    ("r100", 512, Versions(act="relu", unit=2), ["--version-unit 2", "--version-act relu"]),
    ("r34", 512, Versions(input=0, unit=1), ["--version-input 0", "--version-unit 1"]),
    ("r101", 512, Versions(output="J"), []), ("y1", 128, Versions(output="GDC"), []), ("y2", 256, Versions(), []),
    ("m1", 512, Versions(multiplier=.5, input=0), ["--version-input 0", "--version-multiplier 0.5"])])
def test_a_checkpoint_is_identified_by_its_shapes(network, emb_size, versions, extra):
    shapes = parameter_shapes(face_network(network, emb_size, versions=versions))
    flags = [f"--network {network}", f"--version-output {versions.output}", f"--emb-size {emb_size}", *extra]
    assert identify(shapes) == flags
    assert identify({**shapes, "fc7_weight": (85742, emb_size)}) == flags


def test_a_checkpoint_that_no_network_builds_exactly_is_not_identified():
    shapes = parameter_shapes(face_network("r18"))
    assert identify({**shapes, "attention_weight": (3,)}) == []
    assert identify({**shapes, "stage3_unit1_bn2_gamma": (255,)}) == []
    assert identify({name: shape for name, shape in shapes.items() if name != "stage4_unit2_bn3_beta"}) == []
    assert identify({"fc1_gamma": (3,)}) == identify({}) == []
    assert identify(parameter_shapes(face_network("r18", image_size=(96, 96)), (96, 96))) == []
    assert identify(parameter_shapes(face_network("r18"), (96, 96)), (96, 96)) != []


def test_the_old_name_of_the_embeddings_weight_is_known():
    net = face_network("y1", 128, versions=Versions(output="GDC"))
    old = {"fc1_weight" if name == "pre_fc1_weight" else name: s for name, s in parameter_shapes(net).items()}
    assert identify(old) == ["--network y1", "--version-output GDC", "--emb-size 128"]
    assert current_names(old) == parameter_shapes(net)
    without = parameter_shapes(face_network("r18", versions=Versions(output="F")))  # its fc1_weight is fc1's own
    assert current_names(without) == without
    both = {"fc1_weight": 1, "pre_fc1_weight": 2, "pre_fc1_bias": 3}
    assert current_names(both) == both


@pytest.mark.parametrize("network, expected", [("r50", ("gaussian", "out")), ("y1", ("gaussian", "out")),
                                               ("m1", ("uniform", "in")), ("x1", ("gaussian", "in"))])
def test_the_initializer_is_upstreams(network, expected):
    xavier = initializer(network)
    assert (xavier.rnd_type, xavier.factor_type, xavier.magnitude) == (*expected, 2.0)


def test_versions_do_not_change_once_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Versions().se = 1
