"""What a network gives: the kind of each output, told by walking back from it, and how to read its numbers."""
import dataclasses
import math
from typing import Optional

import numpy as np

PROBABILITIES, LOGITS, LOG_PROBABILITIES = "probabilities", "logits", "log-probabilities"
INDEPENDENT, VALUES, SCORES = "independent probabilities", "values", "class scores"
EMBEDDING, MAP, LOSS = "embedding", "map", "loss"
FACE_SIZES = ([112, 112], [112, 96], 112)  # pixels of insightface's aligned faces: no classifier has such an input
CLASS_KINDS = (PROBABILITIES, LOGITS, LOG_PROBABILITIES, SCORES)  # one of N classes
KINDS = (*CLASS_KINDS, INDEPENDENT, VALUES, EMBEDDING, MAP, LOSS)

# operators that hand their first input's numbers on, in another shape or type
HANDING_ON = frozenset((
    "Flatten", "Reshape", "Cast", "_copy", "BlockGrad", "Dropout", "squeeze", "expand_dims", "amp_cast", "MakeLoss",
    "make_loss", "_identity_with_attr_like_rhs", "IdentityAttachKLSparseReg"))
LOSSES = frozenset((
    "SoftmaxOutput", "softmax", "SoftmaxActivation", "log_softmax", "MakeLoss", "make_loss", "LinearRegressionOutput",
    "LogisticRegressionOutput", "MAERegressionOutput", "SVMOutput", "softmax_cross_entropy", "CTCLoss", "smooth_l1"))
_ENDS = {"LinearRegressionOutput": VALUES, "MAERegressionOutput": VALUES, "SVMOutput": SCORES,
         "LogisticRegressionOutput": INDEPENDENT, "sigmoid": INDEPENDENT, "SoftmaxOutput": PROBABILITIES,
         "softmax": PROBABILITIES, "SoftmaxActivation": PROBABILITIES, "log_softmax": LOG_PROBABILITIES,
         "softmax_cross_entropy": LOSS, "CTCLoss": LOSS, "smooth_l1": LOSS}
_DETECTING = frozenset((
    "_contrib_box_nms", "_contrib_MultiBoxDetection", "_contrib_Proposal", "_contrib_MultiProposal"))
_OF_A_LENGTH = frozenset(("square", "_power_scalar", "sum", "norm", "_plus_scalar", "_maximum_scalar", "clip", "sqrt"))
NORMALISING = frozenset(["BatchNorm", "L2Normalization", "InstanceNorm", "LayerNorm", "GroupNorm"])


@dataclasses.dataclass(frozen=True)
class Link:
    """The function between a network's scores and its output, as generalised linear models call it.

    Parameters
    ----------
    name : {"identity", "softmax", "sigmoid", "log_softmax"}
    temperature : float
        The scores are divided by it first.

    Examples
    --------
    >>> Link("softmax", 2.0)(np.array([[0.0, 2.0]])).round(4).tolist()
    [[0.2689, 0.7311]]
    """

    name: str = "identity"
    temperature: float = 1.0

    def __call__(self, scores):
        """Return the output of ``(N, K)`` scores, along the last axis."""
        scores = np.asarray(scores) / self.temperature if self.temperature != 1 else np.asarray(scores)
        if self.name == "identity":
            return scores
        if self.name == "sigmoid":
            return np.exp(-np.logaddexp(0, -scores))
        shifted = scores - scores.max(axis=-1, keepdims=True)
        powers = np.exp(shifted)
        total = powers.sum(axis=-1, keepdims=True)
        return shifted - np.log(total) if self.name == "log_softmax" else powers / total


