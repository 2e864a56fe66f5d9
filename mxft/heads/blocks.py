"""The heads as Gluon blocks: the same formulas, for networks written with ``mx.gluon``."""
from mxft.compat import mx
from mxft.heads.options import HeadOptions
from mxft.heads.table import make_head


class HeadBlock(mx.gluon.HybridBlock):
    """A margin head for Gluon, to stand before ``gluon.loss.SoftmaxCrossEntropyLoss``.

    Parameters
    ----------
    loss_type : int or str
        See mxft.heads.make_head.
    num_classes, emb_size : int
        C and E.
    options : mxft.heads.HeadOptions
    **kwargs
        ``prefix`` and ``params`` of gluon.Block.

    Notes
    -----
    Called with an embedding (N, E) and labels (N,), both float32, it returns logits (N, C); types 6 and 7 return a
    pair, the second shape (N,): the further loss of each row, times ``margin_b``, to be added to the cross-entropy's.
    Parameters have the names of the symbol front behind the block's prefix (``headblock0_fc7_weight``). SphereFace's
    λ stays at ``beta`` unless ``set_step`` is called before each batch.

    Examples
    --------
    >>> from mxft.heads import HeadBlock, HeadOptions
    >>> head = HeadBlock("arcface", num_classes=10, emb_size=4, options=HeadOptions(margin_s=8.0))
    >>> head.initialize()
    >>> head(mx.nd.ones((2, 4)), mx.nd.array([3, 7])).shape
    (2, 10)
    """

    def __init__(self, loss_type, num_classes, emb_size, options=HeadOptions(), **kwargs):  # noqa: B008  frozen
        super().__init__(**kwargs)
        self.head = make_head(loss_type, num_classes, emb_size, options)
        with self.name_scope():
            for name, (shape, init, lr_mult, wd_mult, trainable) in self.head.variable_specs().items():
                parameter = self.params.get(name, shape=shape, init=init, lr_mult=lr_mult, wd_mult=wd_mult,
                                            grad_req="write" if trainable else "null", differentiable=trainable)
                setattr(self, name, parameter)

    def set_step(self, step):
        """Set what the head schedules (SphereFace's λ) for the batch that follows `step` finished ones."""
        for name, value in self.head.scheduled(step).items():
            parameter = getattr(self, name)
            parameter.set_data(mx.nd.full(parameter.shape, value))

    def hybrid_forward(self, F, embedding, label, **parameters):
        """Return the logits, with each row's further loss for types 6 and 7."""
        scores = self.head.forward(F, embedding, label, **parameters)
        if scores.penalty is None:
            return scores.logits
        return scores.logits, scores.penalty * self.head.options.margin_b
