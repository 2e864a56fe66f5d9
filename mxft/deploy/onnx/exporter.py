"""MXNet's own ONNX exporter (mxnet/onnx/mx2onnx, 1.9.1), made to run with today's onnx package and repaired.

It was written for onnx 1.8: what it misses in today's package is put back; the shape of PReLU's slopes, its constants
that are inputs too, or that nothing reads, and the order of the outputs are put right.
"""
import contextlib
import sys
import types

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, last_line
from mxft.machine.quiet import quiet_native
from mxft.network.conversions import as_read
from mxft.network.graph import Graph
from mxft.surgery import data_name

OPSET, IR_VERSION = 13, 8
_TYPES = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool")


def refuse_unknown(symbol):
    """Name every operator the exporter has no translation of, before it stops at the first.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Raises
    ------
    InputError
    """
    with _onnx_of_then():
        from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
    known = {op for version, table in MXNetGraph.registry_.items() if version <= OPSET for op in table}
    unknown = sorted({node.op for node in Graph(symbol).operators()} - known)
    if unknown:
        raise InputError(f"network cannot be exported: expected operators MXNet's ONNX exporter knows, received "
                         f"{', '.join(unknown)}")


def exported(symbol, parameters, image_shape):
    """Return a network as an ONNX model for one image.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Of `mxft.deploy.onnx.serving_graph.serving_graph`.
    parameters : dict of str to mx.nd.NDArray
        All it reads, states too.
    image_shape : tuple of int
        ``(C, H, W)``.

    Returns
    -------
    onnx.ModelProto
        Opset 13; its outputs are the symbol's, in that order.

    Raises
    ------
    InputError
        The exporter does not know an operator's attributes.
    """
    import onnx

    shapes = [(1, *image_shape)]
    with _onnx_of_then(), quiet_native():
        from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
        try:
            graph = MXNetGraph().create_onnx_graph_proto(
                symbol, as_read(symbol, parameters), shapes, [onnx.TensorProto.FLOAT], opset_version=OPSET,
                dynamic=False)
        except (AttributeError, NotImplementedError, KeyError, ValueError, IndexError, TypeError, AssertionError,
                mx.base.MXNetError) as error:
            raise InputError(f"network cannot be exported: MXNet's ONNX exporter stopped at: {last_line(error)}"
                             ) from None
    _remove_unread(graph)
    _shape_slopes(graph, symbol, shapes[0])
    _order_outputs(graph, [name[:-len("_output")] for name in symbol.list_outputs()])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="mxft")


def _remove_unread(graph):
    """Remove constants that nothing reads, and constants from the inputs: one that is an input cannot be folded."""
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)
    own = {tensor.name for tensor in graph.initializer}
    for entry in [entry for entry in graph.input if entry.name in own or entry.name not in read]:
        graph.input.remove(entry)


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


def _order_outputs(graph, names):
    """Bring the outputs into the symbol's order: the exporter has them as the layers come."""
    entries = {}
    for entry in graph.output:
        entries[entry.name] = type(entry)()
        entries[entry.name].CopyFrom(entry)
    del graph.output[:]
    graph.output.extend(entries[name] for name in names)


@contextlib.contextmanager
def _onnx_of_then():
    """Put back ``onnx.mapping``, which onnx 1.16 dropped and the exporter asks for.

    The exporter has its graph checked by the newest opset, whose ReduceMean has no axes any more: what it wrote is
    checked as opset 13, by ONNX Runtime, and not here.
    """
    import onnx

    check, onnx.checker.check_graph = onnx.checker.check_graph, lambda graph, *rest: None
    try:
        with _mapping():
            yield
    finally:
        onnx.checker.check_graph = check


@contextlib.contextmanager
def _mapping():
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
