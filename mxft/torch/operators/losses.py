"""Losses of MXNet: a forward that is for inference and a gradient of its own (src/operator/softmax_output-inl.h).

``backward`` starts at their output with ones, as ``Module.backward`` does without head gradients; the number that is
minimised is never computed.
"""
import torch

from mxft.errors import InputError
from mxft.torch.operators.table import operator


class _WithGradient(torch.autograd.Function):
    """An output whose gradient towards the input is given: what comes from above does not matter."""

    @staticmethod
    def forward(ctx, x, output, gradient):
        ctx.save_for_backward(gradient)
        return output.clone()

    @staticmethod
    def backward(ctx, _):
        return ctx.saved_tensors[0], None, None


def _learns(x):
    return torch.is_grad_enabled() and x.requires_grad


@operator("SoftmaxOutput")
def softmax_output(x, label=None, *, grad_scale=1.0, ignore_label=-1.0, multi_output=False, use_ignore=False,
                   preserve_shape=False, normalization="null", out_grad=False, smooth_alpha=0.0):
    """Return the softmax; its gradient is the probabilities less the one-hot label, scaled.

    Notes
    -----
    With `multi_output` MXNet does not smooth, and to labels that are probabilities it applies `grad_scale` alone.
    """
    axis = 1 if multi_output else -1
    flat = x if multi_output or preserve_shape else x.reshape(x.shape[0], -1)
    output = flat.softmax(axis)
    if label is None or not _learns(x):
        return output.reshape(x.shape)
    if out_grad:
        raise InputError("torch: SoftmaxOutput: expected out_grad=False in training, received out_grad=True: MXNet "
                         "multiplies with the probabilities in its place")
    with torch.no_grad():
        if label.shape == x.shape:  # probabilities for a label
            gradient = (output.reshape(x.shape) - label) * grad_scale
        else:
            index = label.reshape([size for place, size in enumerate(flat.shape) if place != axis % flat.dim()]).long()
            gradient = output - _target(index, flat.shape[axis], 0 if multi_output else smooth_alpha).movedim(-1, axis)
            counts = index != int(ignore_label)
            if use_ignore:
                gradient = gradient * counts.unsqueeze(axis)
            pixels = flat[0, 0].numel() if multi_output else 1
            gradient = gradient * (grad_scale / _divisor(normalization, index, counts, pixels))
    return _WithGradient.apply(x, output.detach().reshape(x.shape), gradient.reshape(x.shape))


def _target(index, classes, smooth_alpha=0.0):
    """Return one-hot rows, of zeros where the label is no class; smoothed."""
    target = (index.unsqueeze(-1) == torch.arange(classes, device=index.device)).float()
    if not smooth_alpha:
        return target
    return target * (1 - smooth_alpha) + (1 - target) * (smooth_alpha / (classes - 1))


def _divisor(normalization, index, counts, pixels):
    if normalization == "null":
        return pixels
    if normalization == "batch":  # of rows without pixels it is every label, whatever the shape
        return index.shape[0] * pixels if pixels > 1 else index.numel()
    if normalization == "valid":
        return counts.sum().clamp_min(1)
    raise InputError(f"torch: SoftmaxOutput: expected null, batch or valid, received normalization={normalization}")


def _regression(x, label, grad_scale, output, difference):
    if label is None or not _learns(x):
        return output
    with torch.no_grad():
        each = max(label.numel() // len(label), 1)
        gradient = difference(output, label.reshape(x.shape)) * (grad_scale / each)
    return _WithGradient.apply(x, output.detach(), gradient)


@operator("LinearRegressionOutput")
def linear_regression(x, label=None, *, grad_scale=1.0):
    """Return the numbers themselves; the gradient of half the squared error."""
    return _regression(x, label, grad_scale, x, torch.sub)


@operator("MAERegressionOutput")
def absolute_regression(x, label=None, *, grad_scale=1.0):
    """Return the numbers themselves; the gradient of the absolute error."""
    return _regression(x, label, grad_scale, x, _sign)


def _sign(output, label):
    return (output > label).to(output.dtype) * 2 - 1  # -1 where they are equal


@operator("LogisticRegressionOutput")
def logistic_regression(x, label=None, *, grad_scale=1.0):
    """Return sigmoids; the gradient of the cross-entropy of each."""
    return _regression(x, label, grad_scale, x.sigmoid(), torch.sub)


@operator("SVMOutput")
def svm_output(x, label=None, *, margin=1.0, regularization_coefficient=1.0, use_linear=False):
    """Return the scores themselves; the gradient of a hinge loss, squared unless `use_linear`."""
    if label is None or not _learns(x):
        return x
    with torch.no_grad():
        sign = _target(label.long(), x.shape[1]).to(x.dtype) * 2 - 1
        if use_linear:
            gradient = -sign * (margin > sign * x)
        else:
            gradient = -2 * sign * (margin - sign * x).clamp_min(0)
    return _WithGradient.apply(x, x.detach(), gradient * regularization_coefficient)


@operator("MakeLoss", "make_loss")
def make_loss(x, *, grad_scale=1.0, valid_thresh=0.0, normalization="null"):
    """Return what is to be minimised; its gradient is `grad_scale`, divided as `normalization` says."""
    if normalization == "batch":
        grad_scale = grad_scale / len(x)
    elif normalization == "valid":
        grad_scale = grad_scale / (x > valid_thresh).sum().clamp_min(1)
    elif normalization != "null":
        raise InputError(f"torch: MakeLoss: expected null, batch or valid, received normalization={normalization}")
    return _WithGradient.apply(x, x.detach(), torch.ones_like(x) * grad_scale) if _learns(x) else x


@operator("BlockGrad")
def block_gradient(x):
    """Return the input, through which no gradient goes back."""
    return x.detach()


@operator("smooth_l1")
def smooth_l1(x, *, scalar=1.0):
    """Return a square near 0 and a line beyond 1/scalar²."""
    square = scalar * scalar
    return torch.where(x.abs() < 1 / square, 0.5 * square * x * x, x.abs() - 0.5 / square)


@operator("_contrib_gradientmultiplier")
def gradient_multiplier(x, *, scalar=1.0, is_int=True):
    """Return the input; what goes back is multiplied."""
    return x * scalar + (x * (1 - scalar)).detach()
