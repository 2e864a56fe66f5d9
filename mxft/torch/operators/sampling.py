"""Spatial transformers: a grid of places, and a map read there (src/operator/spatial_transformer-inl.h)."""
import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.table import operator


def _places(height, width, like):
    """Return x and y of every pixel, from -1 to 1, each of shape (height, width)."""
    y, x = (torch.arange(side, dtype=like.dtype, device=like.device) * (2 / max(side - 1, 1)) - 1
            for side in (height, width))
    return x.expand(height, width), y.unsqueeze(1).expand(height, width)


@operator("GridGenerator")
def grid(x, *, transform_type, target_shape=(0, 0)):
    """Return places (N, 2, H, W), x then y, of affine matrices or of pixels that are moved."""
    if transform_type == "affine":
        across, down = _places(*target_shape, x)
        plane = torch.stack((across, down, torch.ones_like(across))).flatten(1)
        return torch.matmul(x.reshape(-1, 2, 3), plane).reshape(len(x), 2, *target_shape)
    if transform_type == "warp":
        half = torch.tensor([(side - 1) / 2 for side in (x.shape[3], x.shape[2])], dtype=x.dtype, device=x.device)
        return x / half.view(1, 2, 1, 1) + torch.stack(_places(x.shape[2], x.shape[3], x))
    raise InputError(f"torch: GridGenerator: expected affine or warp, received transform_type={transform_type}")


@operator("BilinearSampler")
def sampler(x, places):
    """Read a map at places from -1 to 1, between its pixels; zeros around."""
    return tf.grid_sample(x, places.permute(0, 2, 3, 1), padding_mode="zeros", align_corners=True)


@operator("SpatialTransformer")
def transformer(x, matrices, *, transform_type, sampler_type, target_shape=(0, 0)):
    """Read a map at the places that an affine matrix of each image says."""
    if (transform_type, sampler_type) != ("affine", "bilinear"):
        raise InputError("torch: SpatialTransformer: expected affine and bilinear, received "
                         f"transform_type={transform_type}, sampler_type={sampler_type}")
    size = tuple(own or side for own, side in zip(target_shape, x.shape[2:]))
    return sampler(x, grid(matrices, transform_type="affine", target_shape=size))
