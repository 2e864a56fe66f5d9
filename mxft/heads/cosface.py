"""CosFace, also AM-Softmax (``--loss-type 2``): a constant taken off the target's cosine."""
from mxft.heads.head import CosineHead
from mxft.heads.options import require


class CosFace(CosineHead):
    """s(cosθ - m): large margin cosine loss, arXiv:1801.09414, Eq. 4 (AM-Softmax: arXiv:1801.05599, Eq. 5-6).

    ``--margin-m`` is m, a difference of cosines (0.35 in the paper; the flag's default, made for ArcFace, is 0.5),
    ``--margin-s`` is s.

    Examples
    --------
    >>> from mxft.heads import HeadOptions, make_head
    >>> make_head("cosface", 10, 4, HeadOptions(margin_m=0.35)).margins
    (1, 0, 0.35, 64.0)
    """

    name = "cosface"
    loss_type = 2
    formula = "s(cosθ - m3)"

    @property
    def margins(self):
        """m3 is the margin."""
        return (1, 0, self.options.margin_m, self.options.margin_s)

    def check(self, options):
        """Refuse a margin no pair of cosines can have between them."""
        require(options.margin_m < 2, "a difference of cosines, at least 0 and below 2 (0.35 is usual)", "margin_m",
                options.margin_m, "CosFace")

    def with_margin(self, F, cosine):
        """cosθ - m."""
        return cosine - self.options.margin_m

    def move_target(self, F, logits, label, cosine):
        """Take s·m off the labels' logits: a constant, so the one-hot row itself, which no gradient goes through."""
        off = self.options.margin_s * self.options.margin_m
        return F.one_hot(label, depth=self.num_classes, on_value=-off, off_value=0) + logits
