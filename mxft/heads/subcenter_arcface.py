"""Sub-center ArcFace: several centres a class, of which the nearest counts; noisy images gather at the others."""
from mxft.heads import margin
from mxft.heads.arcface import ArcFace


class SubcenterArcFace(ArcFace):
    """s·cos(θ + m) with θ the angle to the nearest of a class's K centres: Deng et al., ECCV 2020, Eq. 3-4.

    "Sub-center ArcFace: Boosting Face Recognition by Large-scale Noisy Web Faces". ``--subcenters`` is K (3),
    ``--margin-m`` and ``--margin-s`` are ArcFace's. An image that does not belong to its class need not be drawn to the
    centre of those that do: `mxft.faces.drop_noisy` finds such images after training.

    Notes
    -----
    ``fc7_weight`` is ``(C, K, E)``, a row a class, so that its classes divide over devices as those of every other
    head; with K = 1 it is ``(C, E)`` and everything is ArcFace's, checkpoints included. Upstream's
    ``recognition/subcenter_arcface`` keeps ``(C·K, E)``, which is the same numbers in the same order. Between equally
    near centres of a class the gradient goes to each of them.

    Examples
    --------
    >>> from mxft.heads import HeadOptions, make_head
    >>> head = make_head("subcenter-arcface", 10, 4, HeadOptions(subcenters=3))
    >>> head.variable_specs()["fc7_weight"][0], head.centres
    ((10, 3, 4), 30)
    """

    name = "subcenter-arcface"
    loss_type = None

    @property
    def formula(self):
        """The target logit in words."""
        return f"s·cos(θ + m2), θ to the nearest of {self.options.subcenters} centres a class"

    @property
    def centres(self):
        """Centres of all classes together."""
        return self.num_classes * self.options.subcenters

    def variable_specs(self):
        """Return the weight, K centres a class."""
        specs = super().variable_specs()
        if self.options.subcenters > 1:
            shape = (self.num_classes, self.options.subcenters, self.emb_size)
            specs["fc7_weight"] = (shape, *specs["fc7_weight"][1:])
        return specs

    def unit_centres(self, F, fc7_weight):
        """Return all centres at length 1, shape (C·K, E)."""
        rows = fc7_weight if self.options.subcenters == 1 else F.reshape(fc7_weight, shape=(-3, 0))
        return margin.unit_rows(F, rows)

    def class_logits(self, F, features, centres):
        """Return each class's largest inner product with the features, shape (N, C)."""
        logits = margin.class_logits(F, features, centres, self.centres)
        if self.options.subcenters == 1:
            return logits
        return F.max(F.reshape(logits, shape=(0, -4, self.num_classes, self.options.subcenters)), axis=2)
