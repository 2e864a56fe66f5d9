"""Scalar normalisation such as ``(x − 127.5)·0.0078125``, taken into the convolution that reads it."""
import numpy as np

from mxft.rewrite.editing import Edit, is_map_convolution

_AFFINE = {"_plus_scalar": lambda c: (1, c), "_minus_scalar": lambda c: (1, -c), "_rminus_scalar": lambda c: (-1, c),
           "_mul_scalar": lambda c: (c, 0), "_div_scalar": lambda c: (1 / c, 0) if c else (0, 0)}


def fold_scalars(symbol, arg_params, aux_params):
    """Take a chain of scalar operators ``a·x + b`` in front of a Convolution into its weights.

    The factor always goes into the weights. The summand goes into the bias where the convolution does not pad; where
    it does, the zeros around the map are zeros after the subtraction, no bias can say that at the borders, and one
    subtraction of ``−b/a`` stays.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Returns
    -------
    symbol, arg_params, aux_params
        The same objects where there is nothing to change; changed parameters are new ones, ``<weight>_scaled``.

    Notes
    -----
    A chain that something else reads too is left alone: it would have to be computed anyway.
    """
    edit = Edit(symbol, arg_params, aux_params)
    for node in edit.graph.operators():
        if is_map_convolution(node):
            _fold_into(edit, node)
    return edit.result()


def _fold_into(edit, node):
    chain, factor, shift = _scalar_chain(edit, node)
    padded = any(node.numbers("pad", (0, 0)))
    weight, bias = edit.array(node, 1), 0. if node.flag("no_bias") else edit.array(node, 2)
    # One subtraction in front of padding is what would be left of it.
    if not chain or not factor or weight is None or bias is None or (padded and len(chain) == 1 and factor == 1):
        return
    first = chain[-1]
    if factor != 1:
        edit.replace(node, 1, weight * np.float32(factor), "scaled")
    if shift and not padded:
        total = shift * weight.sum(axis=(1, 2, 3), dtype=np.float64)
        edit.replace(node, 2, bias + total, "scaled")
        node.attrs["no_bias"] = "False"
    edge = first.inputs[0]
    if shift and padded:
        rest = edit.add("_minus_scalar", first.name + "_unscaled", {"scalar": repr(-shift / factor)}, [edge])
        edge = rest.index, 0
    edit.read(node, edge)


def _scalar_chain(edit, node):
    """Return the scalar operators only `node` reads, last first, with the a and b of their ``a·x + b``."""
    chain, factor, shift = [], 1., 0.
    while edit.is_only_reader(node) and edit.source(node).op in _AFFINE:
        node = edit.source(node)
        a, b = _AFFINE[node.op](float(node.attrs["scalar"]))
        factor, shift = factor * a, shift + factor * b
        chain.append(node)
    return chain, factor, shift
