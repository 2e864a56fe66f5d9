"""insightface's rows: archives with two files in them, fetched or handed over."""
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
from mxft.network.manifest import load_manifest
from mxft.zoo import faces

SYMBOL = json.dumps({"nodes": [{"op": "BatchNorm", "name": "fc1"}], "heads": []}).encode()
PARAMS = struct.pack("<QQ", 0x112, 0) + b"\0" * 64


def archive(path, symbol=SYMBOL, params=PARAMS, folder="model-r34-amf/"):
    """Write what insightface handed out: a folder with the two files and a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in (("log", b"lfw"), ("model-symbol.json", symbol), ("model-0000.params", params)):
            if content is not None:
                packed.writestr(folder + name, content)
    return path


@pytest.fixture
def known(mirror, monkeypatch):
    """A function that makes facts of lresnet34e-ir others than they are."""
    def change(**facts):
        row = dataclasses.replace(zoo.find_model("lresnet34e-ir"), **facts)
        monkeypatch.setattr(faces, "MODELS", (row,))
        return row
    return change


def contents(mirror):
    folder = mirror.cache / "models" / "lresnet34e-ir"
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_an_archive_is_fetched_verified_and_unpacked_and_then_works_offline(mirror, known):
    path = archive(mirror.folder / "model-r34-arcface-ms1m-refine-v1.zip")
    known(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    prefix = f"{mirror.cache}/models/lresnet34e-ir/model"
    assert zoo.get_model("model-r34-amf", progress=False) == f"{prefix},0"
    path.unlink()
    assert zoo.get_model("LResNet34E-IR", progress=False) == f"{prefix},0"
    found = contents(mirror)
    found.pop("model-manifest.json")
    manifest = load_manifest(prefix)
    assert found == {"model-symbol.json": SYMBOL, "model-0000.params": PARAMS}
    assert manifest == {
        "input": {"size": [112, 112], "channels": 3, "mean": [0, 0, 0], "scale": [1, 1, 1], "resize": None,
                  "channel_order": "RGB"},
        "classes": None, "feature_layer": "fc1", "parent": None,
        "source": "insightface lresnet34e-ir, model-r34-arcface-ms1m-refine-v1.zip"}


def test_another_archive_at_an_address_is_refused(mirror):
    archive(mirror.folder / "model-r34-arcface-ms1m-refine-v1.zip")
    with pytest.raises(FetchError, match="sha256: expected efceea8a75b9f461772173d96670cfc678bdb507e1742c5b31"):
        zoo.get_model("lresnet34e-ir", progress=False)


def test_out_of_reach_it_says_where_people_get_it_and_how_to_hand_it_over(mirror):
    with pytest.raises(FetchError) as caught:
        zoo.get_model("lresnet34e-ir", progress=False)
    assert str(caught.value).splitlines()[-2:] == [
        "  http://127.0.0.1:9/lresnet34e-ir: connection refused",
        "give a local copy with mxft zoo get lresnet34e-ir --file model-r34-arcface-ms1m-refine-v1.zip, or the two "
        "files in it with --file model-symbol.json model-0000.params; it is handed out at "
        "https://pan.baidu.com/s/1jKahEXw; or name a mirror in MXFT_MIRRORS"]


def test_any_of_the_archives_that_are_about_can_be_handed_over(mirror, tmp_path, capsys):
    path = archive(tmp_path / "model-r34-amf.zip")
    assert zoo.get_model("lresnet34e-ir", files=[str(path)]) == f"{mirror.cache}/models/lresnet34e-ir/model,0"
    assert capsys.readouterr().err.startswith("note: model-r34-amf.zip has what it should, but is not the archive Open "
                                              "Model Zoo recorded: sha256: expected efceea8a")
    assert path.exists() and sorted(contents(mirror)) == ["model-0000.params", "model-manifest.json",
                                                          "model-symbol.json"]


def test_the_two_files_can_be_handed_over(mirror, tmp_path):
    (tmp_path / "a.json").write_bytes(SYMBOL)
    (tmp_path / "b.params").write_bytes(PARAMS)
    zoo.get_model("lresnet34e-ir", files=[str(tmp_path / "b.params"), str(tmp_path / "a.json")])
    assert contents(mirror)["model-0000.params"] == PARAMS


@pytest.mark.parametrize("symbol, params, reason", [
    (SYMBOL, None, "expected a zip with a -symbol.json and a -0000.params in it, received another"),
    (b'{"nodes": []}', PARAMS, "model-r34-amf/model-symbol.json inside it: expected insightface's network with an "
                               "embedding fc1, received a symbol without"),
    (SYMBOL, b"<html></html>", "model-r34-amf/model-0000.params inside it: expected the file, received a web page"),
    (SYMBOL, PARAMS + b"x", "model-r34-amf/model-0000.params inside it: sha1: expected "
                            f"{hashlib.sha1(PARAMS).hexdigest()}, received {hashlib.sha1(PARAMS + b'x').hexdigest()}"),
])
def test_an_archive_with_something_else_in_it_is_refused_whole(mirror, known, tmp_path, symbol, params, reason):
    known(sha256=None, sha1=hashlib.sha1(PARAMS).hexdigest())
    path = archive(tmp_path / "a.zip", symbol, params)
    before = path.read_bytes()
    message = f"local copy of model-r34-arcface-ms1m-refine-v1.zip: {path}: {reason}; it was left as it is"
    with pytest.raises(InputError, match=re.escape(message)):
        zoo.get_model("lresnet34e-ir", files=[str(path)])
    assert path.read_bytes() == before and not list(mirror.cache.rglob("*.*"))
    archive(mirror.folder / "model-r34-arcface-ms1m-refine-v1.zip", symbol, params)
    with pytest.raises(FetchError, match=re.escape(reason)):
        zoo.get_model("lresnet34e-ir", progress=False)
    assert not [found for found in mirror.cache.rglob("*") if found.is_file()]


def test_names_inside_an_archive_lead_nowhere_else(mirror, known, tmp_path):
    known(sha256=None)
    path = archive(tmp_path / "a.zip", folder="../../../../")
    zoo.get_model("lresnet34e-ir", files=[str(path)])
    assert sorted(contents(mirror)) == ["model-0000.params", "model-manifest.json", "model-symbol.json"]
    assert not (tmp_path / "model-symbol.json").exists()


RETINAFACE = json.dumps({"nodes": [{"op": "Reshape", "name": "face_rpn_cls_prob_reshape_stride32"}]}).encode()


@pytest.mark.parametrize("name, sha1", [
    ("retinaface_r50_v1", "39fd1e087a2a2ed70a154ac01fecaa86c315d01b"),
    ("retinaface_mnet025_v1", "2c9de8116d1f448fd1d4661f90308faae34c990a"),
    ("retinaface_mnet025_v2", "0db1d07921d005e6c9a5b38e059452fc5645e5a4")])
def test_a_retinaface_is_taken_by_its_layers_and_its_sha1(mirror, tmp_path, monkeypatch, name, sha1):
    """Sums of model_store.py, insightface's Python package 0.1; its archives hold R50-… or mnet.25-… in a folder."""
    row = zoo.find_model(name)
    assert (row.sha1, row.archive) == (sha1, f"{name}.zip")
    monkeypatch.setattr(faces, "MODELS", (dataclasses.replace(row, sha1=hashlib.sha1(PARAMS).hexdigest()),))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}/R50-symbol.json", RETINAFACE)
        packed.writestr(f"{name}/R50-0000.params", PARAMS)
    assert zoo.get_model(name, files=[str(path)]) == f"{mirror.cache}/models/{name}/model,0"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("R50-symbol.json", SYMBOL)
        packed.writestr("R50-0000.params", PARAMS)
    with pytest.raises(InputError, match="expected insightface's RetinaFace with its layers face_rpn_cls_prob_…, "
                                         "received a symbol without; it was left as it is"):
        zoo.get_model(name, files=[str(path)])


def test_names_of_the_recognition_programs_are_aliases():
    assert zoo.find_model("r100-arcface-emore").name == "lresnet100e-ir"
    assert zoo.find_model("gender-age").name == "genderage_v1"


@pytest.mark.data
@pytest.mark.parametrize("name, folder, sha1", [("mobilefacenet-y1", "mobilefacenet-y1", None),
                                                ("genderage_v1", "gender-age", True)])
def test_the_published_checkpoints_are_what_the_table_says(mirror, testdata, name, folder, sha1):
    files = [str(testdata / "models" / folder / file) for file in ("model-symbol.json", "model-0000.params")]
    model = zoo.get_model(name, files=files)
    assert bool(zoo.find(name).sha1) == bool(sha1)
    from mxft.network.checkpoint import load_checkpoint
    from mxft.surgery import embedding_layer, list_layers
    checkpoint = load_checkpoint(model)
    assert embedding_layer(checkpoint.symbol).name == checkpoint.manifest["feature_layer"] == "fc1"
    assert [layer.op for layer in list_layers(checkpoint.symbol, checkpoint.input_spec.shape)[:2]] == [
        "_minus_scalar", "_mul_scalar"]  # the graph normalises, so the manifest does not
