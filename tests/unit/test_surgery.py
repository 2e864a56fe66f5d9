"""Cutting and new heads, on the shapes of network people bring, beside the tutorial's own function."""
import math

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.surgery import (
    Dense,
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

DATA = (2, 3, 8, 8)


def conv(net, name, **arguments):
    return mx.sym.Convolution(net, **{"kernel": (3, 3), "num_filter": 4, "name": name, **arguments})


def trunk():
    """conv0 → relu0 → flatten0"""
    return mx.sym.Flatten(mx.sym.Activation(conv(mx.sym.Variable("data"), "conv0"), act_type="relu", name="relu0"),
                          name="flatten0")


def fc(net, name="fc1", num_hidden=10):
    return mx.sym.FullyConnected(net, num_hidden=num_hidden, name=name)


def softmax(net):
    return mx.sym.SoftmaxOutput(net, name="softmax")


def plain():
    return softmax(fc(trunk()))


def dropout_and_flatten_before_softmax():
    return softmax(mx.sym.Flatten(mx.sym.Dropout(fc(trunk()), name="drop0"), name="last"))


def gluon_style():
    """A Gluon export: no loss, and logits as they leave the Dense."""
    return fc(trunk(), "net0_dense0_fwd")


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


def averaged_trunk():
    """Ends in an average too, of a 1x1 convolution that is no classifier: it has no bias, a BatchNorm is behind it."""
    net = mx.sym.BatchNorm(conv(mx.sym.Variable("data"), "conv0", kernel=(1, 1), no_bias=True), name="bn0")
    net = mx.sym.Pooling(mx.sym.Activation(net, act_type="relu"), global_pool=True, kernel=(1, 1), pool_type="avg")
    return mx.sym.Flatten(net, name="flatten0")


def embedding():
    """insightface's: fc1 is FullyConnected and BatchNorm, and both are trunk."""
    return mx.sym.BatchNorm(fc(trunk(), "pre_fc1", 8), fix_gamma=True, name="fc1")


def several_heads():
    net = trunk()
    return mx.sym.Group([mx.sym.BlockGrad(net, name="features"), softmax(fc(net, "fc_class"))])


def vgg_style():
    net = fc(trunk(), "fc6", 16)
    net = mx.sym.Activation(net, act_type="relu", name="relu6")
    net = mx.sym.Activation(fc(net, "fc7", 16), act_type="relu", name="relu7")
    return softmax(fc(mx.sym.Dropout(net, name="drop7"), "fc8"))


def repeated_names():
    net = conv(mx.sym.Variable("data"), "pre", kernel=(1, 1))
    return softmax(fc(mx.sym.Flatten(net, name="pre"), "fc1"))


def trap():
    """A trunk whose names contain the head's: fc10 and stage_fc1_sc are no fc1."""
    net = mx.sym.Activation(fc(trunk(), "fc10", 16), act_type="relu", name="relu10")
    net = mx.sym.Flatten(fc(net, "stage_fc1_sc", 12), name="flatten1")
    return softmax(fc(net, "fc1"))


def parameters_of(symbol, seed=0):
    """Random (arg_params, aux_params)."""
    rng = np.random.RandomState(seed)
    args, _, auxs = symbol.infer_shape(data=DATA)
    values = {name: mx.nd.array(rng.normal(size=shape)) for name, shape in zip(symbol.list_arguments(), args)
              if name not in ("data", "softmax_label")}
    return values, {name: mx.nd.array(rng.uniform(.5, 1.5, shape))
                    for name, shape in zip(symbol.list_auxiliary_states(), auxs)}


def forward(symbol, args, auxs=()):
    label = {"softmax_label": (2,)} if "softmax_label" in symbol.list_arguments() else {}
    executor = symbol.simple_bind(mx.cpu(), data=DATA, grad_req="null", **label)
    executor.copy_params_from(args, dict(auxs), allow_extra_params=True)
    image = mx.nd.array(np.random.RandomState(9).normal(size=DATA))
    return [output.asnumpy() for output in executor.forward(is_train=False, data=image)]


FEATURES = [(plain, "flatten0", "fc1", False), (dropout_and_flatten_before_softmax, "flatten0", "fc1", False),
            (gluon_style, "flatten0", "net0_dense0_fwd", False), (convolution_head, "pool6", "fc7", False),
            (squeezenet_style, "drop9", "conv10", True), (gluons_squeezenet, "drop0", "conv10", True),
            (averaged_trunk, "flatten0", None, False), (embedding, "fc1", None, False),
            (several_heads, "flatten0", "fc_class", False), (vgg_style, "drop7", "fc8", False),
            (repeated_names, "pre", "fc1", False), (trap, "flatten1", "fc1", False), (trunk, "flatten0", None, False)]


@pytest.mark.parametrize("build, feature, classifier, pooled", FEATURES, ids=[row[0].__name__ for row in FEATURES])
def test_the_feature_layer_is_found_by_graph(build, feature, classifier, pooled):
    found = find_feature_layer(build())
    assert (found.name, found.classifier, found.pooled_after, found.discarded) == (feature, classifier, pooled, ())


@pytest.mark.parametrize("build", [row[0] for row in FEATURES], ids=[row[0].__name__ for row in FEATURES])
def test_a_new_head_stands_on_the_trunks_own_numbers_and_the_old_symbol_is_untouched(build):
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
                                         r"received a network ending in Activation 'relu0'; name one with --layer: "
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


HIDDEN = (Dense(12, dropout=0.25), Dense(5, activation=None), Dense(6, activation="tanh"))


def test_hidden_layers_compute_what_their_formula_says():
    head = attach_head(plain(), 7, hidden=HIDDEN)
    args, _ = parameters_of(head.symbol)
    net = forward(trunk(), args)[0].astype(np.float64)
    for name, function in (("fc1_hidden0", lambda x: np.maximum(x, 0)), ("fc1_hidden1", lambda x: x),
                           ("fc1_hidden2", np.tanh), ("fc1", lambda x: x)):
        net = function(net @ args[name + "_weight"].asnumpy().T.astype(np.float64) + args[name + "_bias"].asnumpy())
    np.testing.assert_allclose(forward(cut_loss(head.symbol), args)[0], net, rtol=1e-4, atol=1e-3)
    exponentials = np.exp(net - net.max(1, keepdims=True))
    np.testing.assert_allclose(forward(head.symbol, args)[0], exponentials / exponentials.sum(1, keepdims=True),
                               atol=1e-4)


def test_every_parameter_of_hidden_layers_is_the_heads():
    head = attach_head(plain(), 7, hidden=HIDDEN)
    assert head.parameters == tuple(f"{name}_{part}" for name in ("fc1_hidden0", "fc1_hidden1", "fc1_hidden2", "fc1")
                                    for part in ("weight", "bias"))
    assert set(head.symbol.list_arguments()) == {*head.parameters, *plain().list_arguments()}
    assert head.layer == "fc1" and find_feature_layer(head.symbol).classifier == "fc1"
    args, _ = parameters_of(plain())
    assert set(get_fine_tune_model(plain(), args, 7, None)[1]) == {"conv0_weight", "conv0_bias"}


def test_dropout_follows_the_activation_and_drops_its_share_in_training_alone():
    net = attach_head(plain(), 7, hidden=(Dense(4000, dropout=0.25),)).symbol
    args, _ = parameters_of(net)
    dropped = cut_at(net, "fc1_hidden0_dropout")
    executor = dropped.simple_bind(mx.cpu(), data=DATA, grad_req="write")
    executor.copy_params_from({name: args[name] for name in dropped.list_arguments() if name in args})
    image = mx.nd.array(np.random.RandomState(0).normal(size=DATA))
    whole, trained = (executor.forward(is_train=train, data=image)[0].asnumpy() for train in (False, True))
    on = whole > 0
    assert 0.2 < (trained[on] == 0).mean() < 0.3 and (whole >= 0).all()
    kept = on & (trained != 0)
    np.testing.assert_allclose(trained[kept], whole[kept] / 0.75, rtol=1e-5)


def test_hidden_weights_begin_as_their_initializer_says_whatever_the_fits_is():
    hidden = (Dense(400), Dense(300, initializer=mx.init.Constant(0.5)))
    net = attach_head(plain(), 100, hidden=hidden).symbol
    module = mx.mod.Module(net)
    module.bind([("data", DATA)], [("softmax_label", (2,))])
    mx.random.seed(0)
    module.init_params(mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3))
    args = {name: value.asnumpy() for name, value in module.get_params()[0].items()}
    he = args["fc1_hidden0_weight"]
    inputs = he.shape[1]
    assert abs(he.std() / np.sqrt(2 / inputs) - 1) < 0.02
    assert abs(he).max() > 3.5 * np.sqrt(2 / inputs)  # a normal distribution has tails
    assert (args["fc1_hidden1_weight"] == 0.5).all()
    limit = np.sqrt(6 / (300 + 100))  # Glorot uniform
    assert 0.99 * limit < abs(args["fc1_weight"]).max() <= limit
    assert not any(args[name].any() for name in ("fc1_hidden0_bias", "fc1_hidden1_bias", "fc1_bias"))
    again = mx.sym.load_json(net.tojson())
    assert again.attr_dict()["fc1_hidden0_weight"]["__init__"] == net.attr_dict()["fc1_hidden0_weight"]["__init__"]


