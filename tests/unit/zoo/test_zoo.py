"""The zoo against mirrors that are folders here; every real address is replaced by a port nobody listens on."""
import dataclasses
import hashlib
import json
import os
import re
import struct
import zipfile

import pytest

from mxft import zoo
from mxft.errors import InputError
from mxft.files.download import FetchError
from mxft.zoo import datasets, gluon, names, symbols

DEAD = "http://127.0.0.1:9/"  # as the fixture mirror has it
SYMBOL = json.dumps({"nodes": [], "heads": []})
PARAMS = struct.pack("<QQ", 0x112, 0) + b"\0" * 64


def put_resnet50(mirror):
    mirror.put("models/imagenet/resnet/50-layers/resnet-50-symbol.json", SYMBOL)
    mirror.put("models/imagenet/resnet/50-layers/resnet-50-0000.params", PARAMS)


def test_every_row_is_well_formed():
    rows = names.models()
    called = [name for row in rows for name in (row.name, *row.aliases)]
    assert len(called) == len(set(called))
    for row in symbols.MODELS:
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in row.md5 if md5)
        assert not any(isinstance(zoo.find_model(name), symbols.SymbolModel) for name in row.substitutes)
    assert all(re.fullmatch("[0-9a-f]{40}", row.sha1) for row in gluon.models())


@pytest.mark.parametrize("name, full", [
    ("resnet-50", "imagenet1k-resnet-50"), ("imagenet1k-resnet-50", "imagenet1k-resnet-50"),
    ("resnet-152", "imagenet11k-resnet-152"), ("imagenet1k-resnet-152", "imagenet1k-resnet-152"),
    ("inception-bn", "imagenet1k-inception-bn"), ("resnext-101-64x4d", "imagenet1k-resnext-101-64x4d"),
])
def test_names_and_aliases(name, full):
    assert zoo.find_model(name).name == full


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown model: expected a name of the zoo, received 'resnet-51'; nearest: .*"
                                         "resnet-50.*; mxft zoo list shows them all"):
        zoo.get_model("resnet-51")
    with pytest.raises(InputError, match="unknown data set: .*nearest: caltech256"):
        zoo.get_dataset("caltech-256")


def test_a_symbol_checkpoint_is_cached_with_its_manifest_and_then_works_offline(mirror):
    put_resnet50(mirror)
    model = zoo.get_model("resnet-50", progress=False)
    folder = mirror.home / "mxft" / "models" / "imagenet1k-resnet-50"
    assert model == f"{folder}/resnet-50,0"
    assert sorted(os.listdir(folder)) == ["resnet-50-0000.params", "resnet-50-manifest.json", "resnet-50-symbol.json"]
    manifest = json.loads((folder / "resnet-50-manifest.json").read_text())
    assert manifest["input"] == {"size": 224, "resize": 256, "mean": [0, 0, 0], "scale": 1.0, "channel_order": "RGB"}
    assert manifest["feature_layer"] == "flatten0" and manifest["source"] == "MXNet zoo imagenet1k-resnet-50"
    for path in mirror.folder.rglob("*.*"):
        path.unlink()
    assert zoo.get_model("resnet-50", progress=False) == model


def test_a_flat_mirror_and_another_cache_do_as_well(mirror, tmp_path):
    mirror.put("imagenet1k-inception-bn-symbol.json", SYMBOL)
    mirror.put("imagenet1k-inception-bn-0126.params", PARAMS)
    assert zoo.get_model("inception-bn", cache=str(tmp_path / "c"), progress=False) == (
        f"{tmp_path}/c/models/imagenet1k-inception-bn/Inception-BN,126")
    manifest = json.loads((tmp_path / "c/models/imagenet1k-inception-bn/Inception-BN-manifest.json").read_text())
    assert manifest["input"]["mean"] == [123.68, 116.779, 103.939] and manifest["feature_layer"] == "flatten"


def test_another_file_than_the_recorded_one_is_told_but_taken(mirror, capsys):
    put_resnet50(mirror)
    zoo.get_model("resnet-50", progress=False)
    assert ("note: resnet-50-0000.params is a file of the right kind, but not the one MLModelScope recorded in 2018: "
            "md5: expected 246423771006aaf77acf68c99852f5b5, received") in capsys.readouterr().err


