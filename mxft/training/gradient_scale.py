"""A factor on the gradient that passes a place of a network, and on nothing else."""
from mxft.compat import mx


def scale_gradient(value, factor):
    """Return `value` unchanged, whose gradient is multiplied by `factor`.

    Parameters
    ----------
    value : mx.sym.Symbol
        Float32, finite.
    factor : mx.sym.Symbol
        Of a shape that broadcasts to that of `value`; it gets no gradient of its own.

    Returns
    -------
    mx.sym.Symbol

    Notes
    -----
    What is added is 0, to the bit. SoftmaxOutput's own ``out_grad=True`` would do it for a loss, but with probabilities
    for labels MXNet 1.9.1 multiplies by the output instead.
    """
    still = mx.sym.BlockGrad(value)
    return mx.sym.broadcast_add(still, mx.sym.broadcast_mul(value - still, factor))
