"""Checkpoints as other programs pack them: SageMaker's archive, Multi Model Server's zip, a folder of one."""
import json
import os
import shutil
import tarfile
import zipfile

import pytest

from mxft.deploy.bundle.opening import opened_bundle
from mxft.errors import InputError
from mxft.network.checkpoint import load_checkpoint
from mxft.network.locating import parse_model
from mxft.network.packaged import facts_beside, packaged_prefix

CLASSES = ["ant", "bee", "crab"]


@pytest.fixture
def packed(tmp_path, monkeypatch, make_checkpoint):
    """A function that lays out a checkpoint's files under a name, beside others, and returns their folder."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def lay_out(name="image-classification", epochs=(3, 10), **files):
        folder = tmp_path / "files"
        folder.mkdir()
        for epoch in epochs:
            make_checkpoint(3).save(str(folder / name), epoch)
        for file, content in files.items():
            path = folder / file.replace("__", ".").replace("_", "-")
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return folder
    return lay_out


SHAPES = [{"shape": [1, 3, 16, 16], "name": "data"}]
SIGNATURE = {"input_type": "image/jpeg", "inputs": [{"data_name": "data", "data_shape": [0, 3, 16, 16]}], "outputs": []}


def test_sagemakers_archive(packed, tmp_path):
    folder = packed(model_shapes__json=SHAPES)
    with tarfile.open("model.tar.gz", "w:gz") as archive:
        for name in os.listdir(folder):
            archive.add(folder / name, name)
    before = (tmp_path / "model.tar.gz").read_bytes()
    checkpoint = load_checkpoint("model.tar.gz")
    assert checkpoint.name.endswith("image-classification,10") and checkpoint.assumed_spec().shape == (3, 16, 16)
    assert checkpoint.input_spec is None and checkpoint.classes is None
    assert load_checkpoint("model.tar.gz,3").name.endswith("image-classification,3")
    assert load_checkpoint("model.tar.gz").name == checkpoint.name                            # unpacked once
    assert (tmp_path / "model.tar.gz").read_bytes() == before


@pytest.mark.parametrize("name", ["net.mar", "net.model", "net.zip"])
def test_multi_model_servers_zip(name, packed):
    folder = packed("net", (0,), signature__json=SIGNATURE, synset__txt="\n".join(CLASSES))
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MAR-INF/MANIFEST.json", "{}")
        for file in os.listdir(folder):
            archive.write(folder / file, file)
    checkpoint = load_checkpoint(name)
    assert checkpoint.classes == CLASSES and checkpoint.assumed_spec().shape == (3, 16, 16)


def test_a_folder_of_one_checkpoint_and_a_folder_around_it(packed, tmp_path):
    folder = packed("net", (0, "best"), synset__txt="\n".join(CLASSES[:2]))
    assert parse_model(str(folder)) == (str(folder / "net"), "best")
    assert load_checkpoint(str(folder)).classes is None                                       # two names, three outputs
    shutil.copytree(folder, tmp_path / "outer" / "inner")
    assert parse_model(str(tmp_path / "outer"))[0] == str(tmp_path / "outer" / "inner" / "net")


def test_several_checkpoints_are_named_and_tell_nothing_of_each_other(packed, make_checkpoint):
    folder = packed("net", (0,), synset__txt="\n".join(CLASSES), model_shapes__json=SHAPES)
    make_checkpoint(3).save(str(folder / "other"), 0)
    with pytest.raises(InputError, match="expected one checkpoint in .*files, a NAME-symbol.json with its NAME-EPOCH"
                                         ".params, received 2: .*files/net, .*files/other; name one with its epoch"):
        load_checkpoint(str(folder))
    assert load_checkpoint(f"{folder}/net,0").manifest == {}


@pytest.mark.parametrize("facts", [
    {"model_shapes__json": "{"}, {"model_shapes__json": [{"shape": "1"}]}, {"model_shapes__json": [None]},
    {"model_shapes__json": [{"shape": [1, 3, 16, -1]}]}, {"model_shapes__json": SHAPES * 2},
    {"model_shapes__json": [{"shape": [1, 4, 16, 16]}]}, {"signature__json": []}, {"signature__json": {"inputs": 3}},
    {"signature__json": "[" * 100000},
])
def test_facts_that_cannot_be_read_tell_nothing(facts, packed):
    assert facts_beside(str(packed("net", (0,), **facts) / "net")) == {}


@pytest.mark.parametrize("text, message", [
    ("hello", "expected a whole tar or zip archive, received one that is cut short or damaged"),
    (b"PK\x05\x06" + bytes(18), "expected one checkpoint in model.tar.gz, a NAME-symbol.json with its "
                                "NAME-EPOCH.params, received none"),
])
def test_files_that_are_no_archives_of_a_checkpoint(text, message, packed, tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        load_checkpoint("model.tar.gz")


def test_a_picture_is_no_model(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(2000))
    with pytest.raises(InputError, match=r"^model: expected 'prefix,epoch', a folder or an archive with one "
                                         r"checkpoint, received .*cat.jpg, a file that is none of them"):
        packaged_prefix(str(path))
    with pytest.raises(InputError, match="^model cannot be opened: .*cat.jpg', a file that is no tar archive"), \
            opened_bundle(str(path)):
        pass
