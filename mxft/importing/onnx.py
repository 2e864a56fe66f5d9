"""ONNX classifiers as checkpoints, compared with ONNX Runtime before they are believed."""
import dataclasses
import json
import os

import numpy as np

from mxft.errors import InputError, RunError, last_line
from mxft.files.whole import require_file
from mxft.importing.model_pack import face_input, is_face_network, recognition_network
from mxft.importing.onnx_file import read_onnx
from mxft.machine.packages import require_package
from mxft.network.graph_file import graph_of
from mxft.network.manifest import METADATA, read_portable_facts

TOLERANCE = 1e-4
LARGEST_SIDE = 1 << 13  # pixels


def import_onnx(path, classes=None, input_size=None, seed=0):
    """Return an ONNX classifier as a Checkpoint, checked against ONNX Runtime.

    Parameters
    ----------
    path : str or os.PathLike
        A model of one input ``(N, C, H, W)``, C = 1 or 3, and one output or several. Of the folder or zip of one of
        insightface's model packs the face recognition network is taken.
    classes : list of str, optional
        Names of the outputs.
    input_size : int, optional
        Height and width in pixels, where the model leaves them open (224 when None).
    seed : int
        Of the random image it is checked with.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint
        The input is called ``data``, parameters after their nodes. The manifest has what `mxft.deploy.onnx` noted in
        the file. Of another's file it has size and classes, and what an ONNX file does not tell: of a face network
        the normalisation of insightface's, see `mxft.importing.model_pack.face_input`, of another colour network
        ImageNet's mean and deviation. Name others where they are others.

    Raises
    ------
    InputError
        No ONNX model, more than one input, or an operator that is not known.
    RunError
        The network computes something else than ONNX Runtime, by more than 1e-4 of the largest number of an output.

    Examples
    --------
    >>> import_onnx("resnet18.onnx").symbol.list_arguments()[0]        # doctest: +SKIP
    'data'
    """
    path = os.fspath(path)
    if not os.path.isdir(path):
        path = require_file(path, "weights")
    with recognition_network(path) as (file, name):
        return _imported(file, f"onnx, {name}", classes, input_size, seed)


def _imported(path, what, classes, input_size, seed):
    """Return the Checkpoint of one ONNX file; `what` stands in messages and the manifest."""
    from mxft.backbones.gluon import MEAN, SCALE
    from mxft.importing.onnx_operators import OPERATORS
    from mxft.network.checkpoint import Checkpoint
    from mxft.network.input_spec import InputSpec

    model = read_onnx(path, OPERATORS)
    symbol, arg_params, aux_params, found = _translate(model, path)
    facts = _noted(model, path)
    side = input_size or 224
    shape = (found[1] or 3, found[2] or side, found[3] or side)
    _refuse_sizes(symbol, shape, arg_params, path)
    outputs = symbol.infer_shape(data=(1, *shape))[1][0][-1]
    if classes is not None and outputs != len(classes):
        raise InputError(f"{what}: expected the names of {outputs} classes, received {len(classes)}")
    names = facts.get("classes") if classes is None else list(classes)
    checkpoint = Checkpoint(symbol, arg_params, aux_params, {
        **facts, "input": InputSpec(shape).to_dict(), "classes": names if names and len(names) == outputs else None,
        "parent": None, "source": what}, what)
    if "input" in facts:
        spec = dataclasses.replace(InputSpec.from_dict(facts["input"]), shape=shape)
    elif is_face_network(checkpoint):
        spec = face_input(model.graph, shape)
        checkpoint.manifest["embedding"] = checkpoint.anatomy.output().name
    else:
        mean, scale = (MEAN, SCALE) if shape[0] == 3 else ((0.0,) * 3, (1.0,) * 3)
        spec = InputSpec(shape, tuple(mean), tuple(scale), round(min(shape[1:]) / 0.875))
    checkpoint.manifest["input"] = spec.to_dict()
    _check(checkpoint, path, shape, seed)
    return checkpoint


