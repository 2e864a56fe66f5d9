"""Plain softmax (``--loss-type 0``): inner products and a bias, no margin; ``train_softmax.py``, loss_type 0."""
from mxft.compat import mx
from mxft.heads import margin
from mxft.heads.head import Head, Scores


class Softmax(Head):
    """logit_j = x·W_j + b_j: Eq. 1 of the ArcFace paper (arXiv:1801.07698).

    Neither embedding nor weight is normalised. The bias learns at twice the rate and without weight decay, as
    upstream; ``--fc7-no-bias`` leaves it out. The target's cosine is measured beside, it takes no part.

    Examples
    --------
    >>> from mxft.heads import make_head
    >>> make_head("softmax", num_classes=10, emb_size=4).parameters
    ('fc7_weight', 'fc7_bias')
    """

    name = "softmax"
    loss_type = 0

    @property
    def parameters(self):
        """Names of the trained variables."""
        return ("fc7_weight",) if self.options.fc7_no_bias else ("fc7_weight", "fc7_bias")

    @property
    def margins(self):
        """No margin; the norms of embedding and weight row scale the cosine."""
        return (1, 0, 0, "|x||W|")

    @property
    def formula(self):
        """The target logit in words."""
        return "x·W" if self.options.fc7_no_bias else "x·W + b"

    def variable_specs(self):
        """Return the weight and, unless ``fc7_no_bias``, the bias."""
        specs = super().variable_specs()
        if not self.options.fc7_no_bias:
            specs["fc7_bias"] = ((self.num_classes,), mx.init.Zero(), 2.0, 0.0, True)
        return specs

    def forward(self, F, embedding, label, fc7_weight, fc7_bias=None):
        """Compute the inner products; see Head.forward."""
        if fc7_bias is None:
            logits = margin.class_logits(F, embedding, fc7_weight, self.num_classes)
        else:
            logits = F.FullyConnected(embedding, fc7_weight, fc7_bias, num_hidden=self.num_classes, name="fc7")
        own_centre = margin.unit_rows(F, F.take(fc7_weight, label))
        cosine = F.sum(margin.unit_rows(F, embedding) * own_centre, axis=1)
        return Scores(logits, margin.target_of(F, logits, label), cosine)
