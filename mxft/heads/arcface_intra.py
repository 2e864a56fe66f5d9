"""ArcFace with the intra-loss (``--loss-type 6``): embeddings are also drawn straight to their centre."""
import math

from mxft.heads import margin
from mxft.heads.arcface import ArcFace


class ArcFaceIntra(ArcFace):
    """ArcFace, and ``margin_b`` times the mean of θ_y/π over the batch: arXiv:1801.07698, Eq. 5 (Intra-Loss).

    ``--margin-b`` is the weight; 0 leaves plain ArcFace (upstream refuses 0).

    Notes
    -----
    The extra loss' output, ``intra_loss_output``, is the mean before the weight, as upstream; the gradient has it.
    Past θ = π - m the target continues as in type 4, where upstream's 6 lets cos(θ + m) rise again.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.heads import HeadOptions, make_head
    >>> head = make_head(6, 10, 4, HeadOptions(margin_b=0.1))
    >>> head.attach(mx.sym.Variable("embedding"), mx.sym.Variable("softmax_label")).extra_loss.name
    'intra_loss'
    """

    name = "arcface-intra"
    loss_type = 6
    formula = "s·cos(θ + m2), and margin_b·mean(θ/π) beside"
    extra_loss_name = "intra_loss"

    def penalty(self, F, cosine, label, centres):
        """θ_y/π of each row."""
        return margin.angle(F, cosine) / math.pi
