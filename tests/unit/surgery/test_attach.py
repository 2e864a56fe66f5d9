"""Cutting and new heads, on the shapes of network people bring, beside the tutorial's own function."""
import math

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.surgery import (
    attach_head,
    batch_norms_to_eval,
    cut_at,
    cut_loss,
    data_name,
    feature_layer_named,
    find_feature_layer,
    get_fine_tune_model,
    label_names,
    list_layers,
)
from tests.support.small_networks import DATA, backbone, conv, fc, forward, parameters_of, plain, softmax


def dropout_and_flatten_before_softmax():
    return softmax(mx.sym.Flatten(mx.sym.Dropout(fc(backbone()), name="drop0"), name="last"))


def gluon_style():
    """A Gluon export: no loss, and logits as they leave the Dense."""
    return fc(backbone(), "net0_dense0_fwd")


def convolution_head():
    net = mx.sym.Pooling(conv(mx.sym.Variable("data"), "conv0"), global_pool=True, kernel=(1, 1), pool_type="avg",
                         name="pool6")
    return softmax(mx.sym.Flatten(conv(net, "fc7", kernel=(1, 1), num_filter=10), name="flatten0"))


def squeezenet_style():
    net = mx.sym.Activation(conv(mx.sym.Variable("data"), "conv0"), act_type="relu", name="relu0")
    net = mx.sym.Activation(conv(mx.sym.Dropout(net, name="drop9"), "conv10", kernel=(1, 1), num_filter=10),
                            act_type="relu", name="relu_conv10")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool10")
    return softmax(mx.sym.Flatten(net, name="flatten0"))


def gluons_squeezenet():
    """Without softmax, as Gluon's zoo has it: the average over the classifier's map comes last."""
    net = mx.sym.Dropout(conv(mx.sym.Variable("data"), "conv0"), name="drop0")
    net = mx.sym.Activation(conv(net, "conv10", kernel=(1, 1), num_filter=10), act_type="relu", name="relu10")
    return mx.sym.Flatten(mx.sym.Pooling(net, kernel=(6, 6), stride=(6, 6), pool_type="avg"), name="flatten0")


def averaged_backbone():
    """Ends in an average too, of a 1x1 convolution that is no classifier: it has no bias, a BatchNorm is behind it."""
    net = mx.sym.BatchNorm(conv(mx.sym.Variable("data"), "conv0", kernel=(1, 1), no_bias=True), name="bn0")
    net = mx.sym.Pooling(mx.sym.Activation(net, act_type="relu"), global_pool=True, kernel=(1, 1), pool_type="avg")
    return mx.sym.Flatten(net, name="flatten0")


def embedding():
    """insightface's: fc1 is FullyConnected and BatchNorm, and both are backbone."""
    return mx.sym.BatchNorm(fc(backbone(), "pre_fc1", 8), fix_gamma=True, name="fc1")


def several_heads():
    net = backbone()
    return mx.sym.Group([mx.sym.BlockGrad(net, name="features"), softmax(fc(net, "fc_class"))])


def vgg_style():
    net = fc(backbone(), "fc6", 16)
    net = mx.sym.Activation(net, act_type="relu", name="relu6")
    net = mx.sym.Activation(fc(net, "fc7", 16), act_type="relu", name="relu7")
    return softmax(fc(mx.sym.Dropout(net, name="drop7"), "fc8"))


def repeated_names():
    net = conv(mx.sym.Variable("data"), "pre", kernel=(1, 1))
    return softmax(fc(mx.sym.Flatten(net, name="pre"), "fc1"))


def trap():
    """A backbone whose names contain the head's: fc10 and stage_fc1_sc are no fc1."""
    net = mx.sym.Activation(fc(backbone(), "fc10", 16), act_type="relu", name="relu10")
    net = mx.sym.Flatten(fc(net, "stage_fc1_sc", 12), name="flatten1")
    return softmax(fc(net, "fc1"))


