"""What layers a network has, and which of them a new head is put on: found by walking the graph."""
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from mxft.compat import mx
from mxft.errors import InputError, last_line, nearest
from mxft.network.anatomy import FeatureLayer, anatomy_of
from mxft.network.anatomy.features import feature_at
from mxft.network.anatomy.inputs import find_inputs
from mxft.network.graph import Graph, first_outputs
from mxft.wording import html_table

_FEW_LAYERS = 2  # whose repr is that of a list


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row of `list_layers`.

    Parameters
    ----------
    name, op : str
    output_shape : tuple of int or None
        Of the first output, batch included; None where it cannot be inferred.
    parameters : int
        Numbers this layer learns or tracks.
    """

    name: str
    op: str
    output_shape: tuple
    parameters: int


class Layers(list):
    """The rows of `list_layers`, which a notebook shows as a table.

    Examples
    --------
    >>> Layers([Layer("conv0", "Convolution", (1, 8, 4, 4), 216)] * 9)
    <9 layers, conv0 to conv0, 1,944 parameters>
    """

    def __getitem__(self, place):
        found = super().__getitem__(place)
        return Layers(found) if isinstance(place, slice) else found

    def __repr__(self):
        if len(self) <= _FEW_LAYERS:
            return super().__repr__()
        return (f"<{len(self):,} layers, {self[0].name} to {self[-1].name}, "
                f"{sum(layer.parameters for layer in self):,} parameters>")

    def _repr_html_(self):
        rows = [(layer.name, layer.op, " × ".join(map(str, (layer.output_shape or ())[1:])), f"{layer.parameters:,}")
                for layer in self]
        return html_table(rows, ("layer", "operator", "output of one image", "parameters"))


def data_name(symbol, parameters=()):
    """Return the name of a network's image: ``data`` in every published network.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    parameters : mapping of str to array, optional
        What the checkpoint has values of: no input is among them.

    Raises
    ------
    InputError
        The network reads several inputs, which are named.
    """
    return anatomy_of(symbol, dict(parameters)).image.name


def label_names(symbol):
    """Return the variables that losses read as labels, found by where they are read and not by name."""
    return list(find_inputs(Graph(symbol), {})[1])


def list_layers(symbol: Any, image_shape: Sequence[int] = (3, 224, 224)) -> Layers:
    """List every operator with its output shape and parameter count.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    image_shape : tuple of int
        ``(C, H, W)`` of one image.

    Returns
    -------
    Layers
        A list of `Layer`, in the order data flows.

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1")
    >>> list_layers(net, (1, 4, 4))
    [Layer(name='fc1', op='FullyConnected', output_shape=(1, 2), parameters=34)]
    """
    graph, shapes = Graph(symbol), node_shapes(symbol, image_shape)
    labels = set(label_names(symbol)) | {data_name(symbol)}
    layers = Layers()
    for node in graph.operators():
        sizes = [math.prod(shapes[i] or (0,)) for i, _ in node.inputs
                 if graph.nodes[i].is_variable and graph.nodes[i].name not in labels]
        layers.append(Layer(node.name, node.op, shapes[node.index], sum(sizes)))
    return layers


def node_shapes(symbol, image_shape):
    """Return the shape of each node's first output, batch of 1 included; None where it stays unknown."""
    try:
        _, shapes, _ = symbol.get_internals().infer_shape_partial(**{data_name(symbol): (1, *image_shape)})
    except mx.base.MXNetError as error:
        raise InputError(f"shapes cannot be inferred: expected images the network can take, received "
                         f"image-shape={image_shape} ({last_line(error)})") from None
    shapes = [tuple(shape) if shape and all(shape) else None for shape in shapes]
    return [shapes[position] for position in first_outputs(symbol)]


def find_feature_layer(symbol: Any) -> FeatureLayer:
    """Find the layer a new head should be put on; see `mxft.network.anatomy.features.find_feature`.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    FeatureLayer

    Raises
    ------
    InputError
        None is found; the message lists the last layers to choose from.

    Notes
    -----
    An attribute network (gender, age) that ends in FullyConnected + BatchNorm looks like an embedding in every
    respect; name the layer before it where that is meant.

    Examples
    --------
    >>> net = mx.sym.Flatten(mx.sym.Variable("data"), name="flatten0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=1000, name="fc1"), name="softmax")
    >>> find_feature_layer(net).name, find_feature_layer(net).classifier
    ('flatten0', 'fc1')
    """
    return anatomy_of(symbol).require_feature()


def embedding_layer(symbol, manifest=None):
    """Find the embedding of a face network; see `mxft.network.anatomy.features.find_embedding`.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in the embedding; or in insightface's training outputs ``[BlockGrad(embedding), softmax]``; or in the
        softmax alone, behind an embedding that is a FullyConnected with a BatchNorm on it (``pre_fc1``, ``fc1``).
    manifest : dict, optional
        Its ``embedding`` names the layer, and decides.

    Returns
    -------
    FeatureLayer
        Its `classifier` is None where nothing stands behind the embedding.

    Raises
    ------
    InputError
        None is found; the last layers are listed.

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=8, name="pre_fc1")
    >>> net = mx.sym.BatchNorm(net, name="fc1")
    >>> logits = mx.sym.FullyConnected(mx.sym.L2Normalization(net), num_hidden=3, name="fc7")
    >>> embedding_layer(mx.sym.SoftmaxOutput(logits, name="softmax")).name
    'fc1'
    """
    return anatomy_of(symbol, manifest=manifest).require_embedding()


def feature_layer_named(symbol, name):
    """Return the FeatureLayer called `name` (``flatten0`` or ``flatten0_output``).

    Where several layers share the name, the one nearest the output is meant.

    Raises
    ------
    InputError
        There is no such layer; the nearest names are given.
    """
    graph = Graph(symbol)
    plain = name[:-len("_output")] if name.endswith("_output") else name
    found = [n for n in graph.operators() if n.name in (name, plain)]
    if not found:
        raise InputError(f"layer is not in the network: expected a layer name, received layer={name!r}; "
                         f"{nearest(plain, [n.name for n in graph.operators()])}; `mxft layers` lists them all")
    behind = feature_at(graph, found[-1].index)
    own = anatomy_of(symbol).feature
    classifier = own.classifier if own else None
    lost = tuple(layer for layer in behind.discarded if layer != classifier)
    return dataclasses.replace(behind, classifier=classifier, discarded=lost)
