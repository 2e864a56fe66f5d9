"""Soft targets: label smoothing, mixup and class weights, with the exact gradient of the cross-entropy they ask for.

Label smoothing is Szegedy et al.'s (arXiv:1512.00567, section 7), mixup Zhang et al.'s (arXiv:1710.09412), balanced
class weights are scikit-learn's. SoftmaxOutput takes probabilities for labels but leaves out their sum (its gradient
is p - t, that of weighted targets is p·Σt - t) and its own `normalization`; both are put back here.
"""
import math

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, nearest
from mxft.network.graph import Graph, first_outputs
from mxft.training.gradient_scale import scale_gradient

NORMALIZATIONS = ("null", "batch", "valid")
_LEAST = 1e-30  # of a row's sum, so that a sample of weight 0 divides nothing by 0
_NOT_SOFT = {"multi_output": "one label an image", "preserve_shape": "scores of shape (N, classes)",
             "use_ignore": "labels that all count", "out_grad": "a loss that is the end of the graph"}


def soften(symbol, train, options, num_classes, seed):
    """Give a network and its data soft targets in place of labels.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Its one output is a SoftmaxOutput.
    train : mx.io.DataIter
        One label an image, ``(N,)``; with ``batches`` and ``batch_size``.
    options : mxft.training.fit.FitOptions
        `label_smoothing`, `mixup` and `class_weights` are read.
    num_classes : int
    seed : int
        Of the mixing; drawn from a RandomState of its own.

    Returns
    -------
    symbol : mx.sym.Symbol
        To bind. Its output is the same SoftmaxOutput, probabilities ``(N, C)``; the gradient it sends back is that of
        ``-Σ t·log softmax(z)`` for targets t of any row sum, times `grad_scale` and divided as `normalization` says.
    train : SoftTargets
        The same batches with targets ``(N, C)`` under the label's name; a row's sum is the image's weight.

    Raises
    ------
    InputError
        An option out of range, or a loss that has no meaning for soft targets; see `check_targets`.

    Notes
    -----
    What is saved is the user's own graph. Under ``normalization='valid'`` every image counts as valid, also one of
    weight 0. Where the options change nothing the gradients, and so the training, are bit for bit the plain ones.

    Examples
    --------
    >>> bound, train = soften(network.symbol, train, FitOptions(label_smoothing=0.1), 256, seed=0)   # doctest: +SKIP
    """
    check_targets(options, num_classes)
    return soft_softmax(symbol), SoftTargets(train, num_classes, options.label_smoothing, options.mixup,
                                             options.class_weights, seed)


def check_targets(options, num_classes=None):
    """Refuse label smoothing, mixup or class weights that are out of range.

    Parameters
    ----------
    options : mxft.training.fit.FitOptions
    num_classes : int, optional
        Where it is known already.

    Raises
    ------
    InputError
    """
    if not 0 <= options.label_smoothing < 1:
        raise InputError(f"label smoothing: expected a number of at least 0 and below 1, received "
                         f"`label_smoothing={options.label_smoothing}`")
    if not 0 <= options.mixup < math.inf:
        raise InputError(f"mixup: expected alpha to be a finite number of at least 0, received "
                         f"`mixup={options.mixup}`")
    if options.class_weights is not None:
        _check_weights(options.class_weights)
        if num_classes not in (None, len(options.class_weights)):
            raise InputError(f"class weights: expected one for each of the {num_classes} classes, received "
                             f"{len(options.class_weights)}")


def _check_weights(weights):
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise InputError(f"class weights: expected finite numbers of at least 0, not all of them 0, received "
                         f"`class_weight={tuple(weights)}`")


def soft_softmax(symbol):
    """Return a network whose SoftmaxOutput takes targets ``(N, C)`` of any row sum instead of labels.

    Raises
    ------
    InputError
        The network does not end in one SoftmaxOutput, or in one that does more than softmax cross-entropy.
    """
    graph = Graph(symbol)
    loss = graph.nodes[graph.heads[0][0]]
    if len(graph.heads) != 1 or loss.op != "SoftmaxOutput" or not graph.nodes[loss.inputs[1][0]].is_variable:
        raise InputError(f"soft targets: expected a network that ends in one SoftmaxOutput, received {loss.op} "
                         f"{loss.name!r} as the first of {len(graph.heads)} outputs")
    normalization = _check_loss(loss)
    source, output = loss.inputs[0]
    logits = symbol.get_internals()[first_outputs(symbol)[source] + output]
    label = graph.nodes[loss.inputs[1][0]].name
    if label in logits.list_arguments():
        raise InputError(f"soft targets: expected scores that do not depend on the label, received a network whose "
                         f"{graph.nodes[source].name!r} reads {label!r} (a margin head)")
    targets = mx.sym.Variable(label)
    weight = mx.sym.sum(targets, axis=1, keepdims=True)
    probability = mx.sym.broadcast_div(targets, mx.sym.maximum(weight, _LEAST))
    if normalization != "null":
        images = mx.sym.sum(mx.sym.ones_like(weight), axis=0, keepdims=True)
        weight = mx.sym.broadcast_div(weight, images)
    return mx.sym.SoftmaxOutput(scale_gradient(logits, weight), probability, name=loss.name,
                                grad_scale=float(loss.attrs.get("grad_scale", 1)))


