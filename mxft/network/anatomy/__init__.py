"""A network's anatomy: what goes in, what comes out and what it is, where its features are, which states move.

Decided once, from graph, parameters and manifest, when a checkpoint is opened; every verb asks this one value.
"""
import contextlib
import dataclasses
import io
from typing import Optional

from mxft.compat import mx
from mxft.errors import InputError, nearest
from mxft.machine.quiet import quiet_native
from mxft.network.anatomy.combinations import IMAGES_PROBED
from mxft.network.anatomy.features import FeatureLayer, blocked_embedding, find_embedding, find_feature
from mxft.network.anatomy.inputs import Input, find_inputs, needs_of
from mxft.network.anatomy.outputs import (
    EMBEDDING,
    LOSS,
    Link,
    Output,
    find_output,
)
from mxft.network.graph import Graph, inner_edges, internal_output
from mxft.network.input_spec import InputSpec

PROBED_SIDES = (224, 112, 128, 299, 32, 64, 96, 160, 192, 256, 28, 48, 331, 384, 512)  # pixels, of published networks
_OF_FACES = "(x - 127.5) * 0.0078125"  # what insightface's graphs begin with

__all__ = ["Anatomy", "FeatureLayer", "Input", "Link", "Output", "State", "anatomy_of"]


@dataclasses.dataclass(frozen=True)
class State:
    """An auxiliary state: what an operator tracks and writes by itself in training.

    Parameters
    ----------
    name : str
    layer, operator : str
        That writes it.
    """

    name: str
    layer: str
    operator: str


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """What a network is.

    Parameters
    ----------
    inputs : tuple of Input
        The image first.
    labels : tuple of str
        Variables that only losses read.
    outputs : tuple of Output
        In the symbol's order.
    is_face_training : bool
        A face network as it was trained: its embedding handed out beside a loss, or behind a margin that reads labels.
        What serves of it is the embedding.
    feature : FeatureLayer or None
        What a new head stands on; None where none is found, and then `no_feature` says why.
    embedding : FeatureLayer or None
    no_feature : str
    no_embedding : str
    states : tuple of State
    """

    inputs: tuple
    labels: tuple
    outputs: tuple
    is_face_training: bool
    feature: Optional[FeatureLayer]
    embedding: Optional[FeatureLayer]
    no_feature: str
    no_embedding: str
    states: tuple

    @property
    def image(self):
        """The one Input, an image.

        Raises
        ------
        InputError
            The network reads several inputs, which are named, or one that is no image.
        """
        if len(self.inputs) == 1 and self.inputs[0].is_index:
            raise InputError(f"network does not take an image: expected pixels, received {self.inputs[0].name}, whose "
                             "numbers an Embedding looks up: words or categories")
        if len(self.inputs) == 1:
            return self.inputs[0]
        listed = ", ".join(f"{one.name} ({'an image' if one.is_image else 'no image'})" for one in self.inputs)
        raise InputError(f"network does not take one image: expected one input, received {len(self.inputs)}: {listed}; "
                         "mxft feeds one image to a network, or are these parameters the checkpoint lacks?")

    @property
    def served(self):
        """The outputs an image alone gives: neither losses nor what reads labels."""
        names = {one.name for one in self.inputs}
        return tuple(output for output in self.outputs if output.kind != LOSS and set(output.needs) <= names)

    def output(self, name=None):
        """Return one of the outputs that serve.

        Parameters
        ----------
        name : str, optional
            Of its layer, with or without ``_output``. The first one when None, an embedding beside others last.

        Returns
        -------
        Output

        Raises
        ------
        InputError
            None of that name, or none at all; what there is, is named.
        """
        names = [output.name for output in self.served]
        if not names:
            found = ", ".join(f"{output.name} ({output.kind})" for output in self.outputs)
            raise InputError(f"network gives nothing for an image alone: expected an output that reads no labels, "
                             f"received {found}")
        if name is None:
            return next((output for output in self.served if output.kind != EMBEDDING), self.served[0])
        plain = name[:-len("_output")] if name.endswith("_output") and name not in names else name
        if plain not in names:
            raise InputError(f"output is not in the network: expected one of {', '.join(names)}, received "
                             f"output={name!r}; {nearest(plain, names)}")
        return self.served[names.index(plain)]

    def calibrated(self, temperature):
        """Return the anatomy of a network whose main output is served at a temperature: see `Checkpoint.calibration`.

        Parameters
        ----------
        temperature : float
            What the logits are divided by beside what the graph does; 1 changes nothing.

        Returns
        -------
        Anatomy
        """
        if temperature == 1 or not self.served:
            return self
        main = self.output()
        return dataclasses.replace(self, outputs=tuple(output.calibrated(temperature) if output is main else output
                                                       for output in self.outputs))

    def served_symbol(self, symbol):
        """Return the network up to the scores of the outputs that serve, its losses left out.

        Parameters
        ----------
        symbol : mx.sym.Symbol
            The one this is the anatomy of.

        Returns
        -------
        mx.sym.Symbol
            One output for each of `served`, in their order.
        """
        self.output()
        return mx.sym.Group([internal_output(symbol, *output.scores) for output in self.served])

    def require_feature(self):
        """Return `feature`; InputError with the reason where there is none."""
        if self.feature is None:
            raise InputError(self.no_feature)
        return self.feature

    def require_embedding(self):
        """Return `embedding`; InputError with the reason where there is none."""
        if self.embedding is None:
            raise InputError(self.no_embedding)
        return self.embedding

    def default_spec(self, spec=None):
        """Return the InputSpec of a network without manifest: `spec` (or 224x224 raw RGB) in its own size and channels.

        Parameters
        ----------
        spec : InputSpec, optional

        Returns
        -------
        InputSpec
        """
        spec = spec or InputSpec()
        image = self.inputs[0] if self.inputs else None
        if image is None:
            return spec
        channels = image.channels if image.channels in (1, 3) else spec.shape[0]
        return dataclasses.replace(spec, shape=(channels, *(image.size or spec.shape[1:])))

    def __repr__(self):
        told = self.describe().replace("\n", "; ")
        return f"<Anatomy {told[:250]}{'…' * (len(told) > 250)}>"

    def describe(self):
        """Return three lines: what goes in, what comes out, where the features are."""
        names = {one.name for one in self.inputs}
        return "\n".join((f"input: {'; '.join(map(_describe_input, self.inputs)) or 'none'}",
                          f"output: {'; '.join(_describe_output(output, names) for output in self.outputs)}",
                          self._describe_features()))

    def _describe_features(self):
        parts = []
        if self.feature:
            behind = f", classifier {self.feature.classifier}" if self.feature.classifier else \
                " (the network ends in an embedding)"
            parts.append(f"feature layer: {self.feature.name}{behind}")
        else:
            parts.append("feature layer: none is found")
        if self.is_face_training:
            parts.append(f"a face network as it was trained, embedding {self.embedding.name}" if self.embedding
                         else "a face network as it was trained")
        layers = len({state.layer for state in self.states})
        parts.append(f"{len(self.states)} states of {layers} layers move in training" if layers else "no states")
        return "; ".join(parts)

    def to_dict(self):
        """Return all of it, ready for JSON."""
        return dataclasses.asdict(self)


