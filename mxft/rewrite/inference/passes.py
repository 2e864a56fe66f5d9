"""The passes for inference, by name, and the graph and parameters they leave to bind."""
from mxft.rewrite.inference.batch_norm import fold_batch_norms
from mxft.rewrite.inference.channels import fill_channel_blocks
from mxft.rewrite.inference.flatten import flatten_before_fully_connected
from mxft.rewrite.inference.pad import fold_pads
from mxft.rewrite.inference.prelu_readers import prelu_into_depthwise
from mxft.rewrite.inference.readers import separate_readers
from mxft.rewrite.inference.scalar import fold_scalars
from mxft.rewrite.inference.strides import move_strides
from mxft.rewrite.prelu import prelu_for_inference


def _of_symbol(rewritten):
    """Return a pass over a symbol as a pass over a symbol and its parameters, which stay the same."""
    return lambda symbol, arg_params, aux_params: (rewritten(symbol), arg_params, aux_params)


# name: (symbol, arg_params, aux_params) -> the same three, the symbol itself where there is nothing to change. The
# order counts: a convolution must do its own padding before the normalisation in front of it can be folded, and
# strides move and channels are filled up where no BatchNorm stands in between any more; activations stand behind
# convolutions of several readers once BatchNorms are folded.
PASSES = {"pad": fold_pads, "scalar": fold_scalars, "batch_norm": fold_batch_norms, "strides": _of_symbol(move_strides),
          "channel_blocks": fill_channel_blocks, "prelu_depthwise": prelu_into_depthwise,
          "prelu": _of_symbol(prelu_for_inference),
          "flatten": _of_symbol(flatten_before_fully_connected), "readers": _of_symbol(separate_readers)}
# never left out: without them some networks die at the second forward, or give wrong numbers
CURES = ("flatten", "readers")
# for the memory layout of float32's kernels: those of bfloat16 and int8 compute filled channels too, and gain nothing
OF_FLOAT32 = ("channel_blocks",)
# what any engine gains from; the others are for oneDNN's kernels, as MXNet binds them
OF_EVERY_ENGINE = ("pad", "scalar", "batch_norm")


def rewrite_for_inference(symbol, arg_params, aux_params, device_type="cpu", rewrite=True, left_out=()):
    """Return the graph to bind for inference, its parameters, and the names of the passes that changed it.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
        A parameter without a value is left where it is.
    device_type : str
        Of the context it will be bound to: the passes are made for a CPU, a GPU gets the cures alone; ``"torch"`` what
        any engine gains from, and no cures of MXNet's faults.
    rewrite : bool
        False leaves the graph as it is, but for what cures faults of MXNet's (`CURES`).

    left_out : collection of str
        Passes that are not made.

    Returns
    -------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Of the returned symbol; folded ones have names of their own. What was passed is untouched.
    applied : tuple of str

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, no_bias=True, name="fc1")
    >>> rewrite_for_inference(net, {"fc1_weight": mx.nd.ones((2, 3))}, {})[-1]
    ('flatten',)
    """
    applied = []
    wanted = {"cpu": tuple(PASSES), "torch": OF_EVERY_ENGINE}.get(device_type, ()) if rewrite else ()
    cures = () if device_type == "torch" else CURES
    for name, rewritten in PASSES.items():
        if name in cures or (name in wanted and name not in left_out):
            before = symbol
            symbol, arg_params, aux_params = rewritten(symbol, arg_params, aux_params)
            if symbol is not before:
                applied.append(name)
    return symbol, arg_params, aux_params, tuple(applied)