@dataclasses.dataclass(frozen=True)
class Output:
    """One output of a network.

    Parameters
    ----------
    name : str
        Of its layer, ``softmax``.
    kind : str
        One of `KINDS`.
    position : int
        Among the symbol's outputs.
    scores : tuple of int
        ``(node, output)`` of ``Graph(symbol)``: what its numbers are computed from, the layer before a softmax or
        sigmoid; the output itself where nothing follows it.
    link : Link
        From those scores to the output's own numbers.
    size : int or None
        Numbers an image; None of a map, whose size is the image's, and where graph and parameters do not tell.
    needs : tuple of str
        The inputs and labels it depends on.
    """

    name: str
    kind: str
    position: int
    scores: tuple
    link: Link
    size: Optional[int]
    needs: tuple

    @property
    def names_classes(self):
        """Whether it says which one of several classes an image is."""
        return self.kind in CLASS_KINDS

    def probabilities(self, scores):
        """Return probabilities, float ``(N, K)``, of scores ``(N, K)``; None for a kind that has none.

        Of logits they are the softmax, of one logistic number that number alone.
        """
        return self.shown(self.link(scores)) if self.has_probabilities else None

    def shown(self, values):
        """Return what a person is shown of the output's own numbers ``(N, K)``: probabilities, or else themselves."""
        if self.kind == LOGITS:
            return Link("softmax")(values)
        return np.exp(values) if self.kind == LOG_PROBABILITIES else np.asarray(values)

    @property
    def has_probabilities(self):
        """Whether its numbers are, or can be read as, probabilities."""
        return self.kind in (PROBABILITIES, LOGITS, LOG_PROBABILITIES, INDEPENDENT)

    def logits(self, scores):
        """Return numbers whose softmax are the probabilities of the classes, for the cross-entropy; None without.

        One logistic number ``x`` is the logit of the second of two classes: ``(0, x)``.
        """
        if self.kind == INDEPENDENT:
            x = np.asarray(scores) if self.link.name == "sigmoid" else logit(scores)
            return np.concatenate([np.zeros_like(x), x], axis=-1) if x.shape[-1] == 1 else None
        if self.kind == PROBABILITIES and self.link.name == "identity":
            return np.log(np.maximum(scores, np.finfo(np.float32).tiny))
        return np.asarray(scores) / self.link.temperature if self.kind in CLASS_KINDS[:3] else None


