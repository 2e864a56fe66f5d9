"""Checkpoint to ONNX, by MXNet's own exporter (mxnet/onnx/mx2onnx, 1.9.1) and only if ONNX Runtime agrees.

The exporter was written for onnx 1.8: what it misses in today's package is put back, what it writes wrongly for face
networks (a Dense layer on maps, the shape of PReLU's slopes) is mended, and the file is kept only if it computes what
the checkpoint does.
"""
import contextlib
import dataclasses
import os
import sys
import types

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, RunError, last_line
from mxft.files.whole import whole_path
from mxft.machine.packages import require_package
from mxft.machine.quiet import quiet_native
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec
from mxft.rewrite.inference.flatten import flatten_before_fully_connected
from mxft.surgery import cut_loss, data_name

OPSET, IR_VERSION = 13, 8
TOLERANCE = 1e-4
_TYPES = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool")


@dataclasses.dataclass(frozen=True)
class OnnxExport:
    """What `export_onnx` wrote.

    Parameters
    ----------
    path : str
    error : float
        Largest difference from the checkpoint's output on the probe, as a part of its largest value.
    any_batch : bool
        Whether batches of any size go through; else the one it was exported with.
    input, output : str
        Their names in the file.
    output_shape : tuple of int
        For one image.
    """

    path: str
    error: float
    any_batch: bool
    input: str
    output: str
    output_shape: tuple


def export_onnx(checkpoint, path, image_shape, probe=None, tolerance=TOLERANCE):
    """Write a checkpoint as an ONNX model that takes what the checkpoint takes.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Of any MXNet release. A softmax at its end stays; of a face network in training only the embedding serves, see
        `is_training_network` and `mxft.deploy.slim.slim`.
    path : str or os.PathLike
    image_shape : tuple of int
        ``(C, H, W)``.
    probe : numpy.ndarray, optional
        Float32 ``(n, C, H, W)``, preprocessed images to compare on; two of noise, 0 to 255, when None.
    tolerance : float
        How far the outputs may be apart, as a part of the largest.

    Returns
    -------
    OnnxExport

    Raises
    ------
    InputError
        A network with an operator the exporter does not know; all such operators are named. A missing package.
    RunError
        ONNX Runtime computes something else: no file is left, and the first layer that differs is named.

    Notes
    -----
    Opset 13. The preprocessing (mean, scale, RGB) is not in the file: the manifest beside the checkpoint says it.

    Examples
    --------
    >>> export_onnx(load_checkpoint("runs/photos"), "photos.onnx", (3, 224, 224)).error < 1e-4      # doctest: +SKIP
    True
    """
    require_package("onnx", "exporting to ONNX", extra="onnx")
    require_package("onnxruntime", "checking what was exported", extra="onnx")
    if probe is None:
        probe = noise(InputSpec(tuple(image_shape)))
    symbol = _with_unique_names(flatten_before_fully_connected(_without_labels(checkpoint.symbol)))
    names = set(symbol.list_inputs())
    parameters = {name: value for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()
                  if name in names}
    _refuse_unknown(symbol)
    model = _exported(symbol, {**parameters, **_fixed_gammas(symbol, parameters)}, image_shape)
    any_batch = _open_batch(model, probe[:2] if len(probe) > 1 else np.repeat(probe, 2, axis=0))
    error = max(_apart_at(symbol, checkpoint, model, probe, any_batch, layers=_last_layers(symbol)).values())
    if not error <= tolerance:
        every = _apart_at(symbol, checkpoint, model, probe[:1], any_batch)
        layer, apart = next(((name, value) for name, value in every.items() if not value <= tolerance),
                            ("none of them alone", error))
        raise RunError(f"no ONNX file was written: expected the checkpoint's output to {tolerance:g} of its largest "
                       f"value, received a difference of {error:.1e}; the first layer that differs is {layer} "
                       f"({apart:.1e})")
    import onnx
    with whole_path(os.fspath(path)) as temporary:
        onnx.save(model, temporary)
    return OnnxExport(os.fspath(path), error, any_batch, model.graph.input[0].name, model.graph.output[0].name,
                      tuple(symbol.infer_shape(**{data_name(symbol): (1, *image_shape)})[1][0][1:]))


