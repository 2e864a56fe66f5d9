"""How deep a parameter lies: in stages of one resolution, in weighted layers, and below a named layer.

What discriminative rates, gradual unfreezing and "freeze the first stages" count in, for any graph and any naming.
"""
from mxft.network.graph import Graph
from mxft.surgery.layers import data_name, feature_layer_named, label_names, node_shapes

_WEIGHTED = {"Convolution", "Deconvolution", "FullyConnected", "Embedding"}


def parameters_of(symbol):
    """Return the names of a network's parameters: its arguments but for data and labels, in their order."""
    inputs = {data_name(symbol), *label_names(symbol)}
    return [name for name in symbol.list_arguments() if name not in inputs]


def parameters_through(symbol, layer):
    """Return the parameters `layer` and everything before it use.

    Raises
    ------
    InputError
        There is no such layer; the nearest names are given.
    """
    graph = Graph(symbol)
    reached = graph.ancestors(feature_layer_named(symbol, layer).index)
    names = {graph.nodes[i].name for i in reached if graph.nodes[i].is_variable}
    return [name for name in parameters_of(symbol) if name in names]


def resolution_stages(symbol, image_shape, without=()):
    """Return the parameters by stage: a stage is what computes maps of one size, as in the papers of ResNet and others.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    image_shape : tuple of int
        ``(C, H, W)``.
    without : container of str
        Parameters to leave out: the head's.

    Returns
    -------
    list of list of str
        From input to output. What stands on vectors (fully connected layers before the head) is a stage of its own.

    Notes
    -----
    A ResNet at 224 has five: the stem (112), then 56, 28, 14 and 7 pixels. A block belongs to the stage of its result,
    also the convolution it begins with where only its second one shrinks the map. What stands before the first
    weighted layer (BatchNorm on the data) goes with it.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), stride=(2, 2), num_filter=4, name="conv0")
    >>> net = mx.sym.Convolution(net, kernel=(3, 3), num_filter=4, stride=(2, 2), name="conv1")
    >>> resolution_stages(net, (3, 32, 32))
    [['conv0_weight', 'conv0_bias'], ['conv1_weight', 'conv1_bias']]
    """
    shapes, stages, wanted, first = node_shapes(symbol, image_shape), {}, set(parameters_of(symbol)) - set(without), []
    ends = _block_ends(Graph(symbol))
    for node, names in _first_readers(symbol):
        mine = [name for name in names if name in wanted]
        if not mine:
            continue
        if not stages and node.op not in _WEIGHTED:
            first += mine
            continue
        end = next(index for index in ends if index >= node.index)
        mine = mine if stages else first + mine
        stages.setdefault(tuple((shapes[end] or ())[2:]), []).extend(mine)
    return list(stages.values()) or ([first] if first else [])


def stage_ends(symbol, image_shape):
    """Return the last layer of each stage of maps, from input to output: where earlier features can be taken.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), stride=(2, 2), num_filter=4, name="conv0")
    >>> net = mx.sym.Convolution(net, kernel=(3, 3), num_filter=4, stride=(2, 2), name="conv1")
    >>> stage_ends(net, (3, 32, 32))
    ['conv0', 'conv1']
    """
    graph, shapes, ends = Graph(symbol), node_shapes(symbol, image_shape), {}
    for index in _block_ends(graph):
        shape = shapes[index] or ()
        is_map = len(shape) == 4 and shape[2] > 1 and graph.nodes[index].op not in ("Pad", "pad")
        if is_map and any(graph.nodes[i].op in _WEIGHTED for i in graph.ancestors(index)):
            ends[shape[2:]] = graph.nodes[index].name
    return list(ends.values())


def _block_ends(graph):
    """Return the indices of the operators all data passes through: the ends of residual blocks, or of single layers."""
    last_reader = {node.index: node.index for node in graph.operators()}
    for node in graph.operators():
        for source, _ in node.inputs:
            if source in last_reader:
                last_reader[source] = node.index
    ends, reach = [], -1
    for index, reader in last_reader.items():
        if reach <= index:
            ends.append(index)
        reach = max(reach, reader)
    return ends


def layers_above(symbol):
    """Return for each parameter how many weighted layers stand after its own, in the order data flows.

    Returns
    -------
    dict of str to int
        0 for the last convolution or fully connected layer; BatchNorm and PReLU count with the layer they follow.
    """
    depth, number = {}, 0
    for node, names in _first_readers(symbol):
        number += node.op in _WEIGHTED
        for name in names:
            depth[name] = max(number, 1)
    return {name: max(number, 1) - depth[name] for name in parameters_of(symbol) if name in depth}


def _first_readers(symbol):
    """Yield (operator, names of the variables no operator before it reads), in the order data flows."""
    graph, seen = Graph(symbol), set()
    for node in graph.operators():
        names = [name for name in graph.variables_of(node) if name not in seen]
        seen.update(names)
        yield node, names
