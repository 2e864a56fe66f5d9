"""Mixed precision: float16 layers between float32 parameters and a float32 loss.

Micikevicius et al., "Mixed Precision Training" (arXiv:1710.03740). Which operators run in float16, MXNet's AMP says
(``mxnet.contrib.amp``, its graph pass and its lists). The Module's parameters stay float32: they are the master
weights, each is cast within the graph, and the gradient comes back through the cast. So optimizer, kvstore, frozen
parameters, states and checkpoints are those of any other run.
"""
from mxft.compat import mx
from mxft.errors import InputError
from mxft.inference.precision import require_bfloat16
from mxft.network.graph import Graph, first_outputs
from mxft.training.gradient_scale import scale_gradient

LOSS_SCALE = "mxft_loss_scale"
LOSSES = ("SoftmaxOutput", "LogisticRegressionOutput", "LinearRegressionOutput", "MAERegressionOutput")
_FLOAT32 = "0"  # as MXNet numbers types


def check_precision(options, devices):
    """Refuse ``fp16`` and ``precision='bf16'`` where they cannot be.

    Parameters
    ----------
    options : mxft.training.fit.FitOptions or mxft.faces.training.options.FaceOptions
    devices : list of mx.Context

    Raises
    ------
    InputError
        ``fp16`` on a device that is no GPU, or beside a kvstore of several machines; ``bf16`` on a device that is no
        CPU, on a CPU without instructions for it, or beside ``fp16``.
    """
    if options.precision == "bf16" and devices[0].device_type != "torch":
        _check_bfloat16(options, devices)
    if not options.fp16:
        return
    cpu = [str(device) for device in devices if device.device_type != "gpu"]
    if cpu:
        raise InputError(f"fp16: expected GPUs, received {', '.join(cpu)}, where MXNet has no float16 convolution; "
                         "leave `fp16` out, or choose cards (`gpus='0'`; CUDA_VISIBLE_DEVICES=0 for faces)")
    if options.kvstore.startswith("dist"):
        raise InputError(f"fp16: expected a kvstore of one machine beside it, received `kvstore={options.kvstore!r}`: "
                         "a worker that skips an update would leave the others waiting; use `kvstore='device'`")


def _check_bfloat16(options, devices):
    gpus = [str(device) for device in devices if device.device_type != "cpu"]
    if options.fp16 or gpus:
        given = "`fp16=True`" if options.fp16 else ", ".join(gpus)
        raise InputError("`precision`: expected CPUs beside it and no `fp16`, received `precision='bf16'` beside "
                         f"{given}; leave one out: `fp16` is for GPUs, bf16 for CPUs")
    require_bfloat16()


def half_precision(layers, dtype="float16"):
    """Let layers compute in half precision, for a loss in float32.

    Parameters
    ----------
    layers : mx.sym.Symbol
        What comes before the loss; one output.
    dtype : {"float16", "bfloat16"}

    Returns
    -------
    mx.sym.Symbol
        The same arguments, all float32, and `LOSS_SCALE`, shape (1, 1): the gradient that reaches the layers is
        multiplied by it, so that its small numbers do not vanish in half precision; those of what follows them are as
        they are. The output is float32.

    Notes
    -----
    Convolutions and fully connected layers run in half precision; so does what AMP lets follow its data (BatchNorm,
    whose scale, shift and statistics stay float32, pooling, sums of two halves), and PReLU, whose slope is cast.
    Softmax, norms and exponentials are float32. Bind it with `LOSS_SCALE` as a state of the Module.
    """
    scale = mx.sym.Variable(LOSS_SCALE, shape=(1, 1), dtype="float32")
    return scale_gradient(mx.sym.amp_cast(_with_casts(layers, dtype), dtype="float32"), scale)


def _with_casts(layers, dtype):
    """Return `layers` with MXNet's casts between them; AMP's own would leave a PReLU's slope beside data of half."""
    from mxnet.contrib.amp import amp  # not among what importing mxnet brings

    graph, kind = Graph(layers), amp.bfloat16 if dtype == "bfloat16" else dtype
    for node in graph.nodes:
        if node.is_variable:
            node.attrs["__dtype__"] = _FLOAT32  # or nothing tells what a cast of a parameter reads
    conditional = [row for row in amp.list_conditional_fp32_ops(kind) if row[0] != "LeakyReLU"]
    return amp.convert_symbol(graph.to_symbol(), dtype, [*amp.list_lp16_ops(kind), "LeakyReLU"],
                              conditional_fp32_ops=conditional, data_names=layers.list_inputs())


def scaled_parameters(symbol):
    """Return the names of the variables whose gradient is multiplied by `LOSS_SCALE`: those of the half layers."""
    graph = Graph(symbol)
    reader = next(node.index for node in graph.operators() if LOSS_SCALE in graph.variables_of(node))
    return {graph.nodes[index].name for index in graph.ancestors(reader) if graph.nodes[index].is_variable}


def half_precision_classifier(symbol, dtype="float16"):
    """Return a network that ends in a SoftmaxOutput, or another of `LOSSES`, with all before it in `half_precision`.

    Raises
    ------
    InputError
        It does not end in one such loss.
    """
    graph = Graph(symbol)
    loss = graph.nodes[graph.heads[0][0]]
    if len(graph.heads) != 1 or loss.op not in LOSSES:
        raise InputError(f"fp16: expected a network that ends in one SoftmaxOutput, received {loss.op} {loss.name!r} "
                         f"as the first of {len(graph.heads)} outputs")
    internals, first = symbol.get_internals(), first_outputs(symbol)
    scores, label = (internals[first[source] + output] for source, output in loss.inputs)
    return getattr(mx.sym, loss.op)(half_precision(scores, dtype), label, name=loss.name, **loss.attrs)
