"""What MXNet's operators are asked: inputs and attributes, each operator with its variants and its edges."""
import dataclasses

import numpy as np

CASES = []


@dataclasses.dataclass(frozen=True)
class Case:
    """One operator with its inputs and attributes.

    Parameters
    ----------
    op : str
    inputs : tuple of numpy.ndarray
    attrs : dict of str to str
        As a symbol file has them.
    gradient : bool
        Whether MXNet has one; where it has none, neither has PyTorch's function.
    training : bool
    aux : int
        How many of the last inputs are auxiliary states, compared after the step too.
    ones : bool
        Whether backward starts at the outputs with ones and not with noise: losses, as `Module.backward` has them.
    fixed : tuple of int
        Which inputs MXNet has no gradient of, nor zeros for one.
    native : bool
        Whether MXNet computes in float64, with its own code and not with oneDNN, which differs or fails there.
    outputs : int
        How many outputs a network can read, where MXNet gives more.
    """

    op: str
    inputs: tuple
    attrs: dict
    gradient: bool = True
    training: bool = True
    aux: int = 0
    ones: bool = False
    fixed: tuple = ()
    native: bool = False
    outputs: int = None

    def __str__(self):
        shapes = ",".join("x".join(map(str, value.shape)) for value in self.inputs)
        attrs = ",".join(f"{key}={value}" for key, value in self.attrs.items())
        return f"{self.op}({shapes};{attrs})" + ("" if self.training else "-inference")


_OWN = ("gradient", "training", "aux", "ones", "fixed", "native", "outputs")


def case(op, *inputs, **named):
    """Add a case; a tuple for an input is noise of that shape."""
    own = {key: named.pop(key) for key in _OWN if key in named}
    arrays = tuple(noise(*value, seed=place) if isinstance(value, tuple) else value
                   for place, value in enumerate(inputs))
    CASES.append(Case(op, arrays, {key: str(value) for key, value in named.items()}, **own))


def cases(op, *inputs, variants, **common):
    """Add a case for each of several attributes' dicts."""
    for variant in variants:
        case(op, *inputs, **common, **variant)


