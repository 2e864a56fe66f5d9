"""Checkpoints: read as people type them, written as every MXNet program reads them, refused where they are damaged."""
import os

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, MissingFileError, RunError
from mxft.files.whole import sha256
from mxft.network.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_manifest,
    load_params,
    load_symbol,
    params_path,
    parent_entry,
    parse_model,
    saved_epochs,
)
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec


def same(a, b):
    return a.keys() == b.keys() and all((a[name].asnumpy() == b[name].asnumpy()).all() for name in a)


@pytest.fixture
def prefix(here):
    """``runs/a/model`` with epochs 3 and 12 and best, below the current folder."""
    os.makedirs("runs/a")
    for name in ("model-symbol.json", "model-0003.params", "model-0012.params", "model-best.params"):
        (here / "runs" / "a" / name).write_bytes(b"")
    return "runs/a/model"


@pytest.mark.parametrize("text, expected", [
    ("model,0", ("model", 0)), ("../model-r100, 287", ("../model-r100", 287)), ("model , 0012 ", ("model", 12)),
    ("runs/a/model,best", ("runs/a/model", "best")), ("runs/a/model, interrupted", ("runs/a/model", "interrupted")),
    ("model,²", ("model", "²")), ("a,b/model,3", ("a,b/model", 3)),
    ("/abs/resnet-50,0", ("/abs/resnet-50", 0)),
    ("runs/a", ("runs/a/model", "best")), ("runs/a/", ("runs/a/model", "best")), (" runs/a ", ("runs/a/model", "best")),
])
def test_a_model_is_read_as_people_type_it(prefix, text, expected):
    assert parse_model(text) == expected


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse_model("~/model,0") == ("/home/me/model", 0)


def test_a_run_folder_without_best_means_its_last_epoch(prefix):
    os.unlink("runs/a/model-best.params")
    assert parse_model("runs/a") == ("runs/a/model", 12)


def test_a_missing_epoch_lists_those_that_exist(prefix):
    assert saved_epochs(prefix) == ["3", "12", "best"]
    with pytest.raises(InputError, match="model: expected 'prefix,epoch', received model='runs/a/model'; epochs there: "
                                         "3, 12, best: try runs/a/model,best"):
        parse_model(prefix)
    with pytest.raises(MissingFileError, match="parameters are missing: expected a file, received 'runs/a/model-0004"
                                               ".params'; epochs there: 3, 12, best"):
        load_params(params_path(prefix, 4))
    with pytest.raises(MissingFileError, match="no epoch of that prefix exists"):
        load_params("runs/a/other-0004.params")


@pytest.mark.parametrize("text", ["model,", ",3", "model,-1", "model,1.5", ""])
def test_what_is_no_prefix_and_epoch_is_refused(prefix, text):
    with pytest.raises(InputError, match="model: expected 'prefix,epoch', received model="):
        parse_model(text)


def test_a_wrong_prefix_is_told_with_the_nearest(prefix):
    with pytest.raises(InputError, match="received model='runs/a/modle'; checkpoints in runs/a: nearest: model"):
        parse_model("runs/a/modle")
    with pytest.raises(MissingFileError, match="symbol is missing: expected runs/a/modle-symbol.json, received model="
                                               "'runs/a/modle,3'; checkpoints in runs/a: nearest: model"):
        load_checkpoint("runs/a/modle,3")
    with pytest.raises(InputError, match="; folder runs/b does not exist"):
        parse_model("runs/b/model")


def test_odd_letters_in_a_prefix_are_no_pattern(tmp_path, make_checkpoint):
    name = make_checkpoint().save(str(tmp_path / "a[1]*"), 2)
    assert saved_epochs(str(tmp_path / "a[1]*")) == ["2"]
    assert load_checkpoint(name).name == name


@pytest.mark.parametrize("epoch, file", [(7, "net-0007.params"), (12345, "net-12345.params"),
                                         ("best", "net-best.params")])
