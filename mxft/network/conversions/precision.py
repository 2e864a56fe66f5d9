"""Half and double precision, and whole numbers, as float32: the parameters, and the casts a graph carries for them."""
_CODES = {"1": "float64", "2": "float16", "12": "bfloat16"}  # mshadow's, of __dtype__
_NAMES = ("float16", "float64", "bfloat16")
_WHOLE = ("int8", "uint8", "int32", "int64", "bool")
_AMP = ("amp_cast", "amp_multicast")


def to_float32(opened):
    """Make a network compute in float32; return notes.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str

    Notes
    -----
    MXNet 1.9.1 has no float16 convolution on a CPU that computes right, and mxft trains in float32 (``--fp16`` makes
    the float16 graph itself). float16 to float32 changes no value; float64 is rounded. Whole numbers MXNet's own
    binding reads as float32 too, unless the graph gives their type.
    """
    casts = 0
    for node in opened.graph.nodes:
        if node.attrs.get("__dtype__") in _CODES:
            node.attrs["__dtype__"] = "0"
        if node.attrs.get("dtype") in _NAMES:
            node.attrs["dtype"] = "float32"
            casts += 1
    typed = {node.name for node in opened.graph.nodes if "__dtype__" in node.attrs and node.attrs["__dtype__"] != "0"}
    counts = {}
    for name, value in opened.values.items():
        kind = _name_of(value.dtype)
        if kind in _NAMES or (kind in _WHOLE and name not in typed):
            opened.values[name] = value.astype("float32")
            counts[kind] = counts.get(kind, 0) + 1
    casts += _without_amp(opened.graph)
    notes = [f"{count} {kind} parameters as float32" for kind, count in counts.items()]
    return notes + ([f"casts to half or double precision as float32 ({casts})"] if casts else [])


def _name_of(dtype):
    """Return the name of an array's type; MXNet has bfloat16 as a NumPy structure of one field."""
    names = getattr(dtype, "names", None)
    return names[0] if names else getattr(dtype, "__name__", str(dtype))


def _without_amp(graph):
    """Take out automatic mixed precision's casts, which all became casts from float32 to float32."""
    casts = [node for node in graph.operators() if node.op in _AMP]
    if casts:
        graph.redirect_all({(node.index, output): edge for node in casts for output, edge in enumerate(node.inputs)})
    return len(casts)

