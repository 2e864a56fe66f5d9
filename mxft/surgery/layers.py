"""What layers a network has, and which of them a new head stands on: found by walking the graph."""
import dataclasses
import math

from mxft.compat import mx
from mxft.errors import InputError, last_line, nearest
from mxft.network.graph import Graph, first_outputs

LOSSES = {"SoftmaxOutput", "Softmax", "softmax", "SoftmaxActivation", "log_softmax", "MakeLoss", "make_loss",
          "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput", "SVMOutput",
          "softmax_cross_entropy"}
_RESHAPING = {"Flatten", "flatten", "Reshape", "reshape", "squeeze", "Dropout", "identity", "_copy", "BlockGrad",
              "stop_gradient", "Cast"}
_AFTER_A_CLASSIFIER = _RESHAPING | {"Pooling", "Activation", "LeakyReLU", "relu"}


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


@dataclasses.dataclass(frozen=True)
class FeatureLayer:
    """Where a network's features come out, and what stands behind them.

    Parameters
    ----------
    name : str
        The layer whose output is the feature.
    index : int
        Its node in ``Graph(symbol)``.
    classifier : str or None
        The layer that turned features into logits; None where the network ends in an embedding.
    pooled_after : bool
        The classifier was a convolution whose map was averaged afterwards (SqueezeNet): average before a new head.
    discarded : tuple of str
        Layers with parameters, other than the classifier, that lie behind the feature and go with it.
    """

    name: str
    index: int
    classifier: str
    pooled_after: bool
    discarded: tuple


def data_name(symbol):
    """Return the name of the input the first operators read (``data`` in every published network)."""
    return symbol.list_arguments()[0]


def label_names(symbol):
    """Return the variables that loss operators read as labels, found by position and not by name."""
    graph = Graph(symbol)
    labels = [graph.nodes[node.inputs[1][0]].name for node in graph.operators()
              if node.op in LOSSES and len(node.inputs) > 1 and graph.nodes[node.inputs[1][0]].is_variable]
    return list(dict.fromkeys(labels))


def list_layers(symbol, image_shape=(3, 224, 224)):
    """List every operator with its output shape and parameter count.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    image_shape : tuple of int
        ``(C, H, W)`` of one image.

    Returns
    -------
    list of Layer
        In the order data flows.

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1")
    >>> list_layers(net, (1, 4, 4))
    [Layer(name='fc1', op='FullyConnected', output_shape=(1, 2), parameters=34)]
    """
    graph, shapes = Graph(symbol), node_shapes(symbol, image_shape)
    labels = set(label_names(symbol)) | {data_name(symbol)}
    layers = []
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


def find_feature_layer(symbol):
    """Find the layer a new head should stand on, by walking back from the output.

    The last FullyConnected, or 1x1 Convolution used as one, also one whose map is averaged afterwards, is the
    classifier and its input the feature. A network whose output is batch-normalised after its last FullyConnected, as
    insightface's ``fc1``, ends in an embedding: the feature is the output itself. insightface's training symbols hand
    their embedding out beside the softmax, with its gradient blocked: then that is the feature.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    FeatureLayer

    Raises
    ------
    InputError
        Neither is found; the message lists the last layers to choose from.

    Notes
    -----
    An attribute network (gender, age) that ends in FullyConnected + BatchNorm looks like an embedding in every
    respect; name the layer before it where that is meant.
    """
    graph = Graph(symbol)
    blocked = _blocked_embedding(graph)
    if blocked is not None:
        behind = [n for n in graph.operators() if n.index not in graph.ancestors(blocked)]
        return _feature(graph, blocked, next((n for n in behind if n.op == "FullyConnected"), None), False)
    start = next((i for i, _ in graph.heads if graph.nodes[i].op in LOSSES), graph.heads[0][0])
    node, saw_loss, pooled = graph.nodes[start], False, False
    while True:
        if node.op == "FullyConnected" or _is_conv_classifier(node):
            return _feature(graph, node.inputs[0][0], node, pooled)
        if node.op in LOSSES:
            saw_loss = True
        elif node.op == "BatchNorm" and not saw_loss:
            return _feature(graph, start, None, False)
        elif node.op not in (_AFTER_A_CLASSIFIER if saw_loss else _RESHAPING):
            break
        pooled = pooled or node.op == "Pooling"
        if not node.inputs:
            break
        node = graph.nodes[node.inputs[0][0]]
    if not saw_loss and graph.nodes[start].op in _RESHAPING | {"Pooling"}:
        averaged = _averaged_classifier(graph, node)
        if averaged is not None:
            return _feature(graph, averaged.inputs[0][0], averaged, True)
        return _feature(graph, start, None, False)
    raise InputError(f"feature layer is not found: expected a FullyConnected or 1x1 Convolution before the output, "
                     f"received a network ending in {node.op} {node.name!r}; name one with --layer: "
                     f"{', '.join(n.name for n in graph.operators()[-5:])}")


def _is_conv_classifier(node):
    return node.op == "Convolution" and set(node.numbers("kernel")) == {1} and int(node.attrs.get("num_group", 1)) == 1


def _averaged_classifier(graph, node):
    """Return the 1x1 convolution whose map `node` averages into scores, as in a SqueezeNet without softmax, or None.

    The convolutions of a trunk that ends in an average have a BatchNorm behind them and no bias, or are concatenated.
    """
    if node.op != "Pooling" or node.attrs.get("pool_type") != "avg":
        return None
    node = graph.nodes[node.inputs[0][0]]
    while node.op in ("Activation", "relu"):
        node = graph.nodes[node.inputs[0][0]]
    return node if _is_conv_classifier(node) and not node.flag("no_bias") else None


def _feature(graph, index, classifier, pooled):
    behind = [n for n in graph.operators() if n.index not in graph.ancestors(index)]
    kept = graph.ancestors(index)
    lost = [n.name for n in behind if n is not classifier and n.op not in LOSSES
            and any(graph.nodes[i].is_variable and i not in kept for i, _ in n.inputs)]
    return FeatureLayer(graph.nodes[index].name, index, classifier.name if classifier else None, pooled, tuple(lost))


def _blocked_embedding(graph):
    """Return the node whose gradient-blocked output a training symbol gives beside its loss, or None."""
    heads = [graph.nodes[i] for i, _ in graph.heads]
    blocked = [node for node in heads if node.op in ("BlockGrad", "stop_gradient")]
    if not blocked or not any(node.op in LOSSES for node in heads):
        return None
    return blocked[0].inputs[0][0]


def embedding_layer(symbol):
    """Find the embedding of a face network, whether it is slim or still carries the head it was trained with.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in the embedding; or in insightface's training outputs ``[BlockGrad(embedding), softmax]``; or in the
        softmax alone, behind an embedding that is a FullyConnected with a BatchNorm on it (``pre_fc1``, ``fc1``).

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
    graph = Graph(symbol)
    if _blocked_embedding(graph) is None:
        normalised = [n for n in graph.operators()
                      if n.op == "BatchNorm" and graph.nodes[n.inputs[0][0]].op == "FullyConnected"]
        if normalised:
            return _feature(graph, normalised[-1].index, None, False)
    return find_feature_layer(symbol)


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
    behind = _feature(graph, found[-1].index, None, False)
    try:
        classifier = find_feature_layer(symbol).classifier
    except InputError:
        classifier = None
    lost = tuple(layer for layer in behind.discarded if layer != classifier)
    return dataclasses.replace(behind, classifier=classifier, discarded=lost)
