"""A head over some of the classes: the graph of one shard of fc7, and how many classes each shard has.

Every shard sees all embeddings of the batch and a part of the classes. Its softmax is normalised over that part alone;
what the others need to normalise it over all of them is two numbers a row. ``mxft.faces.training.sharded_head`` has
the executors. The idea is insightface's ``ParallModule`` (``parallel_module_local_v1.py``).
"""
from mxft.compat import mx

EMBEDDING, LABEL = "embedding", "softmax_label"
OUTPUTS = ("softmax", "top", "top_probability", "hit", "target", "free_target", "target_cosine")


def divide_classes(num_classes, shards):
    """Return the first class of each shard, and behind them the number of classes.

    Parameters
    ----------
    num_classes, shards : int
        At least as many classes as shards.

    Returns
    -------
    list of int
        ``shards + 1`` of them; shard i has the classes from number i up to number i + 1. The first ones have one class
        more where the division leaves a rest.

    Examples
    --------
    >>> divide_classes(10, 4)
    [0, 3, 6, 8, 10]
    """
    each, more = divmod(num_classes, shards)
    return [i * each + min(i, more) for i in range(shards + 1)]


def shard_symbol(head, num_classes, grad_scale):
    """Put a head over `num_classes` classes on ``embedding`` (N, E) and ``softmax_label`` (N,).

    Parameters
    ----------
    head : mxft.heads.Head
        Over all classes; `divisible`.
    num_classes : int
        Of the shard, or of the sample of it that takes part in a step.
    grad_scale : float
        Of each row's loss: 1/N for the mean over N rows.

    Returns
    -------
    mx.sym.Symbol
        `OUTPUTS`, and the weighted extra loss where the head has one. ``softmax`` is (N, num_classes), the rest (N,):
        the largest logit and its probability, whether it is the label's, the label's logit with its margin and
        without, and its cosine.

    Notes
    -----
    A label counts from the shard's first class. Where it lies outside the shard the row has no target here: no margin
    moves, no one-hot entry is taken off the gradient, and ``hit``, ``target``, ``free_target`` and ``target_cosine``
    are 0, so that their sum over the shards is the owner's.

    SoftmaxOutput's backward pass is ``(output - one_hot)·grad_scale``, made from what stands in its output by then.
    Whoever multiplies that output, between the passes, with the shard's share of the whole softmax gets the gradient
    of the whole loss, in the place where the shard's softmax stood.

    ``top`` is the largest logit and ``top_probability`` its softmax, 1/Σexp(logit - top): argmax and two picks take
    half the time of a maximum and a sum (64 x 50,000 on one core of a CPU: 8 against 17 ms each).
    """
    part = head.over(num_classes)
    label = mx.sym.Variable(LABEL)
    variables = {name: mx.sym.Variable(name, shape=shape) for name, (shape, *_) in part.variable_specs().items()}
    scores = part.forward(mx.sym, mx.sym.Variable(EMBEDDING), label, **variables)
    own = (label >= 0) * (label < num_classes)

    def of_owner(values):
        return mx.sym.where(own, values, mx.sym.zeros_like(values))

    softmax = mx.sym.SoftmaxOutput(scores.logits, label, grad_scale=grad_scale, name="softmax")
    winner = mx.sym.argmax(scores.logits, axis=1)
    measures = [mx.sym.pick(scores.logits, winner, axis=1), mx.sym.pick(softmax, winner, axis=1),
                of_owner(winner == label), of_owner(mx.sym.pick(scores.logits, label, axis=1)),
                of_owner(scores.target_logit), of_owner(scores.target_cosine)]
    outputs = [softmax, *(mx.sym.BlockGrad(measure, name=name) for name, measure in zip(OUTPUTS[1:], measures))]
    if scores.penalty is not None:
        outputs.append(mx.sym.MakeLoss(mx.sym.sum(of_owner(scores.penalty)),
                                       grad_scale=head.options.margin_b * grad_scale, name=head.extra_loss_name))
    return mx.sym.Group(outputs)
