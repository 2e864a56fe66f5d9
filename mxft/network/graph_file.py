"""A symbol file read as plain values and checked against what a network can be, before MXNet reads anything of it.

MXNet's own loader (nnvm's LoadJSON, src/nnvm/legacy_json_util.cc) believes the file: an edge to a node that is not
there, a cycle, or an operator that calls an address are followed. Only what has passed here is written out again, node
by node, and given to it. Files of every release since 0.7 are read: ``param`` and ``attr`` of old ones are ``attrs``,
edges may have two numbers or three, auxiliary states may be missing (MXNet adds them).
"""
import json
import math
import os
import re

from mxft.errors import InputError, nearest
from mxft.files.whole import require_file
from mxft.network.attributes import LONGEST, MOST_DIMENSIONS, check_attributes
from mxft.network.graph import Graph, Node
from mxft.network.operators import ALLOWED, UNGUARDED, find_operator, signature_of
from mxft.wording import is_plain

MOST_BYTES = 16 << 20     # Python takes forty times as much for what is in it
MOST_NODES = 10_000       # ResNet-1001 has some 7,000; export takes a millisecond for each
MOST_EDGES = 100_000      # that all nodes read, and outputs that all give; DenseNet-201 has some 2,000
MOST_HEADS = 1_000
NEWEST = 10901            # MXNet 1.9.1
STATES_IN_FILE = 900      # before 0.9.0 auxiliary states were no nodes
# what MXNet reads from a variable or operator beside its attributes, with or without underscores around it
_HIDDEN = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage", "profiler_scope")
_KEPT = {f"__{key}__" for key in (*_HIDDEN, "dtype", "shape", "init", "storage_type", "layout")}
# operators of networks that were quantized, or fused for oneDNN or TensorRT
_MADE_OVER = ("_sg_", "_TensorRT", "_contrib_quantize", "_contrib_dequantize", "_contrib_requantize",
              "_contrib_intgemm")
_RENAMED = {"CuDNNBatchNorm": "BatchNorm"}  # operators MXNet 1.9.1 has no more, see mxft.network.conversions
_INITIALIZERS = {"zero", "zeros", "one", "ones", "constant", "uniform", "normal", "orthogonal", "xavier", "msraprelu",
                 "bilinear", "lstmbias"}


def read_graph(path):
    """Read a symbol file.

    Parameters
    ----------
    path : str

    Returns
    -------
    Graph
        Every node in topological order; its `version` is that of the MXNet that wrote the file.

    Raises
    ------
    InputError
        It is no graph of MXNet's, or one that has no place in a network: an operator that is not on the list of
        `mxft.network.operators`, an attribute out of bounds, an edge that leads nowhere.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1").save("net-symbol.json")
    >>> read_graph("net-symbol.json").heads
    [(3, 0)]
    """
    require_file(path, "symbol")
    try:
        content = _load(path)
    except ValueError as error:
        raise InputError(f"symbol cannot be read: {error}, in {path}; copy or download it again") from None
    try:
        return graph_of(content)
    except ValueError as error:
        raise InputError(f"symbol cannot be read: {error}, in {path}") from None


def graph_of(content):
    """Return the Graph of a symbol's JSON object, checked as by `read_graph`; ValueError where it cannot be one."""
    if not isinstance(content, dict) or not isinstance(content.get("nodes"), list) or not content["nodes"]:
        raise ValueError("expected an MXNet graph in JSON, an object with 'nodes', received "
                         f"{_short(content if not isinstance(content, dict) else sorted(map(str, content))[:8])}")
    if len(content["nodes"]) > MOST_NODES:
        raise ValueError(f"expected at most {MOST_NODES:,} nodes, received {len(content['nodes']):,}")
    version = _version(content)
    nodes = [_node(index, entry) for index, entry in enumerate(content["nodes"])]
    _refuse_operators(nodes)
    for node in nodes:
        _check_node(node, version)
    heads = [_edge(edge, "heads", len(nodes)) for edge in _list(content.get("heads"), "heads")]
    if not heads:
        raise ValueError("expected at least one output, received heads=[]")
    if all(0 <= index < len(nodes) and nodes[index].is_variable for index, _ in heads):
        raise ValueError(f"expected an output that is computed, received {nodes[heads[0][0]].name!r}, a variable")
    _refuse_many(nodes, heads)
    _check_edges(nodes, heads, version)
    _check_labels(nodes)
    _refuse_twins(nodes)
    return Graph.from_nodes(nodes, heads, version)


def _load(path):
    """Return the file's JSON; ValueError with its beginning where it is none."""
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES >> 20} MB, received {size / 2**20:.0f} MB")
    with open(path, "rb") as f:
        data = f.read()
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected an MXNet graph in JSON, received a file beginning {data[:40]!r} ({error})"
                         ) from None


