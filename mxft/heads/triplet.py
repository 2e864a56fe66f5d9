"""Triplet losses (``--loss-type 12`` and ``13``): an image nearer to one of its own identity than to another's."""
import dataclasses
import math

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError
from mxft.heads import margin
from mxft.heads.head import Head
from mxft.heads.options import require

PARTS = 3  # anchors, positives, negatives: the order in which a device's rows stand


@dataclasses.dataclass(frozen=True)
class TripletOutputs:
    """What a triplet loss makes of T triplets.

    Parameters
    ----------
    loss, positive, negative : mx.sym.Symbol
        Shape (T,): the loss of each, and the anchor's distances to the positive and to the negative; no gradient flows
        back through the distances.
    """

    loss: object
    positive: object
    negative: object


class Triplet(Head):
    """max(0, |a - p|² - |a - n|² + α) on normalised embeddings: FaceNet, arXiv:1503.03832, Eq. 2.

    a and p are images of one identity, n is one of another; ``--triplet-alpha`` is α. There are no class centres: what
    is trained is the embedding. Upstream: ``train_triplet.py``; ``loss_type 12`` of its train_softmax.py in 2017.

    Notes
    -----
    The rows of a batch are T anchors, then their T positives, then their T negatives. The triplets come from
    `mxft.faces.data.mining`. With several devices each has its own T.

    Examples
    --------
    >>> from mxft.heads import make_head
    >>> make_head("triplet", num_classes=10, emb_size=4).describe()
    'triplet (loss type 12): loss max(0, |a - p|² - |a - n|² + α), α 0.3'
    """

    name = "triplet"
    loss_type = 12
    formula = "max(0, |a - p|² - |a - n|² + α)"
    parameters = ()
    divisible = False
    centres = 0
    largest = 4.0  # distance of opposite embeddings

    @property
    def margins(self):
        """None: there is no target logit that a margin could move."""

    def check(self, options):
        """Refuse a margin wider than any distance."""
        require(0 < options.triplet_alpha < self.largest,
                f"above 0 and below {self.largest:.4g}, the distance of opposite embeddings", "triplet_alpha",
                options.triplet_alpha, self.name)

    def variable_specs(self):
        """Return nothing: all that is trained is the embedding."""
        return {}

    def forward(self, F, embedding, label, **variables):
        """Refuse: a triplet has no logits (see `attach`)."""
        raise InputError(f"head: expected a loss with logits, received loss_type={self.name!r}, which compares "
                         "embeddings; mx.gluon.loss.TripletLoss is a block of it")

    def distance(self, F, one, other):
        """Return the distance of unit rows, shape (T,)."""
        return F.sum(F.square(one - other), axis=1)

    def distances(self, cosines):
        """Return the distance that belongs to a cosine: squared Euclidean, of unit vectors.

        Parameters
        ----------
        cosines : numpy.ndarray

        Returns
        -------
        numpy.ndarray
            Of the same shape.
        """
        return np.maximum(2 - 2 * cosines, 0)

    def attach(self, embedding, label):
        """Put the loss on a symbol.

        Parameters
        ----------
        embedding : mx.sym.Symbol
            Shape (3T, E).
        label : mx.sym.Symbol
            Not read: which image is which, its place says.

        Returns
        -------
        TripletOutputs
        """
        parts = mx.sym.split(margin.unit_rows(mx.sym, embedding), num_outputs=PARTS, axis=0)
        positive = self.distance(mx.sym, parts[0], parts[1])
        negative = self.distance(mx.sym, parts[0], parts[2])
        loss = mx.sym.relu(positive - negative + self.options.triplet_alpha)
        return TripletOutputs(loss, mx.sym.BlockGrad(positive), mx.sym.BlockGrad(negative))

    def describe(self):
        """Return one line: name, number and formula."""
        return f"{self.name} (loss type {self.loss_type}): loss {self.formula}, α {self.options.triplet_alpha:g}"


class AngularTriplet(Triplet):
    """max(0, θ(a, p) - θ(a, n) + α), with angles in radians: upstream's ``atriplet``.

    ``loss_type 2`` of ``train_triplet.py``, ``loss_name 'atriplet'`` of ``recognition/arcface_mxnet/train.py``.

    Notes
    -----
    Upstream takes ``arccos`` without a guard, whose gradient is infinite where an image is its own positive, and mines
    by squared distances; here angles are mined, so that α is the width of what is mined too.

    Examples
    --------
    >>> from mxft.heads import HeadOptions, make_head
    >>> make_head(13, 10, 4, HeadOptions(triplet_alpha=0.35)).describe()
    'triplet-angular (loss type 13): loss max(0, θ(a, p) - θ(a, n) + α), α 0.35'
    """

    name = "triplet-angular"
    loss_type = 13
    formula = "max(0, θ(a, p) - θ(a, n) + α)"
    largest = math.pi

    def distance(self, F, one, other):
        """Return the angle of unit rows, shape (T,)."""
        return margin.angle(F, F.sum(one * other, axis=1))

    def distances(self, cosines):
        """Return the angle in radians that belongs to a cosine."""
        return np.arccos(np.clip(cosines, -1, 1))