def _noted(model, path):
    """Return the facts mxft noted in a file it wrote, or ``{}``."""
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA]
    return read_portable_facts(texts[0], path) if texts else {}


def _translate(model, path):
    """Return (symbol, arg_params, aux_params, shape of the input, 0 where it is open)."""
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
        outputs = [translation.symbol(output.name) for output in graph.output]
        symbol = outputs[0] if len(outputs) == 1 else mx.sym.Group(outputs)
        graph_of(json.loads(symbol.tojson()))  # the bounds of every symbol file
    except (InputError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    except mx.base.MXNetError as error:
        raise _not_built(path, error) from None
    if "data" not in symbol.list_arguments():
        raise InputError(f"{path}: expected an output computed from the input {name!r}, received one of "
                         "constants alone")
    return symbol, translation.arg_params, translation.aux_params, shape


def _not_built(path, error):
    return InputError(f"{path}: expected a network MXNet can build, received one it stopped at: {last_line(error)}")


def _image_input(graph, values, path):
    """Return (name, shape) of the one input, an image."""
    inputs = [entry for entry in graph.input if entry.name not in values]
    if len(inputs) != 1 or not graph.output:
        raise InputError(f"{path}: expected a network with one input and at least one output, received {len(inputs)} "
                         f"and {len(graph.output)}")
    shape, kind = _shape(inputs[0]), inputs[0].type.tensor_type.elem_type
    if len(shape) != 4 or shape[1] not in (0, 1, 3) or not 0 <= max(shape[2:]) <= LARGEST_SIDE:
        raise InputError(f"{path}: expected an input (N, C, H, W), C 1 or 3, of at most {LARGEST_SIDE} pixels, "
                         f"received {shape}")
    if kind != 1:
        raise InputError(f"{path}: expected an input of float32 numbers, ONNX's type 1, received type {kind}")
    return inputs[0].name, shape


def _refuse_sizes(symbol, shape, arg_params, path):
    """Refuse what cannot be built for an image of this size, or would take more memory than a network for images."""
    from mxft.compat import mx
    from mxft.network.sizes import check_sizes

    try:
        args = symbol.infer_shape(data=(1, *shape))[0]
    except mx.base.MXNetError as error:
        raise _not_built(path, error) from None
    for name, wanted in zip(symbol.list_arguments(), args):
        if name != "data" and arg_params[name].shape != wanted:
            raise InputError(f"{path}: expected {name} of shape {wanted}, received {arg_params[name].shape}")
    check_sizes(symbol, {"data": (1, *shape)})


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


def _check(checkpoint, path, shape, seed):
    """Refuse a network that computes something else than the file it came from."""
    from mxft.compat import mx

    images = np.random.RandomState(seed).randn(1, *shape).astype(np.float32)
    expected = _outputs_of_runtime(path, images)
    executor = checkpoint.symbol.simple_bind(mx.cpu(), grad_req="write", data=images.shape)  # without fused subgraphs
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params)
    received = [output.asnumpy() for output in executor.forward(is_train=False, data=mx.nd.array(images))]
    for wanted, found in zip(expected, received):
        if found.shape != wanted.shape:
            raise RunError(f"{path} was not imported: expected the output of ONNX Runtime, of shape {wanted.shape}, "
                           f"received shape {found.shape}")
        with np.errstate(all="ignore"):
            apart = float(abs(found - wanted).max() / abs(wanted).max())
        if not apart <= TOLERANCE:
            raise RunError(f"{path} was not imported: expected the scores of ONNX Runtime to {TOLERANCE:g}, received a "
                           f"largest relative difference of {apart:.1e}")


def _outputs_of_runtime(path, images):
    runtime = require_package("onnxruntime", "checking what was imported")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes as an exception
    try:
        session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        return [np.asarray(output, np.float32) for output in session.run(None, {session.get_inputs()[0].name: images})]
    except Exception as error:  # ONNX Runtime's own kinds, a dozen
        raise InputError(f"{path}: expected a network ONNX Runtime can compute, received one it stopped at: "
                         f"{last_line(error)[:300]}") from None