def test_hidden_layers_of_an_earlier_fine_tuning_stay_and_the_new_ones_get_other_names():
    once = attach_head(plain(), 7, hidden=(Dense(12),)).symbol
    assert attach_head(once, 9).parameters == ("fc1_weight", "fc1_bias")
    twice = attach_head(once, 9, hidden=(Dense(5),))
    assert twice.parameters[:2] == ("fc_head_hidden0_weight", "fc_head_hidden0_bias") and twice.layer == "fc_head"
    thrice = attach_head(twice.symbol, 9, hidden=(Dense(5),))
    names = thrice.symbol.list_arguments()
    assert thrice.layer == "fc_head2" and len(set(names)) == len(names)
    assert {"fc1_hidden0_weight", "fc_head_hidden0_weight", "fc_head2_hidden0_weight"} < set(names)
    with pytest.raises(InputError, match="expected a name the network does not use, received name='fc1'"):
        attach_head(once, 9, name="fc1", hidden=(Dense(5),))


@pytest.mark.parametrize("values, message", [
    ({"units": 0}, "hidden layer: expected at least 1 unit, received units=0"),
    ({"units": 2.5}, "hidden layer: expected at least 1 unit, received units=2.5"),
    ({"units": 2, "dropout": 1.0}, "expected a dropout of at least 0 and below 1, received dropout=1.0"),
    ({"units": 2, "dropout": -0.1}, "received dropout=-0.1"),
    ({"units": 2, "activation": "rely"}, "expected an activation of relu, .* or None, received activation='rely'; "
                                         "nearest: relu"),
])
def test_hidden_layers_that_cannot_be_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Dense(**values)


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
    np.testing.assert_array_equal(forward(cut_loss(plain()), args)[0], forward(fc(trunk()), args)[0])


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
