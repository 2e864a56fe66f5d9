"""SphereFace (``--loss-type 1``): an angle multiplied by m, annealed; upstream's custom operator in stock operators."""
import math

from mxft.compat import mx
from mxft.heads import margin
from mxft.heads.head import Head, Scores


class SphereFace(Head):
    """A-Softmax (arXiv:1704.08063, Eq. 7): logit_j = |x|·cosθ_j, and for the target |x|·(λ·cosθ + ψ(θ))/(1 + λ).

    ψ(θ) = (-1)^k·cos(mθ) - 2k for θ in [kπ/m, (k+1)π/m], k = 0 … m-1, falls from 1 to 1 - 2m as θ goes from 0 to π
    (``--margin``: m, 4). Class centres are normalised, embeddings are not. λ is large at first, when ψ alone
    would not converge (the annealing of Liu et al., *Large-Margin Softmax Loss*, arXiv:1612.02295).

    Notes
    -----
    λ is a variable of the graph, ``fc7_lambda``, shape (1,), that nothing trains: fix it
    (``fixed_param_names``), and set it from ``scheduled(step)`` before each batch. Upstream raised ``--beta-freeze``
    to 5000 and lowered ``--gamma`` to 0.06 by itself for more than 20,000 classes, whatever the flags said; here the
    flags hold.

    Examples
    --------
    >>> from mxft.heads import make_head
    >>> head = make_head("sphereface", num_classes=10, emb_size=4)
    >>> [round(head.scheduled(step)["fc7_lambda"], 1) for step in (0, 100, 10000)]
    [1000.0, 76.9, 5.0]
    """

    name = "sphereface"
    loss_type = 1
    formula = "|x|(λ·cosθ + (-1)^k·cos(m1·θ) - 2k)/(1 + λ)"

    @property
    def margins(self):
        """m1 is the factor on the angle; the embedding's norm scales."""
        return (self.options.margin, 0, 0, "|x|")

    def variable_specs(self):
        """Return the weight and λ."""
        specs = super().variable_specs()
        specs["fc7_lambda"] = ((1,), mx.init.Constant(float(self.options.beta)), 0.0, 0.0, False)
        return specs

    def scheduled(self, step):
        """Return λ = max(beta_min, beta·(1 + gamma·t)^-power), t the steps since ``beta_freeze``.

        Parameters
        ----------
        step : int
            Batches finished so far: 0 before the first.

        Returns
        -------
        dict of str to float
        """
        o = self.options
        since = max(0, step - o.beta_freeze)
        return {"fc7_lambda": max(float(o.beta_min), o.beta * (1 + o.gamma * since) ** -o.power)}

    def psi(self, F, cosine):
        """Return ψ(θ), Eq. 7, from cosθ of shape (N,).

        cos(mθ) is the Chebyshev polynomial T_m of cosθ, so no angle is taken and its gradient is finite everywhere;
        k counts the borders jπ/m, 0 < j < m, that θ has passed.
        """
        m = self.options.margin
        k = F.zeros_like(cosine)
        for j in range(1, m):
            k = k + (cosine < math.cos(j * math.pi / m))
        before, chebyshev = F.ones_like(cosine), cosine
        for _ in range(m - 1):
            before, chebyshev = chebyshev, 2 * cosine * chebyshev - before
        sign = 1 - 2 * (k % 2)
        return sign * chebyshev - 2 * k

    def forward(self, F, embedding, label, fc7_weight, fc7_lambda):
        """Compute |x|·cosθ_j and the annealed target; see Head.forward."""
        logits = margin.class_logits(F, embedding, margin.unit_rows(F, fc7_weight), self.num_classes)
        target = margin.target_of(F, logits, label)
        norm = margin.row_norms(F, embedding)
        cosine = target / norm
        # (λ·cosθ + ψ)/(1 + λ) - cosθ = (ψ - cosθ)/(1 + λ)
        shift = F.broadcast_div(norm * (self.psi(F, cosine) - cosine), 1 + F.BlockGrad(fc7_lambda))
        return Scores(margin.move_target(F, logits, label, shift, self.num_classes), target, cosine)
