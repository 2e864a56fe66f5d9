"""arcface_torch's backbones in plain NumPy, float64: state dicts of random numbers, and what they compute.

The layers' names, kernels, strides, groups and epsilon are those of ``recognition/arcface_torch/backbones``.
"""
import numpy as np

UNITS = {"r18": (2, 2, 2, 2), "r34": (3, 4, 6, 3), "r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3)}
EPS = 1e-5


class Plain:
    """Layers of a state dict; an array that is asked for and missing is made, near what a trained one would be."""

    def __init__(self, seed=0):
        self.state, self._rng = {}, np.random.RandomState(seed)

    def _array(self, name, shape, make):
        if name not in self.state:
            self.state[name] = np.broadcast_to(make(shape), shape).astype(np.float32)
        return self.state[name].astype(np.float64)

    def _weight(self, name, shape):
        return self._array(name, shape, lambda _: self._rng.randn(*shape) / np.sqrt(np.prod(shape[1:])))

    def conv(self, name, x, width, kernel=1, stride=1, pad=0, groups=1):
        weight = self._weight(name + ".weight", (width, x.shape[1] // groups, kernel, kernel))
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        views = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
        if groups == width == x.shape[1]:
            return np.einsum("nchwij,cij->nchw", views, weight[:, 0])
        parts = [np.tensordot(part, own, ((1, 4, 5), (1, 2, 3))) for part, own in
                 zip(np.split(views, groups, 1), np.split(weight, groups))]
        return np.concatenate(parts, -1).transpose(0, 3, 1, 2)

    def dense(self, name, x, width, bias):
        y = x @ self._weight(name + ".weight", (width, x.shape[1])).T
        return y + self._array(name + ".bias", (width,), lambda s: self._rng.randn(*s) * 0.2) if bias else y

    def norm(self, name, x, fixed=False):
        """BatchNorm by the moving statistics; new ones are near those of `x`, as any signal else is lost on the way."""
        axes, shape = (0, 2, 3)[:x.ndim - 1], (x.shape[1],)
        like = x if x[0, 0].size > 1 else np.concatenate([x.std() + 0 * x, -x.std() + 0 * x])
        spread = like.std(axes)
        gamma = self._array(name + ".weight", shape, lambda s: 1 if fixed else self._rng.uniform(0.5, 1.5, s))
        beta = self._array(name + ".bias", shape, lambda s: self._rng.randn(*s) * 0.2)
        mean = self._array(name + ".running_mean", shape,
                           lambda s: like.mean(axes) + spread * self._rng.randn(*s) * 0.2)
        variance = self._array(name + ".running_var", shape, lambda s: spread ** 2 * self._rng.uniform(0.5, 1.5, s))
        gamma, beta, mean, variance = (v.reshape(-1, *(1,) * (x.ndim - 2)) for v in (gamma, beta, mean, variance))
        return gamma * (x - mean) / np.sqrt(variance + EPS) + beta

    def prelu(self, name, x):
        slope = self._array(name + ".weight", (x.shape[1],), lambda s: self._rng.uniform(-0.2, 0.5, s))
        return np.where(x > 0, x, slope.reshape(-1, 1, 1) * x)


def iresnet(net, pixels, units, emb_size):
    """Return the embedding of raw pixels ``(N, 3, 112, 112)`` by an iresnet."""
    x = (pixels.astype(np.float64) / 255 - 0.5) / 0.5
    x = net.prelu("prelu", net.norm("bn1", net.conv("conv1", x, 64, 3, 1, 1)))
    for stage, (count, width) in enumerate(zip(units, (64, 128, 256, 512)), 1):
        for number in range(count):
            name, stride = f"layer{stage}.{number}.", 2 if number == 0 else 1
            body = net.conv(name + "conv1", net.norm(name + "bn1", x), width, 3, 1, 1)
            body = net.prelu(name + "prelu", net.norm(name + "bn2", body))
            body = net.norm(name + "bn3", net.conv(name + "conv2", body, width, 3, stride, 1))
            if number == 0:
                x = net.norm(name + "downsample.1", net.conv(name + "downsample.0", x, width, 1, stride))
            x = body + x
    x = net.norm("bn2", x).reshape(len(x), -1)
    return net.norm("features", net.dense("fc", x, emb_size, True), fixed=True)


def mbf(net, pixels, emb_size, blocks=(1, 4, 6, 2), multiplier=2):
    """Return the embedding of raw pixels ``(N, 3, 112, 112)`` by a MobileFaceNet of arcface_torch."""
    narrow, wide = 64 * multiplier, 128 * multiplier

    def block(name, x, width, stride, expanded):
        y = _convolution(net, name + ".layers.0", x, expanded)
        y = _convolution(net, name + ".layers.1", y, expanded, 3, stride, 1, expanded)
        return _convolution(net, name + ".layers.2", y, width, act=False)

    def blocks_of(name, x, width, count, expanded):
        for number in range(count):
            x = x + block(f"{name}.layers.{number}", x, width, 1, expanded)
        return x

    x = _convolution(net, "layers.0", (pixels.astype(np.float64) / 255 - 0.5) / 0.5, narrow, 3, 2, 1)
    x = (_convolution(net, "layers.1", x, narrow, 3, 1, 1, 64) if blocks[0] == 1
         else blocks_of("layers.1", x, narrow, blocks[0], 128))
    x = blocks_of("layers.3", block("layers.2", x, narrow, 2, 128), narrow, blocks[1], 128)
    x = blocks_of("layers.5", block("layers.4", x, wide, 2, 256), wide, blocks[2], 256)
    x = blocks_of("layers.7", block("layers.6", x, wide, 2, 512), wide, blocks[3], 256)
    x = _convolution(net, "conv_sep", x, 512)
    x = _convolution(net, "features.layers.0", x, 512, 7, 1, 0, 512, act=False).reshape(len(x), -1)
    return net.norm("features.layers.3", net.dense("features.layers.2", x, emb_size, False))


def _convolution(net, name, x, width, kernel=1, stride=1, pad=0, groups=1, act=True):
    x = net.norm(name + ".layers.1", net.conv(name + ".layers.0", x, width, kernel, stride, pad, groups))
    return net.prelu(name + ".layers.2", x) if act else x
