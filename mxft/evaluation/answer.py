"""What a network says of one image, in its own terms: probabilities of classes or of tags, numbers, or class scores."""
import dataclasses
import shlex
from typing import Optional

import numpy as np

from mxft.data.target_spec import MULTI_LABEL, THRESHOLD, manifest_target
from mxft.errors import InputError
from mxft.network.anatomy import Output
from mxft.network.anatomy.outputs import EMBEDDING, INDEPENDENT, LOG_PROBABILITIES, LOGITS, MAP, SCORES, VALUES
from mxft.network.graph import Graph
from mxft.wording import BriefRepr

_NOT_ANSWERED = {
    MAP: "a map: a segmentation's or a detector's, which no class or number sums up; mxft export --to onnx --model "
         "{model}{shape} --output network.onnx writes the network",
    EMBEDDING: "an embedding, which names nothing by itself; mxft extract-features --model {model}{shape} FOLDER "
               "embeddings.npz writes it"}


@dataclasses.dataclass(frozen=True, repr=False)
class Answer(BriefRepr):
    """One output's numbers for one image.

    Parameters
    ----------
    output : mxft.network.anatomy.Output
    scores : numpy.ndarray
        Float ``(K,)``.
    """

    output: Output
    scores: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The output's own numbers, as the network gives them: float ``(K,)``."""
        return self.output.link(self.scores)

    @property
    def probabilities(self) -> Optional[np.ndarray]:
        """Probabilities, float ``(K,)``, of classes or of each tag by itself; None of an output that has none."""
        return self.output.probabilities(self.scores)

    @property
    def shown(self) -> np.ndarray:
        """What a person is shown: probabilities where there are any, else the output's own numbers."""
        return self.output.shown(self.values)

    def top(self, k):
        """Return the `k` highest as (number, value), highest first; of regression all, in their order.

        Parameters
        ----------
        k : int

        Returns
        -------
        list of (int, float)
        """
        shown = self.shown
        order = range(len(shown)) if self.output.kind == VALUES else np.argsort(-shown, kind="stable")[:k]
        return [(int(i), float(shown[i])) for i in order]

    def said(self, thresholds):
        """Return the labels whose probability reaches their threshold as (number, probability), highest first.

        Parameters
        ----------
        thresholds : sequence of float

        Returns
        -------
        list of (int, float)
        """
        return [(number, value) for number, value in self.top(len(thresholds)) if value >= thresholds[number]]


def answering_outputs(checkpoint, name=None):
    """Return the outputs that say something of an image: the one called `name`, or all that do.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    name : str, optional

    Returns
    -------
    tuple of mxft.network.anatomy.Output
        The main one first.

    Raises
    ------
    InputError
        The one that was named, or every one, is a map or an embedding; or a face network as it was trained, behind a
        margin that reads labels.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.network.checkpoint import Checkpoint
    >>> net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=10, name="fc1")
    >>> net = mx.sym.SoftmaxOutput(net, name="softmax")
    >>> checkpoint = Checkpoint(net, {"fc1_weight": mx.nd.ones((10, 12)), "fc1_bias": mx.nd.zeros((10,))}, {})
    >>> answering_outputs(checkpoint)[0].kind
    'probabilities'
    """
    anatomy, model = checkpoint.anatomy, checkpoint.name
    anatomy.image  # noqa: B018 - refuses several inputs
    _refuse_random(checkpoint)
    main = anatomy.output(name)
    if main.kind in _NOT_ANSWERED and anatomy.is_face_training and name is None:
        raise InputError(f"network names nothing: expected classes, probabilities or values, received a face network "
                         f"as it was trained, whose classes lie behind a margin that reads labels; mxft slim --model "
                         f"{shlex.quote(model)} keeps its embedding, {main.name}")
    if main.kind in _NOT_ANSWERED:
        why = _NOT_ANSWERED[main.kind].format(model=shlex.quote(model), shape=_shape_flag(checkpoint))
        raise InputError(f"network names nothing: expected classes, probabilities or values, received the output "
                         f"{main.name}, {why}")
    others = () if name else tuple(output for output in anatomy.served
                                   if output != main and output.kind not in _NOT_ANSWERED)
    return (main, *others)


