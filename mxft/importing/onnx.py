"""ONNX classifiers as checkpoints, compared with ONNX Runtime before they are believed."""
import os

import numpy as np

from mxft.errors import InputError, RunError, last_line, nearest
from mxft.files.whole import require_file
from mxft.machine.packages import require_package

TOLERANCE = 1e-4


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
    from mxft.network.checkpoint import Checkpoint

    path = require_file(path, "weights")
    symbol, arg_params, aux_params, open_size = _translate(_load(path), path)
    size = open_size or input_size or 224
    what = f"onnx, {os.path.basename(path)}"
    outputs = symbol.infer_shape(data=(1, 3, size, size))[1][0][-1]
    if classes is not None and outputs != len(classes):
        raise InputError(f"{what}: expected the names of {outputs} classes, received {len(classes)}")
    checkpoint = Checkpoint(symbol, arg_params, aux_params, {
        "input": {"size": size, "resize": round(size / 0.875), "mean": list(MEAN), "scale": list(SCALE),
                  "channel_order": "RGB"},
        "classes": None if classes is None else list(classes), "parent": None, "source": what}, what)
    _check(checkpoint, path, size, seed)
    return checkpoint


def _load(path):
    onnx = require_package("onnx", "importing ONNX")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # protobuf's and the checker's own kinds
        raise InputError(f"weights cannot be read: expected an ONNX model, received {path} "
                         f"({' '.join(str(error).split())[:200]})") from None


def _translate(model, path):
    """Return (symbol, arg_params, aux_params, height of the input or 0 where it is open)."""
    from mxft.compat import mx
    from mxft.importing.onnx_operators import OPERATORS, Translation

    graph, values = model.graph, _constants(model.graph)
    nodes = [node for node in graph.node if node.output[0] not in values]
    inputs = [entry for entry in graph.input if entry.name not in values]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(f"{path}: expected a classifier with one input and one output, received {len(inputs)} and "
                         f"{len(graph.output)}")
    unknown = sorted({node.op_type for node in nodes} - set(OPERATORS))
    if unknown:
        raise InputError(f"{path}: expected operators of image classifiers, received {', '.join(unknown)}; "
                         f"{nearest(unknown[0], OPERATORS)}")
    shape = _shape(inputs[0])
    if len(shape) != 4 or shape[1] not in (0, 3) or shape[2] != shape[3]:
        raise InputError(f"{path}: expected an input (N, 3, H, H), received {shape}")
    shapes = {entry.name: _shape(entry) for entry in (*graph.value_info, *graph.input, *graph.output)}
    translation = Translation(values, shapes, inputs[0].name)
    try:
        for node in nodes:
            translation.add(node)
        symbol = translation.symbol(graph.output[0].name)
        symbol.infer_shape(data=(1, 3, shape[2] or 224, shape[2] or 224))
    except mx.base.MXNetError as error:
        raise InputError(f"{path}: expected a network MXNet can build, received one it stopped at: "
                         f"{last_line(error)}") from None
    return symbol, translation.arg_params, translation.aux_params, shape[2]


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
    return tuple(axis.dim_value for axis in entry.type.tensor_type.shape.dim)


def _check(checkpoint, path, size, seed):
    """Refuse a network that computes something else than the file it came from."""
    from mxft.compat import mx

    runtime = require_package("onnxruntime", "checking what was imported")
    images = np.random.RandomState(seed).randn(1, 3, size, size).astype(np.float32)
    session = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: images})[0]
    executor = checkpoint.symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape)
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params)
    received = executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()
    apart = float(abs(received - expected).max() / abs(expected).max())
    if not apart <= TOLERANCE:
        raise RunError(f"{path} was not imported: expected the scores of ONNX Runtime to {TOLERANCE:g}, received a "
                       f"largest relative difference of {apart:.1e}")