def test_what_is_saved_mxnet_reads_back_bit_for_bit(tmp_path, make_checkpoint, epoch, file):
    checkpoint = make_checkpoint()
    name = checkpoint.save(str(tmp_path / "new" / "net"), epoch)
    assert sorted(os.listdir(tmp_path / "new")) == sorted([file, "net-symbol.json"])
    if isinstance(epoch, int):
        symbol, args, auxs = mx.model.load_checkpoint(str(tmp_path / "new" / "net"), epoch)
        assert symbol.tojson() == checkpoint.symbol.tojson()
        assert same(args, checkpoint.arg_params) and same(auxs, checkpoint.aux_params)
    again = load_checkpoint(name)
    assert Graph(again.symbol).nodes == Graph(checkpoint.symbol).nodes and again.name == name and again.manifest == {}
    assert same(again.arg_params, checkpoint.arg_params) and same(again.aux_params, checkpoint.aux_params)


def test_what_mxnet_saved_is_read_bit_for_bit(tmp_path, make_checkpoint):
    checkpoint, prefix = make_checkpoint(), str(tmp_path / "theirs")
    mx.model.save_checkpoint(prefix, 0, checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params)
    again = load_checkpoint(f"{prefix}, 0")
    assert same(again.arg_params, checkpoint.arg_params) and same(again.aux_params, checkpoint.aux_params)
    assert again.input_spec is None and again.classes is None


def test_gluons_bare_names_are_told_apart_by_the_symbol(tmp_path, make_checkpoint):
    checkpoint, path = make_checkpoint(), str(tmp_path / "net-0000.params")
    mx.nd.save(path, {**checkpoint.arg_params, **checkpoint.aux_params})
    args, auxs = load_params(path, checkpoint.symbol)
    assert same(args, checkpoint.arg_params) and same(auxs, checkpoint.aux_params)
    with pytest.raises(InputError, match=r"expected names beginning arg: or aux:, received '\w+' \(Gluon's format\); "
                                         "give the symbol beside it"):
        load_params(path)


def test_a_parameter_file_cut_anywhere_is_refused(tmp_path, make_checkpoint):
    checkpoint, path = make_checkpoint(), str(tmp_path / "net-0000.params")
    checkpoint.save(str(tmp_path / "net"), 0)
    with open(path, "rb") as f:
        data = f.read()
    for length in [*range(120), *range(120, len(data), 97), len(data) - 1]:
        with open(path, "wb") as f:
            f.write(data[:length])
        with pytest.raises(InputError, match=f"expected a whole MXNet parameter file, received {path} of {length} "
                                             "bytes, cut short or not one .*; copy or download it again"):
            load_params(path, checkpoint.symbol)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><title>404 Not Found</title>" * 9, b"\0" * 400, b"PK\3\4" * 50])
def test_what_is_no_parameter_file_is_refused(tmp_path, content):
    (tmp_path / "net-0000.params").write_bytes(content)
    with pytest.raises(InputError, match="parameters cannot be read: expected a whole MXNet parameter file"):
        load_params(str(tmp_path / "net-0000.params"))


def test_arrays_without_names_are_refused(tmp_path):
    mx.nd.save(str(tmp_path / "net-0000.params"), [mx.nd.zeros((1,)), mx.nd.zeros((2,))])
    with pytest.raises(InputError, match="expected named arrays, received .* with 2 arrays without names"):
        load_params(str(tmp_path / "net-0000.params"))