def _version(content):
    """Return the MXNet version a graph says it was written by, as 10901; 800 for the silent files of before 0.9."""
    attrs = content.get("attrs")
    entry = attrs.get("mxnet_version") if isinstance(attrs, dict) else None
    number = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
    if entry is not None and (not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 31):
        raise ValueError(f"expected a version such as [\"int\", {NEWEST}], received mxnet_version={_short(entry)}")
    return 800 if number is None else min(number, NEWEST)


def _node(index, entry):
    """Return a node; its attributes are those of ``attrs``, ``attr`` and ``param`` together."""
    if not isinstance(entry, dict):
        raise ValueError(f"expected an object as node {index}, received {_short(entry)}")
    op, name = (_name(entry.get(key), f"{key} of node {index}") for key in ("op", "name"))
    if "subgraphs" in entry and not op.startswith(_MADE_OVER):
        raise ValueError(f"expected plain operators, received {op} {name!r} with subgraphs: control flow is not run")
    attrs = {}
    for key in ("param", "attr", "attrs"):
        part = entry.get(key) or {}
        if not isinstance(part, dict):
            raise ValueError(f"expected an object as {key} of {name!r}, received {_short(part)}")
        if key == "attr" and entry.get("param"):  # then these were people's own notes, but for what MXNet reads
            part = {k: v for k, v in part.items() if k.startswith("__") or k.endswith(_HIDDEN)}
        attrs.update((_text(k, f"attribute of {name!r}", 256), _text(v, f"{k} of {name!r}")) for k, v in part.items())
    inputs = [_edge(edge, f"inputs of {name!r}", index)
              for edge in _list(entry.get("inputs", []), f"inputs of {name!r}")]
    return Node(index, op, name, {k: v for k, v in attrs.items() if not k.startswith("__") or k in _KEPT}, inputs)


def _list(value, what):
    if not isinstance(value, list):
        raise ValueError(f"expected a list as {what}, received {_short(value)}")
    return value


