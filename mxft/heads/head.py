"""What every head has: its parameters, its place on a symbol, and the one line that names its margins."""
import abc
import copy
import dataclasses
import numbers

from mxft.compat import mx
from mxft.errors import InputError
from mxft.heads import margin
from mxft.heads.options import HeadOptions

_MOST_CLASSES = 2 ** 24  # class numbers travel as float32 labels, exact up to here


@dataclasses.dataclass(frozen=True)
class HeadOutputs:
    """What a head makes of a batch.

    Parameters
    ----------
    logits : mx.sym.Symbol
        Shape (N, C), as they enter the softmax: the margin is in the target logit.
    target_logit : mx.sym.Symbol
        Shape (N,), the label's logit before its margin, on the same scale; for measuring, no gradient flows back.
    target_cosine : mx.sym.Symbol
        Shape (N,), cosine between the embedding and its class centre; for measuring.
    extra_loss : mx.sym.Symbol or None
        Shape (1,), the further loss of types 6 and 7: its value before the weight ``margin_b``, its gradient after.
    """

    logits: object
    target_logit: object
    target_cosine: object
    extra_loss: object = None


@dataclasses.dataclass(frozen=True)
class Scores:
    """What ``Head.forward`` returns, over symbols or arrays: as HeadOutputs, with the loss not yet summed up.

    Parameters
    ----------
    logits, target_logit, target_cosine : Symbol or NDArray
        See HeadOutputs.
    penalty : Symbol or NDArray or None
        Shape (N,), each row's further loss, to be weighted with ``margin_b``.
    """

    logits: object
    target_logit: object
    target_cosine: object
    penalty: object = None


def softmax_output(logits, label):
    """Put the loss on a head: cross-entropy averaged over the batch, output ``softmax`` of shape (N, C).

    Parameters
    ----------
    logits : mx.sym.Symbol
        Shape (N, C).
    label : mx.sym.Symbol
        Class numbers, float32, shape (N,).

    Returns
    -------
    mx.sym.Symbol
        ``SoftmaxOutput``, ``normalization='valid'``: its gradient is already divided by N.
    """
    return mx.sym.SoftmaxOutput(logits, label, normalization="valid", name="softmax")