def _refuse_random(checkpoint):
    """Refuse a network that gives other numbers each time it is asked."""
    for node in Graph(checkpoint.symbol).operators():
        if node.op == "Dropout" and node.attrs.get("mode", "training") == "always":
            raise InputError(f"network gives other numbers each time: expected layers that compute the same, received "
                             f"{node.name}, a Dropout in mode 'always', in {checkpoint.name}")


def _shape_flag(checkpoint):
    """Return the flag without which a command does not know the size of a checkpoint's images, or nothing."""
    shape = ",".join(map(str, checkpoint.proposed_shape))
    return "" if checkpoint.input_spec else f" --image-shape {shape}"


def names_of(output, classes=None):
    """Return a name for each of an output's numbers.

    Parameters
    ----------
    output : mxft.network.anatomy.Output
    classes : sequence of str, optional
        Names for as many numbers, or two for the one probability of a logistic output: the second is its name.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from mxft.network.anatomy import Link
    >>> names_of(Output("smile", "independent probabilities", 0, (0, 0), Link("sigmoid"), 1, ("data",)), ["no", "yes"])
    ['yes']
    """
    count = output.size or len(classes or ())
    if classes and len(classes) == count:
        return list(classes)
    if count == 1:
        return [classes[1] if classes and len(classes) == 2 else output.name]
    word = {VALUES: "value", SCORES: "class", INDEPENDENT: "class"}.get(output.kind, "class")
    return [f"{word} {number}" for number in range(count)]


def thresholds_of(checkpoint, output):
    """Return from which probability on each label of a multi-label network is said.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    output : mxft.network.anatomy.Output

    Returns
    -------
    tuple of float or None
        As chosen on the validation images of this epoch, or as the manifest of an imported network has them; 0.5 for
        each where neither says; None of an output that is not what the manifest calls multi-label.

    Raises
    ------
    InputError
        The manifest has another number of thresholds, or none that are from 0 to 1.
    """
    target = manifest_target(checkpoint.manifest)
    if target is None or target.kind != MULTI_LABEL or output.kind != INDEPENDENT or output.size != target.size:
        return None
    chosen = checkpoint.metrics.get("val_thresholds", checkpoint.manifest.get("thresholds"))
    if chosen is None:
        return (THRESHOLD,) * target.size
    if not (isinstance(chosen, list) and len(chosen) == target.size
            and all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in chosen)):
        raise InputError(f"manifest of {checkpoint.name}: expected {target.size} thresholds from 0 to 1, received "
                         f"val_thresholds={chosen!r}")
    return tuple(map(float, chosen))


def check_classes(checkpoint, output):
    """Refuse a manifest with another number of class names than an output has numbers.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    output : mxft.network.anatomy.Output

    Raises
    ------
    InputError
    """
    names = checkpoint.classes
    allowed = {output.size, 2} if output.size == 1 else {output.size}
    if names is not None and output.size and len(names) not in allowed:
        raise InputError(f"manifest of {checkpoint.name}: expected {output.size} class names, one for each output, "
                         f"received {len(names)}; is it the manifest of another checkpoint?")


def mean_scores(output, scores):
    """Return scores of which the output is the mean of the outputs of several: what test-time crops vote for.

    Parameters
    ----------
    output : mxft.network.anatomy.Output
    scores : sequence of numpy.ndarray
        Float ``(N, K)`` each.

    Returns
    -------
    numpy.ndarray
        Float ``(N, K)``.
    """
    mean = np.mean([output.link(each) if output.probabilities(each) is None else output.probabilities(each)
                    for each in scores], axis=0)
    own = output.kind not in (LOGITS, LOG_PROBABILITIES) and output.link.name == "identity"
    if own or output.probabilities(scores[0]) is None:  # the output's own numbers are its scores
        return mean
    tiny = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(mean, tiny))
    if output.link.name == "sigmoid":
        logs -= np.log(np.maximum(1 - mean, tiny))
    return logs * output.link.divisor