def _describe_input(one):
    size = "x".join(map(str, one.size[::-1])) if one.size else "of a size the graph does not tell"
    channels = f"{one.channels} channels, " if one.channels else ""
    words = f"{one.name}, image, {channels}{size}, {one.layout}" if one.is_image else f"{one.name}, no image"
    return words + (f", the graph computes {one.normalisation} first" if one.normalisation else "")


def _describe_output(output, inputs=()):
    temperature = f" at temperature {output.link.temperature:g}" if output.link.temperature != 1 else ""
    temperature += f", calibrated at temperature {output.link.calibration:.4g}" if output.link.calibration != 1 else ""
    size = f"{output.size:,} " if output.size else ""
    reads = [name for name in output.needs if name not in inputs]
    labels = f" (reads {', '.join(reads)})" if reads else ""
    return f"{output.name}, {size}{output.kind}{temperature}{labels}"


def anatomy_of(symbol, arg_params=None, aux_params=None, manifest=None):
    """Return what a network is.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray, optional
        Their names tell inputs from parameters, their shapes channels and sizes.
    manifest : dict, optional
        Classes, input, embedding: what the numbers alone do not tell.

    Returns
    -------
    Anatomy

    Notes
    -----
    Nothing is bound. What an output is, is told by the operators it ends in: a FullyConnected at the very end is taken
    for logits, unless the manifest calls it an embedding.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc1")
    >>> anatomy_of(mx.sym.LogisticRegressionOutput(net, name="tags")).output().kind
    'independent probabilities'
    """
    graph, facts = Graph(symbol), manifest or {}
    values = {**(arg_params or {}), **(aux_params or {})}
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    spec = InputSpec.from_dict(facts["input"]) if facts.get("input") else None
    if spec is None and facts.get("shape"):  # as files of other programs tell it
        spec = InputSpec(tuple(facts["shape"]))
    inputs, labels = find_inputs(graph, shapes, spec)
    names = {*labels, *(one.name for one in inputs)}
    inner = _edge_shapes(symbol, inputs, shapes)
    outputs = tuple(find_output(graph, position, needs_of(graph, edge, names), facts, inner)
                    for position, edge in enumerate(graph.heads))
    blocked = blocked_embedding(graph)
    outputs = _under_own_names(symbol, tuple(_as_embedding(graph, output, blocked) for output in outputs))
    served = {one.name for one in inputs}
    reads_labels = any(output.kind != LOSS and not set(output.needs) <= served for output in outputs)
    main = _main(outputs, served)
    feature, no_feature = _found(find_feature, graph, main, None if main is None else outputs[main].kind)
    embedding, no_embedding = _found(find_embedding, graph, facts)
    return Anatomy(inputs, labels, outputs, blocked is not None or (reads_labels and _main(outputs, served) is None),
                   feature, embedding, no_feature, no_embedding, _states(graph, symbol))


