"""How much memory a network's layers would take, checked against what image networks take, before it is bound."""
import math

from mxft.errors import InputError
from mxft.network.graph import Graph, first_outputs

MOST_OF_A_LAYER = 1 << 28  # numbers a layer gives for one image: 1 GB of float32; VGG's largest are 3 million at 224
MOST_OF_ALL = 1 << 31
MOST_AT_A_TIME = 1 << 28   # in layers that are still to be read, but for parameters; EfficientNet-B3 has 10 million
MOST_DIMENSIONS = 16


def check_sizes(symbol, shapes):
    """Refuse a network of which one layer, or all together, would take more memory than any network's for one image.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    shapes : dict of str to tuple of int
        Of the image, batch of 1, and of what cannot be inferred from it.

    Raises
    ------
    InputError
        The layer is named. An attribute such as ``num_filter`` or ``shape`` asks for it, or the image is too large.
    """
    internals = symbol.get_internals()
    _, found, _ = internals.infer_shape_partial(**shapes)
    sizes = [math.prod(shape) for shape in found]
    deepest = max(range(len(found)), key=lambda position: len(found[position]))
    if len(found[deepest]) > MOST_DIMENSIONS:
        node = _node_at(symbol, deepest)
        raise InputError(f"network cannot be computed: expected at most {MOST_DIMENSIONS} dimensions, received "
                         f"{node.op} {node.name!r} with {len(found[deepest])}")
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    if sizes[largest] <= MOST_OF_A_LAYER and sum(sizes) <= MOST_OF_ALL:
        if sum(sizes) > MOST_AT_A_TIME:
            _check_at_a_time(symbol, sizes)
        return
    node = _node_at(symbol, largest)
    what = "parameter" if node.is_variable else node.op
    raise InputError(f"network does not fit into memory: expected at most {MOST_OF_A_LAYER:,} numbers from a layer "
                     f"and {MOST_OF_ALL:,} from all for one image, received {what} {node.name!r} with "
                     f"{sizes[largest]:,}, {sum(sizes):,} in all, for inputs of {next(iter(shapes.values()))}")


def _node_at(symbol, position):
    """Return the node that gives output `position` of a symbol's internals."""
    nodes, first = Graph(symbol).nodes, first_outputs(symbol)
    return next(node for node, begin in reversed(list(zip(nodes, first))) if begin <= position)


def _check_at_a_time(symbol, sizes):
    """Refuse layers that together hold more than `MOST_AT_A_TIME` numbers at any moment of a forward pass."""
    graph, first = Graph(symbol), first_outputs(symbol)
    held = [sum(sizes[begin:end]) * (not node.is_variable)
            for node, begin, end in zip(graph.nodes, first, [*first[1:], len(sizes)])]
    read_last = list(range(len(held)))
    for node in graph.nodes:
        for source, _ in node.inputs:
            read_last[source] = node.index
    for head, _ in graph.heads:
        read_last[head] = len(held)
    done, now = {}, 0
    for node in graph.nodes:
        now += held[node.index]
        done.setdefault(read_last[node.index], []).append(held[node.index])
        if now > MOST_AT_A_TIME:
            raise InputError(f"network does not fit into memory: expected at most {MOST_AT_A_TIME:,} numbers in layers "
                             f"that are still to be read, received {now:,} at {node.op} {node.name!r} for one image")
        now -= sum(done.pop(node.index, ()))
