"""The table of operators: MXNet's names, and the PyTorch function of each.

A function takes the operator's inputs in MXNet's order and its attributes by MXNet's names, with MXNet's defaults: its
signature says which attributes it honours, and what the others are is not guessed.
"""
import ast
import functools
import inspect

from mxft.errors import InputError, nearest
from mxft.network.operators import find_operator

OPERATORS = {}
# attributes that say how MXNet computes and not what, and what the number of inputs says already
IGNORED = frozenset(("workspace", "cudnn_tune", "cudnn_off", "cudnn_algo_verbose", "cudnn_algo_fwd",
                     "cudnn_algo_bwd_data", "cudnn_algo_bwd_filter", "no_bias", "num_args", "key_var_num"))
_ANNOTATIONS = frozenset(("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage", "weight_lr_mult"))


def operator(*names):
    """Register the decorated function under MXNet's names of operators, none of them an alias."""
    def register(function):
        for name in names:
            OPERATORS[name] = function
        return function
    return register


def bound_operator(node):
    """Return the function of one node, with its attributes.

    Parameters
    ----------
    node : mxft.network.graph.Node

    Returns
    -------
    functools.partial
        Called with the inputs of the node. One with a parameter ``training`` wants that too: see `wants_training`.

    Raises
    ------
    InputError
        An operator, an attribute or a value of one that PyTorch's engine has no function for.
    """
    function = OPERATORS.get(node.op) or OPERATORS.get(_called_by_mxnet(node.op))
    if function is None:
        raise InputError(f"torch: expected an operator that has a PyTorch function, received {node.op} {node.name}; "
                         f"{nearest(node.op, OPERATORS)}")
    known, found = _attributes_of(function), {}
    for key, text in node.attrs.items():
        if key in IGNORED or key in _ANNOTATIONS or key.startswith("__"):
            continue
        if key not in known:
            raise InputError(f"torch: {node.op} {node.name}: expected attributes of {', '.join(known) or 'no kind'}, "
                             f"received {key}={text}")
        found[key] = parsed(text, known[key])
    missing = [key for key, default in known.items() if default is inspect.Parameter.empty and key not in found]
    if missing:
        raise InputError(f"torch: {node.op} {node.name}: expected the attribute {missing[0]}, received none")
    return functools.partial(function, **found)


def _called_by_mxnet(name):
    """Return the name that MXNet saves an operator under, of an alias such as ``flatten``."""
    found = find_operator(name)
    return found.name if found else None


@functools.cache
def _attributes_of(function):
    """Return {attribute: default} of an operator's function."""
    return {name: p.default for name, p in inspect.signature(function).parameters.items()
            if p.kind is p.KEYWORD_ONLY and name != "training"}


@functools.cache
def wants_training(function):
    """Whether an operator's function asks if the network is in training."""
    return "training" in inspect.signature(function).parameters


def parsed(text, default=None):
    """Return an attribute's value as Python has it.

    Parameters
    ----------
    text : str
        As a symbol file has it: ``"(3, 3)"``, ``"(1L, 1L)"``, ``"True"``, ``"1"``, ``"relu"``.
    default : object
        Of the attribute; its type says whether ``"1"`` is a flag and ``"3"`` a tuple. A flag or a tuple ``"None"`` is
        left to it.

    Examples
    --------
    >>> parsed("(1L, 2L)"), parsed("1", False), parsed("None", True), parsed("7", ()), parsed("relu"), parsed("1e-05")
    ((1, 2), True, True, (7,), 'relu', 1e-05)
    """
    text = text.strip()
    if text == "None" and isinstance(default, (bool, tuple)):
        return default
    if isinstance(default, bool):
        return text.lower() in ("true", "1")
    try:
        value = ast.literal_eval(text.replace("L", "") if text[:1] in "([" else text)
    except (ValueError, SyntaxError):
        try:
            return float(text)  # inf, nan
        except ValueError:
            return text
    if isinstance(default, tuple):
        return tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return tuple(value) if isinstance(value, list) else value
