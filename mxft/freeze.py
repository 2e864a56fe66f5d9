"""Plans: which parameters move, how fast, and whether BatchNorm's statistics do.

``full`` is the tutorial's fine-tuning, ``head`` its "feature extractor". A plan is carried out by fixed parameters,
which MXNet computes no gradient for, or faithfully to the old scripts by ``lr_mult`` 0, which computes it and throws
it away. Frozen means bit for bit: momentum, weight decay and moving statistics included.
"""
import dataclasses
import fnmatch
import math
from collections.abc import Sequence
from typing import Any, Optional

from mxft.errors import InputError, nearest
from mxft.network.graph import Graph
from mxft.options import BACKBONE_LR_MULT, METHODS, PLANS, FreezeOptions, check_plan  # noqa: F401 (known by this place)
from mxft.surgery import stateful_layers, states_kept
from mxft.surgery.depth import layers_above, parameters_of, parameters_through
from mxft.wording import BriefRepr


@dataclasses.dataclass(frozen=True, repr=False)
class FreezePlan(BriefRepr):
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
    multipliers : dict of str to float
        Of the learning rate of trainable parameters; 1 for those it does not name.
    method : {"fixed", "lr_mult"}
        How `frozen` is carried out.
    """

    name: str
    trainable: tuple
    frozen: tuple
    batch_norm: str
    multipliers: dict = dataclasses.field(default_factory=dict)
    method: str = "fixed"

    @property
    def fixed(self):
        """Names for Module's ``fixed_param_names``: no gradient is computed for them."""
        return self.frozen if self.method == "fixed" else ()

    def training_symbol(self, symbol):
        """Return the graph to bind for training, multipliers on its variables; what is saved stays the user's own."""
        layers = self.fixed_layers(symbol)
        symbol = states_kept(symbol, layers) if layers else symbol
        by_rate = self.frozen if self.method == "lr_mult" else ()
        if not by_rate and not self.multipliers:
            return symbol
        graph, own = Graph(symbol), own_multipliers(symbol)
        for node in graph.nodes:
            if node.is_variable and node.name in by_rate:
                graph.set_attr(node, "__lr_mult__", "0.0")
                graph.set_attr(node, "__wd_mult__", "0.0")
            elif node.is_variable and node.name in self.multipliers:
                factor = self.multipliers[node.name] * own.get(node.name, 1.0)
                graph.set_attr(node, "__lr_mult__", repr(factor))
        return graph.to_symbol()

    def fixed_layers(self, symbol):
        """Return the names of the layers whose auxiliary states stay as they are: BatchNorms, of any kind."""
        layers = stateful_layers(symbol)
        if self.batch_norm == "frozen":
            graph, frozen = Graph(symbol), set(self.frozen)
            own = {node.name: set(graph.variables_of(node, named_in=(*self.frozen, *self.trainable)))
                   for node in graph.operators()}  # gamma and beta
            return {name for name in layers if own[name] <= frozen}
        return set(layers) if self.batch_norm == "eval" else set()

    def fixed_statistics(self, symbol):
        """Return the names of the auxiliary states that stay bit for bit, and those of the others.

        Returns
        -------
        fixed, moving : tuple of str
        """
        fixed, states = self.fixed_layers(symbol), symbol.list_auxiliary_states()
        names = {name for layer, of_layer in stateful_layers(symbol).items() if layer in fixed for name in of_layer}
        return tuple(s for s in states if s in names), tuple(s for s in states if s not in names)

    def rates(self, learning_rate, symbol):
        """Return how many tensors train at which learning rate, and how many are frozen.

        Parameters
        ----------
        learning_rate : float
            The schedule's own.
        symbol : mx.sym.Symbol
            Its ``lr_mult`` attributes count too, as they do in MXNet.

        Returns
        -------
        dict of float to int
            Highest rate first; 0 is that of frozen tensors.
        """
        own, counts = own_multipliers(symbol), {}
        for name in self.trainable:
            rate = learning_rate * self.multipliers.get(name, 1.0) * own.get(name, 1.0)
            counts[rate] = counts.get(rate, 0) + 1
        if self.frozen:
            counts[0.0] = counts.get(0.0, 0) + len(self.frozen)
        return dict(sorted(counts.items(), reverse=True))

    def describe(self, arg_params_shapes):
        """Return one line: counts of tensors and numbers on each side, and the BatchNorm mode.

        Parameters
        ----------
        arg_params_shapes : dict of str to tuple of int
        """
        def numbers(names):
            return sum(math.prod(arg_params_shapes[name]) for name in names)

        how = "" if not self.frozen else " by lr_mult 0" if self.method == "lr_mult" else " and get no gradient"
        return (f"plan {self.name}: {len(self.trainable)} tensors train ({numbers(self.trainable):,} parameters), "
                f"{len(self.frozen)} are frozen ({numbers(self.frozen):,}){how}; BatchNorm statistics: "
                f"{self._statistics()}")

    def _statistics(self):
        if self.batch_norm == "eval":
            return "fixed (eval mode)"
        if self.batch_norm == "frozen":
            return "fixed in frozen layers, moving in the others" if self.frozen else "moving (train mode)"
        if self.name == "head":  # MXNet moves them in BatchNorm's backward pass, and none goes through a fixed backbone
            return "each batch's own in training (train mode), the moving ones stay"
        return "moving (train mode)"


