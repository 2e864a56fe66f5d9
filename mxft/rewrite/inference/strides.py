"""Strides moved towards the image, so that what a stride would throw away is not computed."""
from mxft.rewrite.editing import Edit, is_map_convolution

_ONE = (1, 1)
_MAPS_READ = {"Activation": 1, "relu": 1, "sigmoid": 1, "tanh": 1, "clip": 1, "LeakyReLU": 1, "Dropout": 1, "_copy": 1,
              "identity": 1, "BlockGrad": 1, "elemwise_add": 2, "_Plus": 2, "_plus": 2}  # by elementwise layers


def move_strides(symbol):
    """Compute a map only where its readers look, if all of them are 1x1 Convolutions of one stride.

    In the ResNets of the paper both branches of a stage's first block are 1x1 convolutions with a stride of 2: three
    quarters of what the block before them gives are never read. The stride goes back through that block's activation
    and sum to its 3x3 convolution; of its shortcut, which others read whole, every second row and column is taken. A
    ResNet-50 does without a tenth of its multiplications.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        For inference: in training a BatchNorm's statistics are those of the whole map.

    Returns
    -------
    mx.sym.Symbol
        The same arguments; the symbol itself where there is nothing to change.

    Notes
    -----
    What is still computed is the sum of the same products. Left alone: networks with the stride in the 3x3 convolution
    (GluonCV's `v1b` and later, torchvision's), or in which anything else reads the map whole. Works best after
    `fold_batch_norms`: a BatchNorm lets no stride through.

    References
    ----------
    He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.network.graph import Graph
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=8)
    >>> net = move_strides(mx.sym.Convolution(net, kernel=(1, 1), stride=(2, 2), num_filter=8))
    >>> [node.attrs["stride"] for node in Graph(net).operators()]
    ['(2, 2)', '(1, 1)']
    """
    edit = Edit(symbol, {}, {})
    steps = _sparing(edit.graph, _steps(edit.graph))
    for node in edit.graph.operators():
        if is_map_convolution(node):
            read_already = node.inputs[0][0] in steps
            stride = _ONE if read_already else _times(_stride(node), steps.get(node.index, _ONE))
            if stride != _stride(node):
                edit.set_attr(node, "stride", str(stride))
        elif node.index in steps:
            for position in range(_MAPS_READ[node.op]):
                if node.inputs[position][0] not in steps:
                    _take(edit, node, position, steps[node.index])
    return edit.result()[0]


def _steps(graph):
    """Return {node index: the stride, where it is not 1, with which every reader looks at the node's map}."""
    looks = {index: {_ONE} for index, _ in graph.heads}
    steps = {}
    for node in reversed(graph.operators()):
        step, *others = looks.get(node.index, {_ONE})
        if others or not (is_map_convolution(node) or node.op in _MAPS_READ):
            step = _ONE
        if step != _ONE:
            steps[node.index] = step
        for position, (index, output) in enumerate(node.inputs):
            look = _ONE
            if output == 0 and position < _MAPS_READ.get(node.op, 0):
                look = step
            elif output == 0 and position == 0 and _looks_at_points(node):
                look = _times(_stride(node), step)
            looks.setdefault(index, set()).add(look)
    return steps


def _sparing(graph, steps):
    """Return those of `steps` that spare a convolution something."""
    kept = {}
    for node in graph.operators():
        if node.index in steps and (is_map_convolution(node) or any(index in kept for index, _ in node.inputs)):
            kept[node.index] = steps[node.index]
    return kept


def _take(edit, node, position, step):
    """Let a node read every so manieth row and column alone of the map it has at `position`."""
    attrs = {"kernel": str(_ONE), "stride": str(step), "pool_type": "max"}
    taken = edit.add("Pooling", f"{node.name}_taken{position}", attrs, [node.inputs[position]])
    edit.read(node, (taken.index, 0), position)


def _looks_at_points(node):
    """Whether a node is a 1x1 Convolution without padding."""
    return is_map_convolution(node) and node.numbers("kernel") == _ONE and not any(node.numbers("pad", (0, 0)))


def _stride(node):
    return node.numbers("stride", _ONE)


def _times(one, other):
    return tuple(a * b for a, b in zip(one, other))
