"""Symbol files: what is no network is refused, with its name, before MXNet reads anything of it; through every door."""

import hashlib
import json
import pathlib
import pickle
import re
import shutil
import tarfile
import zipfile

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.compat import mx
from mxft.errors import InputError
from mxft.network import graph_file
from mxft.network.checkpoint import load_checkpoint, load_symbol
from mxft.network.graph_file import graph_of, read_graph
from mxft.network.input_spec import InputSpec

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def network():
    data = mx.sym.Variable("data")
    conv = mx.sym.Convolution(data, kernel=(3, 3), num_filter=4, name="conv")
    flat = mx.sym.Flatten(
        mx.sym.Pooling(conv, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool"), name="flat"
    )
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(flat, num_hidden=3, name="fc"), name="softmax")


@pytest.fixture
def content():
    return json.loads(network().tojson())


def node(content, name):
    return next(entry for entry in content["nodes"] if entry["name"] == name)


def test_a_network_is_read_as_it_is(content):
    graph = graph_of(content)
    assert graph.to_symbol().tojson() == network().tojson() and graph.version == 10901


def replaced(**entries):
    return lambda content: content.update(entries)


def in_node(of, /, **entries):
    return lambda content: node(content, of).update(entries)


def attribute(name, **values):
    return lambda content: node(content, name).setdefault("attrs", {}).update(values)


def operator(op, attrs=None):
    def change(content):
        entry = node(content, "flat")
        entry["op"], entry["attrs"] = op, {} if attrs is None else attrs

    return change


