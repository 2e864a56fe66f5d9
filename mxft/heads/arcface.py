"""ArcFace (``--loss-type 4``): an angle added to the target's."""
import math

from mxft.heads import margin
from mxft.heads.head import CosineHead
from mxft.heads.options import require_radians


class ArcFace(CosineHead):
    """s·cos(θ + m): additive angular margin loss, arXiv:1801.07698, Eq. 3.

    ``--margin-m`` is m in radians (0.5), ``--margin-s`` is s (64).

    Notes
    -----
    cos(θ + m) rises again where θ + m > π: a wrong answer that could not be more wrong would be rewarded. There,
    that is for cosθ <= cos(π - m), upstream's train_softmax.py continues with cosθ - m·sin(π - m), which falls with θ.
    With ``--easy-margin 1`` only answers on the right side, cosθ > 0, get the margin, the others keep cosθ.

    Examples
    --------
    >>> from mxft.heads import make_head
    >>> make_head("arcface", num_classes=10, emb_size=4).margins
    (1, 0.5, 0, 64.0)
    """

    name = "arcface"
    loss_type = 4
    formula = "s·cos(θ + m2)"

    @property
    def margins(self):
        """m2 is the margin."""
        return (1, self.options.margin_m, 0, self.options.margin_s)

    def check(self, options):
        """Refuse a margin of a right angle or more."""
        require_radians(options.margin_m, math.pi / 2, "pi/2", "ArcFace")

    def with_margin(self, F, cosine):
        """cos(θ + m) = cosθ·cos m - sinθ·sin m, up to θ = π - m."""
        m = self.options.margin_m
        moved = cosine * math.cos(m) - margin.sine(F, cosine) * math.sin(m)
        if self.options.easy_margin:
            return F.where(cosine > 0, moved, cosine)
        return F.where(cosine > math.cos(math.pi - m), moved, cosine - m * math.sin(math.pi - m))
