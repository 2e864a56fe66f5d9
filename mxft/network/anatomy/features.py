"""Where a network's features come out: the layer a new head is put on, and the embedding of a face network."""
import dataclasses
from typing import Optional

from mxft.errors import InputError
from mxft.network.anatomy.combinations import adds_bias, averaged_classifier, is_dense, is_pointwise
from mxft.network.anatomy.inputs import slot_names
from mxft.network.anatomy.kinds import CLASS_KINDS, EMBEDDING, HANDING_ON, INDEPENDENT
from mxft.network.anatomy.outputs import LOSSES, NORMALISING

_SCALING = frozenset(["_div_scalar", "_mul_scalar"])  # a softmax's temperature, written out
_AVERAGES = frozenset(["Pooling", "mean", "_contrib_AdaptiveAvgPooling2D"])
_AFTER_A_CLASSIFIER = HANDING_ON | _AVERAGES | {"Activation", "LeakyReLU", "relu"}
_BLOCKED = "BlockGrad"


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
    classifier: Optional[str]
    pooled_after: bool
    discarded: tuple


def find_feature(graph, head=None, kind=None):
    """Find the layer a new head should stand on, by walking back from an output.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    head : int, optional
        Position of the output to begin at; the first that is a loss, or else the first, when None.
    kind : str, optional
        What that output is. An embedding, be it a plain FullyConnected, is the feature itself; probabilities never are.

    Returns
    -------
    FeatureLayer

    Raises
    ------
    InputError
        None is found; the message lists the last layers to choose from.

    Notes
    -----
    The last FullyConnected, or 1x1 Convolution used as one, also one whose map is averaged afterwards, is the
    classifier and its input the feature. A network whose output is batch-normalised after its last FullyConnected, as
    insightface's ``fc1``, ends in an embedding: the feature is the output itself. insightface's training symbols hand
    their embedding out beside the softmax, with its gradient blocked: then that is the feature.
    """
    blocked = blocked_embedding(graph)
    if blocked is not None:
        kept = graph.ancestors(blocked)
        behind = [node for node in graph.operators() if node.index not in kept]
        return feature_at(graph, blocked, next((n for n in behind if n.op == "FullyConnected"), None))
    heads = [index for index, _ in graph.heads]
    if kind == EMBEDDING:
        return feature_at(graph, heads[head])
    start = heads[head] if head is not None else next((i for i in heads if graph.nodes[i].op in LOSSES), heads[0])
    node, saw_loss, pooled = graph.nodes[start], False, False
    while True:
        if is_dense(graph, node):
            return feature_at(graph, node.inputs[0][0], node, pooled)
        if node.op in LOSSES:
            saw_loss = True
        elif node.op == "BatchNorm" and not saw_loss:
            return feature_at(graph, start)
        elif node.op == "sigmoid" or node.attrs.get("act_type") == "sigmoid":
            saw_loss = True
        elif node.op not in _SCALING | (_AFTER_A_CLASSIFIER if saw_loss else HANDING_ON) and not adds_bias(graph, node):
            break
        pooled = pooled or node.op in _AVERAGES
        if not node.inputs:
            break
        node = graph.nodes[node.inputs[0][0]]
    averaged = None if saw_loss else averaged_classifier(graph, node)
    if averaged is not None:
        return feature_at(graph, averaged.inputs[0][0], averaged, True)
    if not saw_loss and kind not in (*CLASS_KINDS, INDEPENDENT) and graph.nodes[start].op in HANDING_ON | _AVERAGES:
        return feature_at(graph, start)
    raise InputError(f"feature layer is not found: expected a FullyConnected or 1x1 Convolution before the output, "
                     f"received a network ending in {node.op} {node.name!r}; name one with `layer`: "
                     f"{', '.join(n.name for n in graph.operators()[-5:])}")


def feature_at(graph, index, classifier=None, pooled=False):
    """Return the FeatureLayer of node `index`: what lies behind it, `classifier` apart, is discarded with it."""
    kept = graph.ancestors(index)
    behind = [node for node in graph.operators() if node.index not in kept]
    lost = [node.name for node in behind if node is not classifier and node.op not in LOSSES
            and any(graph.nodes[i].is_variable and i not in kept for i, _ in node.inputs)]
    return FeatureLayer(graph.nodes[index].name, index, classifier.name if classifier else None, pooled, tuple(lost))