class Head(abc.ABC):
    """A classification layer on an embedding, and the loss' formula for the target logit.

    Parameters
    ----------
    num_classes : int
        C, 2 to 2**24.
    emb_size : int
        E, length of the embedding.
    options : HeadOptions

    Raises
    ------
    InputError
        Sizes or options the formula does not allow.
    """

    name = None
    loss_type = None
    formula = None
    parameters = ("fc7_weight",)
    extra_loss_name = None
    divisible = True  # whether a row's loss needs no centres but the row's own, beside its logits

    @property
    def centres(self):
        """Class centres of all classes together: C, or K times as many, or 0 of a loss that has none."""
        return self.num_classes

    def __init__(self, num_classes, emb_size, options=HeadOptions()):  # noqa: B008  frozen
        _require_size("num_classes", num_classes, 2, _MOST_CLASSES)
        _require_size("emb_size", emb_size, 1, _MOST_CLASSES)
        self.num_classes = int(num_classes)
        self.emb_size = int(emb_size)
        self.options = options
        self.check(self.options)

    @property
    @abc.abstractmethod
    def margins(self):
        """(m1, m2, m3, s) of s(cos(m1·θ + m2) - m3); s is a text where the norms of embedding or weight scale."""

    @abc.abstractmethod
    def forward(self, F, embedding, label, fc7_weight, **variables):
        """Compute the head over ``F``.

        Parameters
        ----------
        F : module
            ``mx.sym`` or ``mx.nd``.
        embedding : Symbol or NDArray
            Float32, shape (N, E).
        label : Symbol or NDArray
            Class numbers, float32, shape (N,).
        fc7_weight : Symbol or NDArray
            Float32, shape (C, E), row j the centre of class j (normalised or not: the head does what it needs).
        **variables
            The rest of ``variable_specs``.

        Returns
        -------
        Scores
        """

    def check(self, options):  # noqa: B027  most formulas allow whatever HeadOptions does
        """Raise InputError for options this formula does not allow."""

    def over(self, num_classes):
        """Return the same head over so many classes, 1 or more: a shard of them (`mxft.heads.sharded`)."""
        part = copy.copy(self)
        part.num_classes = num_classes
        return part

    def scheduled(self, step):
        """Return {variable: value} to be set before the batch that follows `step` finished ones; mostly none."""
        return {}

    def variable_specs(self):
        """Return {name: (shape, initializer, lr_mult, wd_mult, trainable)} of the head's variables."""
        shape = (self.num_classes, self.emb_size)
        return {"fc7_weight": (shape, mx.init.Normal(0.01), self.options.fc7_lr_mult, self.options.fc7_wd_mult, True)}

    def attach(self, embedding, label):
        """Put the head on a symbol.

        Parameters
        ----------
        embedding : mx.sym.Symbol
            Shape (N, E).
        label : mx.sym.Symbol
            Class numbers, float32, shape (N,): ``mx.sym.Variable("softmax_label")``.

        Returns
        -------
        HeadOutputs

        Examples
        --------
        >>> from mxft.heads import make_head, softmax_output
        >>> head = make_head("arcface", num_classes=10, emb_size=4)
        >>> label = mx.sym.Variable("softmax_label")
        >>> softmax_output(head.attach(mx.sym.Variable("embedding"), label).logits, label).list_arguments()
        ['embedding', 'fc7_weight', 'softmax_label']
        """
        variables = {name: mx.sym.Variable(name, shape=shape, init=init, lr_mult=lr_mult, wd_mult=wd_mult)
                     for name, (shape, init, lr_mult, wd_mult, _) in self.variable_specs().items()}
        scores = self.forward(mx.sym, embedding, label, **variables)
        loss = None
        if scores.penalty is not None:
            loss = mx.sym.MakeLoss(mx.sym.mean(scores.penalty), grad_scale=self.options.margin_b,
                                   name=self.extra_loss_name)
        return HeadOutputs(scores.logits, mx.sym.BlockGrad(scores.target_logit, name="target_logit"),
                           mx.sym.BlockGrad(scores.target_cosine, name="target_cosine"), loss)

    def describe(self):
        """Return one line: name, number, (m1, m2, m3, s) and the target logit.

        Examples
        --------
        >>> from mxft.heads import make_head
        >>> make_head(2, 10, 4).describe()
        'cosface (loss type 2): (m1, m2, m3, s) = (1, 0, 0.5, 64); target logit s(cosθ - m3)'
        """
        values = ", ".join(value if isinstance(value, str) else f"{value:g}" for value in self.margins)
        number = "" if self.loss_type is None else f" (loss type {self.loss_type})"
        return f"{self.name}{number}: (m1, m2, m3, s) = ({values}); target logit {self.formula}"


class CosineHead(Head):
    """A head whose logits are s·cosθ_j: embedding and centres normalised, the margin a function of cosθ_y alone.

    A child says in `with_margin` what becomes of cosθ_y; with (m1, m2, m3) it is s(cos(m1·θ + m2) - m3), the combined
    margin of which the ArcFace paper (arXiv:1801.07698, Eq. 4) makes SphereFace, ArcFace and CosFace cases.
    """

    @abc.abstractmethod
    def with_margin(self, F, cosine):
        """Return what takes the place of cosθ_y, shape (N,)."""

    def penalty(self, F, cosine, label, centres):  # noqa: B027  most heads have none
        """Return each row's further loss, shape (N,), or None."""

    def forward(self, F, embedding, label, fc7_weight):
        """Compute s·cosθ_j, with the margin in the label's; see Head.forward."""
        s = self.options.margin_s
        centres = self.unit_centres(F, fc7_weight)
        logits = self.class_logits(F, margin.unit_rows(F, embedding) * s, centres)
        target = margin.target_of(F, logits, label)
        cosine = target / s
        return Scores(self.move_target(F, logits, label, cosine), target, cosine,
                      self.penalty(F, cosine, label, centres))

    def unit_centres(self, F, fc7_weight):
        """Return the class centres at length 1, shape (C, E)."""
        return margin.unit_rows(F, fc7_weight)

    def class_logits(self, F, features, centres):
        """Return the inner product of each feature with each class, shape (N, C)."""
        return margin.class_logits(F, features, centres, self.num_classes)

    def move_target(self, F, logits, label, cosine):
        """Return the logits with the margin in those of the labels."""
        shift = self.options.margin_s * (self.with_margin(F, cosine) - cosine)
        return margin.move_target(F, logits, label, shift, self.num_classes)


def _require_size(name, value, least, most):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"head: expected a whole number from {least} to {most}, received {name}={value!r}; "
                         "a face set's property file and the embedding layer fc1 say how many")
