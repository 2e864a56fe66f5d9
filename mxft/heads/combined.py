"""The combined margin (``--loss-type 5``): SphereFace's factor, ArcFace's angle and CosFace's cosine in one."""
import math

from mxft.heads import margin
from mxft.heads.head import CosineHead
from mxft.heads.options import require, require_radians


class Combined(CosineHead):
    """s(cos(a·θ + m) - b): arXiv:1801.07698, Eq. 4, with (m1, m2, m3) = (a, m, b).

    ``--margin-a`` is a, ``--margin-m`` is m in radians, ``--margin-b`` is b, a difference of cosines. The paper's CM1
    is (1, 0.3, 0.2), CM2 (0.9, 0.4, 0.15), its SphereFace (1.35, 0, 0): see ``mxft.heads.PRESETS``.

    Notes
    -----
    As upstream there is no branch for a·θ + m > π; where the target's angle is that large, ArcFace (type 4) with the
    same m and this formula differ.

    Examples
    --------
    >>> from mxft.heads import HeadOptions, make_head
    >>> make_head("combined", 10, 4, HeadOptions(margin_a=1.0, margin_m=0.3, margin_b=0.2)).margins
    (1.0, 0.3, 0.2, 64.0)
    """

    name = "combined"
    loss_type = 5
    formula = "s(cos(m1·θ + m2) - m3)"

    @property
    def margins(self):
        """All three."""
        o = self.options
        return (o.margin_a, o.margin_m, o.margin_b, o.margin_s)

    def check(self, options):
        """Refuse margins beyond what angles and cosines span."""
        require_radians(options.margin_m, math.pi, "pi", "combined margin")
        require(options.margin_b < 2, "a difference of cosines, at least 0 and below 2", "margin_b", options.margin_b,
                "combined margin")

    def with_margin(self, F, cosine):
        """cos(a·θ + m) - b."""
        o = self.options
        return F.cos(o.margin_a * margin.angle(F, cosine) + o.margin_m) - o.margin_b
