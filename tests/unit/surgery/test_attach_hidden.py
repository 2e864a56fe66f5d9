"""Hidden layers of a new head: their formula, names, dropout, beginnings, and what is refused."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.surgery import Dense, attach_head, cut_at, cut_loss, find_feature_layer, get_fine_tune_model
from tests.support.small_networks import DATA, backbone, forward, parameters_of, plain

HIDDEN = (Dense(12, dropout=0.25), Dense(5, activation=None), Dense(6, activation="tanh"))


def test_hidden_layers_compute_what_their_formula_says():
    head = attach_head(plain(), 7, hidden=HIDDEN)
    args, _ = parameters_of(head.symbol)
    net = forward(backbone(), args)[0].astype(np.float64)
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
