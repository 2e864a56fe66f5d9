"""Whether an ONNX model computes what the checkpoint does, by ONNX Runtime and on the same images."""
import numpy as np

from mxft.compat import mx
from mxft.deploy.exported import apart, own_outputs
from mxft.errors import RunError, last_line
from mxft.network.graph import Graph


def open_batch(model, images):
    """Let a model take batches of any size, if it then still runs.

    Parameters
    ----------
    model : onnx.ModelProto
        It is changed.
    images : numpy.ndarray
        Float32 ``(2, C, H, W)``.

    Returns
    -------
    bool
        Whether it does.
    """
    entries = (model.graph.input[0], *model.graph.output)
    sizes = [entry.type.tensor_type.shape.dim[0].dim_value for entry in entries]
    for entry in entries:
        entry.type.tensor_type.shape.dim[0].dim_param = "N"
    try:
        if all(len(found) == len(images) for found in run(model, images, True)):
            return True
    except RunError:
        pass
    for entry, size in zip(entries, sizes):
        entry.type.tensor_type.shape.dim[0].dim_value = size
    return False


def run(model, images, any_batch):
    """Return ONNX Runtime's outputs as a list of arrays over all images.

    Parameters
    ----------
    model : onnx.ModelProto
    images : numpy.ndarray
        Float32 ``(N, C, H, W)``.
    any_batch : bool
        Whether they go through at once, or one after another.

    Raises
    ------
    RunError
        ONNX Runtime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it refuses it raises too
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        batches = [images] if any_batch else [images[i:i + 1] for i in range(len(images))]
        found = [session.run(None, {name: np.ascontiguousarray(batch)}) for batch in batches]
    except Exception as error:  # ONNX Runtime's own kinds
        raise RunError(f"no ONNX file was written: ONNX Runtime refused the model: {last_line(error)}") from None
    return [np.concatenate(parts) for parts in zip(*found)]


def apart_from(unaltered, checkpoint, model, images, any_batch):
    """Return the largest difference between the outputs of a network as it was opened and of the model.

    Parameters
    ----------
    unaltered : mx.sym.Symbol
        The checkpoint's own outputs, losses and all, as many as the model has.
    checkpoint : mxft.network.checkpoint.Checkpoint
    model : onnx.ModelProto
    images : numpy.ndarray
        Float32 ``(N, C, H, W)``.
    any_batch : bool

    Returns
    -------
    float
        As a part of the largest value of each output.
    """
    expected = own_outputs(unaltered, checkpoint, images, any_batch)
    return max(apart(*pair) for pair in zip(run(model, images, any_batch), expected))


def apart_at(symbol, checkpoint, model, images, any_batch, layers=None):
    """Return {layer: difference between MXNet and ONNX Runtime}, in the order data flows; of all layers when None.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The one the model was written from.
    checkpoint, model, images, any_batch
        As `apart_from` takes them.
    layers : list of str, optional
    """
    import onnx

    computed = {name for node in model.graph.node for name in node.output}
    internals = symbol.get_internals()
    outputs = {output[:-len("_output")]: number for number, output in enumerate(internals.list_outputs())
               if output.endswith("_output")}
    layers = [layer for layer in (outputs if layers is None else layers) if layer in outputs and layer in computed]
    if not layers:
        return {}
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del wide.graph.output[:]
    wide.graph.output.extend(onnx.helper.make_empty_tensor_value_info(layer) for layer in layers)
    expected = own_outputs(mx.sym.Group([internals[outputs[layer]] for layer in layers]), checkpoint, images, any_batch)
    return {layer: apart(*pair) for layer, *pair in zip(layers, run(wide, images, any_batch), expected)}


def read_by_softmax(symbol):
    """Return the layers an output's softmax or sigmoid reads: its own numbers may all be 0 and 1."""
    graph = Graph(symbol)
    ends = [graph.nodes[index] for index, _ in graph.heads]
    return [graph.nodes[node.inputs[0][0]].name for node in ends if node.op in ("softmax", "log_softmax", "sigmoid")]
