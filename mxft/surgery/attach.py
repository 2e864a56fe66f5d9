"""Put a new head on a network: ``get_fine_tune_model`` of MXNet's tutorial "Fine-tune with Pretrained Models".

By graph, without the tutorial's substring test (``'fc1' not in k`` also threw away ``fc10_weight`` and the face
networks' embedding ``fc1``).
"""
import dataclasses

from mxft.compat import mx
from mxft.errors import InputError
from mxft.graph import Graph, internal_output
from mxft.surgery.layers import FeatureLayer, feature_layer_named, find_feature_layer


@dataclasses.dataclass(frozen=True)
class NewHead:
    """A symbol with a new classification head.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in ``SoftmaxOutput`` named ``softmax``.
    parameters : tuple of str
        Names of the head's own parameters: the only ones that may be missing from a checkpoint.
    feature : FeatureLayer
        What it stands on.
    layer : str
        Name of its FullyConnected.
    """

    symbol: object
    parameters: tuple
    feature: FeatureLayer
    layer: str


def attach_head(symbol, num_classes, layer=None, name=None):
    """Cut at the feature layer and put FullyConnected + SoftmaxOutput on it.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    num_classes : int
        Outputs of the new head, at least 2.
    layer : str, optional
        Feature layer; found by graph when None.
    name : str, optional
        Name of the FullyConnected: ``fc1`` as the tutorial's, or ``fc_head`` where the trunk has an ``fc1`` of its own.

    Returns
    -------
    NewHead

    Raises
    ------
    InputError
        Fewer than 2 classes, no such layer, or a name the trunk already uses.

    Examples
    --------
    >>> net = mx.sym.Flatten(mx.sym.Variable("data"), name="flatten0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=1000, name="fc1"), name="softmax")
    >>> attach_head(net, 256).parameters
    ('fc1_weight', 'fc1_bias')
    """
    if int(num_classes) != num_classes or num_classes < 2:
        raise InputError(f"new head: expected at least 2 classes, received num_classes={num_classes}")
    feature = feature_layer_named(symbol, layer) if layer else find_feature_layer(symbol)
    trunk = internal_output(symbol, feature.index)
    taken = {node.name for node in Graph(trunk).nodes}
    name = name or ("fc_head" if taken & {"fc1", "fc1_weight", "fc1_bias"} else "fc1")
    if taken & {name, name + "_weight", name + "_bias"}:
        raise InputError(f"new head: expected a name the network does not use, received name={name!r}")
    if feature.pooled_after:
        trunk = mx.sym.Pooling(trunk, global_pool=True, pool_type="avg", kernel=(1, 1), name=name + "_pool")
    if Graph(trunk).nodes[-1].op not in ("Flatten", "flatten"):  # exact, and spares oneDNN its 4-D FullyConnected
        trunk = mx.sym.Flatten(trunk, name=name + "_flatten")
    logits = mx.sym.FullyConnected(trunk, num_hidden=int(num_classes), name=name)
    net = mx.sym.SoftmaxOutput(logits, name="softmax")
    return NewHead(net, (name + "_weight", name + "_bias"), feature, name)


def get_fine_tune_model(symbol, arg_params, num_classes, layer_name="flatten0"):
    """The tutorial's function: replace the last fully connected layer for `num_classes` classes.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The pretrained network.
    arg_params : dict of str to mx.nd.NDArray
        Its argument parameters.
    num_classes : int
        Classes of the new data set.
    layer_name : str or None
        The layer before the last fully connected one; found by graph when None.

    Returns
    -------
    net : mx.sym.Symbol
        The network with a new ``fc1`` and ``softmax``.
    new_args : dict of str to mx.nd.NDArray
        The parameters the trunk uses. Unlike the tutorial's, decided by the graph: ``fc10_weight`` stays.

    Raises
    ------
    InputError
        There is no such layer; the nearest names are given.

    Examples
    --------
    >>> net, new_args = get_fine_tune_model(symbol, arg_params, 256)    # doctest: +SKIP
    """
    head = attach_head(symbol, num_classes, layer_name)
    wanted = set(head.symbol.list_arguments()) - set(head.parameters)
    return head.symbol, {name: value for name, value in arg_params.items() if name in wanted}
