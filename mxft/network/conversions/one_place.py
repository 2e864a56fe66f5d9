"""Maps of a single place, ``(N, C, 1, 1)``, and the layers behind them that would not keep a row for each image."""
_ALIKE = frozenset(("Activation", "BatchNorm", "Cast", "Dropout", "LeakyReLU", "_copy", "relu", "sigmoid", "tanh",
                    "clip", "_mul_scalar", "_div_scalar", "_plus_scalar", "_minus_scalar", "BlockGrad"))


def keep_rows(opened):
    """Give each image a row of its own where a layer behind maps of one place would not; return notes.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str

    Notes
    -----
    ``squeeze`` without an axis drops the batch too where it is of one image. ``SoftmaxOutput`` of ``(N, C, 1, 1)`` is a
    softmax over all numbers of an image in training, on a GPU and in MXNet's own kernels; oneDNN's, which a CPU runs
    for inference, takes it over the last axis and gives 1 for every class.
    """
    graph, notes = opened.graph, []
    for node in list(graph.operators()):
        if node.op == "squeeze" and node.attrs.get("axis", "None") in ("None", "") and _is_one_place(graph, node):
            node.attrs["axis"] = "(2, 3)"
            notes.append(f"{node.name} keeps the batch, be it of one")
        elif node.op == "SoftmaxOutput" and not (node.flag("multi_output") or node.flag("preserve_shape")) \
                and _is_one_place(graph, node):
            flat = graph.add("Flatten", f"{node.name}_rows", {}, [node.inputs[0]])
            node.inputs[0] = (flat.index, 0)
            notes.append(f"{node.name} over all classes, as in training")
    return notes


def _is_one_place(graph, node):
    """Whether what a node reads is ``(N, C, 1, 1)``, as a global pooling or a mean over places leaves it."""
    node = graph.nodes[node.inputs[0][0]]
    while node.op in _ALIKE or (node.op == "Convolution" and set(node.numbers("kernel")) == {1}
                                and len(node.numbers("kernel")) == 2 and not any(node.numbers("pad"))):
        node = graph.nodes[node.inputs[0][0]]
    if node.op in ("Pooling", "Pooling_v1"):
        return node.flag("global_pool") and len(node.numbers("kernel", (1, 1))) == 2
    if node.op in ("mean", "max"):
        return node.flag("keepdims") and set(node.numbers("axis")) == {2, 3} and not node.flag("exclude")
    return node.op == "_contrib_AdaptiveAvgPooling2D" and set(node.numbers("output_size", (1,))) == {1}
