"""Put a new head on a network: ``get_fine_tune_model`` of MXNet's tutorial "Fine-tune with Pretrained Models".

By graph, without the tutorial's substring test (``'fc1' not in k`` also threw away ``fc10_weight`` and the face
networks' embedding ``fc1``).
"""
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Optional

from mxft.compat import mx
from mxft.errors import InputError, nearest
from mxft.network.anatomy import FeatureLayer
from mxft.network.anatomy.outputs import LOSSES
from mxft.network.graph import Graph, internal_output
from mxft.surgery.layers import feature_layer_named, find_feature_layer

LOSS_NAMES = {"softmax": "softmax", "logistic": "sigmoid", "linear": "regression"}  # of the output layer
ACTIVATIONS = ("relu", "sigmoid", "tanh", "softrelu", "softsign")


@dataclasses.dataclass(frozen=True)
class Dense:
    """A hidden layer of a new head: FullyConnected, activation, dropout, in this order.

    Parameters
    ----------
    units : int
    dropout : float
        Share of the activations that are dropped in training, 0 to below 1.
    activation : {"relu", "sigmoid", "tanh", "softrelu", "softsign"} or None
    initializer : mx.init.Initializer or None
        Of the weight; None: He's for rectifiers (arXiv:1502.01852), normal with variance 2 / inputs. It stands in the
        symbol (the variable's ``__init__``), so it holds whatever initializer the fit has for the rest.

    Raises
    ------
    InputError
        A value out of its range.

    Examples
    --------
    >>> Dense(128, dropout=0.25)
    Dense(units=128, dropout=0.25, activation='relu', initializer=None)
    """

    units: int
    dropout: float = 0.0
    activation: str = "relu"
    initializer: object = None

    def __post_init__(self):
        if int(self.units) != self.units or self.units < 1:
            raise InputError(f"hidden layer: expected at least 1 unit, received units={self.units}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"hidden layer: expected a dropout of at least 0 and below 1, received dropout="
                             f"{self.dropout}")
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise InputError(f"hidden layer: expected an activation of {', '.join(ACTIVATIONS)} or None, received "
                             f"activation={self.activation!r}; {nearest(str(self.activation), ACTIVATIONS)}")

    def __str__(self):
        parts = [str(self.units), *([self.activation] if self.activation else []),
                 *([f"dropout {self.dropout:g}"] if self.dropout else [])]
        return " ".join(parts)

    def onto(self, backbone, name):
        """Return the symbol of `backbone` with this layer on it; `name` is its FullyConnected's."""
        initializer = self.initializer or mx.init.MSRAPrelu(factor_type="in", slope=0)
        weight = mx.sym.Variable(name + "_weight", init=initializer)
        net = mx.sym.FullyConnected(backbone, weight=weight, num_hidden=int(self.units), name=name)
        if self.activation:
            net = mx.sym.Activation(net, act_type=self.activation, name=f"{name}_{self.activation}")
        if self.dropout:
            net = mx.sym.Dropout(net, p=float(self.dropout), name=name + "_dropout")
        return net


def with_loss(scores, loss="softmax", size=1):
    """Return a network that ends in a loss on its scores.

    Parameters
    ----------
    scores : mx.sym.Symbol
        ``(N, K)``.
    loss : {"softmax", "logistic", "linear"}
        SoftmaxOutput named ``softmax``, LogisticRegressionOutput (sigmoid and binary cross-entropy) named ``sigmoid``,
        or LinearRegressionOutput (squared error) named ``regression``.
    size : int
        K.

    Returns
    -------
    mx.sym.Symbol
        Its label is ``softmax_label``, what Module, iterators and other MXNet programs expect unless told otherwise.

    Raises
    ------
    InputError
        An unknown loss.

    Notes
    -----
    MXNet divides the gradient of the regression outputs by K (src/operator/regression_output-inl.h); ``grad_scale`` K
    puts it back. The gradient of a score is then ``output - label``, as SoftmaxOutput's: a label learns as fast beside
    many others as alone.

    Examples
    --------
    >>> with_loss(mx.sym.Variable("scores"), "logistic", 3).list_outputs()
    ['sigmoid_output']
    """
    if loss not in LOSS_NAMES:
        raise InputError(f"loss: expected one of {', '.join(LOSS_NAMES)}, received loss={loss!r}; "
                         f"{nearest(str(loss), LOSS_NAMES)}")
    if loss == "softmax":
        return mx.sym.SoftmaxOutput(scores, name="softmax")
    operator = mx.sym.LogisticRegressionOutput if loss == "logistic" else mx.sym.LinearRegressionOutput
    return operator(scores, mx.sym.Variable("softmax_label"), grad_scale=float(size), name=LOSS_NAMES[loss])


@dataclasses.dataclass(frozen=True)
class NewHead:
    """A symbol with a new head.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in a loss: see `with_loss`.
    parameters : tuple of str
        Names of the head's own parameters, hidden layers' first: the only ones that may be missing from a checkpoint.
    feature : FeatureLayer
        What it stands on.
    layer : str
        Name of its last FullyConnected, the one that gives the class scores.
    """

    symbol: object
    parameters: tuple
    feature: FeatureLayer
    layer: str


