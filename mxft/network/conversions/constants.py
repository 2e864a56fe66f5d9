"""Constants that a graph broadcasts: their shape stands on the variable, since nothing else in the graph tells it."""
from mxft.network.anatomy.inputs import PARAMETER_SLOTS, find_inputs, slots_of


def declare_constants(opened):
    """Write the shape of values that elementwise operators read onto their variables; nothing is computed otherwise.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str
        Empty: there is nothing to say.

    Notes
    -----
    MXNet infers the shape of a weight from the layer that reads it, and of a variable in ``broadcast_mul`` not at all.
    Exported and converted networks carry such constants (a mean, a scale, a mask).
    """
    slots = slots_of(opened.graph)
    _, labels = find_inputs(opened.graph, {name: value.shape for name, value in opened.values.items()})
    for node in opened.graph.nodes:
        if node.is_variable and node.name in opened.values and "__shape__" not in node.attrs \
                and node.name not in labels and not slots[node.name] & PARAMETER_SLOTS:
            node.attrs["__shape__"] = str(tuple(opened.values[node.name].shape))
    return []
