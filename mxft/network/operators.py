"""The operators a network may be made of, an allow-list, and what MXNet itself says of them.

MXNet builds any operator a symbol file names. ``_Native`` and ``_NDArray`` take the address of a function as text and
call it, ``Custom`` runs Python, ``_cvimread`` opens files, the optimizers' updates write into their inputs. What is
not on this list is refused by name, and MXNet never sees the graph.

Nor is what reads or writes memory at a place that numbers decide, and does not look first whether it is inside the
array: ``scatter_nd``, ``_contrib_index_copy``, ``_contrib_ROIAlign`` and the other poolings over regions but
``ROIPooling``, ``_contrib_box_encode``. The numbers come from the image and the parameters. `UNGUARDED` are the two
losses that do so with their labels.
"""
import ctypes
import dataclasses
import functools

from mxft.compat import mx
from mxft.errors import last_line
from mxft.machine.quiet import quiet_native

_FAMILIES = {
    "layers": """
        Activation BatchNorm BatchNorm_v1 Convolution Convolution_v1 Deconvolution Dropout Embedding Flatten
        FullyConnected GroupNorm InstanceNorm L2Normalization LRN LayerNorm LeakyReLU Pooling Pooling_v1 RNN
        SoftmaxActivation _rnn_param_concat UpSampling IdentityAttachKLSparseReg _contrib_AdaptiveAvgPooling2D
        _contrib_BatchNormWithReLU _contrib_BilinearResize2D _contrib_DeformableConvolution
        _contrib_ModulatedDeformableConvolution _contrib_SyncBatchNorm _contrib_div_sqrt_dim
        _contrib_interleaved_matmul_encdec_qk _contrib_interleaved_matmul_encdec_valatt
        _contrib_interleaved_matmul_selfatt_qk _contrib_interleaved_matmul_selfatt_valatt _contrib_quadratic
        BilinearSampler Correlation GridGenerator SpatialTransformer""",
    "losses": """
        CTCLoss LinearRegressionOutput LogisticRegressionOutput MAERegressionOutput MakeLoss SVMOutput SoftmaxOutput
        make_loss smooth_l1 softmax_cross_entropy""",
    "detection": """
        ROIPooling _contrib_MultiBoxDetection _contrib_MultiBoxPrior _contrib_MultiBoxTarget _contrib_Proposal
        _contrib_bipartite_matching _contrib_box_decode _contrib_box_iou _contrib_box_nms""",
    "shapes": """
        Cast Concat Crop Pad Reshape SliceChannel SwapAxis _copy _identity_with_attr_like_rhs _split_v2 amp_cast
        amp_multicast BlockGrad broadcast_axis broadcast_like broadcast_to col2im depth_to_space diag expand_dims im2col
        repeat reshape_like reverse slice slice_axis slice_like space_to_depth squeeze stack tile transpose
        SequenceLast SequenceMask SequenceReverse shape_array size_array""",
    "selection": """
        argmax argmax_channel argmin argsort batch_take gather_nd one_hot pick sort take topk where
        _contrib_boolean_mask _contrib_index_array _ravel_multi_index _unravel_index""",
    "constants": "_arange _contrib_arange_like _eye _full _linspace _ones _zeros ones_like zeros_like",
    "reductions": "add_n max mean min moments nanprod nansum norm prod sum _np_cumsum",
    "products": """
        batch_dot dot khatri_rao _linalg_det _linalg_extractdiag _linalg_extracttrian _linalg_gemm _linalg_gemm2
        _linalg_inverse _linalg_makediag _linalg_maketrian _linalg_potrf _linalg_potri _linalg_slogdet
        _linalg_sumlogdiag _linalg_syrk _linalg_trmm _linalg_trsm""",
    "pairs": """
        broadcast_add broadcast_div broadcast_equal broadcast_greater broadcast_greater_equal broadcast_hypot
        broadcast_lesser broadcast_lesser_equal broadcast_logical_and broadcast_logical_or broadcast_logical_xor
        broadcast_maximum broadcast_minimum broadcast_mod broadcast_mul broadcast_not_equal broadcast_power
        broadcast_sub elemwise_add elemwise_div elemwise_mul elemwise_sub _equal _greater _greater_equal _hypot _lesser
        _lesser_equal _logical_and _logical_or _logical_xor _maximum _minimum _mod _not_equal _power _grad_add""",
    "scalars": """
        _div_scalar _equal_scalar _greater_equal_scalar _greater_scalar _hypot_scalar _lesser_equal_scalar
        _lesser_scalar _logical_and_scalar _logical_or_scalar _logical_xor_scalar _maximum_scalar _minimum_scalar
        _minus_scalar _mod_scalar _mul_scalar _not_equal_scalar _plus_scalar _power_scalar _rdiv_scalar _rminus_scalar
        _rmod_scalar _rpower_scalar clip""",
    "elements": """
        abs arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh degrees erf erfinv exp expm1 fix floor gamma
        gammaln hard_sigmoid log log10 log1p log2 log_softmax logical_not negative radians rcbrt reciprocal relu rint
        round rsqrt sigmoid sign sin sinh softmax softmin softsign sqrt square tan tanh trunc _contrib_round_ste
        _contrib_sign_ste _contrib_gradientmultiplier""",
    "random": """
        _random_normal _random_uniform _random_normal_like _random_uniform_like _sample_normal _sample_uniform
        _sample_multinomial""",
}
_OLD_INPUTS = ("NDArray", "Symbol", "Symbol or Symbol[]")  # how Crop and PSROIPooling describe what they read
ALLOWED = frozenset(name for family in _FAMILIES.values() for name in family.split())
UNGUARDED = frozenset(("CTCLoss", "softmax_cross_entropy"))  # a label that is no class is looked up all the same


