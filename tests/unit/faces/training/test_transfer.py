"""--pretrained: what is taken over, what begins again, and what is refused in which words."""
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.faces.training.network import attach_face_head, pretrained_backbone
from mxft.faces.training.transfer import embedding_parameters, transfer_face
from mxft.heads import make_head

SHAPE = (3, 16, 16)


def network_like(checkpoint, num_classes, loss_type=4):
    backbone = pretrained_backbone(checkpoint, SHAPE[1:])
    return attach_face_head(backbone.symbol, make_head(loss_type, num_classes, backbone.emb_size))


def test_an_fc7_of_another_size_begins_anew_and_all_else_is_loaded(make_face_checkpoint):
    pretrained = make_face_checkpoint(num_classes=9)
    transfer = transfer_face(network_like(pretrained, 5), pretrained, SHAPE)
    assert transfer.new_head and not transfer.new_embedding
    assert [row.name for row in transfer.report.named("new")] == ["fc7_weight"]
    assert set(transfer.arg_params) == set(pretrained.arg_params) - {"fc7_weight"}
    assert transfer.report.named("new")[0].checkpoint_shape == (9, 4)


def test_an_fc7_of_the_same_size_is_kept_unless_asked_otherwise(make_face_checkpoint):
    pretrained = make_face_checkpoint(num_classes=5)
    network = network_like(pretrained, 5)
    kept = transfer_face(network, pretrained, SHAPE)
    assert not kept.new_head and kept.arg_params["fc7_weight"] is pretrained.arg_params["fc7_weight"]
    assert transfer_face(network, pretrained, SHAPE, keep_head=False).new_head


def test_any_other_head_is_dropped_and_said(make_face_checkpoint):
    pretrained = make_face_checkpoint()
    pretrained.arg_params["fc8_weight"] = mx.nd.ones((7, 4))
    transfer = transfer_face(network_like(pretrained, 5), pretrained, SHAPE)
    assert [row.name for row in transfer.report.named("dropped")] == ["fc8_weight"]
    assert "dropped: fc8_weight (7, 4)" in transfer.report.summary()


def test_another_embedding_size_is_refused_with_both_ways_out(make_face_checkpoint):
    pretrained, wanted = make_face_checkpoint(num_classes=5, emb_size=4), make_face_checkpoint(emb_size=6)
    network = network_like(wanted, 5)
    with pytest.raises(InputError) as refusal:
        transfer_face(network, pretrained, SHAPE)
    message = str(refusal.value)
    assert "embedding does not fit: expected pre_fc1_weight of shape (6, 96), received (4, 96)" in message
    assert "say emb_size 4, or reinit_embedding to initialise the embedding layer again" in message
    assert "formerly `Incompatible attr in node … expected [6, 96], got [4, 96]`" in message
    transfer = transfer_face(network, pretrained, SHAPE, reinit_embedding=True)
    new = {row.name for row in transfer.report.named("new")}
    assert new == {"fc7_weight", "pre_fc1_weight", "pre_fc1_bias", "fc1_gamma", "fc1_beta", "fc1_moving_mean",
                   "fc1_moving_var"}
    assert transfer.new_head and transfer.new_embedding and "conv0_weight" in transfer.arg_params


def test_another_input_size_is_named_as_such(make_face_checkpoint):
    pretrained = make_face_checkpoint(num_classes=5)
    with pytest.raises(InputError, match="embedding does not fit: .*use the image_size it was trained with, or re"):
        transfer_face(network_like(pretrained, 5), pretrained, (3, 20, 20))


def test_another_architecture_is_refused_with_the_first_differing_parameters(make_face_checkpoint):
    pretrained = make_face_checkpoint(filters=6)
    with pytest.raises(InputError) as refusal:
        transfer_face(network_like(make_face_checkpoint(filters=8), 5), pretrained, SHAPE)
    message = str(refusal.value)
    assert "pretrained network is another architecture: " in message
    assert "conv0_weight is (6, 3, 3, 3) and not (8, 3, 3, 3)" in message and "--network pretrained" in message


def test_a_deeper_checkpoint_is_another_architecture_though_all_names_fit(make_face_checkpoint):
    """r34's parameters are a subset of r50's: loading them would leave layers out without a word."""
    shallow = make_face_checkpoint()
    network = network_like(shallow, 5)
    data = mx.sym.Variable("data")
    deeper = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.BatchNorm(data, name="extra")), num_hidden=4, name="pre_fc1")
    shallow.symbol = mx.sym.BatchNorm(deeper, name="fc1")
    shallow.arg_params.update(extra_gamma=mx.nd.ones(3), extra_beta=mx.nd.ones(3))
    with pytest.raises(InputError, match=r"another architecture: .* 2 that differ: extra_gamma \(3,\) has no place"):
        transfer_face(network, shallow, SHAPE)


def test_without_a_checkpoint_everything_is_new(make_face_checkpoint):
    transfer = transfer_face(network_like(make_face_checkpoint(), 5), None, SHAPE)
    assert transfer.new_head and not transfer.arg_params and len(transfer.report.named("new")) == 14


def test_the_embedding_layer_is_the_last_fully_connected_and_what_follows(make_face_checkpoint):
    backbone = pretrained_backbone(make_face_checkpoint(num_classes=5), SHAPE[1:])
    assert backbone.emb_size == 4 and backbone.symbol.list_outputs() == ["fc1_output"]
    assert embedding_parameters(backbone.symbol) == {"pre_fc1_weight", "pre_fc1_bias", "fc1_gamma", "fc1_beta",
                                                     "fc1_moving_mean", "fc1_moving_var"}


@pytest.mark.parametrize("name", ["conv0_weight", "bn0_moving_mean"])
def test_a_checkpoint_that_holds_nan_is_refused_by_the_parameters_name(name, make_face_checkpoint):
    pretrained = make_face_checkpoint(num_classes=9)
    network = network_like(pretrained, 5)
    pretrained.arg_params["fc7_weight"][0, 0] = float("nan")  # is not taken over
    transfer_face(network, pretrained, SHAPE)
    {**pretrained.arg_params, **pretrained.aux_params}[name][0] = float("nan")
    with pytest.raises(InputError, match=f"expected numbers, received NaN or infinity in {name} of .*another epoch"):
        transfer_face(network, pretrained, SHAPE)
