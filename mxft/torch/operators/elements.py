"""Element by element: functions of one array, of two, of one and a number (src/operator/tensor/elemwise_*).

Gradients at a tie are MXNet's: of ``maximum`` the first array has all of it, where PyTorch's own gives each a half.
"""
import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.shapes import DTYPES
from mxft.torch.operators.table import operator


def cube_root(x):
    """Return the cube root, of negative numbers too."""
    return torch.sign(x) * x.abs() ** (1 / 3)


def _maximum(a, b):
    return torch.where(a >= b, a, b)


def _minimum(a, b):
    return torch.where(a <= b, a, b)


def _modulo(a, b):
    whole = torch.where(b == 0, torch.ones_like(b), b)
    return torch.where(b == 0, torch.zeros_like(whole), torch.remainder(a, whole))


def _half_away(x):
    return torch.sign(x) * torch.floor(x.abs() + 0.5)


def _straight(x, value):
    """Return a value whose gradient goes to the input as it is."""
    return x + (value - x).detach()


def _truth(compare):
    return lambda a, b: compare(a, b).to(a.dtype)


_OF_ONE = {
    "abs": torch.abs, "arccos": torch.acos, "arccosh": torch.acosh, "arcsin": torch.asin, "arcsinh": torch.asinh,
    "arctan": torch.atan, "arctanh": torch.atanh, "cbrt": cube_root, "ceil": torch.ceil, "cos": torch.cos,
    "cosh": torch.cosh, "degrees": torch.rad2deg, "erf": torch.erf, "erfinv": torch.erfinv, "exp": torch.exp,
    "expm1": torch.expm1, "fix": torch.trunc, "floor": torch.floor, "gammaln": torch.lgamma, "log": torch.log,
    "log10": torch.log10, "log1p": torch.log1p, "log2": torch.log2,
    "logical_not": lambda x: (x == 0).to(x.dtype), "negative": torch.neg, "radians": torch.deg2rad,
    "rcbrt": lambda x: 1 / cube_root(x), "reciprocal": torch.reciprocal, "relu": torch.relu,
    "rint": lambda x: torch.ceil(x - 0.5),  # halves down, in MXNet
    "round": lambda x: _half_away(x),
    "rsqrt": torch.rsqrt, "sigmoid": torch.sigmoid, "sign": torch.sign, "sin": torch.sin, "sinh": torch.sinh,
    "softsign": tf.softsign, "sqrt": torch.sqrt, "square": torch.square, "tan": torch.tan, "tanh": torch.tanh,
    "trunc": torch.trunc, "_copy": lambda x: x,
    "_contrib_round_ste": lambda x: _straight(x, _half_away(x)), "_contrib_sign_ste": lambda x: _straight(x, x.sign()),
}
_OF_TWO = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "mod": _modulo, "power": torch.pow,
    "maximum": _maximum, "minimum": _minimum, "hypot": torch.hypot, "equal": _truth(torch.eq),
    "not_equal": _truth(torch.ne), "greater": _truth(torch.gt), "greater_equal": _truth(torch.ge),
    "lesser": _truth(torch.lt), "lesser_equal": _truth(torch.le), "logical_and": _truth(torch.logical_and),
    "logical_or": _truth(torch.logical_or), "logical_xor": _truth(torch.logical_xor),
}
_SCALARS = {"_plus_scalar": "add", "_minus_scalar": "sub", "_mul_scalar": "mul", "_div_scalar": "div",
            "_mod_scalar": "mod", "_power_scalar": "power", "_maximum_scalar": "maximum", "_minimum_scalar": "minimum",
            "_hypot_scalar": "hypot", "_equal_scalar": "equal", "_not_equal_scalar": "not_equal",
            "_greater_scalar": "greater", "_greater_equal_scalar": "greater_equal", "_lesser_scalar": "lesser",
            "_lesser_equal_scalar": "lesser_equal", "_logical_and_scalar": "logical_and",
            "_logical_or_scalar": "logical_or", "_logical_xor_scalar": "logical_xor"}
_REVERSED = {"_rminus_scalar": "sub", "_rdiv_scalar": "div", "_rmod_scalar": "mod", "_rpower_scalar": "power"}
_PLAIN = {"add": lambda x, scalar: x + scalar, "sub": lambda x, scalar: x - scalar,  # no array for the number
          "mul": lambda x, scalar: x * scalar, "div": lambda x, scalar: x / scalar,
          "power": lambda x, scalar: x ** scalar}


