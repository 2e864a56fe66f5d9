"""PReLU out of operators that are fast on a CPU, one way for training and another for inference."""
from mxft.network.graph import Graph, Node
from mxft.rewrite.channels import known_channels

_STEEP = 2.0 ** 32  # a power of two: scaling by it and back is exact in floating point


def prelu_for_training(symbol):
    """Compute every PReLU of a map as ``x + (a − 1)·min(x, 0)``, the product a 1x1 depthwise convolution.

    MXNet 1.9.1's own backward of ``LeakyReLU(act_type="prelu")`` takes four fifths of a training step of MobileFaceNet
    on a CPU. Here every pass over a map is one of oneDNN's operators, which keep its blocked memory layout:
    ``min(x, 0)`` is a leaky ReLU of slope 2^32 whose scale the convolution's weight takes back, so what it lets
    through of a positive x, ``(a − 1)·x/2^32``, is below float32's rounding of x.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same arguments in the same order, slopes still ``(C,)`` with their own attributes, and the same node names
        for the results; the symbol itself where there is nothing to change.

    Notes
    -----
    Outputs and gradients agree with the formula to float32's rounding. MXNet's own slope gradient does not always:
    where the memory plan lets it write the data's gradient over the incoming one (before a pooling, a sum or a
    convolution of few channels: the last PReLU of ``m1``, those of squeeze-and-excitation) it comes out multiplied by
    the slope.

    A PReLU is left as it is where the graph does not tell that its input is ``(N, C, H, W)`` and how many channels that
    has (after Flatten or Cast, in another layout), or where its slope is computed or declared to be of another shape
    than ``(C,)``. Not to be bound for inference: the fused backend takes the steep slope for its own and computes
    something else; that is what `prelu_for_inference` is for.
    """
    return _with_prelus(symbol, _add_training_prelu)


def prelu_for_inference(symbol):
    """Compute every PReLU of a map as ``a·x + (1 − a)·relu(x)``, two 1x1 depthwise convolutions and their sum.

    MXNet 1.9.1's own PReLU takes four fifths of MobileFaceNet's forward pass on a CPU; of these nodes the fused
    backend leaves none alone, and the sum goes into the second convolution.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        As of `prelu_for_training`, and left alone in the same cases. Outputs agree to float32's rounding.
    """
    return _with_prelus(symbol, _add_inference_prelu)


def _with_prelus(symbol, add_prelu):
    """Return the symbol with the PReLUs of maps built by ``add_prelu(add, name, data, slope, channels)``."""
    graph, nodes, new_index = Graph(symbol), [], {}
    channels = known_channels(graph)

    def add(op, name, attrs, inputs):
        nodes.append(Node(len(nodes), op, name, attrs, inputs))
        return len(nodes) - 1, 0

    for node in graph.nodes:
        inputs = [(new_index[i], o) for i, o in node.inputs]
        if _is_prelu_of_map(graph, node, channels):
            new_index[node.index], _ = add_prelu(add, node.name, *inputs, channels[node.index])
        else:
            new_index[node.index], _ = add(node.op, node.name, node.attrs, inputs)
    if len(nodes) == len(graph.nodes):
        return symbol
    graph.nodes, graph.heads = nodes, [(new_index[i], o) for i, o in graph.heads]
    return graph.to_symbol()


def _add_training_prelu(add, name, data, slope, channels):
    """Add the nodes of one PReLU; return the last, which has its name."""
    steep = add("LeakyReLU", name + "_steep", {"act_type": "leaky", "slope": repr(_STEEP)}, [data])
    less_1 = add("_minus_scalar", name + "_slope_less_1", {"scalar": "1"}, [slope])
    scaled = add("_mul_scalar", name + "_slope_scaled", {"scalar": repr(1 / _STEEP)}, [less_1])
    product = _add_scaling(add, name + "_product", steep, scaled, channels)
    return add("elemwise_add", name, {}, [data, product])


def _add_inference_prelu(add, name, data, slope, channels):
    """Add the nodes of one PReLU; return the last, which has its name."""
    positive = add("Activation", name + "_positive", {"act_type": "relu"}, [data])
    rest = add("_rminus_scalar", name + "_1_less_slope", {"scalar": "1"}, [slope])
    first = _add_scaling(add, name + "_rest", positive, rest, channels)
    return add("elemwise_add", name, {}, [first, _add_scaling(add, name + "_linear", data, slope, channels)])


def _add_scaling(add, name, data, factors, channels):
    """Add a 1x1 depthwise convolution: each channel of `data` times its own of `factors`, shape ``(C,)``."""
    for axis in (1, 2, 3):  # expand_dims and not Reshape: its shape inference runs backwards, down to the slope
        factors = add("expand_dims", f"{name}_weight_{axis}", {"axis": str(axis)}, [factors])
    attrs = {"kernel": "(1, 1)", "num_filter": str(channels), "num_group": str(channels), "no_bias": "True"}
    return add("Convolution", name, attrs, [data, factors])


def _is_prelu_of_map(graph, node, channels):
    if node.op != "LeakyReLU" or node.attrs.get("act_type") != "prelu" or not channels[node.index]:
        return False
    slope = graph.nodes[node.inputs[1][0]]
    return slope.is_variable and slope.numbers("__shape__", (channels[node.index],)) == (channels[node.index],)
