"""The normalisation that belongs in front of a network, written into its graph: pixels come in raw from then on."""
import dataclasses
import os

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, last_line
from mxft.files.whole import require_file
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec
from mxft.network.params_file import read_arrays

_FIXED = {"__lr_mult__": "0.0", "__wd_mult__": "0.0"}


def normalised_in_graph(checkpoint):
    """Return a checkpoint that takes raw 0-255 pixels: its manifest's mean and scale are in its graph.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint

    Returns
    -------
    Checkpoint
        The same object where its manifest names no mean and no scale. Its manifest says raw pixels otherwise, and its
        `notes` what was done.

    Notes
    -----
    ``(x - mean) * scale``: one number for all channels becomes a scalar operator, as insightface's networks have it;
    one a channel becomes an array that training leaves alone.
    """
    spec = checkpoint.input_spec
    if spec is None or spec.is_raw:
        return checkpoint
    channels = spec.shape[0]
    steps = [("_minus_scalar", "broadcast_sub", "mean", spec.mean[:channels]),
             ("_mul_scalar", "broadcast_mul", "scale", spec.scale[:channels])]
    graph, values = Graph(checkpoint.symbol), {}
    edge = _input_edge(graph, checkpoint)
    for scalar, broadcast, what, numbers in steps:
        if len(set(numbers)) == 1:
            edge = _insert(graph, edge, scalar, f"input_{what}", {"scalar": repr(float(numbers[0]))})
        else:
            values[f"input_{what}_value"] = mx.nd.array(np.reshape(numbers, (1, channels, 1, 1)))
            edge = _insert(graph, edge, broadcast, f"input_{what}", {}, f"input_{what}_value", (1, channels, 1, 1))
    raw = dataclasses.replace(spec, mean=(0.0,) * 3, scale=(1.0,) * 3)
    return _with(checkpoint, graph, values, {**checkpoint.manifest, "input": raw.to_dict()},
                 f"{spec.describe().split(', ', 1)[1]} written into the graph")


def with_mean_image(checkpoint, path):
    """Return a checkpoint that subtracts a mean image first: what ``mean_img`` of MXNet's record iterator did.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    path : str
        ``mean.bin`` as ``ImageRecordIter`` writes it, or ``mean_224.nd`` beside an old Inception: one array
        ``(C, H, W)``, raw pixels in the network's own channel order.

    Returns
    -------
    Checkpoint
        With the array as the parameter ``input_mean_image``, which training leaves alone. The input has its size.

    Raises
    ------
    InputError
        No such file, no mean image in it, or one of another size than the manifest's input; or a manifest that names a
        mean too.
    """
    image, spec = _read_mean_image(path), checkpoint.input_spec
    if spec is not None and spec.shape != image.shape:
        raise InputError(f"mean image does not fit: expected {spec.shape} as the manifest's input, received {path} of "
                         f"shape {image.shape}")
    if spec is not None and any(spec.mean):
        raise InputError(f"mean image: expected a network without a mean of its own, received mean={spec.mean} in the "
                         f"manifest of {checkpoint.name} beside {path}")
    graph = Graph(checkpoint.symbol)
    values = {"input_mean_image": mx.nd.array(image[np.newaxis])}
    _insert(graph, _input_edge(graph, checkpoint), "broadcast_sub", "input_mean", {}, "input_mean_image",
            (1, *image.shape))
    entry = (spec or InputSpec(image.shape)).to_dict()
    return _with(checkpoint, graph, values, {**checkpoint.manifest, "input": entry},
                 f"mean image {os.path.basename(path)} written into the graph")


def _read_mean_image(path):
    """Return the float32 ``(C, H, W)`` array of a mean image's file."""
    try:
        entries = read_arrays(require_file(path, "mean image"))
    except (ValueError, mx.base.MXNetError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"mean image cannot be read: expected an array MXNet saved, received {path} "
                         f"({last_line(error)})") from None
    arrays = entries if isinstance(entries, list) else [entries[name] for name in entries
                                                        if name == "mean_img" or len(entries) == 1]
    image = arrays[0].asnumpy().astype(np.float32) if arrays else np.zeros(0)
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if image.ndim != 3 or image.shape[0] not in (1, 3) or not np.isfinite(image).all():
        raise InputError(f"mean image cannot be read: expected one array (C, H, W) with C 1 or 3, received {path} with "
                         f"{len(entries)} arrays, {image.shape}")
    return image


def _input_edge(graph, checkpoint):
    name = checkpoint.anatomy.image.name
    return (next(node.index for node in graph.nodes if node.is_variable and node.name == name), 0)


def _insert(graph, edge, op, name, attrs, value=None, shape=()):
    """Put an operator between an edge and all that reads it; return its own edge."""
    taken = {node.name for node in graph.nodes}
    readers = [node for node in graph.nodes if edge in node.inputs]
    inputs = [edge] + ([(graph.add("null", value, {**_FIXED, "__shape__": str(shape)}).index, 0)] if value else [])
    while name in taken:
        name += "_"
    new = graph.add(op, name, attrs, inputs)
    graph.redirect(edge, (new.index, 0), readers)
    return new.index, 0


def _with(checkpoint, graph, values, manifest, note):
    graph.sort()
    return dataclasses.replace(checkpoint, symbol=graph.to_symbol(), arg_params={**checkpoint.arg_params, **values},
                               manifest=manifest, notes=(*checkpoint.notes, note))
