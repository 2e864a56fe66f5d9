"""From a checkpoint to the network that will be trained: new head or kept head, parameters matched and reported."""
import dataclasses

import numpy as np

from mxft.compat import mx
from mxft.data.target_spec import CLASSES, MULTI_LABEL, REGRESSION, TargetSpec, manifest_target
from mxft.errors import InputError
from mxft.inference.precision import Precision
from mxft.network.anatomy.combinations import adds_bias, is_dense
from mxft.network.anatomy.kinds import INDEPENDENT, LOGITS, PROBABILITIES, VALUES
from mxft.network.conversions import as_read
from mxft.network.graph import Graph, internal_output
from mxft.network.transfer import match_parameters
from mxft.surgery import FeatureLayer, attach_head, label_names, with_loss
from mxft.training.objective import Objective, TargetUnits

_LOSS_OF = {CLASSES: "softmax", MULTI_LABEL: "logistic", REGRESSION: "linear"}
_LOSS_OPERATORS = {MULTI_LABEL: ("LogisticRegressionOutput",),
                   REGRESSION: ("LinearRegressionOutput", "MAERegressionOutput")}


@dataclasses.dataclass(frozen=True)
class Network:
    """A network ready to be trained.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in the loss it is trained with.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        What was loaded; the rest is the head's and will be initialised.
    head_parameters : tuple of str
    layer : str
        The classification layer.
    feature : mxft.surgery.FeatureLayer
    report : mxft.network.transfer.TransferReport
    num_classes : int
    hidden : tuple of mxft.surgery.attach.Dense
        Layers of the new head before the classification layer.
    target : mxft.data.target_spec.TargetSpec, optional
        What it is trained to give; one of `num_classes` classes when None.
    units : mxft.training.objective.TargetUnits, optional
        Of regression, the units it is trained in.
    precision : mxft.inference.precision.Precision
        In which the backbone is computed where it is frozen, and the network where it is validated.
    """

    symbol: object
    arg_params: dict
    aux_params: dict
    head_parameters: tuple
    layer: str
    feature: FeatureLayer
    report: object
    num_classes: int
    hidden: tuple = ()
    target: object = None
    units: object = None
    precision: Precision = Precision()

    def __post_init__(self):
        if self.target is None:
            object.__setattr__(self, "target", TargetSpec(CLASSES, self.num_classes))

    @property
    def objective(self):
        """What `mxft.training.fit.fit` minimises."""
        return Objective(self.target, self.units)

    @property
    def label_name(self):
        """What the loss calls its labels."""
        return label_names(self.symbol)[0]

    @property
    def loss(self):
        """The loss in a manifest's words: ``softmax``, ``sigmoid`` or, where the output is numbers, ``values``."""
        return {CLASSES: "softmax", MULTI_LABEL: "sigmoid", REGRESSION: VALUES}[self.target.kind]

    def describe(self):
        """Return what was done to the weights, in a few lines."""
        old = self.feature.classifier
        replaced = f" in place of {old}" if old else " (the network's own output)"
        made = "new head" if self.report.named("new") else "kept head"
        through = f" through {', '.join(map(str, self.hidden))}" if self.hidden else ""
        lines = [f"{made}: {self.layer} with {self.target.describe()} on {self.feature.name}{through}{replaced}"]
        if self.feature.discarded:
            lines.append(f"  warning: trained layers after {self.feature.name} are discarded: "
                         f"{', '.join(self.feature.discarded)}")
        return "\n".join([*lines, self.report.summary()])


def with_new_head(checkpoint, num_classes, image_shape, layer=None, hidden=(), name=None, target=None):
    """Cut a checkpoint at its feature layer and give it a new head.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    num_classes : int
    image_shape : tuple of int
        ``(C, H, W)``.
    layer : str, optional
        Feature layer; found by graph when None.
    hidden : sequence of mxft.surgery.attach.Dense
        Layers between the feature and the output.
    name : str, optional
        Of the output layer; see `attach_head`.
    target : mxft.data.target_spec.TargetSpec, optional
        Of as many outputs; one of N classes when None.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        No such layer, or any parameter but the head's is missing or of another shape.
    """
    kind = target.kind if target else CLASSES
    feature = None if layer else checkpoint.anatomy.require_feature()
    head = attach_head(checkpoint.symbol, num_classes, layer, name, hidden, _LOSS_OF[kind], feature)
    report, args, auxs = match_parameters(head.symbol, checkpoint.arg_params, checkpoint.aux_params, image_shape,
                                          new=head.parameters)
    report.require_only_new(head.parameters)
    units = TargetUnits(head.layer, target.mean, target.deviation) if kind == REGRESSION and target.mean else None
    return Network(head.symbol, as_read(head.symbol, args), auxs, head.parameters, head.layer, head.feature, report,
                   num_classes, tuple(hidden), target, units)


