"""What a network gives: the kind of each output, told by walking back from it, and how to read its numbers."""
import dataclasses
import math
from typing import Optional

import numpy as np

from mxft.network.anatomy.combinations import (
    CLASSES,
    IMAGES,
    IMAGES_PROBED,
    PART,
    kind_of_combination,
    softmax_span,
)
from mxft.network.anatomy.kinds import (
    CLASS_KINDS,
    EMBEDDING,
    HANDING_ON,
    INDEPENDENT,
    LOG_PROBABILITIES,
    LOGITS,
    LOSS,
    MAP,
    PROBABILITIES,
    SCORES,
    VALUES,
)

FACE_SIZES = ([112, 112], [112, 96], 112)  # pixels of insightface's aligned faces: no classifier has such an input
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
        The scores are divided by it first, by the graph itself.
    calibration : float
        And by this, which is no part of the graph: the temperature of the checkpoint's manifest, see
        `mxft.network.calibration`.

    Examples
    --------
    >>> Link("softmax", 2.0)(np.array([[0.0, 2.0]])).round(4).tolist()
    [[0.2689, 0.7311]]
    """

    name: str = "identity"
    temperature: float = 1.0
    calibration: float = 1.0

    @property
    def divisor(self):
        """What the scores are divided by in all."""
        return self.temperature * self.calibration

    def __call__(self, scores):
        """Return the output of ``(N, K)`` scores, along the last axis."""
        scores = np.asarray(scores) / self.divisor if self.divisor != 1 else np.asarray(scores)
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
        One of `mxft.network.anatomy.kinds.KINDS`.
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

    def calibrated(self, temperature):
        """Return the output as it is served at a temperature; itself where it is no softmax of class scores."""
        if self.link.name not in ("softmax", "log_softmax"):
            return self
        return dataclasses.replace(self, link=dataclasses.replace(self.link, calibration=temperature))

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
        return np.asarray(scores) / self.link.divisor if self.kind in CLASS_KINDS[:3] else None


def logit(probabilities):
    """Return the numbers whose sigmoid the probabilities are, float64, those of 0 and 1 within 1e-12 of them."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)


def find_output(graph, position, needs, facts, shapes=None):
    """Return what one output of a network is.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    position : int
    needs : set of str
    facts : dict
        The manifest.
    shapes : dict of (node, output) to tuple of int, optional
        Of every edge for two images, 0 for numbers that are not known; empty where not even their count is.

    Returns
    -------
    Output
    """
    edge, shapes = graph.heads[position], shapes or {}
    name, shape = graph.nodes[edge[0]].name, shapes.get(edge)
    node = end_of(graph, edge)
    kind, scores, link = _read(graph, node, edge, shapes)
    if (shape is not None and _is_map(shape)) or _is_detection(graph, edge):
        kind, scores, link = (kind if kind == LOSS else MAP), edge, Link()
    elif kind in (LOGITS, EMBEDDING) or node.op == "Concat":
        kind = _by_manifest(kind, node, name, facts)
    known = shape is not None and all(shape[1:])
    size = None if kind == MAP else math.prod(shape[1:]) if known else _size(graph, node)
    if kind == LOGITS and (size == 1 or _is_compared(graph, node)):
        kind = VALUES  # the softmax of one number is 1; what a loss subtracts from its label is no logit
    return Output(name, kind, position, scores, link, size, tuple(sorted(needs)))


def end_of(graph, edge):
    """Return the node whose numbers an output gives, behind what only hands them on: its softmax, its last layer."""
    node = graph.nodes[edge[0]]
    while node.op in HANDING_ON and node.inputs:
        node = graph.nodes[node.inputs[0][0]]
    return node


def _read(graph, node, edge, shapes):
    """Return (kind, edge of the scores, Link) of an output that ends in `node`."""
    activation = node.attrs.get("act_type") if node.op == "Activation" else None
    kind = INDEPENDENT if activation == "sigmoid" else _ENDS.get(node.op)
    if kind in (VALUES, SCORES, INDEPENDENT) and _is_folded(shapes.get(node.inputs[0])):
        return kind, edge, Link()
    if kind in (VALUES, SCORES):
        return kind, node.inputs[0], Link()
    span = softmax_span(graph, node, shapes) if kind in (PROBABILITIES, LOG_PROBABILITIES) else None
    if kind == INDEPENDENT or span == CLASSES:
        temperature = node.attrs.get("temperature", "None")
        link = Link({PROBABILITIES: "softmax", LOG_PROBABILITIES: "log_softmax", INDEPENDENT: "sigmoid"}[kind],
                    1.0 if temperature in ("None", "") else float(temperature))
        return kind, node.inputs[0], link
    if span in (IMAGES, PART):
        return VALUES, edge, Link()
    if kind is not None:
        return kind, edge, Link()
    if graph.nodes[edge[0]].op in ("MakeLoss", "make_loss"):
        return LOSS, edge, Link()
    combined = kind_of_combination(graph, edge, shapes)
    if combined is not None:
        return combined, edge, Link()
    if divides_by_length(graph, node):
        return EMBEDDING, edge, Link()
    if node.op in NORMALISING or node.op in ("Pooling", "_contrib_AdaptiveAvgPooling2D", "mean"):
        return EMBEDDING, edge, Link()
    if node.op == "Concat":
        return _kind_of_parts(graph, node, shapes), edge, Link()
    rectified = node.op in ("relu", "LeakyReLU") or activation in ("relu", "softrelu")
    return (EMBEDDING if rectified else VALUES), edge, Link()


def _is_folded(shape):
    """Whether a layer has not one row an image, but several that a later Reshape makes one of."""
    return bool(shape) and shape[0] not in (0, IMAGES_PROBED)


def _kind_of_parts(graph, node, shapes):
    """Return what outputs side by side are: of a sigmoid each the like, of a softmax or logits each plain values."""
    kinds = {_read(graph, end_of(graph, edge), edge, shapes)[0] for edge in node.inputs
             if end_of(graph, edge).op != "Concat"}
    if kinds == {INDEPENDENT}:
        return INDEPENDENT
    return VALUES if kinds & {*CLASS_KINDS, INDEPENDENT} else EMBEDDING


def _is_compared(graph, node):
    """Whether a loss subtracts a label from a layer's numbers: they are what the label is, as in a regression."""
    edge, minus = (node.index, 0), ("elemwise_sub", "broadcast_sub")
    others = [other.inputs[other.inputs[0] == edge][0] for other in graph.nodes
              if other.op in minus and edge in other.inputs]
    return any(graph.nodes[index].is_variable for index in others)


def divides_by_length(graph, node):
    """Whether a node divides numbers by their own length: an L2Normalization written out."""
    if node.op not in ("broadcast_div", "elemwise_div"):
        return False
    edge, steps = node.inputs[1], []
    while edge != node.inputs[0] and graph.nodes[edge[0]].op in _OF_A_LENGTH:
        steps.append(graph.nodes[edge[0]].op)
        edge = graph.nodes[edge[0]].inputs[0]
    return edge == node.inputs[0] and bool({"sum", "norm"} & set(steps))


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
