"""BatchNorm and its kin, with MXNet's momentum, variance and epsilon (src/operator/nn/batch_norm.cc)."""
import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.table import operator


@operator("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm")
def batch_norm(x, gamma, beta, moving_mean, moving_var, *, eps=1e-3, momentum=0.9, fix_gamma=True,
               use_global_stats=False, output_mean_var=False, axis=1, min_calib_range=None, max_calib_range=None,
               ndev=1, key="", training=False):
    """Normalise each channel by its mean and variance, of the batch in training, else the moving ones.

    Notes
    -----
    In training the moving mean and variance become ``momentum · old + (1 - momentum) · batch``, the variance of the
    batch being the mean square (divided by n, where PyTorch's own layer divides by n - 1). With `fix_gamma` gamma is 1
    whatever the checkpoint says, and gets no gradient.
    """
    if output_mean_var:
        raise InputError("torch: BatchNorm: expected one output, received output_mean_var=True")
    if axis not in (1, 1 - x.dim()):
        moved = batch_norm(x.movedim(axis, 1), gamma, beta, moving_mean, moving_var, eps=eps, momentum=momentum,
                           fix_gamma=fix_gamma, use_global_stats=use_global_stats, training=training)
        return moved.movedim(1, axis)
    gamma = torch.ones_like(gamma) if fix_gamma else gamma
    if not training or use_global_stats:
        return torch.batch_norm(x, gamma, beta, moving_mean, moving_var, False, 0.0, eps,
                                torch.backends.cudnn.enabled)
    normal, mean, inverse = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, eps)
    with torch.no_grad():
        variance = inverse.to(torch.promote_types(inverse.dtype, torch.float32)) ** -2 - eps
        moving_mean.mul_(momentum).add_(mean, alpha=1 - momentum)
        moving_var.mul_(momentum).add_(variance.clamp_min(0), alpha=1 - momentum)
    return normal


@operator("_contrib_BatchNormWithReLU")
def batch_norm_relu(*inputs, training=False, eps=1e-3, momentum=0.9, fix_gamma=True, use_global_stats=False,
                    output_mean_var=False, axis=1, min_calib_range=None, max_calib_range=None):
    """Do what BatchNorm does, then take what is above 0."""
    return torch.relu(batch_norm(*inputs, training=training, eps=eps, momentum=momentum, fix_gamma=fix_gamma,
                                 use_global_stats=use_global_stats, output_mean_var=output_mean_var, axis=axis))


@operator("LayerNorm")
def layer_norm(x, gamma, beta, *, axis=-1, eps=1e-5, output_mean_var=False):
    """Normalise along one axis."""
    if output_mean_var:
        raise InputError("torch: LayerNorm: expected one output, received output_mean_var=True")
    moved = x.movedim(axis, -1)
    return tf.layer_norm(moved, moved.shape[-1:], gamma, beta, eps).movedim(-1, axis)


@operator("InstanceNorm")
def instance_norm(x, gamma, beta, *, eps=1e-3):
    """Normalise each channel of each image."""
    return tf.instance_norm(x, weight=gamma, bias=beta, eps=eps)


@operator("GroupNorm")
def group_norm(x, gamma, beta, *, num_groups=1, eps=1e-5, output_mean_var=False):
    """Normalise groups of channels; gamma and beta are of a group, in MXNet, and not of a channel."""
    if output_mean_var:
        raise InputError("torch: GroupNorm: expected one output, received output_mean_var=True")
    normal = tf.group_norm(x, num_groups, eps=eps)
    grouped = normal.reshape(x.shape[0], num_groups, -1)
    if gamma.numel() == num_groups:
        return (grouped * gamma.view(1, -1, 1) + beta.view(1, -1, 1)).reshape(x.shape)
    shape = (1, -1, *[1] * (x.dim() - 2))
    return normal * gamma.view(shape) + beta.view(shape)


@operator("L2Normalization")
def l2_normalization(x, *, eps=1e-10, mode="instance"):
    """Divide by the L2 norm: of an image, of a pixel over its channels, or of a channel over its pixels."""
    axes = {"instance": tuple(range(1, x.dim())), "channel": (1,), "spatial": tuple(range(2, x.dim()))}
    if mode not in axes:
        raise InputError(f"torch: L2Normalization: expected one of {', '.join(axes)}, received mode={mode}")
    return x / torch.sqrt((x * x).sum(axes[mode], keepdim=True) + eps)


@operator("LRN")
def local_response(x, *, nsize, alpha=1e-4, beta=0.75, knorm=2.0):
    """Normalise by what the neighbouring channels are (AlexNet)."""
    before = nsize // 2
    squares = tf.pad((x * x).unsqueeze(1), (0, 0, 0, 0, before, before))
    sums = tf.avg_pool3d(squares, (nsize, 1, 1), 1, divisor_override=1).squeeze(1)
    return x * (knorm + alpha / nsize * sums) ** -beta