def _under_own_names(symbol, outputs):
    """Return outputs of which no two have one name: parts of one layer as MXNet calls them, ``halves_output1``."""
    names, own, given = [output.name for output in outputs], symbol.list_outputs(), []
    for output in outputs:
        name = output.name if names.count(output.name) == 1 else own[output.position]
        while name in given:
            name += f"_{output.position}"
        given.append(name)
    return tuple(dataclasses.replace(output, name=name) for output, name in zip(outputs, given))


def _main(outputs, inputs):
    """Return the position of the first output that is more than a loss and needs nothing but `inputs`; or None."""
    found = [output.position for output in outputs if output.kind != LOSS and set(output.needs) <= inputs]
    return found[0] if found else None


def _found(find, *arguments):
    try:
        return find(*arguments), ""
    except InputError as error:
        return None, error.message


def _as_embedding(graph, output, blocked):
    """Return an output as the embedding it is where it is the blocked one of a face network."""
    node = graph.nodes[graph.heads[output.position][0]]
    if blocked is None or not node.inputs or node.inputs[0][0] != blocked or node.op != "BlockGrad":
        return output
    return dataclasses.replace(output, kind=EMBEDDING, scores=node.inputs[0], link=Link(),
                               name=graph.nodes[blocked].name)


def _states(graph, symbol):
    names = set(symbol.list_auxiliary_states())
    return tuple(State(graph.nodes[index].name, node.name, node.op) for node in graph.operators()
                 for index, _ in node.inputs if graph.nodes[index].is_variable and graph.nodes[index].name in names)


def fitting_shape(symbol, arg_params, aux_params, anatomy, usual=224):
    """Return a size of images, ``(C, H, W)``, that a network takes with these parameters: what a message proposes.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
    anatomy : Anatomy
        Of the network.
    usual : int
        Pixels a side, where any size fits.

    Returns
    -------
    tuple of int
        In the usual size where it fits or none of `PROBED_SIDES` does; 112 of an embedding behind insightface's
        normalisation.
    """
    image = anatomy.inputs[0] if anatomy.inputs else None
    channels = image.channels if image and image.channels in (1, 3) else 3
    if image is None or image.is_index or len(anatomy.inputs) != 1:
        return channels, usual, usual
    is_face = anatomy.outputs[0].kind == EMBEDDING and image.normalisation.endswith(_OF_FACES)
    arguments = set(symbol.list_arguments())
    known = {name: value.shape for name, value in {**arg_params, **aux_params}.items() if name in arguments}
    sides = [*([112] * is_face), usual, *PROBED_SIDES]
    fits = next((side for side in sides if infer_outputs(symbol, {**known, image.name: (1, channels, side, side)})),
                usual)
    return channels, fits, fits


def _edge_shapes(symbol, inputs, shapes):
    """Return {edge: shape} for `IMAGES_PROBED` images of the network's size, or of one it takes; empty if none fits."""
    if len(inputs) != 1 or inputs[0].is_index:
        return {}
    image, arguments = inputs[0], set(symbol.list_arguments())
    known = {name: shape for name, shape in shapes.items() if name in arguments}
    for size in [image.size] if image.size else [(side, side) for side in PROBED_SIDES]:
        for channels in [image.channels] if image.channels else (3, 1):
            given = {**known, image.name: (IMAGES_PROBED, channels, *size)}
            if infer_outputs(symbol, given):
                _, found, _ = symbol.get_internals().infer_shape_partial(**given)
                return dict(zip(inner_edges(symbol), map(tuple, found)))
    return {}


def infer_outputs(symbol, shapes):
    """Return the shape of each output, None where MXNet cannot infer them all from these shapes of its arguments."""
    with contextlib.redirect_stdout(io.StringIO()), quiet_native():  # MXNet prints what a failed inference knew
        try:
            _, found, _ = symbol.infer_shape_partial(**shapes)
        except mx.base.MXNetError:
            return None
    return [tuple(shape) for shape in found] if found and all(found) else None
