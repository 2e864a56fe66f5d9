"""EfficientNet B0-B3 as a Gluon network with the parameter names of its PyTorch reference implementation.

Reproduces arXiv:1905.11946 as github.com/lukemelas/EfficientNet-PyTorch 0.7.1 computes it (model.py, utils.py).
"""
import math

from mxft.backbones.gluon import checkpoint_from_gluon
from mxft.backbones.torch_layers import BatchNorm, Convolution, Linear
from mxft.compat import mx
from mxft.errors import InputError, nearest

# Name: width, depth, native image size in pixels, dropout (the paper's table of coefficients).
VARIANTS = {"efficientnet-b0": (1.0, 1.0, 224, 0.2), "efficientnet-b1": (1.0, 1.1, 240, 0.2),
            "efficientnet-b2": (1.1, 1.2, 260, 0.3), "efficientnet-b3": (1.2, 1.4, 300, 0.3)}
# Of B0: repeats, kernel, stride, expansion, channels in, channels out.
STAGES = ((1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
          (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320))
PADDINGS = ("same", "symmetric")


def scaled_channels(channels, width):
    """Return `channels` times `width`, rounded to a multiple of 8 and by no more than a tenth downwards."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _sigmoid(F, x):
    return F.Activation(x, act_type="sigmoid")  # oneDNN's, 1.4 times as fast a step as F.sigmoid's own loop


def _swish(F, x):
    return x * _sigmoid(F, x)


class _Block(mx.gluon.HybridBlock):
    """Mobile inverted bottleneck: expand, depthwise, squeeze and excite, project, and the skip with drop connect."""

    def __init__(self, inputs, outputs, kernel, stride, expansion, size, drop, epsilon=1e-3, **scope):
        super().__init__(**scope)
        wide, squeezed = inputs * expansion, max(1, inputs // 4)
        self._expands, self._drop = expansion != 1, drop
        self._skips = stride == 1 and inputs == outputs
        with self.name_scope():
            if self._expands:
                self._expand_conv = Convolution(inputs, wide, 1, size, prefix="_expand_conv.")
                self._bn0 = BatchNorm(wide, epsilon, 0.99, prefix="_bn0.")
            self._depthwise_conv = Convolution(wide, wide, kernel, size, stride, wide, prefix="_depthwise_conv.")
            self._bn1 = BatchNorm(wide, epsilon, 0.99, prefix="_bn1.")
            self._se_reduce = Convolution(wide, squeezed, 1, 1, bias=True, prefix="_se_reduce.")
            self._se_expand = Convolution(squeezed, wide, 1, 1, bias=True, prefix="_se_expand.")
            self._project_conv = Convolution(wide, outputs, 1, size, prefix="_project_conv.")
            self._bn2 = BatchNorm(outputs, epsilon, 0.99, prefix="_bn2.")

    def hybrid_forward(self, F, x):
        skipped = x
        if self._expands:
            x = _swish(F, self._bn0(self._expand_conv(x)))
        x = _swish(F, self._bn1(self._depthwise_conv(x)))
        scale = F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1), name="se_pool")
        scale = self._se_expand(_swish(F, self._se_reduce(scale)))
        x = self._bn2(self._project_conv(F.broadcast_mul(x, _sigmoid(F, scale))))
        if not self._skips:
            return x
        if self._drop:  # one draw an image: the whole branch stays or goes
            x = F.Dropout(x, p=self._drop, axes=(1, 2, 3), name="drop_connect")
        return x + skipped


class EfficientNet(mx.gluon.HybridBlock):
    """EfficientNet B0-B3, without parameters until they are initialised or loaded.

    Parameters
    ----------
    name : str
        ``efficientnet-b0`` … ``efficientnet-b3``.
    classes : int
    padding_size : int, optional
        Height and width in pixels the static ``same`` padding is computed for; None: the variant's native size, as the
        reference does whatever the size of the images it is then fed.
    dropout : float, optional
        Before the classifier; None: the variant's (0.3 of B3).
    drop_connect : float
        Rate at the last block; it grows linearly from 0 at the first.
    padding : {"same", "symmetric"}
        TensorFlow's, as the reference, or torchvision's and timm's: half the kernel on all sides.
    epsilon : float
        Of BatchNorm: 1e-3 in the reference, 1e-5 in torchvision and timm.

    Raises
    ------
    InputError
        An unknown name.

    Notes
    -----
    Takes (N, 3, H, W), float32, normalised with ImageNet's mean and deviation; returns scores (N, classes).
    The names of the parameters, of `collect_params` and of `save_parameters` alike, are those of the reference's
    state_dict without ``num_batches_tracked``. In training, PyTorch moves its running variance by the unbiased
    variance of a batch, MXNet by the biased one.

    Examples
    --------
    >>> net = EfficientNet("efficientnet-b0", classes=10)
    >>> list(net.collect_params())[0]
    '_conv_stem.weight'
    """

    def __init__(self, name="efficientnet-b3", classes=1000, padding_size=None, dropout=None, drop_connect=0.2,
                 padding="same", epsilon=1e-3):
        super().__init__(prefix="")
        if name not in VARIANTS:
            raise InputError(f"EfficientNet: expected one of {', '.join(VARIANTS)}, received name={name!r}; "
                             f"{nearest(name, VARIANTS)}")
        if padding not in PADDINGS:
            raise InputError(f"EfficientNet: expected padding of {', '.join(PADDINGS)}, received padding={padding!r}")
        width, depth, native, usual = VARIANTS[name]
        self._rate = usual if dropout is None else dropout
        size = (padding_size or native) if padding == "same" else None
        stem, last = scaled_channels(32, width), scaled_channels(1280, width)
        with self.name_scope():
            self._conv_stem = Convolution(3, stem, 3, size, 2, prefix="_conv_stem.")
            self._bn0 = BatchNorm(stem, epsilon, 0.99, prefix="_bn0.")
            self._blocks = mx.gluon.nn.HybridSequential(prefix="_blocks.")
            outputs = self._add_blocks(width, depth, size and -(-size // 2), drop_connect, epsilon)
            self._conv_head = Convolution(outputs, last, 1, 1, prefix="_conv_head.")
            self._bn1 = BatchNorm(last, epsilon, 0.99, prefix="_bn1.")
            self._fc = Linear(last, classes, prefix="_fc.")

    def _add_blocks(self, width, depth, size, drop_connect, epsilon):
        """Fill ``_blocks``; return the last one's channels. `size` is that of the stem's maps, None: symmetric."""
        rows = []
        for repeats, kernel, stride, expansion, inputs, outputs in STAGES:
            inputs, outputs = scaled_channels(inputs, width), scaled_channels(outputs, width)
            for repeat in range(math.ceil(depth * repeats)):
                first = repeat == 0
                rows.append((inputs if first else outputs, outputs, kernel, stride if first else 1, expansion, size))
                size = -(-size // stride) if first and size else size
        with self._blocks.name_scope():
            for number, row in enumerate(rows):
                self._blocks.add(_Block(*row, drop_connect * number / len(rows), epsilon, prefix=f"{number}."))
        return rows[-1][1]

    def hybrid_forward(self, F, x):
        x = self._blocks(_swish(F, self._bn0(self._conv_stem(x))))
        x = _swish(F, self._bn1(self._conv_head(x)))
        x = F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1), name="_avg_pooling")
        x = F.Flatten(x, name="_flatten")
        return self._fc(F.Dropout(x, p=self._rate, name="_dropout") if self._rate else x)


def efficientnet_checkpoint(name="efficientnet-b3", weights=None, classes=None, input_size=224, resize=256,
                            padding_size=None, seed=0, dropout=None, drop_connect=0.2):
    """Return an EfficientNet as a Checkpoint that every verb takes.

    Parameters
    ----------
    name : str
        See `EfficientNet`; also `padding_size`, `dropout`, `drop_connect`.
    weights : str or os.PathLike, optional
        A ``.params`` file under the reference's names, bare or with ``arg:``/``aux:``. None draws them from `seed`
        (Xavier, Gaussian, factor 2 over fan-in).
    classes : list of str or int, optional
        Names or number of the outputs; None: as many as the weights' ``_fc.bias`` has, or 1000.
    input_size, resize : int
        Pixels: the crop, and the short side it is cut from, for the manifest.
    seed : int
        It seeds MXNet's global generator.

    Returns
    -------
    Checkpoint
        No softmax is added: the output is scores (N, classes).

    Raises
    ------
    InputError
        An unknown name, or weights with a parameter that is missing or of another shape.

    Notes
    -----
    A state_dict of PyTorch becomes such a file with ``mx.nd.save(path, {k: mx.nd.array(v.numpy()) for k, v in
    state_dict.items()})``. Every parameter carries Gluon's ``__wd_mult__`` of 1, so that weight decay reaches them
    all, as in PyTorch: MXNet alone would spare what does not end in ``_weight`` or ``_gamma``.

    Examples
    --------
    >>> efficientnet_checkpoint("efficientnet-b3", "b3.params").save("efficientnet-b3", 0)    # doctest: +SKIP
    'efficientnet-b3,0'
    """
    from mxft.network.checkpoint import load_params
    from mxft.network.transfer import match_parameters

    args, auxs = load_params(str(weights), mx.sym.var("data")) if weights else ({}, {})
    entries = {**args, **auxs}
    if classes is None:
        classes = entries["_fc.bias"].shape[0] if "_fc.bias" in entries else 1000
    count = classes if isinstance(classes, int) else len(classes)
    with mx.name.NameManager():
        net = EfficientNet(name, count, padding_size, dropout, drop_connect)
    source = f"{name}, {weights if weights else f'seed {seed}'}"
    checkpoint = checkpoint_from_gluon(net, None, classes, input_size, resize, seed=seed, source=source)
    checkpoint.name = source
    if weights:
        known = set(checkpoint.aux_params)
        report, checkpoint.arg_params, checkpoint.aux_params = match_parameters(
            checkpoint.symbol, {k: v for k, v in entries.items() if k not in known},
            {k: v for k, v in entries.items() if k in known}, (3, input_size, input_size))
        report.require_only_new(())
    return checkpoint