POINTER = {"info": "0x7f0000000000"}
CASES = {
    # operators
    "_Native": (
        operator("_Native", POINTER),
        r'expected operators that compute a network\'s layers, received "_Native" '
        r'\(layer "flat"\); .*others may run code of their own or read files',
    ),
    "_NDArray": (operator("_NDArray", POINTER), 'received "_NDArray"'),
    "Custom": (operator("Custom", {"op_type": "x"}), "Custom"),
    "_CustomFunction": (operator("_CustomFunction"), '"_CustomFunction"'),
    "_sg": (operator("_sg_mkldnn_conv"), "_sg_mkldnn"),
    "fused for oneDNN": (
        in_node("flat", op="_sg_mkldnn_conv", subgraphs=[{}]),
        r'expected a network as it was trained, received one that was rewritten for 8 bits or for one processor, with '
        r'"_sg_mkldnn_conv" \(layer "flat"\); give the float32 checkpoint it was made of',
    ),
    "quantized": (operator("_contrib_quantized_conv"), "expected a network as it was trained, .*_quantized_conv"),
    "_foreach": (operator("_foreach"), "_foreach"),
    "_cvimread": (operator("_cvimread", {"filename": "/etc/passwd"}), "_cvimread"),
    "sgd_update": (operator("sgd_update", {"lr": "1"}), "sgd_update"),
    "unknown": (operator("Flaten"), "nearest: .*Flatten"),
    "an operator with a zero": (operator("Flatten\0"), "expected text of at most 512 characters as op of node"),
    "subgraphs": (
        in_node("flat", subgraphs=[{}]),
        "expected plain operators, received Flatten 'flat' with subgraphs: control",
    ),
    # attributes
    "num_group 0": (attribute("conv", num_group="0"), "Convolution 'conv': expected num_group from 1 to 1048576"),
    "kernel": (attribute("conv", kernel="(99999, 1)"), "Convolution 'conv': expected kernel from 1 to 4096"),
    "pad": (attribute("conv", pad="(-1, -1)"), "Convolution 'conv': expected pad from 0 to 65536"),
    "unknown attribute": (attribute("conv", strange="1"), "Convolution 'conv': Cannot find argument 'strange'$"),
    "old attribute": (lambda content: node(content, "conv").update(param={"num_group": "0"}, attrs={}), "conv"),
    "no text": (attribute("conv", kernel=[3, 3]), "expected text of at most 4096 characters as kernel of 'conv'"),
    "too long": (attribute("conv", kernel="1" * 5000), "expected text of at most 4096 characters as kernel of 'conv'"),
    "surrogate": (attribute("conv", kernel="\ud800"), "expected text as kernel of 'conv'"),
    "lr_mult": (
        attribute("conv_weight", __lr_mult__="abc"),
        "expected a number as __lr_mult__ of 'conv_weight', received \"abc\"",
    ),
    "wd_mult": (attribute("conv_weight", __wd_mult__="nan"), "expected a number as __wd_mult__ of 'conv_weight'"),
    "dtype": (attribute("conv_weight", __dtype__="99"), "expected the number of a type as __dtype__ of 'conv_weight'"),
    "shape": (attribute("conv_weight", __shape__="(1, x)"), "expected a shape as __shape__ of 'conv_weight'"),
    "storage": (attribute("conv_weight", __storage_type__="1"), "expected dense storage of 'conv_weight'"),
    "init": (
        attribute("conv_weight", __init__='["load", {"param": "/etc/passwd"}]'),
        "expected an initializer of MXNet's with plain numbers as __init__ of 'conv_weight'",
    ),
    "shape of many readings": (attribute("conv_weight", __shape__="1" * 80 + "x"), "expected a shape as __shape__"),
    "shape without commas": (attribute("conv_weight", __shape__="(1 3-2)"), "expected a shape as __shape__"),
    "lr_mult of old": (
        lambda content: (
            content.update(attrs={"mxnet_version": ["int", 800]}),
            attribute("conv", weight_lr_mult="abc")(content),
        ),
        "expected a number as weight_lr_mult of 'conv'",
    ),
    "infinite lr_mult": (attribute("conv_weight", __lr_mult__="1e999"), "expected a number as __lr_mult__"),
    "sections": (operator("_split_v2", {"sections": "2000000000", "indices": "()"}), "expected sections from 0 to"),
    "length": (operator("softmax", {"use_length": "1"}), "softmax 'flat': expected use_length=False"),
    "lengths": (operator("SequenceMask", {"use_sequence_length": "True"}), "expected use_sequence_length=False"),
    "computed label": (
        lambda content: (
            operator("softmax_cross_entropy")(content),
            in_node("flat", inputs=[[0, 0, 0], [content["nodes"].index(node(content, "pool")), 0, 0]])(content),
        ),
        "softmax_cross_entropy 'flat': expected a label that is fed and nothing else reads, received 'pool'",
    ),
    "label that is read": (
        lambda content: (operator("CTCLoss")(content), in_node("flat", inputs=[[0, 0, 0], [0, 0, 0]])(content)),
        "CTCLoss 'flat': expected a label that is fed and nothing else reads, received 'data'",
    ),
    "old file without inputs": (
        lambda content: (
            content.update(attrs={"mxnet_version": ["int", 800]}),
            in_node("flat", inputs=[])(content),
        ),
        r"Flatten 'flat': expected 1 inputs \(data\), received 0",
    ),
    "many heads": (replaced(heads=[[10, 0, 0]] * 1001), "expected at most 100,000 edges and 1,000 outputs, received"),
    "init of text": (attribute("conv_weight", __init__="os.system"), "__init__ of 'conv_weight'"),
    # structure
    "output 999": (
        lambda content: node(content, "flat")["inputs"].__setitem__(0, [0, 999, 0]),
        "expected an output below 1 of variable 'data', received an edge to its output 999",
    ),
    "second output": (
        replaced(heads=[[10, 1, 0]]),
        "expected an output below 1 of .*, received an edge to its output 1",
    ),
    "cycle": (
        lambda content: node(content, "conv")["inputs"].__setitem__(0, [len(content["nodes"]) - 1, 0, 0]),
        r"expected a node before it among inputs of 'conv', received \[10, 0, 0\]",
    ),
    "itself": (
        lambda content: node(content, "flat")["inputs"].__setitem__(
            0, [content["nodes"].index(node(content, "flat")), 0]
        ),
        "expected a node before it among inputs of 'flat'",
    ),
    "missing input": (
        in_node("conv", inputs=[[0, 0, 0]]),
        r"Convolution 'conv': expected 3 inputs \(data, weight, bias\), received 1",
    ),
    "one too many": (
        in_node("flat", inputs=[[0, 0, 0], [0, 0, 0]]),
        "Flatten 'flat': expected 1 inputs .*, received 2",
    ),
    "edge -1": (in_node("flat", inputs=[[-1, 0, 0]]), "expected a node before it among inputs of 'flat'"),
    "edge of text": (in_node("flat", inputs=[["0", 0]]), r"expected \[node, output\] among inputs of 'flat'"),
    "edge of truth": (in_node("flat", inputs=[[True, 0]]), r"expected \[node, output\] among inputs of 'flat'"),
    "inputs": (in_node("flat", inputs={}), "expected a list as inputs of 'flat'"),
    "variable": (in_node("softmax_label", inputs=[[0, 0, 0]]), "expected no inputs of the variable 'softmax_label'"),
    "heads": (replaced(heads=[]), r"expected at least one output, received heads=\[\]"),
    "no heads": (lambda content: content.pop("heads"), "expected a list as heads, received null"),
    "head 999": (replaced(heads=[[999, 0, 0]]), "expected a node before it among heads"),
    "head is the image": (
        replaced(heads=[[0, 0, 0]]),
        "expected an output that is computed, received 'data', a variable",
    ),
    "twins": (
        in_node("fc_bias", name="conv_bias"),
        "expected a name of its own for each variable, received 'conv_bias' twice",
    ),
    "names": (in_node("flat", name="\x1b[2J"), "expected a name without control characters as name of node"),
    "two lines": (in_node("flat", name="a\nb"), "expected a name without control characters as name of node"),
    "long name": (in_node("flat", name="n" * 513), "expected text of at most 512 characters as name of node"),
    "node": (lambda content: content["nodes"].__setitem__(1, 5), "expected an object as node 1, received 5"),
    "attrs": (in_node("conv", attrs=[1]), "expected an object as attrs of 'conv'"),
    "nodes": (replaced(nodes=[]), "expected an MXNet graph in JSON, an object with 'nodes'"),
    "version": (replaced(attrs={"mxnet_version": ["int", -1]}), "expected a version such as"),
    "version of text": (replaced(attrs={"mxnet_version": "new"}), "expected a version such as"),
}