def test_the_two_152s_are_told_apart(mirror, capsys):
    mirror.put("imagenet11k-resnet-152-symbol.json", SYMBOL)
    mirror.put("imagenet11k-resnet-152-0000.params", PARAMS)
    assert zoo.get_model("resnet-152", progress=False).endswith("/imagenet11k-resnet-152/resnet-152,0")
    assert ("resnet-152 is taken as in the tutorial: imagenet11k-resnet-152, trained on 11,221 classes; the "
            "ImageNet-1k network is imagenet1k-resnet-152") in capsys.readouterr().err


def test_an_unreachable_checkpoint_says_what_was_tried_and_what_to_do(mirror):
    with pytest.raises(FetchError) as caught:
        zoo.get_model("imagenet11k-resnet-152", progress=False, fallback=False)
    flat = "imagenet11k-resnet-152-symbol.json"
    stem = "models/imagenet-11k/resnet-152/resnet-152-symbol.json"
    assert str(caught.value).splitlines() == [
        "cannot fetch resnet-152-symbol.json: expected one of these addresses to give it, received",
        f"  {mirror.folder}/{stem}: no such file",
        f"  {mirror.folder}/{flat}: no such file",
        f"  {DEAD}{stem}: connection refused",
        f"  {DEAD}{flat}: connection refused",
        f"  {DEAD}mxnet/{stem}: connection refused",
        "give local copies with mxft zoo get imagenet11k-resnet-152 --file resnet-152-symbol.json "
        "resnet-152-0000.params (in a recipe also a checkpoint with MODEL=prefix,epoch), or name a mirror in "
        "MXFT_MIRRORS",
    ]


def test_files_put_into_the_cache_by_hand_are_taken(mirror):
    folder = mirror.home / "mxft" / "models" / "imagenet11k-resnet-152"
    folder.mkdir(parents=True)
    (folder / "resnet-152-symbol.json").write_text(SYMBOL)
    (folder / "resnet-152-0000.params").write_bytes(PARAMS)
    assert zoo.get_model("imagenet11k-resnet-152", progress=False) == f"{folder}/resnet-152,0"


@pytest.mark.parametrize("name, content, reason", [
    ("resnet-152-symbol.json", "{}", "expected an MXNet symbol, received JSON without 'nodes'"),
    ("resnet-152-symbol.json", "[1", "expected an MXNet symbol in JSON, received something else or a part of one"),
    ("resnet-152-symbol.json", "<html><title>Gone</title>", "expected the file, received a web page titled 'Gone'"),
    ("resnet-152-0000.params", "PK\3\4", "expected an MXNet parameter file (beginning b'\\x12\\x01\\x00\\x00\\x00\\x00"
     "\\x00\\x00'), received a zip archive"),
])
def test_a_file_of_another_kind_is_not_taken(mirror, name, content, reason):
    mirror.put("imagenet11k-resnet-152-symbol.json", SYMBOL)
    mirror.put("imagenet11k-" + name, content)
    with pytest.raises(FetchError, match=re.escape(reason)):
        zoo.get_model("imagenet11k-resnet-152", progress=False)


def test_a_data_set_is_verified(mirror, monkeypatch):
    row, content = zoo.find_dataset("caltech256"), b"pictures" * 100
    monkeypatch.setattr(datasets, "DATASETS", (dataclasses.replace(
        row, size=len(content), sha256=hashlib.sha256(content).hexdigest(), md5=hashlib.md5(content).hexdigest()),))
    mirror.put("256_ObjectCategories.tar", content)
    path = zoo.get_dataset("caltech256", progress=False)
    assert path == str(mirror.home / "mxft" / "datasets" / "256_ObjectCategories.tar")


def test_an_unreachable_data_set_says_where_to_put_the_file(mirror):
    with pytest.raises(FetchError) as caught:
        zoo.get_dataset("caltech256", progress=False)
    assert str(caught.value).splitlines()[-1] == (
        "give a local copy with mxft zoo get caltech256 --file 256_ObjectCategories.tar (in the recipe also with "
        "CALTECH256=FOLDER-OR-TAR), or name a mirror in MXFT_MIRRORS")


def test_the_tutorials_records_are_recognised_as_records(mirror):
    mirror.put("data/caltech-256/caltech-256-60-train.rec", struct.pack("<I", 0xCED7230A) + b"\0" * 60)
    mirror.put("caltech-256-60-val.rec", b"not records")
    assert zoo.get_dataset("caltech-256-60-train.rec", progress=False).endswith("/datasets/caltech-256-60-train.rec")
    with pytest.raises(FetchError, match="expected MXNet records .*, received one beginning b'not '"):
        zoo.get_dataset("caltech-256-60-val.rec", progress=False)


