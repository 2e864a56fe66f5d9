"""What combinations of classifiers give: a mean of probabilities is probabilities, a sum of logits logits.

Ensembles in one graph, test-time flips and classifiers that are averaged over a map end in such sums and means.
"""
import math

from mxft.network.anatomy.kinds import HANDING_ON, INDEPENDENT, LOG_PROBABILITIES, LOGITS, PROBABILITIES

IMAGES_PROBED = 2  # rows of the shapes that are asked: 1 would not be told from a dimension of length 1
CLASSES, IMAGES, PART = "classes", "images", "part"
_SOFTMAXES = ("softmax", "softmin", "log_softmax", "SoftmaxActivation", "SoftmaxOutput")
_SUMS = ("elemwise_add", "broadcast_add", "_grad_add", "add_n")
_PRODUCTS = ("dot", "_linalg_gemm2")
_DEEPEST = 32  # layers between an output and the softmaxes it is made of


def softmax_span(graph, node, shapes):
    """Return what a softmax runs over: all numbers of an image, the images of a batch, or part of an image's numbers.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    node : mxft.network.graph.Node
        One of the softmax operators.
    shapes : dict of (node, output) to tuple of int
        Of every edge for `IMAGES_PROBED` images, as far as they are known.

    Returns
    -------
    {"classes", "images", "part"} or None
        None where neither shapes nor graph tell.
    """
    shape = shapes.get(node.inputs[0])
    known = shape if shape and all(shape) else None
    if node.flag("use_length"):
        return None
    if _flattens(node):
        return CLASSES if known is None or known[0] == IMAGES_PROBED else PART
    axis = softmax_axis(node)
    if known is None:
        return _span_by_graph(graph, node, axis)
    if axis % len(known) == 0:
        return IMAGES
    return CLASSES if known[0] == IMAGES_PROBED and known[axis] == math.prod(known[1:]) else PART


def _flattens(node):
    """Whether a softmax takes all numbers of an image, in whatever shape they are."""
    if node.op == "SoftmaxOutput":
        return not (node.flag("multi_output") or node.flag("preserve_shape"))
    return node.op == "SoftmaxActivation" and node.attrs.get("mode", "instance") == "instance"


def softmax_axis(node):
    """Return the axis of a softmax that does not take all numbers of an image."""
    if node.op == "SoftmaxActivation" or (node.op == "SoftmaxOutput" and node.flag("multi_output")):
        return 1
    return int(node.attrs.get("axis", -1))


def _span_by_graph(graph, node, axis):
    source = graph.nodes[node.inputs[0][0]]
    flat = source.op == "Flatten" or (source.op == "FullyConnected"
                                      and source.attrs.get("flatten", "True").lower() in ("true", "1"))
    if axis == 0 or (axis == -2 and flat):
        return IMAGES
    return CLASSES if axis == 1 or (axis == -1 and flat) else None


def kind_of_combination(graph, edge, shapes):
    """Return what a sum, a mean or a multiple of classifiers' outputs is; None where it is none of these.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    edge : (node index, output index)
    shapes : dict of (node, output) to tuple of int

    Returns
    -------
    str or None
        Probabilities and independent probabilities where their weights are 1 together; logits whatever the weights
        are; log-probabilities for the logarithm of probabilities.
    """
    node, depth = graph.nodes[edge[0]], 0
    while node.op in HANDING_ON and node.inputs and depth < _DEEPEST:
        node, depth = graph.nodes[node.inputs[0][0]], depth + 1
    is_log = node.op == "log"
    found = _terms(graph, node.inputs[0] if is_log else edge, shapes, 0)
    if found is None:
        return None
    (kind, weight, classes), shape = found, shapes.get(edge)
    if kind == LOGITS:
        return None if is_log else LOGITS
    whole = not classes or not shape or math.prod(shape[1:]) in (0, classes)  # no average over the classes themselves
    if not whole or not abs(weight - 1) < 1e-6 or (is_log and kind != PROBABILITIES):
        return None
    return LOG_PROBABILITIES if is_log else kind