@dataclasses.dataclass(frozen=True)
class Operator:
    """What MXNet says of an operator.

    Parameters
    ----------
    name : str
        The one MXNet saves it under; an alias such as ``Softmax`` or ``flatten`` is another name of it.
    attributes : dict of str to str
        The type of each attribute in MXNet's words: ``"int (non-negative), required"``.
    inputs : tuple of str
        Names of what it reads; of one that takes any number, the name of the first.
    takes_any_number : bool
    """

    name: str
    attributes: dict
    inputs: tuple
    takes_any_number: bool


@functools.cache
def find_operator(name):
    """Return what MXNet 1.9.1 says of an operator, None where it has none of that name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Operator or None

    Examples
    --------
    >>> find_operator("Softmax").name, find_operator("Softmax").inputs
    ('SoftmaxOutput', ('data', 'label'))
    """
    handle = ctypes.c_void_p()
    with quiet_native():
        if not name.isascii() or mx.base._LIB.NNGetOpHandle(mx.base.c_str(name), ctypes.byref(handle)):
            return None
    count, real, other = mx.base.mx_uint(), ctypes.c_char_p(), [ctypes.c_char_p() for _ in range(3)]
    names, types, descriptions = (ctypes.POINTER(ctypes.c_char_p)() for _ in range(3))
    mx.base.check_call(mx.base._LIB.MXSymbolGetAtomicSymbolInfo(
        handle, ctypes.byref(real), ctypes.byref(other[0]), ctypes.byref(count), ctypes.byref(names),
        ctypes.byref(types), ctypes.byref(descriptions), ctypes.byref(other[1]), ctypes.byref(other[2])))
    arguments = {names[i].decode(): types[i].decode() for i in range(count.value)}
    inputs = tuple(key for key, kind in arguments.items() if "NDArray-or-Symbol" in kind or kind in _OLD_INPUTS)
    return Operator(real.value.decode(), {k: kind for k, kind in arguments.items() if k not in inputs}, inputs,
                    any(arguments[key].endswith("[]") for key in inputs))


def _reason(error):
    """Return why MXNet refuses attributes: of one that it does not know, without the list of those it does."""
    first = next((line for line in str(error).splitlines() if "Cannot find argument" in line), None)
    return first.partition(", Possible")[0].partition("MXNetError: ")[2] if first else last_line(error)


@functools.lru_cache(maxsize=4096)
def signature_of(name, attributes):
    """Return what an operator with these attributes reads and gives, as MXNet itself says.

    Parameters
    ----------
    name : str
        One of `ALLOWED`, or an alias of one.
    attributes : tuple of (str, str)
        Whose values have been checked against `mxft.network.attributes`.

    Returns
    -------
    inputs : tuple of str
        ``("data", "weight", "bias")``; auxiliary states last.
    outputs : int

    Raises
    ------
    ValueError
        MXNet refuses the attributes; its reason.

    Examples
    --------
    >>> signature_of("FullyConnected", (("num_hidden", "2"), ("no_bias", "True")))
    (('data', 'weight'), 1)
    """
    handle, made = ctypes.c_void_p(), mx.base.SymbolHandle()
    with quiet_native():
        try:
            mx.base.check_call(mx.base._LIB.NNGetOpHandle(mx.base.c_str(name), ctypes.byref(handle)))
            mx.base.check_call(mx.base._LIB.MXSymbolCreateAtomicSymbol(
                handle, mx.base.mx_uint(len(attributes)), mx.base.c_str_array([key for key, _ in attributes]),
                mx.base.c_str_array([value for _, value in attributes]), ctypes.byref(made)))
            symbol = mx.sym.Symbol(made)
            symbol._compose(name="_")  # MXNet makes a variable for each input that is missing: all of them
        except mx.base.MXNetError as error:
            raise ValueError(_reason(error)) from None
    return tuple(text[2:] for text in symbol.list_inputs()), len(symbol.list_outputs())
