"""PReLUs taken into the depthwise convolutions that read them."""
from mxft.rewrite.editing import Edit, is_map_convolution


def prelu_into_depthwise(symbol, arg_params, aux_params):
    """Compute a depthwise convolution of a PReLU as two of its input: of ``x`` and of ``relu(x)``, added.

    A PReLU is ``a·x + (1 − a)·relu(x)`` by channel, and a depthwise convolution multiplies each channel by itself:
    ``W ∗ PReLU(x) = (a·W) ∗ x + ((1 − a)·W) ∗ relu(x)``. Two passes over the map fewer than
    `mxft.rewrite.prelu.prelu_for_inference` makes; MobileFaceNet has seventeen of them.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Returns
    -------
    symbol, arg_params, aux_params
        The same objects where there is nothing to change; the sum has the convolution's name.

    Notes
    -----
    Only where depthwise convolutions alone read the PReLU: others would multiply twice as much.
    """
    edit = Edit(symbol, arg_params, aux_params)
    readers = edit.graph.consumers()
    for node in edit.graph.operators():
        if node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu":
            _take_into(edit, node, readers[node.index])
    return edit.result()


def _take_into(edit, node, readers):
    """Take a PReLU into its readers, where all of them are depthwise convolutions with weights that have values."""
    slope = edit.array(node, 1)
    heads = {index for index, _ in edit.graph.heads}
    if slope is None or slope.ndim != 1 or not readers or node.index in heads or not all(
            _is_depthwise(reader, node.index, len(slope)) and edit.array(reader, 1) is not None for reader in readers):
        return
    positive = edit.add("Activation", f"{node.name}_positive", {"act_type": "relu"}, [node.inputs[0]])
    factor = slope.reshape(-1, 1, 1, 1)
    for reader in readers:
        weight, name = edit.array(reader, 1), reader.name
        first = edit.add("Convolution", f"{name}_of_positive", {**reader.attrs, "no_bias": "True"},
                         [(positive.index, 0), reader.inputs[1]])
        edit.replace(first, 1, weight * (1 - factor), "positive")
        linear = edit.add("Convolution", f"{name}_of_all", dict(reader.attrs), [node.inputs[0], *reader.inputs[1:]])
        edit.replace(linear, 1, weight * factor, "sloped")
        reader.op, reader.attrs, reader.inputs = "elemwise_add", {}, [(first.index, 0), (linear.index, 0)]


def _is_depthwise(node, source, channels):
    """Whether a node convolves each of so many channels of what `source` gives by itself."""
    return (is_map_convolution(node) and node.inputs[0] == (source, 0)
            and int(node.attrs.get("num_group", 1)) == channels == int(node.attrs.get("num_filter", 0)))
