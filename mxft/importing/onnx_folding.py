"""ONNX nodes that compute constants and shapes, done in NumPy: what exporters leave beside a network's own layers.

PyTorch's exporter writes ``x.view(x.size(0), -1)`` as Shape, Gather, Unsqueeze, Concat, Reshape where the batch is left
open, and slopes and weights through Unsqueeze and Transpose where it is told not to fold them.
"""
import numpy as np

from mxft.errors import InputError

LONGEST_SHAPE = 64   # numbers a Concat may put together: a shape; a chain of them would double for ever


def fold(node, attributes, inputs, shape):
    """Return what a node computes of constants alone.

    Parameters
    ----------
    node : onnx.NodeProto
    attributes : dict
    inputs : list of numpy.ndarray or None
        Its inputs, None for one that is computed.
    shape : tuple of int or None
        Of its first input, 0 for an axis that is not known.

    Returns
    -------
    numpy.ndarray or None
        None for a node that has to be translated. The batch is 0 in a shape where it is open, which a Reshape reads as
        the batch.

    Raises
    ------
    InputError
        A shape that depends on the image's size, or an operator that exists for shapes alone on something else.
    """
    if node.op_type == "Shape":
        return _shape(attributes, shape)
    if node.op_type not in _FOLDED or any(value is None for value in inputs):
        if node.op_type in SHAPE_OPERATORS:
            raise InputError(f"{node.op_type} {node.name or node.output[0]}: expected it in the computation of a "
                             "shape, received it on numbers of the network")
        return None
    return _FOLDED[node.op_type](inputs, attributes)


def _shape(attributes, shape):
    if not shape or not all(shape[1:]):
        raise InputError(f"Shape: expected a tensor of a known size but for the batch, received {shape or 'none'}; "
                         "state the size of the image when exporting")
    return np.array(shape, np.int64)[slice(attributes.get("start", 0), attributes.get("end"))]


def _axes(inputs, attributes):
    return [int(axis) for axis in (inputs[1] if len(inputs) > 1 else attributes["axes"])]


def _unsqueeze(inputs, attributes):
    return np.expand_dims(inputs[0], tuple(_axes(inputs, attributes)))


def _squeeze(inputs, attributes):
    return np.squeeze(inputs[0], tuple(_axes(inputs, attributes)))


def _transpose(inputs, attributes):
    return np.transpose(inputs[0], attributes.get("perm"))


def _gather(inputs, attributes):
    if inputs[1].size > LONGEST_SHAPE:
        raise ValueError(f"{inputs[1].size} indices")
    return np.take(inputs[0], inputs[1].astype(np.int64), axis=attributes.get("axis", 0))


def _concat(inputs, attributes):
    if sum(value.size for value in inputs) > LONGEST_SHAPE:
        return None
    return np.concatenate(inputs, axis=attributes["axis"])


_FOLDED = {"Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Transpose": _transpose, "Gather": _gather, "Concat": _concat}
SHAPE_OPERATORS = ("Shape", "Gather")  # which are understood in computations of shapes alone