def _text(value, what, longest=LONGEST):
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise ValueError(f"expected text of at most {longest} characters as {what}, received {_short(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"expected text as {what}, received {_short(value)}") from None
    return value


def _name(value, what):
    if not is_plain(_text(value, what, 512)):
        raise ValueError(f"expected a name without control characters as {what}, received {_short(value)}")
    return value


def _edge(edge, what, below):
    """Return (node, output) of an edge; only nodes before `below` can be read, so that there is no cycle."""
    numbers = edge if isinstance(edge, list) else ()
    if len(numbers) not in (2, 3) or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise ValueError(f"expected [node, output] among {what}, received {_short(edge)}")
    if not 0 <= numbers[0] < below or numbers[1] < 0:
        raise ValueError(f"expected a node before it among {what}, received {_short(edge)}")
    return tuple(numbers[:2])


def _refuse_operators(nodes):
    """Name every operator that is not on the list, at once."""
    unknown = {}
    for node in nodes:
        if node.is_variable or node.op in _RENAMED:
            continue
        found = find_operator(node.op)
        if found is None or found.name not in ALLOWED:
            unknown.setdefault(node.op, node.name)
    made_over = [op for op in unknown if op.startswith(_MADE_OVER)]
    if made_over:
        raise ValueError("expected a network as it was trained, received one that was rewritten for 8 bits or for one "
                         f"processor, with {_short(made_over[0])} (layer {_short(unknown[made_over[0]])}); give the "
                         "float32 checkpoint it was made of")
    if unknown:
        listed = ", ".join(f"{_short(op)} (layer {_short(name)})" for op, name in sorted(unknown.items())[:5])
        raise ValueError(f"expected operators that compute a network's layers, received {listed}"
                         f"{' …' if len(unknown) > 5 else ''}; {nearest(next(iter(sorted(unknown))), ALLOWED)}; others "
                         "may run code of their own or read files and are not given to MXNet")


# what Gluon writes of a constant, or of an initializer given as an object: gone with its process, the values are saved
_GONE = re.compile(r"Constant_\w+|<mxnet\.initializer\.\w+ object at 0x[0-9a-f]+>")


def _check_node(node, version):
    """Check a node's attributes; `signature_of` has MXNet read them."""
    if _GONE.fullmatch(node.attrs.get("__init__", "")):
        del node.attrs["__init__"]
    for key, text in node.attrs.items():
        if key.startswith("__") or key.endswith(_HIDDEN):
            _check_hidden(key, text, node.name)
    if node.is_variable:
        if node.inputs:
            raise ValueError(f"expected no inputs of the variable {node.name!r}, received {len(node.inputs)}")
        return
    operator = find_operator(_RENAMED.get(node.op, node.op))
    try:
        check_attributes(operator, own_attributes(node, version))
    except ValueError as error:
        raise ValueError(f"{node.op} {node.name!r}: {error}") from None


def own_attributes(node, version):
    """Return a node's attributes but for those MXNet keeps for other purposes, such as ``lr_mult`` in old files."""
    return {key: text for key, text in node.attrs.items() if not key.startswith("__")
            and not (version < NEWEST and key.endswith(_HIDDEN))}


_SHAPE = re.compile(r"[(\[]?(-?\d{1,10}L?(, *-?\d{1,10}L?)*,?)?[)\]]?")  # one way to read each text
_REAL = re.compile(r"[-+]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][-+]?\d{1,3})?")


def _is_number(text):
    return bool(_REAL.fullmatch(text)) and math.isfinite(float(text))


def _check_hidden(key, text, name):
    if key.rstrip("_").endswith(("lr_mult", "wd_mult")) and not _is_number(text):
        raise ValueError(f"expected a number as {key} of {name!r}, received {_short(text)}")
    if key == "__dtype__" and text not in {"-1", "0", "1", "2", "3", "4", "5", "6", "12"}:
        raise ValueError(f"expected the number of a type as __dtype__ of {name!r}, received {_short(text)}")
    if key == "__shape__" and not (_SHAPE.fullmatch(text) and text.count(",") <= MOST_DIMENSIONS):
        raise ValueError(f"expected a shape as __shape__ of {name!r}, received {_short(text)}")
    if key == "__storage_type__" and text not in ("-1", "0"):
        raise ValueError(f"expected dense storage of {name!r}, received __storage_type__={_short(text)}")
    if key == "__init__" and not _is_initializer(text):
        raise ValueError(f"expected an initializer of MXNet's with plain numbers as __init__ of {name!r}, received "
                         f"{_short(text)}")


def _is_initializer(text):
    """Whether text names an initializer that draws or sets numbers; ``load`` and others read files."""
    if text.lower() in _INITIALIZERS:  # as Gluon writes them
        return True
    try:
        name, arguments = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return False
    return (isinstance(name, str) and name.lower() in _INITIALIZERS and isinstance(arguments, dict)
            and all(isinstance(value, (int, float, str, bool, type(None))) for value in arguments.values()))


def _check_edges(nodes, heads, version):
    """Hold every edge against what MXNet says its ends read and give."""
    outputs, total = [], 0
    for node in nodes:
        inputs, count = ((), 1) if node.is_variable else _signature(node, version)
        outputs.append(count)
        total += count
        if total > MOST_EDGES:
            raise ValueError(f"expected layers that give at most {MOST_EDGES:,} outputs together, received more at "
                             f"{node.op} {node.name!r}")
        old = version < STATES_IN_FILE or node.op in _RENAMED
        least = sum(not (old and name.startswith("moving_")) for name in inputs)
        if not node.is_variable and not least <= len(node.inputs) <= len(inputs):
            raise ValueError(f"{node.op} {node.name!r}: expected {len(inputs)} inputs ({', '.join(inputs[:8])}), "
                             f"received {len(node.inputs)}")
    for index, output in [edge for node in nodes for edge in node.inputs] + heads:
        if output >= outputs[index]:
            source = nodes[index]
            what = "variable" if source.is_variable else source.op
            raise ValueError(f"expected an output below {outputs[index]} of {what} {source.name!r}, received an "
                             f"edge to its output {output}")


def _refuse_many(nodes, heads):
    """Refuse more edges and heads than any network has: the time that each verb takes goes by their number."""
    edges = sum(len(node.inputs) for node in nodes)
    if edges > MOST_EDGES or len(heads) > MOST_HEADS:
        raise ValueError(f"expected at most {MOST_EDGES:,} edges and {MOST_HEADS:,} outputs, received {edges:,} and "
                         f"{len(heads):,}")


def _check_labels(nodes):
    """Refuse a loss of `UNGUARDED` whose label is computed, or read by others and thus may be a parameter."""
    losses, read = [], set()
    for node in nodes:
        found = None if node.is_variable or node.op in _RENAMED else find_operator(node.op)
        unguarded = found is not None and found.name in UNGUARDED
        losses += [node] * unguarded
        read |= {index for position, (index, _) in enumerate(node.inputs) if not (unguarded and position == 1)}
    for node in losses:
        label = node.inputs[1][0]
        if not nodes[label].is_variable or label in read:
            raise ValueError(f"{node.op} {node.name!r}: expected a label that is fed and nothing else reads, received "
                             f"{nodes[label].name!r}: MXNet reads outside of an array where a label is no class")


def _signature(node, version):
    try:
        return signature_of(_RENAMED.get(node.op, node.op), tuple(sorted(own_attributes(node, version).items())))
    except ValueError as error:
        raise ValueError(f"{node.op} {node.name!r}: {error}") from None


def _refuse_twins(nodes):
    """Refuse two variables of one name: MXNet could not tell their values apart."""
    seen = set()
    for node in nodes:
        if node.is_variable and node.name in seen:
            raise ValueError(f"expected a name of its own for each variable, received {node.name!r} twice")
        if node.is_variable:
            seen.add(node.name)


def _short(value, most=60):
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= most else text[:most] + " …"