def _of_one(function):
    def element(x):
        return function(x)
    return element


def _of_two(function):
    def element(a, b):
        return function(a, b)
    return element


def _of_number(name):
    plain, function = _PLAIN.get(name), _OF_TWO[name]

    def element(x, *, scalar=1.0, is_int=True):
        return plain(x, scalar) if plain else function(x, torch.full_like(x, scalar))
    return element


def _reversed_number(name):
    def element(x, *, scalar=1.0, is_int=True):
        return _OF_TWO[name](torch.full_like(x, scalar), x)
    return element


for _name, _function in _OF_ONE.items():
    operator(_name)(_of_one(_function))
for _name, _function in _OF_TWO.items():
    operator(f"broadcast_{_name}", f"elemwise_{_name}" if _name in _PLAIN and _name != "power" else f"_{_name}")(
        _of_two(_function))
for _name, _own in _SCALARS.items():
    operator(_name)(_of_number(_own))
for _name, _own in _REVERSED.items():
    operator(_name)(_reversed_number(_own))
operator("_grad_add")(_of_two(torch.add))


@operator("gamma")
def gamma_function(x):
    """Return the gamma function, of negative numbers too."""
    value = torch.lgamma(x).exp()
    sign = torch.where((x < 0) & (torch.remainder(torch.floor(x), 2) != 0), -1.0, 1.0)
    return value * sign


@operator("clip")
def clip(x, *, a_min, a_max):
    """Hold every element between two numbers."""
    return x.clamp(a_min, a_max)


@operator("hard_sigmoid")
def hard_sigmoid(x, *, alpha=0.2, beta=0.5):
    """Return a line through `beta`, between 0 and 1."""
    line = x * alpha + beta
    return torch.where((line > 0) & (line < 1), line, (line >= 1).to(x.dtype))  # no gradient at the ends


@operator("_contrib_quadratic")
def quadratic(x, *, a=0.0, b=0.0, c=0.0):
    """Return ``a x² + b x + c``."""
    return a * x * x + b * x + c


@operator("_contrib_div_sqrt_dim")
def divide_by_root_of_width(x):
    """Divide by the root of the length of the last axis."""
    return x / x.shape[-1] ** 0.5


@operator("softmax")
def softmax(x, *, axis=-1, temperature=None, dtype=None, use_length=False):
    """Return the softmax along an axis."""
    return _normalised(torch.softmax, x, axis, temperature, dtype, use_length)


@operator("log_softmax")
def log_softmax(x, *, axis=-1, temperature=None, dtype=None, use_length=False):
    """Return the logarithm of the softmax along an axis."""
    return _normalised(torch.log_softmax, x, axis, temperature, dtype, use_length)


@operator("softmin")
def softmin(x, *, axis=-1, temperature=None, dtype=None, use_length=False):
    """Return the softmax of the negative numbers along an axis."""
    return _normalised(torch.softmax, -x, axis, temperature, dtype, use_length)


def _normalised(function, x, axis, temperature, dtype, use_length):
    if use_length:
        raise InputError("torch: softmax: expected rows of one length, received use_length=True")
    found = function(x if temperature is None else x / temperature, axis)
    return found if dtype is None else found.to(DTYPES[dtype])


@operator("SoftmaxActivation")
def softmax_activation(x, *, mode="instance"):
    """Return the softmax of each row, or of each pixel over its channels.

    Notes
    -----
    Of more than two axes MXNet takes the last in `instance`, and another one in its gradient.
    """
    if mode == "instance" and x.dim() != 2:
        raise InputError(f"torch: SoftmaxActivation: expected mode=channel or rows, received {x.dim()} axes")
    return x.softmax(1)


@operator("where")
def where(condition, x, y):
    """Choose from two arrays, by element or by row."""
    if condition.dim() == 1 and x.dim() > 1:
        condition = condition.view(-1, *[1] * (x.dim() - 1))
    return torch.where(condition != 0, x, y)


@operator("_identity_with_attr_like_rhs")
def identity_like(x, like):
    """Return the first input."""
    return x


@operator("add_n")
def add_n(first, *others):
    """Return the sum of all inputs."""
    for other in others:
        first = first + other
    return first