def attach_head(symbol: Any, num_classes: int, layer: Optional[str] = None, name: Optional[str] = None,
                hidden: Sequence[Dense] = (), loss: str = "softmax", feature: Optional[FeatureLayer] = None) -> NewHead:
    """Cut at the feature layer and put FullyConnected and a loss on it, with hidden layers between on demand.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    num_classes : int
        Outputs of the new head, at least 2 of a softmax.
    layer : str, optional
        Feature layer; found by graph when None.
    name : str, optional
        Name of the last FullyConnected: ``fc1`` as the tutorial's, or ``fc_head`` where the backbone has an ``fc1``.
        Hidden layers are called ``NAME_hidden0``, ``NAME_hidden1`` …
    hidden : sequence of Dense
        From the feature to the output.
    loss : {"softmax", "logistic", "linear"}
        One of N classes, N independent labels, or N numbers; see `with_loss`.

    feature : FeatureLayer, optional
        What a checkpoint's anatomy says the head is put on, where no `layer` is named.

    Returns
    -------
    NewHead

    Raises
    ------
    InputError
        Fewer than 2 classes, no such layer, or a name the backbone already uses.

    Examples
    --------
    >>> net = mx.sym.Flatten(mx.sym.Variable("data"), name="flatten0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=1000, name="fc1"), name="softmax")
    >>> attach_head(net, 256).parameters
    ('fc1_weight', 'fc1_bias')
    >>> attach_head(net, 256, hidden=[Dense(128)]).parameters
    ('fc1_hidden0_weight', 'fc1_hidden0_bias', 'fc1_weight', 'fc1_bias')
    """
    least, what = (2, "classes") if loss == "softmax" else (1, "output")
    if int(num_classes) != num_classes or num_classes < least:
        raise InputError(f"new head: expected at least {least} {what}, received num_classes={num_classes}")
    feature = feature_layer_named(symbol, layer) if layer else feature or find_feature_layer(symbol)
    _refuse_loss(symbol, feature)
    backbone = internal_output(symbol, feature.index)
    layers = _layer_names({node.name for node in Graph(backbone).nodes}, name, len(hidden))
    name = layers[-1]
    if feature.pooled_after:
        backbone = mx.sym.Pooling(backbone, global_pool=True, pool_type="avg", kernel=(1, 1), name=name + "_pool")
    if Graph(backbone).nodes[-1].op not in ("Flatten", "flatten"):  # exact, and spares oneDNN its 4-D FullyConnected
        backbone = mx.sym.Flatten(backbone, name=name + "_flatten")
    for dense, dense_name in zip(hidden, layers):
        backbone = dense.onto(backbone, dense_name)
    logits = mx.sym.FullyConnected(backbone, num_hidden=int(num_classes), name=name)
    net = with_loss(logits, loss, int(num_classes))
    return NewHead(net, tuple(layer + part for layer in layers for part in ("_weight", "_bias")), feature, name)


def _layer_names(taken, name, hidden):
    """Return the names of `hidden` layers and the output's, none of which (nor their parameters') is in `taken`."""
    for output in [name] if name else itertools.chain(("fc1", "fc_head"), map("fc_head{}".format, itertools.count(2))):
        names = [f"{output}_hidden{i}" for i in range(hidden)] + [output]
        if not taken & {own + part for own in names for part in ("", "_weight", "_bias")}:
            return names
    raise InputError(f"new head: expected a name the network does not use, received name={name!r}")


def get_fine_tune_model(symbol: Any, arg_params: dict[str, Any], num_classes: int,
                        layer_name: Optional[str] = "flatten0") -> tuple[Any, dict[str, Any]]:
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
        The parameters the backbone uses. Unlike the tutorial's, decided by the graph: ``fc10_weight`` stays.

    Raises
    ------
    InputError
        There is no such layer; the nearest names are given.

    Examples
    --------
    >>> symbol = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=8, name="conv0")
    >>> symbol = mx.sym.FullyConnected(mx.sym.Flatten(symbol, name="flatten0"), num_hidden=1000, name="fc1")
    >>> symbol = mx.sym.SoftmaxOutput(symbol, name="softmax")
    >>> arg_params = {name: mx.nd.zeros((1,)) for name in ("conv0_weight", "conv0_bias", "fc1_weight", "fc1_bias")}
    >>> net, new_args = get_fine_tune_model(symbol, arg_params, 256)
    >>> net.list_arguments()[-3:], sorted(new_args)
    (['fc1_weight', 'fc1_bias', 'softmax_label'], ['conv0_bias', 'conv0_weight'])
    """
    head = attach_head(symbol, num_classes, layer_name)
    wanted = set(head.symbol.list_arguments()) - set(head.parameters)
    return head.symbol, {name: value for name, value in arg_params.items() if name in wanted}


def _refuse_loss(symbol, feature):
    """Refuse a new head on a loss, whose numbers no other layer reads in training."""
    op = Graph(symbol).nodes[feature.index].op
    if op in LOSSES and op not in ("softmax", "log_softmax"):
        raise InputError(f"layer: expected one before the loss, received `layer={feature.name!r}`, a {op}; "
                         f"`layer={find_feature_layer(symbol).name!r}` is the one a new head is put on by default")
