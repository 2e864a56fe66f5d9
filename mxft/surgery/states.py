"""Layers that track auxiliary states, and the ones among them that can be told to keep theirs."""
from mxft.errors import InputError
from mxft.network.graph import Graph
from mxft.network.operators import find_operator

_KEEP = "use_global_stats"  # of BatchNorm and its kin: compute with the moving statistics, and leave them alone


def stateful_layers(symbol):
    """Return the layers that write auxiliary states in training, whatever their operators are called.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    dict of str to tuple of str
        ``{"bn0": ("bn0_moving_mean", "bn0_moving_var")}``, in the order data flows.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> stateful_layers(mx.sym.BatchNorm_v1(mx.sym.Variable("data"), name="bn0"))
    {'bn0': ('bn0_moving_mean', 'bn0_moving_var')}
    """
    graph, states = Graph(symbol), set(symbol.list_auxiliary_states())
    found = {node.name: tuple(graph.variables_of(node, named_in=states)) for node in graph.operators()}
    return {name: of_layer for name, of_layer in found.items() if of_layer}


def states_kept(symbol, layers=None):
    """Return a copy of the graph whose layers compute with their auxiliary states, and keep them, also in training.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    layers : container of str, optional
        Layers of `stateful_layers`; all of them when None.

    Returns
    -------
    mx.sym.Symbol

    Raises
    ------
    InputError
        An operator that cannot keep its states still, by name: MXNet gives ``use_global_stats`` to BatchNorm, its old
        release, its synchronised and its fused one, and to no other.
    """
    graph, states = Graph(symbol), set(symbol.list_auxiliary_states())
    for node in graph.operators():
        if not graph.variables_of(node, named_in=states) or (layers is not None and node.name not in layers):
            continue
        if _KEEP not in find_operator(node.op).attributes:
            names = ", ".join(graph.variables_of(node, named_in=states))
            raise InputError(f"states cannot be frozen: expected layers that can keep their statistics, as BatchNorm "
                             f"can, received {node.op} {node.name!r}, which moves {names} in every pass; batch_norm="
                             "'train' lets it")
        graph.set_attr(node, _KEEP, "True")
    return graph.to_symbol()


batch_norms_to_eval = states_kept  # its name in mxft 0.1