FEATURES = [(plain, "flatten0", "fc1", False), (dropout_and_flatten_before_softmax, "flatten0", "fc1", False),
            (gluon_style, "flatten0", "net0_dense0_fwd", False), (convolution_head, "pool6", "fc7", False),
            (squeezenet_style, "drop9", "conv10", True), (gluons_squeezenet, "drop0", "conv10", True),
            (averaged_backbone, "flatten0", None, False), (embedding, "fc1", None, False),
            (several_heads, "flatten0", "fc_class", False), (vgg_style, "drop7", "fc8", False),
            (repeated_names, "pre", "fc1", False), (trap, "flatten1", "fc1", False),
            (backbone, "flatten0", None, False)]


@pytest.mark.parametrize("build, feature, classifier, pooled", FEATURES, ids=[row[0].__name__ for row in FEATURES])
def test_the_feature_layer_is_found_by_graph(build, feature, classifier, pooled):
    found = find_feature_layer(build())
    assert (found.name, found.classifier, found.pooled_after, found.discarded) == (feature, classifier, pooled, ())


@pytest.mark.parametrize("build", [row[0] for row in FEATURES], ids=[row[0].__name__ for row in FEATURES])
def test_a_new_head_stands_on_the_backbones_own_numbers_and_the_old_symbol_is_untouched(build):
    old = build()
    before = old.tojson()
    head = attach_head(old, 7)
    feature = cut_at(old, head.feature.name)
    assert old.tojson() == before
    args, auxs = parameters_of(head.symbol)
    assert head.symbol.list_outputs() == ["softmax_output"]
    assert set(head.symbol.list_arguments()) - set(feature.list_arguments()) == {*head.parameters, "softmax_label"}
    values = forward(feature, args, auxs)[0]
    if head.feature.pooled_after:
        values = values.mean(axis=(2, 3))
    logits = values.reshape(2, -1) @ args[head.parameters[0]].asnumpy().T + args[head.parameters[1]].asnumpy()
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(forward(head.symbol, args, auxs)[0], expected, atol=1e-4)


def test_a_network_without_a_classifier_is_refused_with_its_last_layers():
    net = mx.sym.Activation(conv(mx.sym.Variable("data"), "conv0"), act_type="relu", name="relu0")
    with pytest.raises(InputError, match=r"feature layer is not found: expected a FullyConnected or 1x1 Convolution .*"
                                         r"received a network ending in Activation 'relu0'; name one with layer: "
                                         r"conv0, relu0"):
        find_feature_layer(net)


def test_a_softmax_on_a_wide_convolution_is_refused():
    with pytest.raises(InputError, match="received a network ending in Convolution 'conv0'"):
        find_feature_layer(softmax(mx.sym.Flatten(conv(mx.sym.Variable("data"), "conv0"), name="flatten0")))


def test_a_1x1_convolution_in_groups_is_no_classifier():
    net = conv(conv(mx.sym.Variable("data"), "conv0"), "conv1", kernel=(1, 1), num_group=4)
    with pytest.raises(InputError, match="received a network ending in Convolution 'conv1'"):
        find_feature_layer(softmax(mx.sym.Flatten(net, name="flatten0")))


def tutorials_get_fine_tune_model(symbol, arg_params, num_classes, layer_name="flatten0"):
    """The tutorial's function, word for word."""
    all_layers = symbol.get_internals()
    net = all_layers[layer_name + "_output"]
    net = mx.symbol.FullyConnected(data=net, num_hidden=num_classes, name="fc1")
    net = mx.symbol.SoftmaxOutput(data=net, name="softmax")
    new_args = {k: arg_params[k] for k in arg_params if "fc1" not in k}
    return net, new_args


def test_on_the_tutorials_network_the_result_is_the_tutorials():
    old = plain()
    args, _ = parameters_of(old)
    theirs, their_args = tutorials_get_fine_tune_model(old, args, 7)
    ours, our_args = get_fine_tune_model(old, args, 7)
    assert set(our_args) == set(their_args) == {"conv0_weight", "conv0_bias"}
    assert ours.list_arguments() == theirs.list_arguments() and ours.list_outputs() == theirs.list_outputs()
    parameters, _ = parameters_of(ours)
    np.testing.assert_array_equal(forward(ours, parameters)[0], forward(theirs, parameters)[0])


