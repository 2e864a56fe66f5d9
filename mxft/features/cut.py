"""Where the frozen backbone of a network ends: found by graph, and the network split there into backbone and head."""
import dataclasses

from mxft.compat import mx
from mxft.network.graph import Graph, internal_output
from mxft.surgery import LOSSES, data_name, label_names

HEAD_INPUT = "data"
_RANDOM = {"Dropout", "RNN", "Custom", "_shuffle", "shuffle"}  # RNN drops between its layers; Custom may do anything
_RANDOM_FAMILIES = ("_random_", "_sample_", "random_", "sample_")


@dataclasses.dataclass(frozen=True)
class BackboneCut:
    """A network in two pieces.

    Parameters
    ----------
    backbone : mx.sym.Symbol
        From the network's input to the cut; one output, of shape ``(N, D)`` or ``(N, C, H, W)``.
    head : mx.sym.Symbol
        From the cut to the network's own outputs, loss and label included; its input is the variable ``data``.
    layer : str
        Name of the backbone's last layer.
    head_parameters : tuple of str
        Arguments of the head, trainable or not; names are the network's.
    """

    backbone: mx.sym.Symbol
    head: mx.sym.Symbol
    layer: str
    head_parameters: tuple


def backbone_cut(symbol, plan):
    """Find the last layer below which nothing moves in training, and split the network there.

    Below it every parameter is frozen, every BatchNorm uses and keeps its moving statistics, and nothing is drawn at
    random (a Dropout stays in the head: cutting above it would freeze one draw for ever). Everything the head needs
    passes through that one output: inside a residual block there is no such point.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The network as it is saved.
    plan : mxft.freeze.FreezePlan

    Returns
    -------
    BackboneCut or None
        None where no frozen layer has such an output: plan ``full``, or a BatchNorm in train mode at the very bottom.

    Notes
    -----
    Nothing is bound and no shape is inferred. A layer in front of the first parameter (a scalar normalisation) is no
    backbone.

    Examples
    --------
    >>> from mxft.freeze import freeze_plan
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="fc1"), name="softmax")
    >>> cut = backbone_cut(net, freeze_plan("head", net, ["fc1_weight", "fc1_bias"]))
    >>> cut.layer, cut.head.list_arguments()
    ('fc0', ['data', 'fc1_weight', 'fc1_bias', 'softmax_label'])
    """
    graph, data = Graph(symbol), data_name(symbol)
    still = _still_nodes(graph, Graph(plan.training_symbol(symbol)), set(plan.frozen), data,
                         set(symbol.list_auxiliary_states()))
    for node in reversed(graph.operators()):
        if not still[node.index] or node.op in LOSSES:
            continue
        below = graph.ancestors(node.index)
        names = {graph.nodes[i].name for i in below if graph.nodes[i].is_variable}
        if data not in names or names.isdisjoint(plan.frozen) or not _all_passes_through(graph, node, below, data):
            continue
        head = _head_above(symbol, node.index)
        arguments = head.list_arguments()
        if arguments.count(HEAD_INPUT) == 1:  # and no other node of that name
            inputs = {HEAD_INPUT, *label_names(head)}
            parameters = tuple(name for name in arguments if name not in inputs)
            return BackboneCut(internal_output(symbol, node.index), head, node.name, parameters)
    return None


TrunkCut, trunk_cut = BackboneCut, backbone_cut  # their names in 0.1.0


def _still_nodes(graph, training, frozen, data, states):
    """Return for each node whether its output for a given image is the same in every step of training."""
    still = []
    for node, bound in zip(graph.nodes, training.nodes):
        if node.is_variable:
            still.append(node.name == data or node.name in frozen or node.name in states)
        else:
            moving = any(graph.nodes[i].name in states for i, _ in node.inputs) and not bound.flag("use_global_stats")
            still.append(not moving and not _is_random(node) and all(still[i] for i, _ in node.inputs))
    return still


def _is_random(node):
    if node.op == "Dropout":
        return float(node.attrs.get("p", 0.5)) != 0
    if node.op == "LeakyReLU":
        return node.attrs.get("act_type") == "rrelu"
    return node.op in _RANDOM or node.op.startswith(_RANDOM_FAMILIES)


def _all_passes_through(graph, cut, below, data):
    """Whether what lies outside `below` reads nothing of it but the cut's first output, parameters apart."""
    if any(i in below for i, _ in graph.heads):
        return False
    for node in graph.nodes:
        if node.index in below:
            continue
        for source, output in node.inputs:
            shared = graph.nodes[source]
            is_parameter = shared.is_variable and shared.name != data
            if source in below and not is_parameter and (source, output) != (cut.index, 0):
                return False
    return True


def _head_above(symbol, index):
    """Return the symbol with node `index` replaced by the variable ``data``; what lay below it is left behind."""
    graph = Graph(symbol)
    node = graph.nodes[index]
    node.op, node.name, node.attrs, node.inputs = "null", HEAD_INPUT, {}, []
    return graph.to_symbol()
