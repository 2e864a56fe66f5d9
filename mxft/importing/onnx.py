"""ONNX classifiers as checkpoints, compared with ONNX Runtime before they are believed."""
import json
import os

import numpy as np

from mxft.errors import InputError, RunError, last_line
from mxft.files.whole import require_file
from mxft.importing.onnx_file import read_onnx
from mxft.machine.packages import require_package
from mxft.network.graph_file import graph_of

TOLERANCE = 1e-4
LARGEST_SIDE = 1 << 13  # pixels


def import_onnx(path, classes=None, input_size=None, seed=0):
    """Return an ONNX classifier as a Checkpoint, checked against ONNX Runtime.

    Parameters
    ----------
    path : str or os.PathLike
        A model of one input ``(N, 3, H, W)`` and one output.
    classes : list of str, optional
        Names of the outputs.
    input_size : int, optional
        Height and width in pixels, where the model leaves them open (224 when None).
    seed : int
        Of the random image it is checked with.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint
        The input is called ``data``, parameters after their nodes. The manifest has size and classes, and ImageNet's
        mean and deviation, which an ONNX file does not tell: name others where they are others.

    Raises
    ------
    InputError
        No ONNX model, more than one input or output, or an operator that is not known.
    RunError
        The network computes something else than ONNX Runtime, by more than 1e-4 of the largest score.

    Examples
    --------
    >>> import_onnx("resnet18.onnx").symbol.list_arguments()[0]        # doctest: +SKIP
    'data'
    """
    from mxft.backbones.gluon import MEAN, SCALE
    from mxft.importing.onnx_operators import OPERATORS
    from mxft.network.checkpoint import Checkpoint

    path = require_file(path, "weights")
    symbol, arg_params, aux_params, open_size = _translate(read_onnx(path, OPERATORS), path)
    size = open_size or input_size or 224
    what = f"onnx, {os.path.basename(path)}"
    _refuse_sizes(symbol, size, arg_params, path)
    outputs = symbol.infer_shape(data=(1, 3, size, size))[1][0][-1]
    if classes is not None and outputs != len(classes):
        raise InputError(f"{what}: expected the names of {outputs} classes, received {len(classes)}")
    checkpoint = Checkpoint(symbol, arg_params, aux_params, {
        "input": {"size": size, "resize": round(size / 0.875), "mean": list(MEAN), "scale": list(SCALE),
                  "channel_order": "RGB"},
        "classes": None if classes is None else list(classes), "parent": None, "source": what}, what)
    _check(checkpoint, path, size, seed)
    return checkpoint


def _translate(model, path):
    """Return (symbol, arg_params, aux_params, height of the input or 0 where it is open)."""
    from mxft.compat import mx
    from mxft.importing.onnx_operators import Translation

    graph, values = model.graph, _constants(model.graph)
    name, shape = _image_input(graph, values, path)
    shapes = {entry.name: _shape(entry) for entry in (*graph.value_info, *graph.input, *graph.output)}
    translation = Translation(values, shapes, name)
    try:
        for node in graph.node:
            if node.output[0] not in values:
                translation.add(node)
        symbol = translation.symbol(graph.output[0].name)
        graph_of(json.loads(symbol.tojson()))  # the bounds of every symbol file
    except (InputError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    except mx.base.MXNetError as error:
        raise _not_built(path, error) from None
    if "data" not in symbol.list_arguments():
        raise InputError(f"{path}: expected an output computed from the input {name!r}, received one of "
                         "constants alone")
    return symbol, translation.arg_params, translation.aux_params, shape[2]


def _not_built(path, error):
    return InputError(f"{path}: expected a network MXNet can build, received one it stopped at: {last_line(error)}")


def _image_input(graph, values, path):
    """Return (name, shape) of the one input, an image."""
    inputs = [entry for entry in graph.input if entry.name not in values]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(f"{path}: expected a classifier with one input and one output, received {len(inputs)} and "
                         f"{len(graph.output)}")
    shape, kind = _shape(inputs[0]), inputs[0].type.tensor_type.elem_type
    if len(shape) != 4 or shape[1] not in (0, 3) or shape[2] != shape[3] or not 0 <= shape[2] <= LARGEST_SIDE:
        raise InputError(f"{path}: expected an input (N, 3, H, H) of at most {LARGEST_SIDE} pixels, received {shape}")
    if kind != 1:
        raise InputError(f"{path}: expected an input of float32 numbers, ONNX's type 1, received type {kind}")
    return inputs[0].name, shape


def _refuse_sizes(symbol, size, arg_params, path):
    """Refuse what cannot be built for an image of this size, or would take more memory than a network for images."""
    from mxft.compat import mx
    from mxft.network.sizes import check_sizes

    try:
        args = symbol.infer_shape(data=(1, 3, size, size))[0]
    except mx.base.MXNetError as error:
        raise _not_built(path, error) from None
    for name, shape in zip(symbol.list_arguments(), args):
        if name != "data" and arg_params[name].shape != shape:
            raise InputError(f"{path}: expected {name} of shape {shape}, received {arg_params[name].shape}")
    check_sizes(symbol, {"data": (1, 3, size, size)})


def _constants(graph):
    """Return {name: numpy.ndarray} of initializers, Constant nodes, and what shares their arrays by an Identity."""
    from onnx import helper, numpy_helper

    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            values[node.output[0]] = (numpy_helper.to_array(value) if node.attribute[0].name == "value"
                                      else np.asarray(value))
        elif node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return values


def _shape(entry):
    return tuple(max(axis.dim_value, 0) for axis in entry.type.tensor_type.shape.dim)


def _check(checkpoint, path, size, seed):
    """Refuse a network that computes something else than the file it came from."""
    from mxft.compat import mx

    images = np.random.RandomState(seed).randn(1, 3, size, size).astype(np.float32)
    expected = _scores_of_runtime(path, images)
    executor = checkpoint.symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape)
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params)
    received = executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()
    if received.shape != expected.shape:
        raise RunError(f"{path} was not imported: expected the output of ONNX Runtime, of shape {expected.shape}, "
                       f"received shape {received.shape}")
    with np.errstate(all="ignore"):
        apart = float(abs(received - expected).max() / abs(expected).max())
    if not apart <= TOLERANCE:
        raise RunError(f"{path} was not imported: expected the scores of ONNX Runtime to {TOLERANCE:g}, received a "
                       f"largest relative difference of {apart:.1e}")


def _scores_of_runtime(path, images):
    runtime = require_package("onnxruntime", "checking what was imported")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes as an exception
    try:
        session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0], np.float32)
    except Exception as error:  # ONNX Runtime's own kinds, a dozen
        raise InputError(f"{path}: expected a network ONNX Runtime can compute, received one it stopped at: "
                         f"{last_line(error)[:300]}") from None
