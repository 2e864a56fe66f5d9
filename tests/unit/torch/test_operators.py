"""Every operator of PyTorch's engine against MXNet's own: what it gives, and the gradient of each input."""
import ctypes

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mxft.compat import mx  # noqa: E402
from mxft.network.graph import Node  # noqa: E402
from mxft.network.operators import ALLOWED, find_operator  # noqa: E402
from mxft.torch.operators import OPERATORS, bound_operator, wants_training  # noqa: E402
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