@pytest.mark.parametrize("text, message", [
    ("<!DOCTYPE html><title>404</title>", r"expected an MXNet graph in JSON, received .* beginning b'<!DOCTYPE html>"),
    ("", r"expected an MXNet graph in JSON, received .* beginning b''"),
    ("\x00\x93\xff", r"expected an MXNet graph in JSON"),
    ('{"nodes": [', r"expected an MXNet graph in JSON"),
    ('{"class": "cat"}', r"expected an MXNet graph in JSON, an object with 'nodes', received \[\"class\"\]"),
    ("[]", r".*with 'nodes', received \[\]"), ("null", r".*with 'nodes', received null"),
    ('{"nodes": []}', r"expected an MXNet graph in JSON, an object with 'nodes', received \[\"nodes\"\]"),
    ('{"nodes": [{"op": "null", "name": "data", "inputs": []}], "arg_nodes": [0], "heads": [[9, 0, 0]]}',
     r"expected a node before it among heads, received \[9, 0, 0\], in .*net-symbol.json"),
    ('{"nodes": [{"op": "Cosine", "name": "a", "inputs": []}], "arg_nodes": [], "heads": [[0, 0, 0]]}',
     r"expected operators that compute a network's layers, received \"Cosine\" \(layer \"a\"\)"),
])
def test_a_symbol_that_is_no_graph_is_refused(tmp_path, text, message):
    (tmp_path / "net-symbol.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="symbol cannot be read: " + message):
        load_symbol(str(tmp_path / "net-symbol.json"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind, name", [("arg_params", "fc1_weight"), ("aux_params", "bn0_moving_var")])
def test_a_parameter_that_is_not_finite_is_not_saved_and_the_old_files_stay(tmp_path, make_checkpoint, kind, name,
                                                                            value):
    checkpoint, prefix = make_checkpoint(), str(tmp_path / "net")
    with_hole = getattr(checkpoint, kind)[name].asnumpy()
    with_hole.flat[-1] = value
    bad = make_checkpoint(seed=5)
    getattr(bad, kind)[name] = mx.nd.array(with_hole)
    with pytest.raises(RunError, match=f"parameters are not saved: expected finite numbers, received NaN or infinity "
                                       f"in {name}$") as caught:
        bad.save(prefix, 0)
    assert caught.value.exit_code == 3 and os.listdir(tmp_path) == []
    checkpoint.save(prefix, 0)
    hashes = {file: sha256(tmp_path / file) for file in os.listdir(tmp_path)}
    with pytest.raises(RunError):
        bad.save(prefix, 0)
    assert {file: sha256(tmp_path / file) for file in os.listdir(tmp_path)} == hashes


def test_a_checkpoint_that_could_not_be_written_to_its_end_is_not_saved(tmp_path, make_checkpoint, monkeypatch):
    prefix, save = str(tmp_path / "net"), mx.nd.save
    make_checkpoint().save(prefix, 0)
    before = sha256(prefix + "-0000.params")

    def cut_short(path, entries):  # what mx.nd.save leaves, without an error, on a disk that fills up
        save(path, entries)
        os.truncate(path, os.path.getsize(path) - 400)

    monkeypatch.setattr(mx.nd, "save", cut_short)
    with pytest.raises(RunError, match="is not saved: expected room for .*net-0000.params, received") as caught:
        make_checkpoint(seed=5).save(prefix, 0)
    assert "\n" not in str(caught.value) and sha256(prefix + "-0000.params") == before


def test_what_mxnet_cannot_write_to_its_end_says_how_full_the_disk_is(tmp_path, make_checkpoint, monkeypatch):
    def stop(*_):
        raise mx.base.MXNetError("Check failed: std: :fwrite(ptr, 1, size, fp_) == size: FileStream.Write incomplete")

    monkeypatch.setattr(mx.nd, "save", stop)
    with pytest.raises(RunError, match="^checkpoint is not saved: expected room for .*a-best.params, received a file "
                                       r"that was cut short; is the disk full\? [\d,]+ bytes are free$"):
        make_checkpoint().save(str(tmp_path / "a"), "best")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_at_saving_is_a_run_error(tmp_path, make_checkpoint, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mx.nd, "save", full)
    with pytest.raises(RunError, match="expected room for .*net-0000.params, received no space left on device"):
        make_checkpoint().save(str(tmp_path / "net"), 0)
    assert os.listdir(tmp_path) == []


def test_a_manifest_goes_with_the_checkpoint_and_comes_back(tmp_path, make_checkpoint):
    spec = InputSpec((3, 96, 128), (123.0, 117.0, 104.0), (0.5, 1.0, 2.0), 140)
    manifest = {"format": 1, "classes": ["Käse", "tea"], "input": spec.to_dict(), "metrics": {"best": {"val_top1": .5}}}
    checkpoint = make_checkpoint(num_classes=2)
    named = Checkpoint(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, manifest)
    again = load_checkpoint(named.save(str(tmp_path / "net"), "best"))
    assert again.manifest == manifest
    assert again.classes == ["Käse", "tea"] and again.input_spec == spec


@pytest.mark.parametrize("text, message", [("{", "expected JSON, received .*net-manifest.json"),
                                           ("[1]", "expected a JSON object, received .* with list"),
                                           ("<html>", "expected JSON"), ("\xff\xfe", "expected JSON")])
def test_a_damaged_manifest_is_refused(tmp_path, text, message):
    (tmp_path / "net-manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="manifest cannot be read: " + message):
        load_manifest(str(tmp_path / "net"))


def test_a_manifest_with_a_broken_input_is_refused_when_it_is_needed(tmp_path, make_checkpoint):
    checkpoint = make_checkpoint()
    checkpoint.manifest = {"input": {"mean": 0}}
    again = load_checkpoint(checkpoint.save(str(tmp_path / "net"), 0))
    with pytest.raises(InputError, match="manifest input: expected size, mean, scale and channel_order, received"):
        again.input_spec  # noqa: B018


def test_the_parent_is_named_with_the_hash_of_its_parameters(tmp_path, make_checkpoint):
    name = make_checkpoint().save(str(tmp_path / "net"), 3)
    assert parent_entry(load_checkpoint(name)) == {"model": "net,3", "sha256": sha256(tmp_path / "net-0003.params")}


def test_half_precision_is_opened_as_float32_and_said(tmp_path):
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, no_bias=True, name="fc1")
    weight = mx.nd.array(np.random.RandomState(0).normal(size=(2, 3)), dtype="float16")
    again = load_checkpoint(Checkpoint(net, {"fc1_weight": weight}, {}).save(str(tmp_path / "half"), 0))
    assert again.arg_params["fc1_weight"].dtype == np.float32
    assert same(again.arg_params, {"fc1_weight": weight.astype("float32")})
    assert again.notes == ("1 float16 parameters as float32",)


def test_values_of_inputs_and_labels_are_left_out(here):
    """Some programs save all arguments of an executor: a label of one image would bind the network to that batch."""
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc1"), name="prob")
    net.save("net-symbol.json")
    mx.nd.save("net-0000.params", {"arg:data": mx.nd.zeros((1, 4)), "arg:prob_label": mx.nd.zeros((1,)),
                                   "arg:fc1_weight": mx.nd.ones((3, 4)), "arg:fc1_bias": mx.nd.ones((3,))})
    checkpoint = load_checkpoint("net,0")
    assert sorted(checkpoint.arg_params) == ["fc1_bias", "fc1_weight"]
    assert checkpoint.notes == ("values of data, prob_label left out, which are inputs of the network",)
    assert checkpoint.anatomy.output().size == 3


def test_a_constant_of_gluons_is_opened(here):
    """``params.get_constant`` writes the name of an initializer that exists in its own process alone."""
    class Scaled(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.factor = self.params.get_constant("factor", mx.nd.array([[2.0, 3.0]]))

        def hybrid_forward(self, F, x, factor):
            return F.broadcast_mul(x, factor)

    net = Scaled()
    net.initialize()
    net.hybridize()
    net(mx.nd.ones((1, 2)))
    net.export("net")
    checkpoint = load_checkpoint("net,0")
    constant, = (value for name, value in checkpoint.arg_params.items() if name.endswith("factor"))
    assert constant.asnumpy().tolist() == [[2.0, 3.0]]


def test_an_initializer_that_was_an_object_is_opened(here):
    """GluonCV's SSD: ``weight_initializer=mx.init.Xavier(...)`` is written as Python shows it."""
    weight = mx.sym.Variable("fc1_weight", attr={"__init__": "<mxnet.initializer.Xavier object at 0x7f667db15090>"})
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), weight, num_hidden=3, name="fc1")
    net.save("net-symbol.json")
    mx.nd.save("net-0000.params", {"arg:fc1_weight": mx.nd.ones((3, 4)), "arg:fc1_bias": mx.nd.ones((3,))})
    checkpoint = load_checkpoint("net,0")
    assert "object at" not in checkpoint.symbol.tojson()


def test_the_anatomy_is_decided_once_and_anew_for_what_was_altered(make_checkpoint):
    checkpoint = make_checkpoint(3)
    assert checkpoint.anatomy is checkpoint.anatomy and checkpoint.anatomy.output().kind == "probabilities"
    for kind, make in (("logits", lambda scores: scores), ("independent probabilities", mx.sym.sigmoid)):
        checkpoint.symbol = make(checkpoint.symbol.get_internals()["fc1_output"])
        assert checkpoint.anatomy.output().kind == kind
    checkpoint.symbol = checkpoint.symbol.get_internals()["fc1_output"]
    checkpoint.manifest["embedding"] = "fc1"
    assert checkpoint.anatomy.output().kind == "embedding"
