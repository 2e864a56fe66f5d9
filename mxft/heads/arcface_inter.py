"""ArcFace with the inter-loss (``--loss-type 7``): class centres are also pushed away from each other."""
from mxft.heads.arcface import ArcFace


class ArcFaceInter(ArcFace):
    """ArcFace, and ``margin_b`` times the mean cosine between the batch's class centres and all class centres.

    arXiv:1801.07698, Eq. 6 (Inter-Loss), with upstream's cosine in place of the angle. ``--margin-b`` is the weight;
    0 leaves plain ArcFace (upstream refuses 0).

    Notes
    -----
    Upstream multiplies the N centres of the batch with all C and takes the mean of the N x C cosines, each centre's
    with itself among them (always 1: no gradient). The mean of inner products is the inner product with the mean, so
    here C centres are averaged once, and the N x C array is not made. The output ``inter_loss_output`` is the mean
    before the weight, as upstream. Past θ = π - m the target continues as in type 4.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.heads import HeadOptions, make_head
    >>> head = make_head(7, 10, 4, HeadOptions(margin_b=0.1))
    >>> head.attach(mx.sym.Variable("embedding"), mx.sym.Variable("softmax_label")).extra_loss.name
    'inter_loss'
    """

    name = "arcface-inter"
    loss_type = 7
    formula = "s·cos(θ + m2), and margin_b·mean cosine between class centres beside"
    extra_loss_name = "inter_loss"
    divisible = False  # each row's loss has every class centre in it

    def penalty(self, F, cosine, label, centres):
        """Mean cosine of each row's class centre with all class centres."""
        mean_centre = F.mean(centres, axis=0, keepdims=True)
        return F.sum(F.broadcast_mul(F.take(centres, label), mean_centre), axis=1)