@pytest.fixture(scope="module")
def resnet18_params(tmp_path_factory):
    """A random ResNet-18 v2 as the model store would hold it."""
    from mxft.backbones.gluon import build
    from mxft.compat import mx
    net = build("resnet18_v2")
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    path = tmp_path_factory.mktemp("store") / "resnet18_v2.params"
    net.save_parameters(str(path))
    return path


@pytest.fixture
def gluon_store(mirror, monkeypatch, resnet18_params):
    """Put the random ResNet-18 on the mirror under its own sha1."""
    content = resnet18_params.read_bytes()
    row = dataclasses.replace(zoo.find_model("mxnet:resnet18_v2"), sha1=hashlib.sha1(content).hexdigest())
    monkeypatch.setattr(gluon, "models", lambda: (row,))
    path = mirror.put(f"gluon/models/{row.stem}.zip", b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(row.stem + ".params", content)
    return row


def test_the_gluon_network_stands_in_and_says_so(mirror, gluon_store, capsys):
    from mxft.network.checkpoint import load_checkpoint
    model = zoo.get_model("resnet-18", progress=False)
    assert model == f"{mirror.home}/mxft/models/resnet18_v2/{gluon_store.stem},0"
    assert ("imagenet1k-resnet-18: no mirror gave it; using other weights instead: mxnet:resnet18_v2 of the mxnet "
            "Gluon model store (top-1 unpublished, the original top-1 0.6858), input (RGB - 123.675, 116.28, 103.53) / "
            "58.395, 57.12, 57.375") in capsys.readouterr().err
    checkpoint = load_checkpoint(model)
    assert checkpoint.manifest["source"] == f"mxnet Gluon model store {gluon_store.stem}"
    assert checkpoint.manifest["input"]["mean"] == [123.675, 116.28, 103.53]
    assert checkpoint.manifest["input"]["scale"] == [1 / 58.395, 1 / 57.12, 1 / 57.375]

    (mirror.folder / f"gluon/models/{gluon_store.stem}.zip").unlink()
    assert zoo.get_model("resnet-18", progress=False) == model
    assert "as on an earlier run; mxft zoo get imagenet1k-resnet-18 --no-fallback" in capsys.readouterr().err

    mirror.put("imagenet1k-resnet-18-symbol.json", SYMBOL)
    mirror.put("imagenet1k-resnet-18-0000.params", PARAMS)
    original = f"{mirror.home}/mxft/models/imagenet1k-resnet-18/resnet-18,0"
    assert zoo.get_model("resnet-18", progress=False, fallback=False) == original
    assert zoo.get_model("resnet-18", progress=False) == original


def test_without_fallback_the_original_or_nothing(mirror, gluon_store):
    with pytest.raises(FetchError, match="cannot fetch resnet-18-symbol.json"):
        zoo.get_model("resnet-18", progress=False, fallback=False)


def test_mxnets_own_cache_is_used(mirror, gluon_store, resnet18_params):
    (mirror.folder / f"gluon/models/{gluon_store.stem}.zip").unlink()
    (mirror.home / "models").mkdir(parents=True)
    (mirror.home / "models" / (gluon_store.stem + ".params")).write_bytes(resnet18_params.read_bytes())
    assert zoo.get_model("mxnet:resnet18_v2", progress=False).endswith(f"/resnet18_v2/{gluon_store.stem},0")


def test_a_gluon_zip_with_other_weights_inside_is_refused(mirror, gluon_store):
    with zipfile.ZipFile(mirror.folder / f"gluon/models/{gluon_store.stem}.zip", "w") as archive:
        archive.writestr(gluon_store.stem + ".params", PARAMS)
    with pytest.raises(FetchError, match=f"sha1: expected {gluon_store.sha1}, received"):
        zoo.get_model("mxnet:resnet18_v2", progress=False)
    assert os.listdir(mirror.home / "mxft" / "models" / "resnet18_v2") == []


def test_a_zip_with_other_weights_is_refused_as_a_local_copy_too(mirror, gluon_store, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(gluon_store.stem + ".params", PARAMS)
    with pytest.raises(InputError, match=re.escape(
            f"local copy of {gluon_store.stem}.zip: {tmp_path}/a.zip: {gluon_store.stem}.params inside it: sha1: "
            f"expected {gluon_store.sha1}, received")):
        zoo.get_model("mxnet:resnet18_v2", files=[str(tmp_path / "a.zip")])
    assert (tmp_path / "a.zip").exists() and os.listdir(mirror.cache / "models" / "resnet18_v2") == []


def test_a_conversion_that_was_cut_off_is_made_again(mirror, gluon_store):
    model = zoo.get_model("mxnet:resnet18_v2", progress=False)
    manifest = model.rpartition(",")[0] + "-manifest.json"
    os.unlink(manifest)
    assert zoo.cached("mxnet:resnet18_v2") is None
    assert zoo.get_model("mxnet:resnet18_v2", progress=False) == model and os.path.exists(manifest)


def test_every_address_is_told_when_the_substitute_is_out_of_reach_too(mirror):
    with pytest.raises(FetchError) as caught:
        zoo.get_model("resnet-18", progress=False)
    lines = str(caught.value).splitlines()
    assert lines[0] == ("cannot fetch imagenet1k-resnet-18, nor mxnet:resnet18_v2 or resnet18.tv_in1k in its "
                        "place: expected one of these addresses to give it, received")
    assert f"  {DEAD}mxnet/models/imagenet/resnet/18-layers/resnet-18-symbol.json: connection refused" in lines
    assert f"  {DEAD}gluon-store/gluon/models/resnet18_v2-a81db45f.zip: connection refused" in lines
    assert f"  {DEAD}hub/timm/resnet18.tv_in1k/resolve/main/model.safetensors: connection refused" in lines
    assert lines[-1].startswith("give local copies with mxft zoo get imagenet1k-resnet-18") and len(lines) == 17


@pytest.fixture(scope="module")
def torchvision_resnet18(tmp_path_factory, torch_arrays):
    """ResNet-18 of random numbers under torchvision's names, as a safetensors file."""
    from safetensors.numpy import save_file

    from mxft.backbones.gluon import build
    from mxft.compat import mx
    net = build("resnet18_v1b", store="gluoncv")
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    path = tmp_path_factory.mktemp("hub") / "model.safetensors"
    save_file(torch_arrays(net), str(path))
    return path


def test_torchvisions_weights_stand_in_where_mxnet_has_none(mirror, torchvision_resnet18, capsys):
    from mxft.network.checkpoint import load_checkpoint
    content = torchvision_resnet18.read_bytes()
    path = mirror.put("timm/resnet18.tv_in1k/resolve/main/model.safetensors", content)
    model = zoo.get_model("resnet-18", progress=False)
    assert model == f"{mirror.home}/mxft/models/resnet18.tv_in1k/resnet18.tv_in1k,0"
    assert ("imagenet1k-resnet-18: no mirror gave it; using other weights instead: resnet18.tv_in1k of the Hugging "
            "Face hub (PyTorch weights of ImageNet-1k, imported) (top-1 0.6976, the original top-1 0.6858)"
            ) in capsys.readouterr().err
    checkpoint = load_checkpoint(model)
    assert checkpoint.manifest["source"] == ("Hugging Face hub timm/resnet18.tv_in1k, model.safetensors sha256 "
                                             + hashlib.sha256(content).hexdigest())
    assert checkpoint.symbol.list_outputs() == ["resnetv1b_dense0_fwd_output"]
    path.unlink()
    assert zoo.get_model("resnet-18", progress=False) == model
    assert zoo.get_model("resnet18.tv_in1k", progress=False) == model
    assert "model.safetensors" not in os.listdir(os.path.dirname(model))


@pytest.mark.parametrize("content, reason", [
    (b"<!DOCTYPE html><html></html>", "expected the file, received a web page"),
    ("half", "bytes, received"), (b"", "an empty file came|expected safetensors")])
def test_a_page_or_half_a_file_of_the_hub_is_thrown_away(mirror, torchvision_resnet18, content, reason):
    content = torchvision_resnet18.read_bytes()[:10 ** 6] if content == "half" else content
    mirror.put("resnet18.tv_in1k.safetensors", content)
    with pytest.raises(FetchError, match=reason):
        zoo.get_model("resnet18.tv_in1k", progress=False)
    assert os.listdir(mirror.home / "mxft" / "models" / "resnet18.tv_in1k") == []