def logit(probabilities):
    """Return the numbers whose sigmoid the probabilities are, float64, those of 0 and 1 within 1e-12 of them."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)


def find_output(graph, position, needs, facts, shape=None):
    """Return what one output of a network is.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    position : int
    needs : set of str
    facts : dict
        The manifest.
    shape : tuple of int, optional
        Of the output, 0 for numbers that are not known; None where not even their count is.

    Returns
    -------
    Output
    """
    edge = graph.heads[position]
    name = graph.nodes[edge[0]].name
    node, at = _end(graph, edge)
    kind, scores, link = _read(graph, node, at, edge)
    if (shape is not None and _is_map(shape)) or _is_detection(graph, edge):
        kind, scores, link = (kind if kind == LOSS else MAP), edge, Link()
    elif kind in (LOGITS, EMBEDDING):
        kind = _by_manifest(kind, node, name, facts)
    known = shape is not None and all(shape[1:])
    size = None if kind == MAP else math.prod(shape[1:]) if known else _size(graph, node)
    return Output(name, kind, position, scores, link, size, tuple(sorted(needs)))


def _end(graph, edge):
    """Return the node whose numbers an output gives, behind what only hands them on, and its edge."""
    node = graph.nodes[edge[0]]
    while node.op in HANDING_ON and node.inputs:
        edge = node.inputs[0]
        node = graph.nodes[edge[0]]
    return node, edge


def _read(graph, node, at, edge):
    """Return (kind, edge of the scores, Link) of an output that ends in `node`."""
    activation = node.attrs.get("act_type") if node.op == "Activation" else None
    kind = INDEPENDENT if activation == "sigmoid" else _ENDS.get(node.op)
    if kind in (VALUES, SCORES):
        return kind, node.inputs[0], Link()
    if kind == INDEPENDENT or (kind in (PROBABILITIES, LOG_PROBABILITIES) and _over_classes(graph, node)):
        temperature = node.attrs.get("temperature", "None")
        link = Link({PROBABILITIES: "softmax", LOG_PROBABILITIES: "log_softmax", INDEPENDENT: "sigmoid"}[kind],
                    1.0 if temperature in ("None", "") else float(temperature))
        return kind, node.inputs[0], link
    if kind in (PROBABILITIES, LOG_PROBABILITIES) and _over_images(graph, node):
        return VALUES, edge, Link()
    if kind is not None:
        return kind, edge, Link()
    if graph.nodes[edge[0]].op in ("MakeLoss", "make_loss"):
        return LOSS, edge, Link()
    if node.op == "FullyConnected" or is_pointwise(node) or averaged_classifier(graph, node) is not None:
        return LOGITS, edge, Link()
    if divides_by_length(graph, node):
        return EMBEDDING, edge, Link()
    if node.op in NORMALISING or node.op in ("Pooling", "Concat", "_contrib_AdaptiveAvgPooling2D", "mean"):
        return EMBEDDING, edge, Link()
    rectified = node.op in ("relu", "LeakyReLU") or activation in ("relu", "softrelu")
    return (EMBEDDING if rectified else VALUES), edge, Link()


def _over_classes(graph, node):
    """Whether a softmax runs over all numbers of an image, so that it can be computed from scores ``(N, K)``."""
    if node.op == "SoftmaxActivation" or (node.op == "SoftmaxOutput" and not node.flag("preserve_shape")):
        return True
    if node.flag("use_length"):
        return False
    axis = -1 if node.op == "SoftmaxOutput" else int(node.attrs.get("axis", -1))
    source = graph.nodes[node.inputs[0][0]]
    flat = source.op in ("Flatten", "FullyConnected") and source.attrs.get("flatten", "True") in ("True", "1")
    return axis == 1 or (axis == -1 and flat)


def _over_images(graph, node):
    """Whether a softmax runs from image to image of a batch: its numbers are no probabilities of classes."""
    if node.op not in ("softmax", "log_softmax"):
        return False
    axis, source = int(node.attrs.get("axis", -1)), graph.nodes[node.inputs[0][0]]
    return axis == 0 or (axis == -2 and source.op in ("Flatten", "FullyConnected"))


def is_pointwise(node):
    """Whether a node is a 1x1 convolution, which is a fully connected layer at every place of a map."""
    return node.op == "Convolution" and set(node.numbers("kernel")) == {1} and int(node.attrs.get("num_group", 1)) == 1


def divides_by_length(graph, node):
    """Whether a node divides numbers by their own length: an L2Normalization written out."""
    if node.op not in ("broadcast_div", "elemwise_div"):
        return False
    edge, steps = node.inputs[1], []
    while edge != node.inputs[0] and graph.nodes[edge[0]].op in _OF_A_LENGTH:
        steps.append(graph.nodes[edge[0]].op)
        edge = graph.nodes[edge[0]].inputs[0]
    return edge == node.inputs[0] and bool({"sum", "norm"} & set(steps))


def averaged_classifier(graph, node):
    """Return the 1x1 convolution whose map `node` averages into scores, as in a SqueezeNet without softmax, or None.

    The convolutions of a trunk that ends in an average have a BatchNorm behind them and no bias, or are concatenated.
    """
    if node.op != "Pooling" or node.attrs.get("pool_type") != "avg":
        return None
    node = graph.nodes[node.inputs[0][0]]
    while node.op in ("Activation", "relu"):
        node = graph.nodes[node.inputs[0][0]]
    return node if is_pointwise(node) and not node.flag("no_bias") else None


def _by_manifest(kind, node, name, facts):
    """Return what the manifest says of an output that ends in a plain layer: an embedding, or class scores."""
    if facts.get("embedding") in (node.name, name):
        return EMBEDDING
    if (facts.get("head") or {}).get("loss") == VALUES:
        return VALUES
    aligned_face = (facts.get("input") or {}).get("size") in FACE_SIZES
    return EMBEDDING if aligned_face and node.op == "FullyConnected" and not facts.get("classes") else kind


def _is_detection(graph, edge):
    """Whether an output comes of boxes that were chosen: a detector's boxes, their classes or their scores."""
    return any(graph.nodes[index].op in _DETECTING for index in graph.ancestors(edge[0]))


def _is_map(shape):
    """Whether an output is more than a vector an image: ``(N, C, H, W)`` or ``(N, M, 6)``; (N, C, 1, 1) is one."""
    return sum(length != 1 for length in shape[1:]) > 1


def _size(graph, node):
    for candidate in (node, *(graph.nodes[index] for index, _ in node.inputs[:1])):
        for key in ("num_hidden", "num_filter"):
            if candidate.attrs.get(key):
                return int(candidate.attrs[key])
    return None