def _check_loss(loss):
    """Return the normalization of a SoftmaxOutput node, refusing what soft targets cannot stand for."""
    for key, expected in _NOT_SOFT.items():
        if loss.flag(key):
            raise InputError(f"soft targets: expected {expected}, received {key}=True on {loss.name!r}")
    if float(loss.attrs.get("smooth_alpha", 0)):
        raise InputError(f"soft targets: expected label smoothing to be asked for once, received smooth_alpha="
                         f"{loss.attrs['smooth_alpha']} on {loss.name!r}; take it off and say `label_smoothing`")
    return loss.attrs.get("normalization", "null")


class SoftTargets(mx.io.DataIter):
    """Another iterator's batches with targets ``(N, C)`` in place of labels ``(N,)``.

    Parameters
    ----------
    train : mx.io.DataIter
        With ``batches`` and ``batch_size``.
    num_classes : int
        C.
    label_smoothing : float
        ε: the target is ``(1 - ε)·onehot + ε/C``.
    mixup : float
        α: images and targets become ``λ·x + (1 - λ)·x[order]``, one λ ~ Beta(α, α) and one order a batch; 0 for none.
    class_weights : sequence of float, optional
        A target row is multiplied by its class's weight, before mixing, so that mixed losses add up.
    seed : int

    Notes
    -----
    Rows that fill up a last batch are mixed like any others. An image's label is the first of its labels.

    Examples
    --------
    >>> data = mx.io.NDArrayIter(np.zeros((2, 3)), np.array([0., 1.]), 2, label_name="softmax_label")
    >>> data.batches = 1
    >>> SoftTargets(data, 2, label_smoothing=0.5).next().label[0].asnumpy().tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """

    def __init__(self, train, num_classes, label_smoothing=0.0, mixup=0.0, class_weights=None, seed=0):
        super().__init__(train.batch_size)
        self.batches = train.batches
        self._train, self._mixup, self._seed = train, mixup, seed
        self._epoch, self._done, self._random = 0, 0, np.random.RandomState([seed, 0])
        rows = (1 - label_smoothing) * np.eye(num_classes) + label_smoothing / num_classes
        weights = np.ones(num_classes) if class_weights is None else np.asarray(class_weights, float)
        self._rows = (weights[:, None] * rows).astype(np.float32)
        self.provide_data = train.provide_data
        self.provide_label = [mx.io.DataDesc(train.provide_label[0].name, (train.batch_size, num_classes))]

    def go_to(self, epoch, batch):
        """Go to a batch of an epoch, both counted from 0; the mixing is what it would have been there."""
        self._train.go_to(epoch, batch)
        self._begin(epoch)
        for _ in range(batch if self._mixup else 0):
            self._mixing(self.batch_size)
        self._done = batch

    def reset(self):
        """Begin the next epoch; before anything was read it does nothing."""
        self._train.reset()
        if self._done:
            self._begin(self._epoch + 1)

    def _begin(self, epoch):
        self._epoch, self._done, self._random = epoch, 0, np.random.RandomState([self._seed, epoch])

    def _mixing(self, rows):
        """Return the next batch's share and order."""
        return self._random.beta(self._mixup, self._mixup), self._random.permutation(rows)

    def next(self):
        """Return the next batch."""
        batch = self._train.next()
        self._done += 1
        labels = batch.label[0].asnumpy()
        targets, data = self._rows[labels.reshape(len(labels), -1)[:, 0].astype(int)], batch.data
        if self._mixup:
            share, order = self._mixing(len(targets))
            targets = (share * targets + (1 - share) * targets[order]).astype(np.float32)
            data = [_mix(images, share, order) for images in data]
        return mx.io.DataBatch(data, [mx.nd.array(targets)], pad=batch.pad, index=batch.index,
                               provide_data=self.provide_data, provide_label=self.provide_label)


def _mix(images, share, order):
    others = mx.nd.take(images, mx.nd.array(order, dtype="int32", ctx=images.context))
    return images * share + others * (1 - share)


def class_weights_balanced(labels, num_classes, classes=None):
    """Return weights that make every class count the same in all: ``n / (C · count)``, scikit-learn's "balanced".

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    num_classes : int
        C.
    classes : sequence of str, optional
        Names, for the message.

    Returns
    -------
    tuple of float

    Raises
    ------
    InputError
        A class without an image, by name.

    Examples
    --------
    >>> class_weights_balanced([0, 0, 0, 1], 2)
    (0.6666666666666666, 2.0)
    """
    labels = np.asarray(labels)
    counts = np.bincount(labels.astype(int), minlength=num_classes)
    empty = [classes[label] if classes else str(label) for label in np.flatnonzero(counts == 0)]
    if empty:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        raise InputError(f"balanced class weights: expected at least one image of every class, received none of "
                         f"{', '.join(map(repr, empty[:3]))}{more}; leave the class out or give the weights as numbers")
    return tuple(float(weight) for weight in len(labels) / (num_classes * counts))


def parse_class_weight(text):
    """Read a ``--class-weight``.

    Parameters
    ----------
    text : str
        ``balanced``, or comma-separated weights in label order.

    Returns
    -------
    "balanced" or tuple of float
        See `class_weights_balanced` for the first.

    Raises
    ------
    InputError

    Examples
    --------
    >>> parse_class_weight("1,2.5")
    (1.0, 2.5)
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["balanced"]:
        return "balanced"
    try:
        weights = tuple(float(word) for word in words)
    except ValueError:
        near = f"; {nearest(words[0], ['balanced'])}" if len(words) == 1 else ""
        raise InputError(f"class weights: expected balanced, or a number for each class as in 1,2.5,1, received "
                         f"`class_weight={text!r}`{near}") from None
    _check_weights(weights)
    return weights