def _without_labels(symbol):
    """Return the symbol without its loss; a SoftmaxOutput, which reads labels, is the softmax it is for inference."""
    last = Graph(symbol).nodes[-1]
    if last.op in ("softmax", "log_softmax"):
        return symbol
    logits = cut_loss(symbol)
    if last.op not in ("SoftmaxOutput", "Softmax", "SoftmaxActivation"):
        return logits
    return mx.sym.softmax(logits, axis=1, name=last.name)


def _fixed_gammas(symbol, parameters):
    """Return 1 for every gamma that MXNet reads as 1, whatever is in the file: ``fix_gamma``, the default."""
    graph = Graph(symbol)
    names = [graph.nodes[node.inputs[1][0]].name for node in graph.operators()
             if node.op == "BatchNorm" and node.attrs.get("fix_gamma", "True").lower() in ("true", "1")]
    return {name: mx.nd.ones_like(parameters[name]) for name in names}


def noise(spec, count=2):
    """Return random pixels as a network of this InputSpec takes them: float32 ``(count, C, H, W)``."""
    pixels = np.random.RandomState(0).uniform(0, 255, (count, *spec.shape))
    channels = spec.shape[0]
    mean, scale = (np.reshape(values[:channels], (channels, 1, 1)) for values in (spec.mean, spec.scale))
    return ((pixels - mean) * scale).astype(np.float32)


def is_training_network(checkpoint):
    """Whether a face network is as it was trained: of two outputs, or with a margin, which reads the labels.

    What serves then is its embedding.
    """
    return checkpoint.anatomy.is_face_training


def _with_unique_names(symbol):
    """Return the symbol with each operator under a name of its own: old files have two under one, ONNX cannot."""
    graph, seen = Graph(symbol), set()
    for node in graph.nodes:
        while node.name in seen:
            node.name += "_"
        seen.add(node.name)
    return graph.to_symbol()


def _refuse_unknown(symbol):
    """Name every operator the exporter has no translation of, before it stops at the first."""
    with _onnx_of_then():
        from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
    known = {op for version, table in MXNetGraph.registry_.items() if version <= OPSET for op in table}
    unknown = sorted({node.op for node in Graph(symbol).operators()} - known)
    if unknown:
        raise InputError(f"network cannot be exported: expected operators MXNet's ONNX exporter knows, received "
                         f"{', '.join(unknown)}")


def _exported(symbol, parameters, image_shape):
    """Return the exporter's model, mended."""
    import onnx

    shapes = [(1, *image_shape)]
    with _onnx_of_then(), quiet_native():
        from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
        try:
            graph = MXNetGraph().create_onnx_graph_proto(
                symbol, parameters, shapes, [onnx.TensorProto.FLOAT], opset_version=OPSET, dynamic=False)
        except (AttributeError, NotImplementedError, KeyError, ValueError, mx.base.MXNetError) as error:
            raise InputError(f"network cannot be exported: MXNet's ONNX exporter stopped at: {last_line(error)}"
                             ) from None
    own = {tensor.name for tensor in graph.initializer}
    for entry in [entry for entry in graph.input if entry.name in own]:
        graph.input.remove(entry)  # an initializer that is an input too cannot be folded
    _shape_slopes(graph, symbol, shapes[0])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="mxft")


