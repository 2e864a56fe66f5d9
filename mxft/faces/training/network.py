"""The training network of train_softmax.py: backbone, margin head and loss, with the outputs upstream saves.

What is saved is upstream's symbol, ``[BlockGrad(embedding), softmax, …]``, or the embedding alone where triplets have
trained it. What is bound for training hands out a few more numbers an image or triplet, from which the log is
made without copying a batch x classes array off the device.
"""
import dataclasses

from mxft.compat import mx
from mxft.heads import softmax_output
from mxft.heads.triplet import Triplet
from mxft.network.graph import internal_output
from mxft.network.normalisation import normalised_in_graph
from mxft.surgery import list_layers
from mxft.training.precision import half_precision

MONITORS = ("loss", "margin_correct", "correct", "target_cosine")
TRIPLET_MONITORS = ("loss", "active", "nearer", "positive_distance", "negative_distance")
LABEL = "softmax_label"
LEAST_PROBABILITY = 1e-30  # of a probability, so that its logarithm is finite


@dataclasses.dataclass(frozen=True)
class FaceBackbone:
    """The embedding network to train.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Its output is the embedding.
    name : str
        ``r50``, ``y1`` …, or ``pretrained``.
    emb_size : int
    image_size : tuple of int
        ``(H, W)`` in pixels.
    """

    symbol: object
    name: str
    emb_size: int
    image_size: tuple = (112, 112)


def pretrained_backbone(checkpoint, image_size=(112, 112)):
    """Return the FaceBackbone of a checkpoint's own graph, cut at its embedding; any architecture will do.

    It takes raw pixels: the mean and scale of the checkpoint's manifest are written into its graph.

    Parameters
    ----------
    checkpoint : Checkpoint
    image_size : tuple of int
        ``(H, W)`` in pixels.

    Raises
    ------
    InputError
        No embedding is found, or the network does not take images of that size.
    """
    checkpoint = normalised_in_graph(checkpoint)
    symbol = internal_output(checkpoint.symbol, checkpoint.anatomy.require_embedding().index)
    emb_size = list_layers(symbol, (3, *image_size))[-1].output_shape[-1]
    return FaceBackbone(symbol, "pretrained", emb_size, tuple(image_size))


@dataclasses.dataclass(frozen=True)
class FaceNetwork:
    """A face network to train.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        ``fc1_output``, ``(N, D)``.
    head : mxft.heads.Head
    saved : mx.sym.Symbol
        ``[BlockGrad(embedding), softmax]``, then the head's extra loss and the cross-entropy where there are; with
        triplets the embedding: their loss takes batches of three parts and no single image.
    bound : mx.sym.Symbol
        The same, or ``[BlockGrad(embedding), BlockGrad(label), loss]`` with triplets; then the `monitors`.
    monitors : tuple of str
        What is measured: `MONITORS`, each float32 ``(N,)``, or `TRIPLET_MONITORS`, each float32 ``(T,)``.
    """

    embedding: object
    head: object
    saved: object
    bound: object
    monitors: tuple = MONITORS

    def in_half_precision(self, dtype="float16"):
        """Return the network with a `bound` that computes its embedding in half precision, the rest in float32."""
        embedding = half_precision(self.embedding, dtype)
        return dataclasses.replace(self, bound=attach_face_head(embedding, self.head).bound)

    @property
    def backbone_parameters(self):
        """Names of the embedding network's arguments, its input left out."""
        return [name for name in self.embedding.list_arguments() if name != "data"]


def attach_face_head(embedding, head, ce_loss=False):
    """Put a margin head and the softmax loss on an embedding.

    Parameters
    ----------
    embedding : mx.sym.Symbol
    head : mxft.heads.Head
    ce_loss : bool
        Add the batch's mean cross-entropy to the saved outputs; of a head with logits.

    Returns
    -------
    FaceNetwork

    Notes
    -----
    The softmax divides its gradient by the device's own batch (``normalization='valid'``), and the mean over triplets
    by the device's own triplets, so the optimizer has to divide by the number of devices: ``rescale_grad = 1 /
    devices``.
    """
    label = mx.sym.Variable(LABEL)
    outputs = head.attach(embedding, label)
    if isinstance(head, Triplet):
        return _triplet_network(embedding, head, outputs, label)
    softmax = softmax_output(outputs.logits, label)
    loss = -mx.sym.log(mx.sym.maximum(mx.sym.pick(softmax, label, axis=1), LEAST_PROBABILITY))
    saved = [mx.sym.BlockGrad(embedding), softmax]
    if outputs.extra_loss is not None:
        saved.append(outputs.extra_loss)
    if ce_loss:
        saved.append(mx.sym.BlockGrad(mx.sym.mean(loss), name="ce_loss"))
    margin_correct = mx.sym.argmax(softmax, axis=1) == label
    # the margin moves no logit but the target's, and that one down: where the free target logit is not below the
    # largest logit after the margin, it was the largest before
    correct = outputs.target_logit >= mx.sym.max(outputs.logits, axis=1)
    bound = _monitored(saved, MONITORS, [loss, margin_correct, correct, outputs.target_cosine])
    return FaceNetwork(embedding, head, mx.sym.Group(saved), bound)


def _triplet_network(embedding, head, outputs, label):
    """Put the mean of the triplets' losses on an embedding."""
    loss = mx.sym.MakeLoss(mx.sym.mean(outputs.loss), name="triplet_loss")
    outputs_of_upstream = [mx.sym.BlockGrad(embedding), mx.sym.BlockGrad(label, name="label"), loss]
    measured = [outputs.loss, outputs.loss > 0, outputs.positive < outputs.negative, outputs.positive, outputs.negative]
    return FaceNetwork(embedding, head, embedding, _monitored(outputs_of_upstream, TRIPLET_MONITORS, measured),
                       TRIPLET_MONITORS)


def _monitored(outputs, names, values):
    """Return `outputs` and behind them the measured `values`, from which no gradient flows."""
    blocked = [mx.sym.BlockGrad(value, name=f"monitor_{name}") for name, value in zip(names, values)]
    return mx.sym.Group(outputs + blocked)