def noise(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


def positive(*shape, seed=0):
    return np.abs(noise(*shape, seed=seed)) + np.float32(0.1)


def row(*values):
    return np.array(values, np.float32)


def whole(*shape, below=3, seed=0):
    """Whole numbers as floats: full of ties."""
    return np.random.RandomState(seed).randint(-below + 1, below, shape).astype(np.float32)


TIES = row(-2, -1.5, -1, -0.5, -0.0, 0, 0.5, 1, 1.5, 2, 2.5, 3)
_INSIDE = row(-0.9, -0.3, 0, 0.2, 0.7)
_IMAGE = (2, 4, 7, 8)


def elements():
    for op in ("abs", "ceil", "cos", "degrees", "erf", "exp", "expm1", "fix", "floor", "logical_not", "negative",
               "radians", "relu", "rint", "round", "sigmoid", "sign", "sin", "sinh", "cosh", "softsign", "square",
               "tan", "tanh", "trunc", "_copy", "arctan", "arcsinh", "hard_sigmoid", "_contrib_round_ste",
               "_contrib_sign_ste", "smooth_l1", "BlockGrad", "_contrib_gradientmultiplier", "gamma", "gammaln", "cbrt",
               "ones_like", "zeros_like"):
        gradient = op not in ("logical_not",)
        values = TIES if op not in ("gamma", "gammaln") else row(-2.5, -1.7, -0.3, 0.2, 1, 1.5, 2, 5.5)
        case(op, values[values != 0] if op == "cbrt" else values, gradient=gradient)
        case(op, noise(2, 3, 4) * 2, gradient=gradient)
    for op in ("log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt", "rcbrt", "arccosh"):
        case(op, positive(3, 4) + (op == "arccosh"))
    for op in ("arccos", "arcsin", "arctanh", "erfinv"):
        case(op, _INSIDE)
    case("cbrt", row(-8, 0, 27), gradient=False)
    case("clip", TIES, a_min=-1, a_max=1.5)
    case("clip", TIES, a_min=-1e30, a_max=0)
    case("hard_sigmoid", row(-3, -2.5, 0, 2.5, 3), alpha=0.2, beta=0.5)
    case("hard_sigmoid", TIES, alpha=0.5, beta=0.25)
    case("_contrib_quadratic", (2, 3))
    case("_contrib_quadratic", (2, 3), a=2, b=-1, c=0.5)
    case("_contrib_div_sqrt_dim", (2, 3, 5))
    case("smooth_l1", TIES, scalar=0.7)
    case("smooth_l1", row(-4, -1, -0.25, 0, 0.25, 1, 4), scalar=2)
    case("_contrib_gradientmultiplier", (2, 3), scalar=0.25)
    case("_contrib_gradientmultiplier", (2, 3), scalar=-1)
    for op in ("softmax", "log_softmax", "softmin"):
        cases(op, (2, 3, 4), variants=[{}, {"axis": 1}, {"axis": 0, "temperature": 2.5}, {"temperature": "None"}])
        case(op, np.float32([[1000, -1000, 0], [-np.inf, 0, 1]]), gradient=op == "softmax")
        case(op, (2, 3), dtype="float64")
    case("SoftmaxActivation", _IMAGE, mode="channel")
    case("SoftmaxActivation", (3, 5))
    case("where", row(0, 1, -1, 0, 2), (5,), (5,))
    case("where", row(0, 2), (2, 3), (2, 3))
    for count in (1, 2, 5):
        case("add_n", *[(2, 3)] * count, num_args=count)


_OF_TWO = ("add", "sub", "mul", "div", "maximum", "minimum", "hypot", "mod", "power")
_COMPARED = ("equal", "not_equal", "greater", "greater_equal", "lesser", "lesser_equal", "logical_and", "logical_or",
             "logical_xor")


def pairs():
    grid = np.meshgrid(row(-2, -1, 0, 1, 2.5), row(-2, -1, 1, 2.5))
    ties, others = (value.astype(np.float32) for value in grid)
    for name in (*_OF_TWO, *_COMPARED):
        gradient = name in _OF_TWO
        low = (lambda value: np.abs(value) + np.float32(0.5)) if name == "power" else (lambda value: value)
        same, spread = f"_{name}", f"broadcast_{name}"
        if name in ("add", "sub", "mul", "div"):
            same = f"elemwise_{name}"
        case(same, low(ties), others, gradient=gradient)
        case(spread, low(ties), others, gradient=gradient)
        case(spread, low(noise(2, 3, 4)), noise(2, 1, 4, seed=1), gradient=gradient)
        case(spread, low(noise(1, 3, 1)), noise(2, 1, 4, seed=1), gradient=gradient)
        scalar = {"add": "plus", "sub": "minus"}.get(name, name)
        for number in (1, -1.5, 0.3):
            case(f"_{scalar}_scalar", low(TIES), scalar=number, gradient=gradient)
    case("_grad_add", (2, 3), (2, 3), gradient=False)
    case("_power", row(-2, -1, 2, 0), row(2, 3, 0, 2), gradient=False)
    case("_mod", row(1, -1, 5), row(0, 0, 3), gradient=False)
    case("_power_scalar", TIES, scalar=2)
    case("_power_scalar", TIES, scalar=3)
    case("_power_scalar", TIES[TIES != 0], scalar=-1)
    case("_power_scalar", positive(5), scalar=0.5)
    case("_mod_scalar", TIES, scalar=0, gradient=False)
    for op in ("_rminus_scalar", "_rdiv_scalar", "_rmod_scalar", "_rpower_scalar"):
        for number in (1, 2.5, *(() if op == "_rpower_scalar" else (-1.5,))):
            case(op, TIES[TIES != 0], scalar=number)
    case("_rpower_scalar", TIES, scalar=2)


def layers():
    for kernel, options in (((3, 3), {}), ((3, 2), {"stride": (2, 1), "pad": (1, 0), "dilate": (2, 1)}),
                            ((1, 1), {"num_group": 2}), ((3, 3), {"num_group": 4, "pad": (1, 1)}),
                            ((5, 5), {"pad": (4, 4), "stride": (3, 3), "layout": "NCHW"})):
        group = options.get("num_group", 1)
        case("Convolution", _IMAGE, (4, 4 // group, *kernel), (4,), kernel=kernel, num_filter=4, **options)
        case("Convolution", _IMAGE, (4, 4 // group, *kernel), kernel=kernel, num_filter=4, no_bias=True, **options)
    case("Convolution_v1", _IMAGE, (4, 4, 3, 3), (4,), kernel=(3, 3), num_filter=4)
    case("Convolution", (2, 3, 9), (4, 3, 3), (4,), kernel=(3,), num_filter=4, pad=(1,), stride=(2,))
    case("Convolution", (2, 2, 4, 5, 6), (4, 2, 2, 3, 2), (4,), kernel=(2, 3, 2), num_filter=4, pad=(1, 1, 0))
    for options in ({}, {"stride": (2, 2), "pad": (1, 1)}, {"stride": (2, 2), "pad": (1, 1), "adj": (1, 1)},
                    {"stride": (3, 2), "dilate": (2, 1)}, {"stride": (2, 2), "target_shape": (14, 16)},
                    {"stride": (2, 2), "target_shape": (15, 16)}, {"stride": (2, 2), "target_shape": (13, 15)},
                    {"stride": (2, 2), "target_shape": (14, 16), "pad": (9, 9), "adj": (1, 1)}):
        native = "target_shape" in options  # oneDNN makes none
        case("Deconvolution", _IMAGE, (4, 3, 3, 3), kernel=(3, 3), num_filter=3, native=native, **options)
        case("Deconvolution", _IMAGE, (4, 3, 3, 3), (3,), kernel=(3, 3), num_filter=3, no_bias=False, native=native,
             **options)
    case("Deconvolution", _IMAGE, (4, 1, 4, 4), kernel=(4, 4), num_filter=4, num_group=4, stride=(2, 2), pad=(1, 1))
    case("Deconvolution", _IMAGE, (4, 3, 4, 4), kernel=(4, 4), num_filter=6, num_group=2, stride=(2, 2), pad=(1, 1))
    case("Deconvolution", (2, 3, 5), (3, 4, 3), kernel=(3,), num_filter=4, stride=(2,))
    case("FullyConnected", _IMAGE, (3, 224), (3,), num_hidden=3)
    case("FullyConnected", (2, 5), (3, 5), (3,), num_hidden=3)
    case("FullyConnected", (2, 5), (3, 5), num_hidden=3, no_bias=True)
    case("FullyConnected", (2, 4, 5), (3, 5), (3,), num_hidden=3, flatten=False)
    case("FullyConnected", (6,), (3, 6), (3,), num_hidden=3, flatten=False)
    for places in (row(0, 2, 2, 1), np.float32([[0, 1], [4, -1]]), row(0.9, 1.2)):
        case("Embedding", places, (3, 4), input_dim=3, output_dim=4, fixed=(0,))
    for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign"):
        case("Activation", TIES, act_type=kind)
        case("Activation", noise(*_IMAGE) * 5, act_type=kind)
    case("Activation", row(-90, -30, 30, 90), act_type="softrelu")
    for kind in ("leaky", "elu", "selu", "gelu"):
        case("LeakyReLU", TIES, act_type=kind)
        case("LeakyReLU", noise(*_IMAGE) * 3, act_type=kind)
        case("LeakyReLU", noise(2, 3) * 3, act_type=kind, slope=0.1)
    case("LeakyReLU", (2, 3))
    case("LeakyReLU", (2, 3), act_type="leaky", slope=-0.5)
    for shape, own in ((_IMAGE, (4,)), (_IMAGE, (1,)), ((3, 5), (5,)), ((3, 1), (1,)), ((2, 3, 4), (3,))):
        case("LeakyReLU", shape, own, act_type="prelu")
        case("LeakyReLU", whole(*shape), own, act_type="prelu")
    for options in ({}, {"lower_bound": 0.1, "upper_bound": 0.5}):
        case("LeakyReLU", (2, 3), act_type="rrelu", training=False, gradient=False, outputs=1, **options)
    for options in ({}, {"p": 0.3}, {"axes": (1,)}):
        case("Dropout", (2, 3), training=False, **options)
    case("Dropout", (2, 3), p=0)
    case("UpSampling", _IMAGE, scale=2, sample_type="nearest")
    case("UpSampling", _IMAGE, scale=3, sample_type="nearest", num_args=1)
    case("UpSampling", (2, 3, 4, 4), (2, 2, 8, 8), scale=4, sample_type="nearest", num_args=2)
    case("UpSampling", (2, 3, 4, 4), (2, 3, 8, 8), scale=4, sample_type="nearest", num_args=2, multi_input_mode="sum")
    for scale in (2, 3, 4):
        side = 2 * scale - scale % 2
        case("UpSampling", _IMAGE, (4, 1, side, side), scale=scale, sample_type="bilinear", num_filter=4, num_args=2)
    for options in ({"height": 5, "width": 11}, {"height": 14, "width": 16, "align_corners": False},
                    {"scale_height": 2, "scale_width": 1.5}, {"scale_height": 0.5, "scale_width": 0.5},
                    {"height": 3, "width": 3, "align_corners": False}, {"height": 1, "width": 1}):
        case("_contrib_BilinearResize2D", _IMAGE, **options)
    case("_contrib_BilinearResize2D", _IMAGE, (2, 4, 9, 5), mode="like")
    for mode in ("odd_scale", "to_even_down", "to_even_up", "to_odd_down", "to_odd_up"):
        case("_contrib_BilinearResize2D", _IMAGE, mode=mode, scale_height=2, scale_width=2)
    for size in ({}, {"output_size": 3}, {"output_size": (3,)}, {"output_size": (2, 5)}):
        case("_contrib_AdaptiveAvgPooling2D", _IMAGE, **size)
    self_attention, other = (5, 2, 3 * 4 * 3), (6, 2, 2 * 4 * 3)  # steps, batch, heads x (q, k, v) x width
    case("_contrib_interleaved_matmul_selfatt_qk", self_attention, heads=3)
    case("_contrib_interleaved_matmul_selfatt_valatt", self_attention, (6, 5, 5), heads=3)
    case("_contrib_interleaved_matmul_encdec_qk", (5, 2, 12), other, heads=3)
    case("_contrib_interleaved_matmul_encdec_valatt", other, (6, 5, 6), heads=3)
    affine = np.float32([[1, 0.1, 0.2, -0.1, 0.9, 0.1], [0.5, 0, 0, 0, 0.5, 1.2]])
    case("GridGenerator", affine, transform_type="affine", target_shape=(4, 5))
    case("GridGenerator", (2, 2, 5, 6), transform_type="warp")
    case("BilinearSampler", (2, 3, 5, 6), noise(2, 2, 4, 3, seed=1) * np.float32(0.8))
    case("SpatialTransformer", (2, 3, 5, 6), affine, transform_type="affine", sampler_type="bilinear",
         target_shape=(4, 4))


def pooling():
    variants = [{"stride": s, "pad": p, "kernel": k} for k, s, p in
                (((3, 3), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((2, 2), (1, 1), (1, 1)), ((3, 2), (3, 1), (0, 1)),
                 ((2, 2), (3, 3), (0, 0)), ((2, 3), (2, 2), (1, 2)))]
    for variant in variants:
        for convention in ("valid", "full"):
            for kind in ("max", "avg", "sum", "lp"):
                more = {"p_value": 2} if kind == "lp" else {}
                native = kind == "avg" and convention == "full"  # oneDNN's gradient divides by the whole window
                case("Pooling", _IMAGE, pool_type=kind, pooling_convention=convention, native=native, **variant, **more)
            case("Pooling", _IMAGE, pool_type="avg", pooling_convention=convention, count_include_pad=False, **variant)
            case("Pooling", whole(*_IMAGE), pool_type="max", pooling_convention=convention, **variant)
    for p in (1, 2, 3):
        case("Pooling", _IMAGE, kernel=(2, 2), pool_type="lp", p_value=p)
    case("Pooling", _IMAGE, kernel=(2, 2))
    case("Pooling", _IMAGE, kernel=(2, 2), cudnn_off=True, layout="NCHW")
    case("Pooling", _IMAGE, kernel=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad="None")
    case("_plus_scalar", (2, 3))
    for kind in ("max", "avg", "sum", "lp"):
        more = {"p_value": 2} if kind == "lp" else {}
        case("Pooling", _IMAGE, kernel=(3, 3), global_pool=True, pool_type=kind, **more)
        case("Pooling", _IMAGE, global_pool=True, pool_type=kind, pad=(1, 1), kernel=(2, 2), stride=(2, 2), **more)
        case("Pooling", (2, 3, 7), kernel=(3,), stride=(2,), pad=(1,), pool_type=kind, **more)
        case("Pooling", (2, 3, 7), kernel=(2,), stride=(2,), pool_type=kind, pooling_convention="full",
             native=kind == "avg", **more)
        case("Pooling", (2, 3, 5, 6, 7), kernel=(3, 2, 3), stride=(2, 2, 2), pad=(1, 0, 1), pool_type=kind, **more)
        case("Pooling", (2, 3, 5, 6, 7), kernel=(2, 2, 2), stride=(2, 2, 2), pool_type=kind, pooling_convention="full",
             **more)
        case("Pooling", (2, 3, 7), kernel=(1,), global_pool=True, pool_type=kind, **more)
        case("Pooling", (2, 3, 2, 3, 4), kernel=(1, 1, 1), global_pool=True, pool_type=kind, **more)


def normalisation():
    channel = (noise(4, seed=1), noise(4, seed=2), noise(4, seed=3), positive(4, seed=4))
    for op in ("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU"):
        more = {"key": "bn", "ndev": 1} if "Sync" in op else {}
        for options in ({}, {"fix_gamma": False}, {"fix_gamma": False, "use_global_stats": True},
                        {"use_global_stats": True}, {"fix_gamma": False, "eps": 2e-5, "momentum": 0.5}):
            case(op, _IMAGE, *channel, aux=2, **options, **more)
            case(op, _IMAGE, *channel, aux=2, training=False, gradient="ReLU" not in op, **options, **more)
        case(op, (1, 4, 3, 3), *channel, aux=2, fix_gamma=False, **more)
    for shape in ((5, 4), (2, 4, 5), (2, 4, 3, 2, 3)):
        case("BatchNorm", shape, *channel, aux=2, fix_gamma=False)
    case("BatchNorm", (1, 4), *channel, aux=2, fix_gamma=False)
    case("BatchNorm", noise(*_IMAGE) * 0 + np.float32(3), *channel, aux=2, fix_gamma=False)
    case("BatchNorm", noise(*_IMAGE) + np.float32(100), *channel, aux=2, fix_gamma=False)
    for axis in (-1, 3):
        for options in ({}, {"fix_gamma": False}):
            case("BatchNorm", (2, 7, 8, 4), *channel, aux=2, axis=axis, **options)
            case("BatchNorm", (2, 7, 8, 4), *channel, aux=2, axis=axis, training=False, **options)
    case("BatchNorm", (4, 5, 3), *channel, aux=2, axis=0, fix_gamma=False)
    case("LayerNorm", (2, 3, 5), (5,), (5,))
    case("LayerNorm", (2, 3, 5), (3,), (3,), axis=1, eps=1e-3)
    case("InstanceNorm", _IMAGE, (4,), (4,))
    case("InstanceNorm", (2, 4, 5), (4,), (4,), eps=1e-5)
    for groups in (1, 2, 4):
        case("GroupNorm", _IMAGE, (groups,), (groups,), num_groups=groups)
    case("GroupNorm", _IMAGE, (2,), (2,), num_groups=2, eps=1e-2)
    for mode in ("instance", "channel", "spatial"):
        case("L2Normalization", _IMAGE, mode=mode)
        case("L2Normalization", _IMAGE, mode=mode, eps=0.1)
    case("L2Normalization", (3, 5))
    case("L2Normalization", noise(3, 5) * 0)
    for size in (1, 3, 5):
        case("LRN", _IMAGE, nsize=size)
    case("LRN", _IMAGE, nsize=3, alpha=0.5, beta=0.6, knorm=1)


def losses():
    scores, labels = noise(5, 4) * 2, row(0, 3, -1, 1, 2)
    for options in ({}, {"grad_scale": 2.5}, {"normalization": "batch"}, {"normalization": "valid"},
                    {"use_ignore": True}, {"use_ignore": True, "ignore_label": 3}, {"smooth_alpha": 0.1},
                    {"use_ignore": True, "normalization": "valid"}, {"preserve_shape": True},
                    {"use_ignore": True, "normalization": "batch", "smooth_alpha": 0.2, "grad_scale": 3},
                    {"use_ignore": True, "ignore_label": 255, "normalization": "valid"}):
        case("SoftmaxOutput", scores, labels, ones=True, **options)
        case("SoftmaxOutput", scores, np.abs(labels), ones=True, **options)
        case("SoftmaxOutput", noise(2, 4, 3, 2), whole(2, 3, 2, below=4), ones=True, multi_output=True, **options)
        case("SoftmaxOutput", noise(2, 4, 3, 2), np.abs(whole(2, 6, below=4)), ones=True, multi_output=True, **options)
        case("SoftmaxOutput", noise(2, 3, 4), np.abs(whole(2, 3, below=4)), ones=True,
             **{**options, "preserve_shape": True})
    case("SoftmaxOutput", scores, row(0, 3, 7, -5, 4), ones=True)
    case("SoftmaxOutput", scores, row(0, 3, 7, -5, 4), ones=True, normalization="valid", use_ignore=True)
    case("SoftmaxOutput", scores, row(0.9, 1.2, 2.7, 0, 1), ones=True)
    case("SoftmaxOutput", scores, labels)
    case("SoftmaxOutput", scores, row(-0.5, 3.9, -1.5, 1, 2), ones=True, use_ignore=True)
    soft = np.abs(noise(5, 4, seed=3))
    for options in ({}, {"grad_scale": 2}, {"normalization": "batch"}, {"normalization": "valid"},
                    {"use_ignore": True}, {"smooth_alpha": 0.1}):
        case("SoftmaxOutput", scores, soft / soft.sum(1, keepdims=True), ones=True, **options)
    for op in ("LinearRegressionOutput", "MAERegressionOutput", "LogisticRegressionOutput"):
        for options in ({}, {"grad_scale": 0.5}):
            case(op, (5, 3), (5, 3), ones=True, **options)
            case(op, (5, 1), (5,), ones=True, **options)
            case(op, (2, 3, 4), (2, 3, 4), ones=True, **options)
        case(op, TIES.reshape(4, 3), np.abs(TIES).reshape(4, 3), ones=True)
        case(op, (5, 3), (5, 3))
    for options in ({}, {"margin": 0.3}, {"use_linear": True}, {"regularization_coefficient": 2, "use_linear": True},
                    {"regularization_coefficient": 0.5}):
        case("SVMOutput", scores, np.abs(labels), ones=True, **options)
        case("SVMOutput", scores, labels + 2, ones=True, **options)
        case("SVMOutput", scores, labels, ones=True, **options)
    case("SVMOutput", whole(5, 4), np.abs(labels), ones=True)
    for options in ({}, {"grad_scale": 2.5}, {"normalization": "batch"}, {"normalization": "valid"},
                    {"normalization": "valid", "valid_thresh": 0.5, "grad_scale": 3}):
        case("MakeLoss", (5, 3), ones=True, **options)
        case("MakeLoss", (5, 3), **options)
    case("make_loss", (5, 3), ones=True)
    case("make_loss", (5, 3))


def reductions():
    for op in ("sum", "mean", "max", "min", "prod", "nansum", "nanprod"):
        cases(op, (2, 3, 4), variants=[{}, {"axis": 1}, {"axis": (0, 2)}, {"axis": -1, "keepdims": True}, {"axis": ()},
                                       {"axis": 1, "exclude": True}, {"axis": (0, 1), "exclude": True,
                                                                      "keepdims": True}, {"keepdims": True}])
        if op not in ("prod", "nanprod"):
            case(op, whole(3, 4), axis=1)
    case("nansum", row(1, np.nan, -2), axis=0)
    case("nanprod", row(1, np.nan, -2), axis=0)
    case("prod", row(2, 0, 3), axis=0, gradient=False)
    for order in (1, 2):
        cases("norm", (2, 3, 4), ord=order, variants=[{}, {"axis": 1}, {"axis": (0, 2)}, {"axis": -1, "keepdims": True},
                                                      {"keepdims": True}])
    cases("moments", (2, 3, 4), variants=[{"axes": (0, 2)}, {"axes": (1,), "keepdims": True}, {"axes": (0, 1, 2)}])
    for op in ("argmax", "argmin"):
        cases(op, (3, 4, 5), gradient=False, variants=[{}, {"axis": 1}, {"axis": -1, "keepdims": True}, {"axis": 0}])
        case(op, whole(6, 9), axis=1, gradient=False)
    case("argmax_channel", (3, 4), gradient=False)
    case("argmax_channel", whole(6, 9), gradient=False)
    case("dot", (3, 4), (4, 5))
    case("dot", (4, 3), (4, 5), transpose_a=True)
    case("dot", (3, 4), (5, 4), transpose_b=True)
    case("dot", (4, 3), (5, 4), transpose_a=True, transpose_b=True)
    case("dot", (4,), (4,))
    case("dot", (2, 3, 4), (4, 5))
    case("dot", (2, 3, 4), (4, 5, 2))
    case("batch_dot", (2, 3, 4), (2, 4, 5))
    case("batch_dot", (2, 4, 3), (2, 5, 4), transpose_a=True, transpose_b=True)
    case("_linalg_gemm2", (2, 3, 4), (2, 4, 5))
    case("_linalg_gemm2", (2, 4, 3), (2, 5, 4), transpose_a=True, transpose_b=True, alpha=2.5)
    case("_linalg_gemm2", (3, 4), (4, 5))
    case("_linalg_gemm", (2, 3, 4), (2, 4, 5), (2, 3, 5))
    case("_linalg_gemm", (2, 3, 4), (2, 5, 4), (2, 3, 5), transpose_b=True, alpha=2, beta=-0.5)
    case("_np_cumsum", (2, 3))
    case("_np_cumsum", (2, 3), axis=1)
    case("_np_cumsum", (2, 3), axis=0, dtype="float64")


def selection():
    scores = noise(3, 4)
    cases("pick", scores, row(0, 3, 1), variants=[{}, {"keepdims": True}, {"axis": 1}])
    case("pick", scores, np.float32([[0], [3], [1]]))
    case("pick", scores, row(0, 2, 1, 2), axis=0)
    case("pick", scores, row(9, -1, 1.7))
    case("pick", scores, row(9, -1, 5), mode="wrap")
    case("pick", (2, 3, 4), np.abs(whole(2, 4)), axis=1)
    cases("take", (4, 3), row(0, 3, 3, 1), variants=[{}, {"axis": 0, "mode": "clip"}])
    case("take", (4, 3), np.float32([[0, 2], [1, 1]]), axis=1)
    case("take", (4, 3), np.float32([[0, 2], [1, 1]]), axis=-1)
    case("take", (4, 3), row(9, -2, 1.8))
    case("take", (4, 3), row(9, -2, -6), mode="wrap")
    case("batch_take", (3, 4), np.array([0, 3, 1], np.int32), gradient=False)
    case("batch_take", (3, 4), np.array([9, -1, 1], np.int32), gradient=False)
    case("gather_nd", (3, 4, 2), np.float32([[0, 2], [1, 3]]))
    case("gather_nd", (3, 4), np.float32([[0, 2, 0]]))
    cases("one_hot", row(0, 2, 1), depth=3, gradient=False,
          variants=[{}, {"on_value": 2, "off_value": -1}, {"dtype": "int32"}])
    case("one_hot", np.float32([[0, 5], [-1, 2]]), depth=3, gradient=False)
    for ascending in (False, True):
        cases("topk", scores, is_ascend=ascending, gradient=False,
              variants=[{}, {"k": 2}, {"k": 2, "axis": 0}, {"k": 2, "dtype": "int32"}, {"k": 0}])
        case("topk", scores, is_ascend=ascending, k=2, ret_typ="value")
        case("topk", scores, is_ascend=ascending, k=2, ret_typ="both")
        cases("sort", scores, is_ascend=ascending, variants=[{"axis": 1}, {"axis": 0}])
        cases("argsort", scores, is_ascend=ascending, gradient=False, variants=[{}, {"axis": 0}, {"dtype": "int32"}])
        case("topk", whole(3, 20), is_ascend=ascending, k=5, ret_typ="value", gradient=False)
    case("topk", scores, axis="None", k=3, gradient=False)
    case("sort", scores, axis="None", gradient=False)
    case("argsort", scores, axis="None", gradient=False)
    for op in ("_ones", "_zeros"):
        case(op, shape=(2, 3), gradient=False)
        case(op, shape=4, dtype="int32", gradient=False)
    case("_full", shape=(2, 3), value=1.5, gradient=False)
    cases("_arange", start=2, gradient=False,
          variants=[{"stop": 7}, {}, {"stop": 7, "step": 2, "repeat": 2}, {"stop": -3, "step": -1.5},
                    {"stop": 9, "dtype": "int32"}, {"stop": "None"}])
    cases("_linspace", start=0, stop=1, num=5, gradient=False, variants=[{}, {"endpoint": False}])
    cases("_eye", N=3, gradient=False, variants=[{}, {"M": 4, "k": 1}, {"k": -1, "dtype": "int32"}])
    cases("_contrib_arange_like", (2, 6), variants=[{}, {"axis": 1}, {"start": 3, "step": 0.5, "axis": -1},
                                                    {"repeat": 2}, {"repeat": 2, "axis": 1}], gradient=False)
    lengths = row(2, 4, 1)
    for op, more in (("SequenceMask", {"value": -1}), ("SequenceLast", {}), ("SequenceReverse", {})):
        case(op, (4, 3, 2), gradient=op != "SequenceLast")  # MXNet reads lengths that are not there
        case(op, (4, 3, 2), lengths, use_sequence_length=True, **more)
        if op != "SequenceReverse":
            case(op, (3, 4, 2), lengths, use_sequence_length=True, axis=1, **more)
    case("SequenceMask", (4, 3), lengths, use_sequence_length=True)
    cases("diag", (3, 4), variants=[{}, {"k": 1}, {"k": -1}])
    case("diag", (2, 3, 4), axis1=1, axis2=2)
    case("diag", (2, 3, 4), axis1=0, axis2=-1, k=1)
    cases("diag", (3,), variants=[{}, {"k": 1}])
    case("shape_array", (2, 3), gradient=False)
    case("size_array", (2, 3), gradient=False)


def shapes():
    case("Flatten", _IMAGE)
    case("Flatten", (3,))
    for shape, given in (((2, -1), (2, 3, 4)), ((0, -1), (2, 3, 4)), ((-2,), (2, 3, 4)), ((0, -2), (2, 3, 4)),
                         ((-3, 4), (2, 3, 4)), ((-3, -3), (2, 3, 4, 5)), ((-4, 1, 2, -2), (2, 3, 4)),
                         ((2, -4, -1, 3, -2), (2, 6, 4)), ((0, -4, 2, -1, 0), (2, 6, 4)), ((-1,), (2, 3)),
                         ((0, 0, -1, 1), (2, 3, 4)), ((-2, 1, 1), (2, 3)), ((24,), (2, 3, 4)), ((-1, 0), (2, 3)),
                         ((0, -3), (2, 3, 4)), ((-4, -1, 2, 0, 0), (4, 3, 5)), ((2, 0), (2, 3)), ((6, 1, -1), (2, 3))):
        case("Reshape", given, shape=shape)
    for shape, given in (((-1, 0), (2, 3, 4)), ((0, -1), (2, 3, 4)), ((-3, 0), (2, 3, 4)), ((-1, 0, 0), (4, 3, 2)),
                         ((5, -1), (2, 5, 3)), ((0, 0, 2, 2, -4), (3, 5, 4)), ((0, 0, -1, 2, -4), (3, 5, 4)),
                         ((-2, 4), (2, 3, 4))):
        case("Reshape", given, shape=shape, reverse=True)
    case("Reshape", (2, 3, 4), target_shape=(6, 4))
    case("Reshape", (2, 3, 4), target_shape=(2, 0))
    case("Reshape", (2, 3, 4), target_shape=(0, 0), keep_highest=True)
    case("Reshape", (2, 3, 4), target_shape=(7, 0), keep_highest=True)
    case("reshape_like", (2, 6), (3, 4))
    case("reshape_like", (2, 6, 5), (7, 3, 2), lhs_begin=1, lhs_end=2, rhs_begin=1)
    case("reshape_like", (2, 6, 5), (7, 3, 2), lhs_begin=-2, lhs_end=-1, rhs_begin=-2, rhs_end=3)
    cases("transpose", (2, 3, 4), variants=[{}, {"axes": (1, 0, 2)}, {"axes": (2, 0, 1)}])
    cases("SwapAxis", (2, 3, 4), variants=[{}, {"dim1": 0, "dim2": 2}, {"dim1": 1, "dim2": 2}])
    for axis in (0, 1, 2, -1, -3):
        case("expand_dims", (2, 3), axis=axis)
    for shape, axis in (((1, 3, 1, 2), None), ((1, 3, 1, 2), 0), ((1, 3, 1, 2), (0, 2)), ((1, 3, 1, 2), -2),
                        ((1, 1), None), ((1,), 0)):
        case("squeeze", shape, **({} if axis is None else {"axis": axis}))
    case("Concat", (2, 3), (2, 4), num_args=2)
    case("Concat", (2, 3), (1, 3), num_args=2, dim=0)
    case("Concat", (2, 3, 2), (2, 3, 1), (2, 3, 4), num_args=3, dim=-1)
    case("stack", (2, 3), (2, 3), num_args=2)
    case("stack", (2, 3), (2, 3), (2, 3), num_args=3, axis=-1)
    cases("SliceChannel", (2, 6, 4), variants=[{"num_outputs": 3}, {"num_outputs": 2, "axis": 0, "squeeze_axis": True},
                                               {"num_outputs": 4, "axis": -1}, {"num_outputs": 1},
                                               {"num_outputs": 6, "squeeze_axis": True}])
    cases("_split_v2", (6, 4), variants=[{"indices": (0, 2, 3)}, {"indices": (0, 3), "axis": 0},
                                         {"indices": (), "sections": 3, "axis": 0},
                                         {"indices": (), "sections": 4, "axis": 1, "squeeze_axis": True},
                                         {"indices": (0, 1), "axis": 1}, {"indices": (0,)}])
    for begin, end, step in (((1, 0), (3, 2), None), ((1,), (3,), None), (("None", 1), ("None", -1), None),
                             ((0, 4), (4, 0), (2, -2)), ((-3, -4), ("None", "None"), (1, 3)),
                             (("None", "None"), ("None", "None"), (-1, -1)), ((0, 0), (2, 9), None)):
        more = {} if step is None else {"step": step}
        case("slice", (5, 6, 2), begin=str(begin).replace("'", ""), end=str(end).replace("'", ""), **more)
    cases("slice_axis", (5, 6), variants=[{"axis": 0, "begin": 1, "end": 3}, {"axis": -1, "begin": 2, "end": "None"},
                                          {"axis": 1, "begin": -3, "end": -1}])
    case("slice_like", (5, 6), (3, 4))
    case("slice_like", (5, 6), (3, 4), axes=(1,))
    case("slice_like", (5, 6, 3), (3, 4), axes=(0, -2))
    case("Crop", (2, 3, 7, 8), h_w=(4, 5), num_args=1, offset=(1, 2))
    case("Crop", (2, 3, 7, 8), h_w=(4, 4), num_args=1, center_crop=True)
    case("Crop", (2, 3, 7, 8), (2, 1, 3, 4), num_args=2)
    case("Crop", (2, 3, 7, 8), (2, 1, 3, 4), num_args=2, center_crop=True)
    for mode in ("constant", "edge", "reflect"):
        case("Pad", _IMAGE, mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 3, 1))
        case("Pad", (2, 3, 4, 5, 6), mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 2, 1, 0, 3))
    case("Pad", _IMAGE, mode="constant", constant_value=2.5, pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    case("Cast", row(1.7, -2.2, 3), dtype="int32", gradient=False)
    case("Cast", (2, 3), dtype="float64")
    case("Cast", (2, 3), dtype="float16")
    case("amp_cast", (2, 3), dtype="float16")
    case("amp_multicast", (2, 3), (2, 3), num_outputs=2)
    case("broadcast_to", (1, 3, 1), shape=(2, 0, 4))
    case("broadcast_to", (1, 3), shape=(2, 3))
    case("broadcast_like", (1, 3), (2, 3))
    case("broadcast_like", (1, 3, 1), (2, 5), lhs_axes=(0, 2), rhs_axes=(0, 1))
    case("broadcast_axis", (1, 3, 1), axis=(0, 2), size=(2, 4))
    case("broadcast_axis", (1, 3), axis=0, size=2)
    for reps in ((2,), (2, 3), (2, 1, 3), 2):
        case("tile", (2, 3), reps=reps)
    cases("repeat", (2, 3), variants=[{"repeats": 2}, {"repeats": 3, "axis": 1}, {"repeats": 2, "axis": -2}])
    cases("reverse", (2, 3, 4), variants=[{"axis": 1}, {"axis": (0, 2)}])
    case("depth_to_space", (2, 8, 3, 2), block_size=2)
    case("space_to_depth", (2, 2, 4, 6), block_size=2)
    case("_identity_with_attr_like_rhs", (2, 3), (2, 3))


for _family in (elements, pairs, layers, pooling, normalisation, losses, reductions, selection, shapes):
    _family()