def _shape_slopes(graph, symbol, shape):
    """Give the slopes of a PReLU of maps, ``(C,)`` in MXNet, ONNX's shape for them, ``(C, 1, 1)``."""
    from onnx import numpy_helper

    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(**{data_name(symbol): shape})[1]))
    slopes = {node.input[1] for node in graph.node
              if node.op_type == "PRelu" and len(shapes.get(f"{node.output[0]}_output", ())) == 4}
    for tensor in graph.initializer:
        if tensor.name in slopes and len(tensor.dims) == 1:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).reshape(-1, 1, 1), tensor.name))


def _open_batch(model, images):
    """Let the model take batches of any size, if it then still runs; return whether."""
    entries = (model.graph.input[0], model.graph.output[0])
    for entry in entries:
        entry.type.tensor_type.shape.dim[0].dim_param = "N"
    try:
        _run(model, images, True)
        return True
    except RunError:
        for entry in entries:
            entry.type.tensor_type.shape.dim[0].dim_value = 1
        return False


def _run(model, images, any_batch):
    """Return ONNX Runtime's outputs as a list of arrays over all images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        batches = [images] if any_batch else [images[i:i + 1] for i in range(len(images))]
        found = [session.run(None, {name: np.ascontiguousarray(batch)}) for batch in batches]
    except Exception as error:  # ONNX Runtime's own kinds
        raise RunError(f"no ONNX file was written: ONNX Runtime refused the model: {last_line(error)}") from None
    return [np.concatenate(parts) for parts in zip(*found)]


def _outputs(symbol, checkpoint, images):
    """Return the outputs of a symbol with a checkpoint's parameters, as a list of arrays.

    Bound as for training: the fused graph of inference has no outputs in its middle, and dies of being asked for them.
    """
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", **{data_name(symbol): images.shape})
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params, allow_extra_params=True)
    outputs = executor.forward(is_train=False, **{data_name(symbol): mx.nd.array(images)})
    return [output.asnumpy() for output in outputs]


def _last_layers(symbol):
    """Return the output's layer, and what a softmax there reads: its own numbers may all be 0 and 1."""
    nodes = Graph(symbol).nodes
    last = nodes[-1]
    return [last.name] if last.op not in ("softmax", "log_softmax") else [nodes[last.inputs[0][0]].name, last.name]


def _apart_at(symbol, checkpoint, model, images, any_batch, layers=None):
    """Return {layer: difference between MXNet and ONNX Runtime}, in the order data flows; of all layers when None."""
    import onnx

    computed = {name for node in model.graph.node for name in node.output}
    internals = symbol.get_internals()
    outputs = {output[:-len("_output")]: number for number, output in enumerate(internals.list_outputs())
               if output.endswith("_output")}
    layers = [layer for layer in (outputs if layers is None else layers) if layer in outputs and layer in computed]
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del wide.graph.output[:]
    wide.graph.output.extend(onnx.helper.make_empty_tensor_value_info(layer) for layer in layers)
    expected = _outputs(mx.sym.Group([internals[outputs[layer]] for layer in layers]), checkpoint, images)
    return {layer: _apart(*pair) for layer, *pair in zip(layers, _run(wide, images, any_batch), expected)}


def _apart(received, expected):
    if received.shape != expected.shape:
        return float("inf")
    return float(abs(received - expected).max() / max(abs(expected).max(), 1e-30))


@contextlib.contextmanager
def _onnx_of_then():
    """Put back ``onnx.mapping``, which onnx 1.16 dropped and the exporter asks for."""
    import onnx

    if hasattr(onnx, "mapping"):
        yield
        return
    mapping = types.ModuleType("onnx.mapping")
    mapping.NP_TYPE_TO_TENSOR_TYPE = {np.dtype(name): onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name))
                                      for name in _TYPES}
    mapping.TENSOR_TYPE_TO_NP_TYPE = {number: kind for kind, number in mapping.NP_TYPE_TO_TENSOR_TYPE.items()}
    onnx.mapping = sys.modules["onnx.mapping"] = mapping
    try:
        yield
    finally:
        del onnx.mapping, sys.modules["onnx.mapping"]
