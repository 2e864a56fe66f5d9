"""A bias that trains beside a frozen weight, out of MXNet's FullyConnected, which forgets its gradient on a CPU."""
from mxft.rewrite.editing import Edit

_STOPS = ("BlockGrad", "stop_gradient")


def free_biases_of_frozen_weights(symbol, fixed):
    """Add the bias of a FullyConnected with an operator of its own where the bias trains and the weight does not.

    The oneDNN backward pass of MXNet 1.9.1's FullyConnected computes the bias' gradient together with the weight's,
    and not at all where the weight wants none (``grad_req="null"``, as of ``fixed_param_names``): the bias would stay
    as it is, whatever is learnt. This is so for all shapes, and not so for convolutions, deconvolutions and norms.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    fixed : sequence of str
        The variables that get no gradient.

    Returns
    -------
    mx.sym.Symbol
        The same arguments and the same names of results; the symbol itself where there is nothing to change.

    Notes
    -----
    It is the weight's gradient that counts and not its name: a weight that is computed from frozen variables alone, or
    behind a ``BlockGrad``, is frozen too.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1")
    >>> free_biases_of_frozen_weights(net, ["fc1_weight"]).get_internals().list_outputs()
    ['data', 'fc1_weight', 'fc1_product_output', 'fc1_bias', 'fc1_output']
    """
    if not fixed:
        return symbol
    edit = Edit(symbol, {}, {})
    moving = _moving(edit.graph, set(fixed))
    for node in edit.graph.operators():
        if (node.op == "FullyConnected" and len(node.inputs) == 3 and not moving[node.inputs[1][0]]
                and moving[node.inputs[2][0]]):
            _add_bias_apart(edit, node)
    return edit.result()[0]


def _moving(graph, fixed):
    """Return, for each node, whether a gradient of its output is asked for by any variable."""
    moving = []
    for node in graph.nodes:
        moving.append(node.name not in fixed if node.is_variable else
                      node.op not in _STOPS and any(moving[i] for i, _ in node.inputs))
    return moving


def _add_bias_apart(edit, node):
    bias = edit.source(node, 2)
    if bias.is_variable:  # nothing but the FullyConnected told its shape
        bias.attrs.setdefault("__shape__", f"({node.attrs['num_hidden']},)")
    product = edit.add("FullyConnected", node.name + "_product", {**node.attrs, "no_bias": "True"}, node.inputs[:2])
    node.op, node.attrs, node.inputs = "broadcast_add", {}, [(product.index, 0), node.inputs[2]]
    edit.read(node, node.inputs[0])
