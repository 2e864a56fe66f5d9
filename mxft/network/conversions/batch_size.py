"""A batch size that was written into a network's Reshape layers, made free."""

# operators whose first output has the batch in its first dimension where their first input has it there
_KEEPING = frozenset((
    "Activation", "BatchNorm", "Cast", "Convolution", "Deconvolution", "Dropout", "Flatten", "FullyConnected",
    "GroupNorm", "InstanceNorm", "L2Normalization", "LRN", "LayerNorm", "LeakyReLU", "Pooling", "Pooling_v1",
    "SoftmaxActivation", "SoftmaxOutput", "UpSampling", "LogisticRegressionOutput", "LinearRegressionOutput",
    "MAERegressionOutput", "SVMOutput", "Pad", "clip", "BlockGrad", "_copy", "relu", "sigmoid", "softmax",
    "log_softmax", "tanh", "exp", "log", "sqrt", "square", "abs", "negative", "hard_sigmoid", "softsign",
    "_plus_scalar", "_minus_scalar", "_mul_scalar", "_div_scalar", "_rminus_scalar", "_rdiv_scalar",
    "_maximum_scalar", "_minimum_scalar", "_power_scalar", "elemwise_add", "elemwise_sub", "elemwise_mul",
    "elemwise_div", "broadcast_add", "broadcast_sub", "broadcast_mul", "broadcast_div", "add_n",
    "batch_dot", "SwapAxis", "reverse", "slice", "where", "_maximum", "_minimum", "broadcast_maximum", "Crop",
    "_contrib_AdaptiveAvgPooling2D", "_contrib_BilinearResize2D", "space_to_depth", "depth_to_space"))


def free_batch_size(opened):
    """Let Reshape layers that write the batch size of an export keep whatever batch comes; return notes.

    ``Reshape(shape=(1, -1))`` behind a convolution was right for the one image it was exported with, and would make one
    row of a batch. Its first number becomes 0, which copies the batch's own size.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str

    Notes
    -----
    Left alone: a Reshape whose input does not have the batch in front, and networks that fold the batch into their
    channels and unfold it again (a later ``Reshape(shape=(-1, …))``). `mxft.network.transfer.match_parameters` refuses
    what still does not give a row an image.
    """
    graph, batched, found = opened.graph, {}, []
    for node in graph.nodes:
        if node.is_variable:
            batched[node.index] = node.name not in opened.values
            continue
        batched[node.index] = _keeps_batch(node, batched)
        if node.op == "Reshape" and batched.get(node.inputs[0][0]):
            shape = node.numbers("shape")
            if shape and shape[0] > 0 and not node.flag("reverse"):
                found.append(node)
            elif shape and shape[0] == -1 and len(shape) > 2 and found:
                return []  # folds and unfolds
    sizes = {node.numbers("shape")[0] for node in found}
    if len(sizes) != 1:
        return []
    for node in found:
        node.attrs["shape"] = str((0, *node.numbers("shape")[1:]))
    return [f"the batch size {sizes.pop()} of {', '.join(node.name for node in found)} made free"]


def _keeps_batch(node, batched):
    """Whether a node's output has the batch in its first dimension, as far as its operator tells."""
    if not node.inputs:
        return False
    first = batched[node.inputs[0][0]]
    if node.op == "transpose":
        return first and node.numbers("axes", (1,))[0] == 0
    if node.op in ("Concat", "stack"):
        return first and node.attrs.get("dim", node.attrs.get("axis", "1")) not in ("0",)
    if node.op in ("mean", "sum", "max", "min"):
        axes = node.numbers("axis")
        return first and bool(axes) and 0 not in axes and not node.flag("exclude")
    if node.op == "Reshape":
        shape = node.numbers("shape")
        return first and bool(shape)
    if node.op == "SwapAxis":
        return first and "0" not in (node.attrs.get("dim1", "0"), node.attrs.get("dim2", "0"))
    if node.op == "reverse":
        return first and 0 not in node.numbers("axis")
    if node.op == "slice":
        return first and node.attrs.get("begin", "").strip("([ ").split(",")[0] in ("None", "0") \
            and node.attrs.get("end", "").strip("([ ").split(",")[0] == "None"
    if node.op in ("expand_dims", "squeeze", "slice_axis", "SliceChannel"):
        return first and node.attrs.get("axis", "1") != "0"
    return first and node.op in _KEEPING