@pytest.fixture
def no_mxnet(monkeypatch):
    """MXNet's readers of symbols fail the test, the C functions beneath them too."""

    def called(*_):
        pytest.fail("MXNet was given the graph")

    for owner, name in (
        (mx.sym, "load_json"),
        (mx.sym, "load"),
        (mx.symbol, "load_json"),
        (mx.symbol, "load"),
        (mx.base._LIB, "MXSymbolCreateFromJSON"),
        (mx.base._LIB, "MXSymbolCreateFromFile"),
    ):
        monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_network_is_refused_before_mxnet_reads_it(content, case, no_mxnet, tmp_path):
    change, message = CASES[case]
    change(content)
    with pytest.raises(ValueError, match=message):
        graph_of(content)
    path = tmp_path / "net-symbol.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"symbol cannot be read: (.|\n)*in {re.escape(str(path))}"):
        load_symbol(str(path))


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "received a file beginning b'' .*; copy or download it again$"),
        (b"\x89PNG", "beginning b'.x89PNG'"),
        (b"[" * 200_000, "an MXNet graph in JSON, .*; copy or download it again$"),
        (b'{"a":' * 100_000, "an MXNet graph in JSON"),
        (b"[]", "an object with 'nodes'"),
        (b"null", "an object with 'nodes'"),
        (b'{"nodes": {}}', "an object with 'nodes'"),
        ('{"nodes": []}'.encode("utf-16"), "an MXNet graph in JSON"),
    ],
)
def test_a_file_that_is_no_graph_is_named(tmp_path, data, message):
    (tmp_path / "x-symbol.json").write_bytes(data)
    with pytest.raises(InputError, match=f"symbol cannot be read: .*{message}"):
        read_graph(str(tmp_path / "x-symbol.json"))


def test_large_files_and_many_nodes_are_refused_unread(tmp_path, content, monkeypatch):
    (tmp_path / "x-symbol.json").write_text(json.dumps(content))
    monkeypatch.setattr(graph_file, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="expected at most 0 MB, received"):
        read_graph(str(tmp_path / "x-symbol.json"))
    monkeypatch.setattr(graph_file, "MOST_NODES", 10)
    with pytest.raises(ValueError, match="expected at most 10 nodes, received 11"):
        graph_of(content)


def test_old_files_are_read(content):
    for entry in content["nodes"]:  # of 0.7 and 0.8
        entry["param"], entry["backward_source_id"] = entry.pop("attrs", {}), -1
        entry["inputs"] = [edge[:2] for edge in entry["inputs"]]
    content.pop("attrs")
    content["heads"] = [edge[:2] for edge in content["heads"]]
    node(content, "conv_weight")["attr"] = {"lr_mult": "0.2", "ctx_group": "stage1"}
    node(content, "conv")["attr"] = {"ctx_group": "stage1", "mood": "angry"}  # people's own, which 1.9.1 stops at
    graph = graph_of(content)
    attrs = next(entry.attrs for entry in graph.nodes if entry.name == "conv_weight")
    assert "mood" not in next(entry.attrs for entry in graph.nodes if entry.name == "conv")
    assert graph.version == 800 and attrs["lr_mult"] == "0.2" and attrs["ctx_group"] == "stage1"
    assert graph.to_symbol().list_arguments() == network().list_arguments()


