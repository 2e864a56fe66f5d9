"""Every operator of PyTorch's engine against MXNet's own: what it gives, and the gradient of each input."""
import ctypes
import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mxft.compat import mx  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.network.graph import Node  # noqa: E402
from mxft.network.operators import ALLOWED, find_operator  # noqa: E402
from mxft.torch.operators import OPERATORS, bound_operator, wants_training  # noqa: E402
from mxft.torch.operators.table import IGNORED, parsed  # noqa: E402
from tests.unit.torch.operator_cases import CASES  # noqa: E402


def invoke(op, inputs, attrs):
    """Return what MXNet gives for an operator, each alone: no graph, so nothing is fused."""
    from mxnet._ctypes.ndarray import _imperative_invoke

    handle = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.NNGetOpHandle(mx.base.c_str(op), ctypes.byref(handle)))
    found = _imperative_invoke(handle.value, inputs, list(attrs), list(attrs.values()), None, False, True)
    return found if isinstance(found, (list, tuple)) else [found]


def _type(case, value):
    return np.float64 if case.native else value.dtype


def heads_of(case, outputs):
    rng = np.random.RandomState(7)
    return [np.ones(value.shape, value.dtype) if case.ones else rng.normal(size=value.shape).astype(value.dtype)
            for value in outputs]


def of_mxnet(case):
    """Return (outputs, gradients of the inputs, auxiliary states afterwards)."""
    arrays = [mx.nd.array(value, dtype=_type(case, value)) for value in case.inputs]
    free = [array for place, array in enumerate(arrays[:len(arrays) - case.aux]) if place not in case.fixed]
    for array in free:
        array.attach_grad()
    with mx.autograd.record(train_mode=case.training):
        outputs = invoke(case.op, arrays, case.attrs)[:case.outputs]
    if case.gradient:
        heads = [mx.nd.array(head, dtype=head.dtype) for head in heads_of(case, [o.asnumpy() for o in outputs])]
        mx.autograd.backward(outputs, heads, train_mode=case.training)
    return ([output.asnumpy() for output in outputs], [array.grad.asnumpy() for array in free] if case.gradient else [],
            [array.asnumpy() for array in arrays[len(arrays) - case.aux:]])


def of_torch(case):
    """Return the same of PyTorch's function."""
    arrays = [torch.from_numpy(value.astype(_type(case, value))) for value in case.inputs]
    free = [array for place, array in enumerate(arrays[:len(arrays) - case.aux]) if place not in case.fixed]
    for array in free:
        array.requires_grad_(array.is_floating_point())
    function = bound_operator(Node(0, case.op, "it", dict(case.attrs), []))
    outputs = function(*arrays, **({"training": case.training} if wants_training(function.func) else {}))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    reached = [output for output in outputs if output.requires_grad]
    if case.gradient and reached:
        heads = heads_of(case, [output.detach().numpy() for output in outputs])
        torch.autograd.backward(reached, [torch.from_numpy(head) for head, output in zip(heads, outputs)
                                          if output.requires_grad])
    gradients = [(torch.zeros_like(array) if array.grad is None else array.grad).numpy() for array in free]
    return ([output.detach().numpy() for output in outputs], gradients if case.gradient else [],
            [array.detach().numpy() for array in arrays[len(arrays) - case.aux:]])


