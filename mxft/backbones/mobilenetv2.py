"""MobileNetV2 as a Gluon network with the parameter names of torchvision's.

Reproduces arXiv:1801.04381 as torchvision 0.x computes it (torchvision/models/mobilenetv2.py). Gluon's own has no bias
in its classifier and so cannot take these weights.
"""
from mxft.backbones.torch_layers import BatchNorm, Convolution, Linear
from mxft.compat import mx

# Expansion, channels, repeats, stride of the first.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class _Sequential(mx.gluon.nn.HybridSequential):
    """Layers, each made with its number as its prefix."""

    def __init__(self, *layers, **scope):
        super().__init__(**scope)
        with self.name_scope():
            for number, make in enumerate(layers):
                self.add(make(prefix=f"{number}."))


class _Relu6(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, x):
        return F.clip(x, 0, 6)


def _layer(kind, *arguments, **options):
    return lambda prefix: kind(*arguments, prefix=prefix, **options)


def _unit(inputs, outputs, kernel, size, stride, groups, epsilon):
    """Return what makes a convolution, its BatchNorm and ReLU6."""
    return _layer(_Sequential, _layer(Convolution, inputs, outputs, kernel, size, stride, groups),
                  _layer(BatchNorm, outputs, epsilon), _layer(_Relu6))


class _Block(mx.gluon.HybridBlock):
    """Inverted residual: expand, depthwise, project linearly, and the skip."""

    def __init__(self, inputs, outputs, stride, expansion, size, epsilon, **scope):
        super().__init__(**scope)
        wide = inputs * expansion
        self._skips = stride == 1 and inputs == outputs
        expand = [_unit(inputs, wide, 1, None, 1, 1, epsilon)] if expansion != 1 else []
        with self.name_scope():
            self.conv = _Sequential(*expand, _unit(wide, wide, 3, size, stride, wide, epsilon),
                                    _layer(Convolution, wide, outputs, 1), _layer(BatchNorm, outputs, epsilon),
                                    prefix="conv.")

    def hybrid_forward(self, F, x):
        return x + self.conv(x) if self._skips else self.conv(x)


class MobileNetV2(mx.gluon.HybridBlock):
    """MobileNetV2 of width 1, without parameters until they are initialised or loaded.

    Parameters
    ----------
    classes : int
    padding_size : int, optional
        Height and width in pixels that TensorFlow's static ``same`` padding is computed for, as Keras has it; None:
        half the kernel on all sides, as PyTorch.
    epsilon : float
        Of BatchNorm: 1e-5 in PyTorch, 1e-3 in Keras.

    Notes
    -----
    Takes (N, 3, H, W), float32; returns scores (N, classes). No dropout in front of the classifier.

    Examples
    --------
    >>> list(MobileNetV2(classes=10).collect_params())[:2]
    ['features.0.0.weight', 'features.0.1.weight']
    """

    def __init__(self, classes=1000, padding_size=None, epsilon=1e-5):
        super().__init__(prefix="")
        size, inputs = padding_size, 32
        layers = [_unit(3, inputs, 3, size, 2, 1, epsilon)]
        size = size and -(-size // 2)
        for expansion, outputs, repeats, stride in STAGES:
            for number in range(repeats):
                step = stride if number == 0 else 1
                layers.append(_layer(_Block, inputs, outputs, step, expansion, size, epsilon))
                inputs, size = outputs, size and -(-size // step)
        layers.append(_unit(inputs, 1280, 1, None, 1, 1, epsilon))
        with self.name_scope():
            self.features = _Sequential(*layers, prefix="features.")
            self.classifier = _Sequential(_layer(_Nothing), _layer(Linear, 1280, classes), prefix="classifier.")

    def hybrid_forward(self, F, x):
        x = F.Pooling(self.features(x), global_pool=True, pool_type="avg", kernel=(1, 1), name="pool")
        return self.classifier(F.Flatten(x, name="flatten"))


class _Nothing(mx.gluon.HybridBlock):
    """Where torchvision has its dropout."""

    def hybrid_forward(self, F, x):
        return x
