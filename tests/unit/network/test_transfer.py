"""Every parameter's fate is told, and only the new head's may be missing."""
import json

import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.transfer import match_parameters
from mxft.surgery import attach_head

IMAGE = (3, 8, 8)


@pytest.fixture
def old(make_checkpoint):
    return make_checkpoint(num_classes=10)


def match(old, num_classes=4, image_shape=IMAGE, arg_params=None, aux_params=None):
    head = attach_head(old.symbol, num_classes)
    report, args, auxs = match_parameters(head.symbol, old.arg_params if arg_params is None else arg_params,
                                          old.aux_params if aux_params is None else aux_params, image_shape,
                                          new=head.parameters)
    return head, report, args, auxs


def names(report, status):
    return {row.name for row in report.named(status)}


def test_the_backbone_is_loaded_and_the_head_is_new_whatever_its_old_shape(old):
    for num_classes in (4, 10):
        head, report, args, auxs = match(old, num_classes)
        assert names(report, "new") == set(head.parameters) == {"fc1_weight", "fc1_bias"}
        assert names(report, "loaded") == {*args, *auxs} == {"conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta",
                                                            "bn0_moving_mean", "bn0_moving_var"}
        assert not report.named("mismatched") and not report.named("dropped")
        assert all(args[name] is old.arg_params[name] for name in args)
        report.require_only_new(head.parameters)


def test_kinds_and_shapes_are_told(old):
    _, report, _, _ = match(old)
    rows = {row.name: row for row in report.rows}
    assert rows["conv0_weight"].checkpoint_shape == rows["conv0_weight"].symbol_shape == (6, 3, 3, 3)
    assert (rows["fc1_weight"].checkpoint_shape, rows["fc1_weight"].symbol_shape) == ((10, 6), (4, 6))
    assert rows["bn0_moving_mean"].kind == "aux" and rows["bn0_gamma"].kind == "arg"


def test_what_only_the_checkpoint_has_is_dropped(old):
    old.arg_params["fc9_weight"] = mx.nd.zeros((3, 2))
    old.aux_params["bn9_moving_mean"] = mx.nd.zeros((3,))
    _, report, args, auxs = match(old)
    assert names(report, "dropped") == {"fc9_weight", "bn9_moving_mean"}
    assert "fc9_weight" not in args and "bn9_moving_mean" not in auxs


def test_another_shape_is_refused_with_both_and_the_old_symptom(old):
    old.arg_params["conv0_weight"] = mx.nd.zeros((6, 3, 5, 5))
    head, report, args, _ = match(old)
    assert names(report, "mismatched") == {"conv0_weight"} and "conv0_weight" not in args
    with pytest.raises(InputError) as caught:
        report.require_only_new(head.parameters)
    assert str(caught.value) == (
        "parameter does not fit: expected conv0_weight of shape (6, 3, 3, 3), received (6, 3, 5, 5) from the "
        "checkpoint; another architecture, embedding or input size? (formerly `Incompatible attr in node … expected "
        "[6, 3, 3, 3], got [6, 3, 5, 5]`)")


def test_a_missing_parameter_is_refused_with_the_nearest_name(old):
    old.arg_params["conv0_wieght"] = old.arg_params.pop("conv0_weight")
    head, report, _, _ = match(old)
    assert names(report, "new") == {"conv0_weight", *head.parameters}
    with pytest.raises(InputError, match=r"checkpoint is not complete: expected every parameter but the new head's "
                                         r"\(fc1_weight, fc1_bias\), received none for conv0_weight \(1 in all\); "
                                         r"nearest: conv0_wieght"):
        report.require_only_new(head.parameters)


def test_a_missing_moving_statistic_is_refused(old):
    head, report, _, _ = match(old, aux_params={})
    with pytest.raises(InputError, match=r"received none for bn0_moving_mean, bn0_moving_var \(2 in all\)"):
        report.require_only_new(head.parameters)


def test_a_statistic_among_the_arguments_does_not_count(old):
    head, report, _, _ = match(old, arg_params={**old.arg_params, **old.aux_params}, aux_params={})
    assert names(report, "dropped") == {"bn0_moving_mean", "bn0_moving_var"}
    with pytest.raises(InputError, match="received none for bn0_moving_mean"):
        report.require_only_new(head.parameters)


def test_an_empty_checkpoint_is_refused_not_initialised(old):
    head, report, _, _ = match(old, arg_params={}, aux_params={})
    with pytest.raises(InputError, match=r"received none for conv0_weight, .*\(6 in all\); there are none"):
        report.require_only_new(head.parameters)


def test_an_image_shape_the_network_cannot_take_is_refused():
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(5, 5), num_filter=2, name="conv0")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.Flatten(net), num_hidden=2, name="fc1"), name="softmax")
    with pytest.raises(InputError, match=r"network does not take this input: expected images it can process, received "
                                         r"image-shape=\(3, 4, 4\)"):
        match_parameters(net, {}, {}, (3, 4, 4))


def test_another_image_size_shows_as_a_shape_that_does_not_fit():
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=5, name="pre_fc1")
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    args = {"pre_fc1_weight": mx.nd.zeros((5, 3 * 8 * 8)), "pre_fc1_bias": mx.nd.zeros((5,))}
    match_parameters(net, args, {}, (3, 8, 8))[0].require_only_new(())
    with pytest.raises(InputError, match=r"expected pre_fc1_weight of shape \(5, 300\), received \(5, 192\)"):
        match_parameters(net, args, {}, (3, 10, 10))[0].require_only_new(())


@pytest.mark.filterwarnings("ignore:Cannot decide shape")
def test_a_network_with_a_second_input_is_refused():
    net = mx.sym.Flatten(mx.sym.Variable("data")) + mx.sym.Flatten(mx.sym.Variable("other"))
    net = mx.sym.concat(net, mx.sym.Flatten(mx.sym.Variable("third")), dim=1)
    with pytest.raises(InputError, match="shapes cannot be inferred from the image alone"):
        match_parameters(mx.sym.SoftmaxOutput(net, name="softmax"), {}, {}, IMAGE)


def test_the_summary_is_short_and_the_report_whole(old):
    for i in range(9):
        old.arg_params[f"extra{i}"] = mx.nd.zeros((1,))
    _, report, _, _ = match(old)
    lines = report.summary().splitlines()
    assert lines[0] == "transfer: 6 loaded, 2 new, 9 dropped, 0 mismatched"
    assert lines[1] == "  new: fc1_weight (10, 6) -> (4, 6)"
    assert lines[-2:] == ["  dropped: extra5 (1,)", "  dropped: … and 3 more (transfer.json has all)"]
    whole = json.loads(json.dumps(report.to_dict()))
    assert whole["counts"] == {"loaded": 6, "new": 2, "dropped": 9, "mismatched": 0}
    assert len(whole["parameters"]) == 17
    assert whole["parameters"][0] == {"name": "conv0_weight", "kind": "arg", "status": "loaded",
                                      "checkpoint_shape": [6, 3, 3, 3], "symbol_shape": [6, 3, 3, 3]}