def test_layers_whose_names_contain_the_heads_are_kept_where_the_tutorial_loses_them():
    old = trap()
    args, _ = parameters_of(old)
    _, their_args = tutorials_get_fine_tune_model(old, args, 7, "flatten1")
    net, our_args = get_fine_tune_model(old, args, 7, "flatten1")
    lost = {"fc10_weight", "fc10_bias", "stage_fc1_sc_weight", "stage_fc1_sc_bias"}
    assert set(our_args) - set(their_args) == lost
    assert all(our_args[name] is args[name] for name in our_args)
    assert set(net.list_arguments()) - set(our_args) == {"data", "softmax_label", "fc1_weight", "fc1_bias"}


def test_the_embedding_called_fc1_is_kept_and_the_head_gets_another_name():
    old = embedding()
    args, auxs = parameters_of(old)
    head = attach_head(old, 7)
    net, our_args = get_fine_tune_model(old, args, 7, None)
    assert head.parameters == ("fc_head_weight", "fc_head_bias") and head.layer == "fc_head"
    assert set(our_args) == set(args) == {"conv0_weight", "conv0_bias", "pre_fc1_weight", "pre_fc1_bias", "fc1_gamma",
                                          "fc1_beta"}
    assert net.list_auxiliary_states() == list(auxs) == ["fc1_moving_mean", "fc1_moving_var"]


def test_the_head_takes_a_name_that_was_given_and_refuses_one_in_use():
    assert attach_head(plain(), 7, name="output").parameters == ("output_weight", "output_bias")
    with pytest.raises(InputError, match="new head: expected a name the network does not use, received name='conv0'"):
        attach_head(plain(), 7, name="conv0")


@pytest.mark.parametrize("num_classes", [1, 0, -3, 2.5])
def test_fewer_than_two_classes_are_refused(num_classes):
    with pytest.raises(InputError, match=f"expected at least 2 classes, received num_classes={num_classes}"):
        attach_head(plain(), num_classes)


def test_trained_layers_behind_a_named_feature_layer_are_told():
    head = attach_head(vgg_style(), 7, layer="flatten0")
    assert head.feature.discarded == ("fc6", "fc7") and head.feature.classifier == "fc8"
    assert head.symbol.list_arguments() == ["data", "conv0_weight", "conv0_bias", "fc1_weight", "fc1_bias",
                                            "softmax_label"]
    assert feature_layer_named(plain(), "flatten0").discarded == ()
    assert feature_layer_named(embedding(), "flatten0").discarded == ("pre_fc1", "fc1")


@pytest.mark.parametrize("name", ["flatten0", "flatten0_output"])
def test_cut_at_takes_a_layer_or_its_output(name):
    old = vgg_style()
    args, _ = parameters_of(old)
    cut = cut_at(old, name)
    assert cut.list_outputs() == ["flatten0_output"]
    np.testing.assert_array_equal(forward(cut, args)[0], forward(old.get_internals()["flatten0_output"], args)[0])


def test_cut_at_tells_the_nearest_names():
    with pytest.raises(InputError, match="layer is not in the network: expected a layer name, received layer="
                                         "'flaten0'; nearest: flatten0; `mxft layers` lists them all"):
        cut_at(plain(), "flaten0")
    with pytest.raises(InputError, match="received layer='conv0_weight'; nearest: conv0"):
        cut_at(plain(), "conv0_weight")


def test_of_layers_that_share_a_name_the_last_is_meant():
    cut = cut_at(repeated_names(), "pre")
    assert cut.infer_shape(data=DATA)[1] == [(2, 4 * 8 * 8)]
    assert find_feature_layer(repeated_names()).index == feature_layer_named(repeated_names(), "pre").index


def test_the_loss_is_cut_off_and_nothing_else():
    args, _ = parameters_of(plain())
    assert cut_loss(plain()).list_outputs() == ["fc1_output"]
    assert cut_loss(several_heads()).list_outputs() == ["fc_class_output"]
    assert cut_loss(gluon_style()).list_outputs() == ["net0_dense0_fwd_output"]
    np.testing.assert_array_equal(forward(cut_loss(plain()), args)[0], forward(fc(backbone()), args)[0])