def assert_close(found, expected, tolerance, what):
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    assert found.dtype == expected.dtype, (what, found.dtype, expected.dtype)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(float(finite.max()) if finite.size else 0.0, 1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_and_its_gradient_are_mxnets(case):
    expected, found = of_mxnet(case), of_torch(case)
    for kind, tolerance, theirs, ours in zip(("output", "gradient", "state"), (1e-5, 1e-4, 1e-5), expected, found):
        assert len(theirs) == len(ours)
        for place, (own, other) in enumerate(zip(ours, theirs)):
            assert_close(own, other, tolerance, f"{kind} {place}")


def test_no_operator_is_without_a_case():
    assert set(OPERATORS) - {case.op for case in CASES} == set()


def test_every_operator_is_one_that_mxft_opens_under_mxnets_own_name():
    assert set(OPERATORS) <= ALLOWED
    assert {name: find_operator(name).name for name in OPERATORS} == {name: name for name in OPERATORS}


@pytest.mark.parametrize("name", OPERATORS)
def test_attributes_that_a_network_leaves_out_are_mxnets_defaults(name):
    own = {key: parameter.default for key, parameter in inspect.signature(OPERATORS[name]).parameters.items()
           if parameter.kind is parameter.KEYWORD_ONLY}
    for key, kind in find_operator(name).attributes.items():
        _, stated, text = kind.partition("default=")
        if stated and key not in IGNORED:
            assert key in own, f"{key} ({kind}) is not honoured"
            default = parsed(text.strip("'"), own[key])
            assert default == (pytest.approx(own[key]) if isinstance(own[key], (int, float)) else own[key]), key


@pytest.mark.parametrize("alias, name", [
    ("flatten", "Flatten"), ("identity", "_copy"), ("_Plus", "elemwise_add"), ("_PlusScalar", "_plus_scalar"),
    ("ElementWiseSum", "add_n"), ("Softmax", "SoftmaxOutput"), ("stop_gradient", "BlockGrad"), ("sum_axis", "sum"),
    ("choose_element_0index", "pick"), ("concat", "Concat"), ("cast", "Cast"), ("flip", "reverse")])
def test_an_alias_is_resolved_as_mxnet_resolves_it(alias, name):
    assert find_operator(alias).name == name and alias not in OPERATORS
    attrs = {"scalar": "1", "num_args": "1", "dtype": "int8", "axis": "0"}
    known = {key: value for key, value in attrs.items() if key in find_operator(alias).attributes}
    assert bound(alias, **known).func is OPERATORS[name]


def bound(op, **attrs):
    return bound_operator(Node(0, op, "it", {key: str(value) for key, value in attrs.items()}, []))


REFUSED_ATTRIBUTES = [
    ("khatri_rao", {}, "expected an operator that has a PyTorch function, received khatri_rao it; "),
    ("_random_normal", {}, "expected an operator that has a PyTorch function, received _random_normal it; "),
    ("no_such_operator", {}, "expected an operator that has a PyTorch function, received no_such_operator it; "),
    ("Pooling_v1", {"kernel": "(2, 2)"}, "expected an operator that has a PyTorch function, received Pooling_v1 it; "),
    ("relu", {"alpha": "1"}, "relu it: expected attributes of no kind, received alpha=1"),
    ("clip", {"a_min": "0"}, "clip it: expected the attribute a_max, received none"),
    ("GroupNorm", {"groups": "1"}, "expected attributes of num_groups, eps, output_mean_var, received groups=1"),
]


@pytest.mark.parametrize("op, attrs, message", REFUSED_ATTRIBUTES, ids=[op for op, _, _ in REFUSED_ATTRIBUTES])
def test_what_has_no_function_is_refused_by_name(op, attrs, message):
    with pytest.raises(InputError) as caught:
        bound(op, **attrs)
    assert message in str(caught.value) and str(caught.value).startswith("torch: ")


_MAPS, _ROWS = (2, 4, 5, 5), (2, 3)
REFUSED = [
    ("Pooling", [_MAPS], {"kernel": (2, 2), "pooling_convention": "same"},
     "Pooling: expected the convention valid or full, received pooling_convention=same"),
    ("Pooling", [_MAPS], {"kernel": (2, 2), "pool_type": "lp"}, "Pooling: expected 1, 2 or 3, received p_value=None"),
    ("Pooling", [_MAPS], {"kernel": (2, 2), "pool_type": "lp", "p_value": 4}, "received p_value=4"),
    ("Pooling", [_MAPS], {"kernel": (2, 2), "pool_type": "median"}, "expected max, avg, sum or lp, received pool_type"),
    ("Pooling", [_MAPS], {"kernel": (2, 2), "layout": "NHWC"},
     "expected a layout with the channels before the pixels, received layout=NHWC"),
    ("Convolution", [_MAPS, (1, 4, 1, 1)], {"kernel": (1, 1), "num_filter": 1, "layout": "NHWC"}, "layout=NHWC"),
    ("Activation", [_ROWS], {"act_type": "swish"}, "expected one of relu, sigmoid, tanh, softrelu, softsign"),
    ("LeakyReLU", [_ROWS], {"act_type": "swish"}, "expected leaky, prelu, elu, selu, gelu or rrelu, received act_type"),
    ("SoftmaxActivation", [_MAPS], {}, "SoftmaxActivation: expected mode=channel or rows, received 4 axes"),
    ("softmax", [_ROWS], {"use_length": True}, "softmax: expected rows of one length, received use_length=True"),
    ("UpSampling", [_MAPS], {"scale": 2, "sample_type": "bilinear"}, "received sample_type=bilinear"),
    ("_contrib_BilinearResize2D", [_MAPS], {"mode": "like"}, "expected size, like, odd_scale, to_even_down"),
    ("BatchNorm", [_MAPS, *[(4,)] * 4], {"output_mean_var": True}, "expected one output, received output_mean_var"),
    ("LayerNorm", [_ROWS, (3,), (3,)], {"output_mean_var": True}, "expected one output, received output_mean_var"),
    ("GroupNorm", [_MAPS, (1,), (1,)], {"output_mean_var": True}, "expected one output, received output_mean_var"),
    ("L2Normalization", [_ROWS], {"mode": "row"}, "expected one of instance, channel, spatial, received mode=row"),
    ("SoftmaxOutput", [_ROWS, (2,)], {"out_grad": True}, "expected out_grad=False in training, received out_grad=True"),
    ("SoftmaxOutput", [_ROWS, (2,)], {"normalization": "sum"}, "expected null, batch or valid, received normalization"),
    ("MakeLoss", [_ROWS], {"normalization": "sum"}, "expected null, batch or valid, received normalization=sum"),
    ("norm", [_ROWS], {"ord": 3}, "norm: expected 1 or 2, received ord=3"),
    ("norm", [_ROWS], {"out_dtype": "float64"}, "expected no type of its own, received out_dtype=float64"),
    ("_linalg_gemm2", [_ROWS, (3, 2)], {"axis": 0}, "expected the last two axes, received axis=0"),
    ("pick", [_ROWS, (2,)], {"axis": None}, "pick: expected an axis, received axis=None"),
    ("topk", [_ROWS], {"ret_typ": "mask"}, "topk: expected value, indices or both, received ret_typ=mask"),
    ("Pad", [_MAPS], {"mode": "wrap", "pad_width": (0,) * 8}, "expected constant, edge or reflect, received mode=wrap"),
    ("Pad", [_MAPS], {"mode": "edge", "pad_width": (0, 0, 1) + (0,) * 5}, "no border along the first two axes"),
    ("Cast", [_ROWS], {"dtype": "complex64"}, "received dtype=complex64"),
    ("_zeros", [], {"shape": (0, 2)}, r"expected every size of an array that is made, received shape=(0, 2)"),
    ("GridGenerator", [(2, 6)], {"transform_type": "spline"}, "affine or warp, received transform_type=spline"),
    ("SpatialTransformer", [_MAPS, (2, 6)], {"transform_type": "warp", "sampler_type": "bilinear"},
     "expected affine and bilinear, received transform_type=warp, sampler_type=bilinear"),
]


@pytest.mark.parametrize("op, shapes, attrs, message", REFUSED,
                         ids=[f"{op}-{'-'.join(map(str, attrs))}" for op, _, attrs, _ in REFUSED])
def test_an_attribute_that_is_not_computed_is_refused(op, shapes, attrs, message):
    arrays = [torch.ones(shape, requires_grad=True) for shape in shapes]
    with pytest.raises(InputError) as caught:
        bound(op, **attrs)(*arrays)
    assert message in str(caught.value) and str(caught.value).startswith("torch: ")


def test_a_softmax_with_out_grad_is_one_at_inference():
    scores = torch.from_numpy(np.float32([[1, 2, 3]]))
    found = bound("SoftmaxOutput", out_grad="True")(scores, torch.zeros(1))
    torch.testing.assert_close(found, scores.softmax(1))


@pytest.mark.parametrize("attrs, training, drops", [({}, True, 0.5), ({"p": "0.2"}, True, 0.2),
                                                    ({"mode": "always", "p": "0.3"}, False, 0.3)])
def test_dropout_drops_that_part_and_scales_the_rest(attrs, training, drops):
    torch.manual_seed(0)
    x = torch.ones(300, 200, requires_grad=True)
    found = bound("Dropout", **attrs)(x, training=training)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())  # what was dropped has no gradient
    assert sorted(found.detach().unique().tolist()) == pytest.approx([0, 1 / (1 - drops)])
    assert (found == 0).float().mean().item() == pytest.approx(drops, abs=0.01)