def _terms(graph, edge, shapes, depth):
    """Return (kind, weight, classes) of an edge that is a weighted sum of outputs of one kind; None of another."""
    node = graph.nodes[edge[0]]
    leaf = _leaf(graph, node, shapes)
    if leaf is not None:
        return leaf
    if depth == _DEEPEST or not node.inputs:
        return None
    if node.op in HANDING_ON or adds_bias(graph, node) or _averages(node):
        found = _terms(graph, node.inputs[0], shapes, depth + 1)
        return None if found and found[0] == LOGITS and _averages(node) else found
    factor = _factor(graph, node, shapes)
    if factor is not None:
        found = _terms(graph, node.inputs[0], shapes, depth + 1)
        return found and (found[0], found[1] * factor, found[2])
    if node.op not in (*_SUMS, "stack"):
        return None
    parts = []
    for source in node.inputs:
        parts.append(_terms(graph, source, shapes, depth + 1))
        if parts[-1] is None or (parts[-1][0], parts[-1][2]) != (parts[0][0], parts[0][2]):
            return None
    weights = [weight for _, weight, _ in parts]
    if node.op == "stack":  # to be averaged, if anything
        return parts[0] if len(set(weights)) == 1 else None
    return parts[0][0], sum(weights), parts[0][2]


def _leaf(graph, node, shapes):
    """Return (kind, 1.0, classes) of a layer that gives probabilities or logits by itself, else None."""
    if node.op == "exp" and graph.nodes[node.inputs[0][0]].op == "log_softmax":
        node = graph.nodes[node.inputs[0][0]]
    elif node.op == "log_softmax":
        return None
    if node.op in _SOFTMAXES:
        shape = shapes.get(node.inputs[0])
        span = softmax_span(graph, node, shapes)
        over_channels = span == PART and not _flattens(node) and shape and softmax_axis(node) % len(shape) == 1
        return (PROBABILITIES, 1.0, shape[1] if shape else None) if span == CLASSES or over_channels else None
    if node.op == "sigmoid" or (node.op == "Activation" and node.attrs.get("act_type") == "sigmoid"):
        shape = shapes.get(node.inputs[0])
        return INDEPENDENT, 1.0, shape[1] if shape and len(shape) > 1 else None
    classifier = node if is_dense(graph, node) else averaged_classifier(graph, node)
    if classifier is None:
        return None
    return LOGITS, 1.0, int(classifier.attrs.get("num_hidden", classifier.attrs.get("num_filter", 0))) or None


def _averages(node):
    """Whether a node takes the mean over places of a map, or over what was stacked."""
    if node.op == "Pooling":
        return node.attrs.get("pool_type") == "avg" and not any(node.numbers("pad"))
    return node.op in ("mean", "_contrib_AdaptiveAvgPooling2D")


def _factor(graph, node, shapes):
    """Return by how much a node multiplies its first input, NaN of a parameter; None where it does not."""
    if node.op == "_mul_scalar":
        return float(node.attrs["scalar"])
    if node.op == "_div_scalar":
        return 1 / float(node.attrs["scalar"]) if float(node.attrs["scalar"]) else None
    if node.op in ("broadcast_mul", "broadcast_div") and graph.nodes[node.inputs[1][0]].is_variable:
        return math.nan if math.prod(shapes.get(node.inputs[1]) or (0,)) == 1 else None
    return None


def adds_bias(graph, node):
    """Whether a node adds a parameter to the product in front of it: a fully connected layer written out."""
    return (node.op in ("broadcast_add", "elemwise_add") and graph.nodes[node.inputs[1][0]].is_variable
            and graph.nodes[node.inputs[0][0]].op in _PRODUCTS)


def is_dense(graph, node):
    """Whether a node is a fully connected layer: one of that name, a 1x1 convolution, a product with a parameter."""
    return (node.op == "FullyConnected" or is_pointwise(node)
            or (node.op in _PRODUCTS and len(node.inputs) == 2 and graph.nodes[node.inputs[1][0]].is_variable))


def is_pointwise(node):
    """Whether a node is a 1x1 convolution, which is a fully connected layer at every place of a map."""
    return node.op == "Convolution" and set(node.numbers("kernel")) == {1} and int(node.attrs.get("num_group", 1)) == 1


def averaged_classifier(graph, node):
    """Return the 1x1 convolution whose map `node` averages into scores, as in a SqueezeNet without softmax, or None.

    The convolutions of a backbone that ends in an average have a BatchNorm after them and no bias, or are concatenated.
    """
    if not (_averages(node) and _takes_all_places(node)):
        return None
    node = graph.nodes[node.inputs[0][0]]
    while node.op in ("Activation", "relu"):
        node = graph.nodes[node.inputs[0][0]]
    return node if is_pointwise(node) and not node.flag("no_bias") else None


def _takes_all_places(node):
    """Whether an average leaves one number of each map, as far as its attributes tell."""
    if node.op == "mean":
        return set(node.numbers("axis")) in ({2, 3}, {-1, -2}) and not node.flag("exclude")
    return node.op == "Pooling" or set(node.numbers("output_size", (1,))) == {1}
