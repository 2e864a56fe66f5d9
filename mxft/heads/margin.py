"""What the margin heads share: cosines between embeddings and class centres, angles, and moving the target logit.

Notation, here and in every head: x is an embedding, W_j row j of ``fc7_weight`` (the centre of class j), y the label,
θ_j the angle between x and W_j. Each function is written once over ``F``, which is ``mx.sym`` or ``mx.nd``, for the
symbol and the Gluon front alike; the formulas are those of ``get_symbol`` in insightface's ``train_softmax.py``,
except where its gradient is NaN.
"""

# Far below 6e-8, the least 1 - |cosθ| can be in float32 without being 0: only |cosθ| >= 1 is ever changed.
_SMALLEST = 1e-12


def unit_rows(F, rows):
    """Divide each row by its L2 norm; a row of zeros stays zeros.

    Parameters
    ----------
    F : module
        ``mx.sym`` or ``mx.nd``.
    rows : Symbol or NDArray
        Float32, shape (N, E).

    Returns
    -------
    Symbol or NDArray
        Shape (N, E).

    Notes
    -----
    ``L2Normalization`` adds 1e-10 under the root, which keeps value and gradient of a row of zeros finite.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> unit_rows(mx.nd, mx.nd.array([[3, 4], [0, 0]])).asnumpy().round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return F.L2Normalization(rows, mode="instance")


def row_norms(F, rows):
    """Return the L2 norm of each row, shape (N,), differentiable at a row of zeros too."""
    return F.sqrt(F.sum(F.square(rows), axis=1) + 1e-10)


def class_logits(F, features, centres, num_classes):
    """Return every inner product of a feature and a class centre: layer ``fc7``, shape (N, C)."""
    return F.FullyConnected(features, centres, no_bias=True, num_hidden=num_classes, name="fc7")


def target_of(F, logits, label):
    """Return the entry of each row's own class.

    Parameters
    ----------
    F : module
        ``mx.sym`` or ``mx.nd``.
    logits : Symbol or NDArray
        Shape (N, C).
    label : Symbol or NDArray
        Class numbers, float32, shape (N,).

    Returns
    -------
    Symbol or NDArray
        Shape (N,).
    """
    return F.pick(logits, label, axis=1)


def move_target(F, logits, label, shift, num_classes):
    """Add `shift` to each row's own class and leave the other classes alone.

    Parameters
    ----------
    F : module
        ``mx.sym`` or ``mx.nd``.
    logits : Symbol or NDArray
        Shape (N, C).
    label : Symbol or NDArray
        Class numbers, float32, shape (N,). A row whose label is outside [0, C) is left alone.
    shift : Symbol or NDArray
        Shape (N,).
    num_classes : int
        C.

    Returns
    -------
    Symbol or NDArray
        Shape (N, C).

    Notes
    -----
    One-hot rows times their shifts, as upstream, but as a batch of (1, 1) x (1, C) products: the gradient of
    ``broadcast_mul`` towards the one-hot array, N x C numbers nobody asked for, is then never made. Training needs
    one N x C array more than plain softmax does (upstream: two), the one in which ``pick`` goes back to the logits.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> move_target(mx.nd, mx.nd.zeros((2, 3)), mx.nd.array([2, 0]), mx.nd.array([5, 7]), 3).asnumpy().tolist()
    [[0.0, 0.0, 5.0], [7.0, 0.0, 0.0]]
    """
    one_hot = F.expand_dims(F.one_hot(label, depth=num_classes), axis=1)
    shifts = F.batch_dot(F.reshape(shift, shape=(-1, 1, 1)), one_hot)
    return logits + F.reshape(shifts, shape=(0, -1))


def sine(F, cosine):
    """Return sinθ for a cosine of shape (N,), in [0, π]; finite, with a finite gradient, at cosθ = ±1.

    Notes
    -----
    Upstream takes sqrt(1 - cos²θ), whose derivative -cosθ/sinθ is infinite at ±1 and NaN once it meets the zero
    gradient of the cosine there. Below 1e-12 sin²θ is held constant, so nothing flows back. In float32 no cosine but
    those rounded to ±1 or past it comes that close: sinθ there is 1e-6 instead of 0, and every other value is as it
    was. (1 - cosθ)(1 + cosθ) spares the digits that 1 - cos²θ cancels.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> sine(mx.nd, mx.nd.array([0.6, -1])).asnumpy().round(5).tolist()
    [0.800000011920929, 0.0]
    """
    return F.sqrt(F.maximum((1 - cosine) * (1 + cosine), _SMALLEST))


def angle(F, cosine):
    """Return θ in radians, [0, π], for a cosine of shape (N,); finite, with a finite gradient, at cosθ = ±1.

    Notes
    -----
    arccos, written with the half-angle tan(θ/2) = sqrt((1 - cosθ)/(1 + cosθ)): upstream's ``arccos`` has an infinite
    derivative at ±1, and is NaN for the 1.0000001 a float32 inner product of unit vectors can be. The guard of `sine`
    is put on both factors; it moves θ by 2e-6 at ±1 and nowhere else.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> angle(mx.nd, mx.nd.array([0.5, 1.0000001])).asnumpy().round(5).tolist()
    [1.0471999645233154, 0.0]
    """
    return 2 * F.arctan(F.sqrt(F.maximum(1 - cosine, _SMALLEST) / F.maximum(1 + cosine, _SMALLEST)))
