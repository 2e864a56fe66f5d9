"""How much memory a network's layers would take, held against what any network for images takes, before it is bound."""
import math

from mxft.errors import InputError
from mxft.network.graph import Graph, first_outputs

MOST_OF_A_LAYER = 1 << 28  # numbers a layer gives for one image: 1 GB of float32; VGG's largest are 3 million at 224
MOST_OF_ALL = 1 << 31
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