@pytest.fixture
def hostile(tmp_path, monkeypatch, make_checkpoint):
    """A folder with ``net,0`` and a bundle whose symbols call an address, and what verbs read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    checkpoint = make_checkpoint(3)
    checkpoint.manifest = {
        "format": 1,
        "input": InputSpec((3, 16, 16)).to_dict(),
        "classes": ["a", "b", "c"],
        "packing": {"resize": 20, "encoding": ".png"},
    }
    checkpoint.save("net", 0)
    cv2.imwrite("cat.png", np.random.RandomState(0).randint(0, 255, (20, 20, 3)).astype(np.uint8))
    assert main(["bundle", "--model", "net,0", "--no-onnx", "--image", "cat.png", "--output", "bundle"]) == 0
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        shutil.copy("cat.png", f"photos/{label}/cat.png")
    image = (tmp_path / "cat.png").read_bytes()
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([image] * 40, [True, False] * 10)))
    for path in ("net-symbol.json", "bundle/model-symbol.json"):
        content = json.loads((tmp_path / path).read_text())
        entry = next(entry for entry in content["nodes"] if entry["op"] == "Flatten")
        entry["op"], entry["attrs"] = "_Native", POINTER
        (tmp_path / path).write_text(json.dumps(content))
    return tmp_path


def write_hashes(bundle):
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(bundle.iterdir())
             if path.name != "SHA256SUMS"]
    (bundle / "SHA256SUMS").write_text("".join(lines))


DOORS = [
    ("layers", "net,0"),
    ("layers", "net-symbol.json"),
    ("layers", "bundle"),
    ("layers", "net.mar"),
    ("slim", "--model", "model.tar.gz", "--layer", "flatten0", "--output", "out"),
    ("predict", "--model", "model.tar.gz", "cat.png"),
    ("slim", "--model", "net,0", "--layer", "flatten0", "--output", "out"),
    ("predict", "--model", "net,0", "cat.png"),
    ("predict", "--model", "bundle", "cat.png"),
    ("export", "--to", "onnx", "--model", "net,0", "--output", "x.onnx"),
    ("bundle", "--model", "net,0", "--no-onnx", "--image", "cat.png", "--output", "b2"),
    ("serve", "bundle", "--port", "0"),
    ("finetune", "--model", "net,0", "--train", "photos", "--run", "run"),
    ("extract-features", "--model", "net,0", "photos", "x.npz"),
    ("advise", "--model", "net,0", "--data", "photos"),
    ("lr-find", "--model", "net,0", "--train", "photos", "--run", "run"),
    ("score", "--model", "net,0", "photos"),
    ("verify", "--model", "net,0", "--bin", "x.bin", "--image-size", "16,16"),
]


@pytest.mark.parametrize("operator_name", ["_Native", "_NDArray", "Custom"])
@pytest.mark.parametrize("words", DOORS, ids=lambda words: " ".join(words[:3]))
def test_native_is_never_given_to_mxnet(words, operator_name, hostile, no_mxnet, capsys):
    for path in ("net-symbol.json", "bundle/model-symbol.json"):
        text = (hostile / path).read_text()
        (hostile / path).write_text(text.replace('"_Native"', f'"{operator_name}"'))
    write_hashes(hostile / "bundle")
    with zipfile.ZipFile("net.mar", "w") as mar, tarfile.open("model.tar.gz", "w:gz") as tar:
        for name in ("net-symbol.json", "net-0000.params"):
            mar.write(name)
            tar.add(name)
    assert main(list(words)) == 2 and f'"{operator_name}" (layer' in capsys.readouterr().err
    with pytest.raises(InputError, match=operator_name):
        load_checkpoint("net,0")


def test_there_is_one_place_where_mxnet_is_given_a_graph():
    """Which writes out again what `graph_of` let pass: nothing else of mxft, tools or recipes has it read one."""
    reads = re.compile(r"\bload_json\(|\bsym(bol)?\.load\(|SymbolBlock\.imports|SymbolCreateFrom|\.fromjson\(")
    found = {
        str(path.relative_to(REPOSITORY))
        for folder in ("mxft", "tools", "recipes")
        for path in (REPOSITORY / folder).rglob("*.py")
        if reads.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"mxft/network/graph.py"}
