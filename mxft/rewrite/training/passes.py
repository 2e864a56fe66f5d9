"""The passes for training, by name, and the graph they leave to bind."""
from mxft.rewrite.prelu import prelu_for_training
from mxft.rewrite.training.batch_norm_relu import batch_norm_relu_for_training, relu6_for_training, relu_between_layouts
from mxft.rewrite.training.channels import fill_channels_for_training
from mxft.rewrite.training.frozen_weight import free_biases_of_frozen_weights
from mxft.rewrite.training.pad import pad_for_training

# name: symbol -> symbol, the symbol itself where there is nothing to change; in this order
PASSES = {"prelu": prelu_for_training, "pad": pad_for_training, "filled-channels": fill_channels_for_training,
          "relu6": relu6_for_training, "batch-norm-relu": batch_norm_relu_for_training,
          "relu-between-layouts": relu_between_layouts}


def rewrite_for_training(symbol, device_type="cpu", rewrite=True, fixed=()):
    """Return the graph to bind for training, and the names of the passes that changed it.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    device_type : str
        Of the context it will be bound to: a GPU has fast operators of its own.
    rewrite : bool
        False leaves the graph as it is, but for what MXNet would compute wrong.
    fixed : sequence of str
        The variables it will be bound to without a gradient (``fixed_param_names``).

    Returns
    -------
    symbol : mx.sym.Symbol
        With the same parameters; their names, and what is saved, stay the user's.
    applied : tuple of str

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=8, name="conv0")
    >>> symbol, applied = rewrite_for_training(mx.sym.LeakyReLU(net, act_type="prelu", name="relu0"))
    >>> applied, symbol.list_arguments()
    (('prelu',), ['data', 'conv0_weight', 'conv0_bias', 'relu0_gamma'])
    """
    applied, passes = [], {}
    if device_type == "cpu":
        passes = {"frozen-weight": lambda graph: free_biases_of_frozen_weights(graph, fixed),
                  **(PASSES if rewrite else {})}
    for name, rewritten in passes.items():
        before, symbol = symbol, rewritten(symbol)
        if symbol is not before:
            applied.append(name)
    return symbol, tuple(applied)