def blocked_embedding(graph):
    """Return the node whose gradient-blocked output a training symbol gives beside its loss, or None.

    A blocked probability beside a loss of one's own making is none, nor is what a loss holds against its labels with
    no layer in between: its node is an output by itself.
    """
    heads = [graph.nodes[index] for index, _ in graph.heads]
    blocked = [node for node in heads if node.op == _BLOCKED]
    if not blocked or not any(node.op in LOSSES for node in heads):
        return None
    source = graph.nodes[blocked[0].inputs[0][0]]
    ends_in = source
    while ends_in.op in HANDING_ON and ends_in.inputs:
        ends_in = graph.nodes[ends_in.inputs[0][0]]
    if ends_in.op in LOSSES or ends_in.op == "sigmoid" or ends_in.attrs.get("act_type") == "sigmoid":
        return None
    return None if _is_judged(graph, source, [node for node in heads if node.op in LOSSES]) else source.index


def _is_judged(graph, source, losses):
    """Whether losses compare a layer's numbers with labels directly: no layer that learns lies in between."""
    kept = graph.ancestors(source.index)
    between = [graph.nodes[index] for loss in losses for index in graph.ancestors(loss.index) - kept]
    learns = any("weight" in slot_names(node) or is_dense(graph, node) for node in between if not node.is_variable)
    return not learns and any(node.is_variable for node in between)


def find_embedding(graph, facts):
    """Find the embedding of a face network, whether it is slim or still carries the head it was trained with.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    facts : dict
        The manifest: its ``embedding`` names the layer, and decides.

    Returns
    -------
    FeatureLayer
        Its `classifier` is None where nothing stands behind the embedding.

    Raises
    ------
    InputError
        None is found, or the manifest names a layer that is not there.

    Notes
    -----
    In this order: the layer the manifest names; the output a training symbol hands out with its gradient blocked; the
    last BatchNorm on a FullyConnected (``pre_fc1``, ``fc1``), also where a softmax stands behind it; without a loss,
    the output itself, be it a plain FullyConnected (insightface's outputs F, G and H) or its normalisation; with one,
    what the classifier reads.
    """
    named = facts.get("embedding")
    if isinstance(named, str):
        found = [node for node in graph.operators() if node.name == named]
        if not found:
            raise InputError(f"embedding is not in the network: expected the layer the manifest names, received "
                             f"embedding={named!r} and a network ending in "
                             f"{', '.join(node.name for node in graph.operators()[-3:])}")
        return _nothing_behind(graph, found[-1].index)
    blocked = blocked_embedding(graph)
    if blocked is not None:
        return _nothing_behind(graph, blocked)
    heads = [graph.nodes[index] for index, _ in graph.heads]
    if not any(node.op in LOSSES for node in heads) and _ends_in_vector(graph, heads[0]):
        return _nothing_behind(graph, heads[0].index)
    normalised = [node for node in graph.operators()
                  if node.op == "BatchNorm" and graph.nodes[node.inputs[0][0]].op == "FullyConnected"]
    if normalised:
        return _nothing_behind(graph, normalised[-1].index)
    return find_feature(graph)


def _ends_in_vector(graph, node):
    """Whether an output is a fully connected layer, its normalisation, or an average, behind what hands it on."""
    while node.op in HANDING_ON and node.inputs:
        node = graph.nodes[node.inputs[0][0]]
    return node.op in NORMALISING or node.op in ("FullyConnected", "Pooling", "mean") or is_pointwise(node)


def _nothing_behind(graph, index):
    """Return the FeatureLayer at a node; its classifier is the first FullyConnected behind it, if there is one."""
    kept = graph.ancestors(index)
    classifier = next((node for node in graph.operators() if node.index not in kept and node.op == "FullyConnected"),
                      None)
    return feature_at(graph, index, classifier)
