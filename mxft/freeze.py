"""Plans: which parameters move, and whether BatchNorm's statistics do.

``full`` is the tutorial's fine-tuning. ``head`` is its "feature extractor": the trunk stays bit for bit as it was,
statistics included, and only the new head learns.
"""
import dataclasses
import fnmatch
import math

from mxft.errors import InputError, nearest
from mxft.graph import Graph
from mxft.surgery import batch_norms_to_eval, data_name, label_names

PLANS = {"full": "train every parameter", "head": "train the new head on a fixed trunk"}


@dataclasses.dataclass(frozen=True)
class FreezePlan:
    """What moves in training.

    Parameters
    ----------
    name : str
    trainable, frozen : tuple of str
        Argument names; together every parameter of the network.
    batch_norm : {"train", "eval", "frozen"}
        ``eval``: BatchNorm layers use their moving statistics and leave them untouched. ``train``: they use each
        batch's own, and move the moving ones wherever a gradient passes. ``frozen``: eval where a layer's own gamma
        and beta are frozen, train elsewhere.
    """

    name: str
    trainable: tuple
    frozen: tuple
    batch_norm: str

    def training_symbol(self, symbol):
        """Return the graph to bind for training; what is saved stays the user's own."""
        layers = self._fixed_batch_norms(symbol)
        return batch_norms_to_eval(symbol, layers) if layers else symbol

    def _fixed_batch_norms(self, symbol):
        """Return the names of the BatchNorm layers whose moving statistics stay as they are."""
        graph, frozen = Graph(symbol), set(self.frozen)
        layers = {node.name: {graph.nodes[i].name for i, _ in node.inputs[1:3]}  # gamma and beta
                  for node in graph.operators() if node.op == "BatchNorm"}
        if self.batch_norm == "frozen":
            return {name for name, scale_and_shift in layers.items() if scale_and_shift <= frozen}
        return set(layers) if self.batch_norm == "eval" else set()

    def describe(self, arg_params_shapes):
        """Return one line: counts of tensors and numbers on each side, and the BatchNorm mode.

        Parameters
        ----------
        arg_params_shapes : dict of str to tuple of int
        """
        def numbers(names):
            return sum(math.prod(arg_params_shapes[name]) for name in names)

        return (f"plan {self.name}: {len(self.trainable)} tensors train ({numbers(self.trainable):,} numbers), "
                f"{len(self.frozen)} are frozen ({numbers(self.frozen):,}); BatchNorm statistics: "
                f"{self._statistics()}")

    def _statistics(self):
        if self.batch_norm == "eval":
            return "fixed (eval mode)"
        if self.batch_norm == "frozen":
            return "fixed in frozen layers, moving in the others" if self.frozen else "moving (train mode)"
        if self.name == "head":  # MXNet moves them in BatchNorm's backward pass, and none goes through a fixed trunk
            return "each batch's own in training (train mode), the moving ones stay"
        return "moving (train mode)"


def freeze_plan(name, symbol, head_parameters, batch_norm=None):
    """Make a plan by name.

    Parameters
    ----------
    name : {"full", "head"}
    symbol : mx.sym.Symbol
        The network with its new head.
    head_parameters : sequence of str
        The head's own parameters.
    batch_norm : {"train", "eval"}, optional
        ``train`` for ``full`` and ``eval`` for ``head`` when None.

    Returns
    -------
    FreezePlan

    Raises
    ------
    InputError
        An unknown plan or mode, or a head parameter the network does not have.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="fc1"), name="softmax")
    >>> freeze_plan("head", net, ["fc1_weight", "fc1_bias"]).frozen
    ('fc0_weight', 'fc0_bias')
    """
    if name not in PLANS:
        raise InputError(f"plan: expected one of {', '.join(PLANS)}, received plan={name!r}; {nearest(name, PLANS)}")
    if batch_norm not in (None, "train", "eval"):
        raise InputError(f"BatchNorm mode: expected train or eval, received bn={batch_norm!r}")
    parameters = _parameters(symbol)
    for parameter in head_parameters:
        if parameter not in parameters:
            raise InputError(f"plan {name}: expected a head parameter of the network, received {parameter!r}; "
                             f"{nearest(parameter, parameters)}")
    trainable = parameters if name == "full" else list(head_parameters)
    frozen = [p for p in parameters if p not in set(trainable)]
    mode = batch_norm or ("train" if name == "full" else "eval")
    return FreezePlan(name, tuple(trainable), tuple(frozen), mode)


def freeze_matching(patterns, symbol):
    """Make a plan that freezes the parameters whose names match, and the moving statistics of frozen BatchNorms.

    Parameters
    ----------
    patterns : sequence of str
        Names, or shell patterns such as ``stage1_*``; empty freezes nothing.
    symbol : mx.sym.Symbol

    Returns
    -------
    FreezePlan

    Raises
    ------
    InputError
        A pattern matches nothing, or all of them together everything.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="fc1"), name="softmax")
    >>> freeze_matching(["fc0_*"], net).trainable
    ('fc1_weight', 'fc1_bias')
    """
    parameters, frozen = _parameters(symbol), set()
    for pattern in patterns:
        matched = fnmatch.filter(parameters, pattern)
        if not matched:
            raise InputError(f"freeze: expected a pattern that matches a parameter, received freeze={pattern!r}; "
                             f"{nearest(pattern, parameters)}")
        frozen.update(matched)
    if len(frozen) == len(parameters):
        raise InputError(f"freeze: expected something left to train, received freeze={','.join(patterns)!r}, which "
                         f"matches all {len(parameters)} parameters")
    return FreezePlan("patterns" if frozen else "full", tuple(p for p in parameters if p not in frozen),
                      tuple(p for p in parameters if p in frozen), "frozen")


def _parameters(symbol):
    inputs = {data_name(symbol), *label_names(symbol)}
    return [name for name in symbol.list_arguments() if name not in inputs]