def test_along_its_axes_dropout_drops_whole_slices():
    torch.manual_seed(0)
    found = bound("Dropout", axes="(2, 3)", p="0.25")(torch.ones(100, 50, 3, 4), training=True)
    assert torch.equal(found, found[:, :, :1, :1].expand_as(found))
    assert (found[:, :, 0, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_rrelu_draws_its_slopes_in_training():
    torch.manual_seed(0)
    slopes = -bound("LeakyReLU", act_type="rrelu", lower_bound="0.1", upper_bound="0.5")(
        -torch.ones(200, 100), training=True)
    assert 0.1 <= slopes.min() < 0.11 and 0.49 < slopes.max() <= 0.5
    assert slopes.mean().item() == pytest.approx(0.3, abs=0.01)


def test_a_slopes_gradient_in_a_graph_of_mxnets_is_multiplied_with_the_slope():
    """What `leaky_relu` says of MXNet: if this fails, its note is wrong."""
    net = mx.sym.LeakyReLU(mx.sym.relu(mx.sym.var("data") + 9) - 9, mx.sym.var("slope"), act_type="prelu")
    executor = (net * mx.sym.var("weight")).simple_bind(mx.cpu(), data=(2, 3, 4, 4), slope=(3,), weight=(2, 3, 4, 4))
    rng, slope = np.random.RandomState(0), torch.tensor([0.25, 0.5, 2.0], requires_grad=True)
    data, weight = (rng.normal(size=(2, 3, 4, 4)).astype(np.float32) for _ in range(2))
    for name, value in (("data", data), ("slope", slope.detach().numpy()), ("weight", weight)):
        executor.arg_dict[name][:] = value
    executor.forward(is_train=True)
    executor.backward([mx.nd.ones((2, 3, 4, 4))])
    found = bound("LeakyReLU", act_type="prelu")(torch.from_numpy(data), slope) * torch.from_numpy(weight)
    found.sum().backward()
    np.testing.assert_allclose(executor.grad_dict["slope"].asnumpy(), (slope.grad * slope).detach().numpy(), rtol=1e-4)