def test_inputs_and_labels_are_found_by_position():
    net = mx.sym.SoftmaxOutput(fc(mx.sym.Flatten(mx.sym.Variable("image"))), mx.sym.Variable("class_of_it"))
    assert data_name(net) == "image" and label_names(net) == ["class_of_it"]
    assert label_names(plain()) == ["softmax_label"] and label_names(gluon_style()) == []


def test_layers_are_listed_with_shapes_and_counts():
    rows = {layer.name: layer for layer in list_layers(embedding(), DATA[1:])}
    assert list(rows) == ["conv0", "relu0", "flatten0", "pre_fc1", "fc1"]
    assert (rows["conv0"].output_shape, rows["conv0"].parameters) == ((1, 4, 6, 6), 4 * 3 * 9 + 4)
    assert (rows["pre_fc1"].output_shape, rows["pre_fc1"].parameters) == ((1, 8), 144 * 8 + 8)
    assert (rows["fc1"].op, rows["fc1"].parameters) == ("BatchNorm", 4 * 8)  # gamma, beta, mean, variance
    assert rows["relu0"].parameters == 0


@pytest.mark.parametrize("build", [plain, squeezenet_style, embedding, vgg_style, repeated_names, trap])
def test_the_listed_counts_add_up_to_the_parameters(build):
    args, auxs = parameters_of(build())
    numbers = sum(math.prod(value.shape) for value in [*args.values(), *auxs.values()])
    assert sum(layer.parameters for layer in list_layers(build(), DATA[1:])) == numbers


def test_images_the_network_cannot_take_are_refused():
    with pytest.raises(InputError, match=r"shapes cannot be inferred: expected images the network can take, received "
                                         r"image-shape=\(3, 2, 2\)"):
        list_layers(plain(), (3, 2, 2))


def two_batch_norms():
    net = mx.sym.BatchNorm(conv(mx.sym.Variable("data"), "conv0"), fix_gamma=False, name="bn0")
    net = mx.sym.BatchNorm(conv(net, "conv1"), fix_gamma=False, name="bn1")
    return softmax(fc(mx.sym.Flatten(net, name="flatten0")))


def statistics_after_training(symbol):
    """Return {name: (before, after)} of the moving statistics over three training steps with momentum and decay."""
    args, auxs = parameters_of(symbol)
    module = mx.mod.Module(symbol)
    module.bind([("data", DATA)], [("softmax_label", (2,))])
    module.set_params(args, auxs)
    module.init_optimizer(optimizer_params={"learning_rate": 0.1, "momentum": 0.9, "wd": 0.01})
    before = {name: value.asnumpy() for name, value in auxs.items()}
    for step in range(3):
        image = mx.nd.array(np.random.RandomState(step).normal(3, 2, DATA))
        module.forward_backward(mx.io.DataBatch([image], [mx.nd.array([0, 1])]))
        module.update()
    after = module.get_params()[1]
    return {name: (before[name], after[name].asnumpy()) for name in before}


def test_batch_norms_in_eval_mode_keep_their_statistics_bit_for_bit():
    old = two_batch_norms()
    before = old.tojson()
    for first, last in statistics_after_training(batch_norms_to_eval(old)).values():
        np.testing.assert_array_equal(first, last)
    assert old.tojson() == before
    assert all((first != last).any() for first, last in statistics_after_training(old).values())


def test_only_the_named_batch_norms_go_to_eval_mode():
    statistics = statistics_after_training(batch_norms_to_eval(two_batch_norms(), {"bn0"}))
    moved = {name for name, (first, last) in statistics.items() if (first != last).any()}
    assert moved == {"bn1_moving_mean", "bn1_moving_var"}


def test_in_eval_mode_the_network_computes_what_it_did_at_inference():
    args, auxs = parameters_of(two_batch_norms())
    np.testing.assert_array_equal(forward(batch_norms_to_eval(two_batch_norms()), args, auxs)[0],
                                  forward(two_batch_norms(), args, auxs)[0])