def with_kept_head(checkpoint, num_classes, image_shape, target=None):
    """Keep a checkpoint's own classifier, to continue training the same classes.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    num_classes : int
    image_shape : tuple of int
        ``(C, H, W)``.
    target : mxft.data.target_spec.TargetSpec, optional
        Of as many outputs; one of N classes when None. A LogisticRegressionOutput, LinearRegressionOutput or
        MAERegressionOutput of its kind stays as it is; scores without one are given one.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        The checkpoint has no classifier, one for another number of classes, or one of another kind of targets.
    """
    if target is not None and target.kind != CLASSES:
        return _with_kept_loss(checkpoint, image_shape, target)
    given = _own_output(checkpoint)
    if given is not None and given.kind in (INDEPENDENT, VALUES) and given.size == num_classes > 1:
        kind = MULTI_LABEL if given.kind == INDEPENDENT else REGRESSION
        raise InputError(f"`require_head`: expected a head of one of {num_classes} classes, received the "
                         f"{given.kind} of {given.name} in {checkpoint.name}; `target={kind!r}` continues with it, "
                         "or leave `require_head` out to get a new head")
    feature = checkpoint.anatomy.require_feature()
    if feature.classifier is None:
        raise InputError(f"`require_head`: expected a classifier in {checkpoint.name}, received a network that ends in "
                         f"the embedding {feature.name!r}; leave `require_head` out to get a new head")
    graph, output = Graph(checkpoint.symbol), checkpoint.anatomy.output()
    layer = [node for node in graph.operators() if node.name == feature.classifier and is_dense(graph, node)][-1]
    outputs = _outputs_of(graph, layer, checkpoint.arg_params)
    if outputs != num_classes:
        raise InputError(f"`require_head`: expected a head of {num_classes} classes, received {feature.classifier} "
                         f"with {outputs} in {checkpoint.name}; leave `require_head` out to get a new head")
    symbol = mx.sym.SoftmaxOutput(_logits(checkpoint.symbol, output), name="softmax")
    report, args, auxs = match_parameters(symbol, checkpoint.arg_params, checkpoint.aux_params, image_shape)
    report.require_only_new(())
    head = _parameters_of(graph, layer, args)
    return Network(symbol, as_read(symbol, args), auxs, head, feature.classifier, feature, report, num_classes)


def _logits(symbol, output):
    """Return what a SoftmaxOutput reads to give an output's own probabilities: ``(N, K)``, its temperature in it."""
    scores = internal_output(symbol, *output.scores)
    if output.kind == PROBABILITIES and output.link.name == "identity":
        scores = mx.sym.log(mx.sym.clip(scores, a_min=float(np.finfo(np.float32).tiny), a_max=1.0, name="kept_clip"),
                            name="kept_log")
    elif output.link.temperature != 1:
        scores = mx.sym._internal._div_scalar(scores, scalar=output.link.temperature, name="kept_temperature")
    if Graph(symbol).nodes[output.scores[0]].op in ("FullyConnected", "Flatten"):
        return scores
    return mx.sym.Flatten(scores, name="kept_scores")


def _outputs_of(graph, layer, args):
    """Return how many numbers a classifier gives, by its attributes or, of a product, by its parameter."""
    known = layer.attrs.get("num_hidden", layer.attrs.get("num_filter"))
    shape = (0, 0) if known else args[graph.nodes[layer.inputs[1][0]].name].shape
    return int(known or shape[0 if layer.flag("transpose_b") else -1])


def _parameters_of(graph, layer, args):
    """Return the names of a classifier's parameters, a bias that stands behind its product too."""
    written_out = [node for node in graph.consumers()[layer.index] if adds_bias(graph, node)]
    return tuple(name for node in (layer, *written_out) for name in graph.variables_of(node, named_in=set(args)))


def _own_output(checkpoint):
    """Return the Output a checkpoint answers with, None where it has none that serves."""
    try:
        return checkpoint.anatomy.output()
    except InputError:
        return None


def _with_kept_loss(checkpoint, image_shape, target):
    """Return a checkpoint's network with its head for several labels, or numbers, and the loss it has."""
    output = checkpoint.anatomy.output()
    kinds = (INDEPENDENT,) if target.kind == MULTI_LABEL else (VALUES, LOGITS)
    if output.kind not in kinds or output.size not in (target.size, None):
        raise InputError(f"`require_head`: expected a head that gives {target.describe()}, received the {output.kind} "
                         f"of {output.name}, {output.size} an image, in {checkpoint.name}; leave `require_head` out to "
                         "get a new head")
    names = checkpoint.classes
    if target.names and names and list(target.names) != list(names):
        place = next(number for number, pair in enumerate(zip(target.names, names)) if pair[0] != pair[1])
        raise InputError(f"`require_head`: expected the outputs of {checkpoint.name} in their order, received "
                         f"{target.names[place]!r} in place of {names[place]!r}; pack the records with the names in "
                         "its order")
    graph, feature = Graph(checkpoint.symbol), checkpoint.anatomy.require_feature()
    end, scores = graph.nodes[graph.heads[output.position][0]], graph.nodes[output.scores[0]]
    symbol = checkpoint.symbol[output.position]
    if end.op not in _LOSS_OPERATORS[target.kind]:
        symbol = with_loss(internal_output(checkpoint.symbol, *output.scores), _LOSS_OF[target.kind], target.size)
    report, args, auxs = match_parameters(symbol, checkpoint.arg_params, checkpoint.aux_params, image_shape)
    report.require_only_new(())
    layer = next((node for node in graph.operators() if node.name == feature.classifier), scores)
    head = _parameters_of(graph, layer, args)
    own = manifest_target(checkpoint.manifest)
    units = None
    if own and own.mean and scores.name == feature.classifier and {f"{scores.name}_weight",
                                                                   f"{scores.name}_bias"} == set(head):
        units = TargetUnits(scores.name, own.mean, own.deviation)
        target = dataclasses.replace(target, mean=own.mean, deviation=own.deviation)
    return Network(symbol, as_read(symbol, args), auxs, head, layer.name, feature, report, target.size, (), target,
                   units)


def without_parameters(network, image_shape):
    """Return the network with nothing loaded: every parameter will be initialised.

    Parameters
    ----------
    network : Network
    image_shape : tuple of int
        ``(C, H, W)``.

    Returns
    -------
    Network
        Its report calls every parameter new.

    Examples
    --------
    >>> without_parameters(network, (3, 224, 224)).arg_params    # doctest: +SKIP
    {}
    """
    report, args, auxs = match_parameters(network.symbol, {}, {}, image_shape)
    return dataclasses.replace(network, arg_params=args, aux_params=auxs, report=report)