def own_multipliers(symbol):
    """Return the ``lr_mult`` attributes a symbol's own variables carry, as MXNet's optimizers read them."""
    return {name: float(attributes["__lr_mult__"]) for name, attributes in symbol.attr_dict().items()
            if "__lr_mult__" in attributes}


def describe_rates(rates):
    """Return the effective learning rates of `FreezePlan.rates` in one line, a long list as its range."""
    rows = [f"{'frozen' if rate == 0 else format(rate, '.3g')} ({count})" for rate, count in rates.items()]
    if len(rows) > 6:
        moving = [rate for rate in rates if rate]
        rows = [f"{len(moving)} rates from {moving[0]:.3g} to {moving[-1]:.3g} ({sum(rates[r] for r in moving)})"] + (
            [rows[-1]] if 0.0 in rates else [])
    return "learning rate (tensors): " + ", ".join(rows)


def freeze_plan(name: str, symbol: Any, head_parameters: Sequence[str], batch_norm: Optional[str] = None,
                options: Optional[FreezeOptions] = None) -> FreezePlan:
    """Make a plan by name.

    Parameters
    ----------
    name : {"full", "head", "discriminative", "scratch"}
        ``gradual`` and ``two-stage`` are several of these one after another: see `mxft.training.stages`.
    symbol : mx.sym.Symbol
        The network with its new head.
    head_parameters : sequence of str
        The head's own parameters.
    batch_norm : {"train", "eval"}, optional
        When None, eval in frozen layers and train in all others.
    options : FreezeOptions, optional

    Returns
    -------
    FreezePlan

    Raises
    ------
    InputError
        An unknown plan or mode, a head parameter the network does not have, a pattern that matches nothing, or
        everything.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc0")
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="fc1"), name="softmax")
    >>> freeze_plan("head", net, ["fc1_weight", "fc1_bias"]).frozen
    ('fc0_weight', 'fc0_bias')
    """
    options = options or FreezeOptions()
    check_plan(name, batch_norm, options)
    parameters = parameters_of(symbol)
    for parameter in head_parameters:
        if parameter not in parameters:
            raise InputError(f"plan {name}: expected a head parameter of the network, received {parameter!r}; "
                             f"{nearest(parameter, parameters)}")
    trainable = list(head_parameters) if name == "head" else parameters
    frozen = set(parameters) - set(trainable) | asked_to_freeze(symbol, options)
    multipliers = _multipliers(symbol, head_parameters, options) if name == "discriminative" else {}
    frozen |= {parameter for parameter, factor in multipliers.items() if factor == 0}
    own = own_multipliers(symbol)
    frozen |= {parameter for parameter in parameters if own.get(parameter) == 0 and parameter not in head_parameters}
    _require_both(parameters, frozen, options)
    mode = batch_norm or ("train" if not frozen else "eval" if name == "head" else "frozen")
    return FreezePlan(name, tuple(p for p in parameters if p not in frozen),
                      tuple(p for p in parameters if p in frozen), mode,
                      {p: factor for p, factor in multipliers.items() if p not in frozen and factor != 1},
                      options.method)


def asked_to_freeze(symbol, options):
    """Return the names of the parameters that patterns match and that lie before a layer to freeze through.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    options : FreezeOptions

    Returns
    -------
    set of str

    Raises
    ------
    InputError
        No such layer, or a pattern that matches nothing.
    """
    through = set(parameters_through(symbol, options.through)) if options.through else set()
    return through | _matching(options.patterns, parameters_of(symbol))


def _matching(patterns, parameters):
    frozen = set()
    for pattern in patterns:
        matched = fnmatch.filter(parameters, pattern)
        if not matched:
            raise InputError(f"freeze: expected a pattern that matches a parameter, received "
                             f"`freezing.patterns={pattern!r}`; {nearest(pattern, parameters)}")
        frozen.update(matched)
    return frozen


def _require_both(parameters, frozen, options):
    """Refuse a plan that leaves nothing to train."""
    if parameters and len(frozen) == len(parameters):
        given = next((name for name in ("patterns", "through") if getattr(options, name)), "backbone_lr_mult")
        raise InputError("freeze: expected something left to train, received "
                         f"`freezing.{given}={getattr(options, given)!r}`, which "
                         f"matches all {len(parameters)} parameters")


def _multipliers(symbol, head_parameters, options):
    head, above = set(head_parameters), layers_above(symbol)
    first = min([above[name] for name in above if name not in head], default=0)
    of_head = 1.0 if options.head_lr_mult is None else options.head_lr_mult
    of_backbone = BACKBONE_LR_MULT if options.backbone_lr_mult is None else options.backbone_lr_mult
    decay = options.layer_decay or 1.0
    return {name: of_head if name in head else of_backbone * decay ** (above[name] - first) for name in above}


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
    plan = freeze_plan("full", symbol, (), options=FreezeOptions(patterns=tuple(patterns)))
    return dataclasses.replace(plan, name="patterns" if plan.frozen else "full", batch_norm="frozen")
