"""``mxft zoo`` as a user types it, and the whole message of each way a download fails."""
import dataclasses
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
from collections import namedtuple

import pytest

from mxft import zoo
from mxft.cli import main
from mxft.zoo import datasets, gluon, symbols
from tests.support.web import PAGE

DEAD = "http://127.0.0.1:9/"  # as the fixture mirror has it
SYMBOL = json.dumps({"nodes": [], "heads": []})
PARAMS = struct.pack("<QQ", 0x112, 0) + b"\0" * 4080
RECORDS = struct.pack("<I", 0xCED7230A) * 1024
HAND = ("give local copies with mxft zoo get imagenet11k-place365ch-resnet-50 --file resnet-50-symbol.json "
        "resnet-50-0000.params (in a recipe also a checkpoint with MODEL=prefix,epoch), or name a mirror in "
        "MXFT_MIRRORS\n")


def mxft(capsys, *words):
    """Run ``mxft zoo``; return (status, stdout, stderr)."""
    status = main(["zoo", *map(str, words)])
    return (status, *capsys.readouterr())


@pytest.fixture
def served(server, mirror, monkeypatch):
    """A server that is the only address of imagenet11k-place365ch-resnet-50, its symbol in the cache already."""
    monkeypatch.delenv("MXFT_MIRRORS")
    monkeypatch.setattr(symbols, "MIRRORS", (server.base,))
    server.folder = mirror.cache / "models" / "imagenet11k-place365ch-resnet-50"
    server.folder.mkdir(parents=True)
    (server.folder / "resnet-50-symbol.json").write_text(SYMBOL)
    server.path = "models/imagenet-11k-place365-ch/resnet-50-0000.params"
    server.url = server.base + server.path
    server.files[server.path] = PARAMS
    return server


def get_place365(capsys):
    return mxft(capsys, "get", "imagenet11k-place365ch-resnet-50")


def failed(url, reason):
    """Return what a failed ``get`` of the served file is expected to give, address by address."""
    return (2, "", f"fetching {url}\nmxft zoo: cannot fetch resnet-50-0000.params: expected one of these addresses "
                   f"to give it, received\n  {url}: {reason}\n{HAND}")


def test_a_dead_link_is_told(served, capsys, monkeypatch):
    del served.files[served.path]
    assert get_place365(capsys) == failed(served.url, "HTTP 404 Not Found")
    monkeypatch.setattr(symbols, "MIRRORS", (DEAD,))
    assert get_place365(capsys) == failed(DEAD + served.path, "connection refused")
    assert os.listdir(served.folder) == ["resnet-50-symbol.json"]


def test_a_wrong_hash_is_told_and_the_file_thrown_away(served, capsys, monkeypatch):
    row = dataclasses.replace(zoo.find_dataset("caltech256"), urls=(served.base + "a.tar",), size=None, md5=None)
    monkeypatch.setattr(datasets, "DATASETS", (row,))
    served.files["a.tar"] = b"other photographs"
    received = hashlib.sha256(b"other photographs").hexdigest()
    assert mxft(capsys, "get", "caltech256") == (
        2, "", f"fetching {served.base}a.tar\nmxft zoo: cannot fetch 256_ObjectCategories.tar: expected one of these "
               f"addresses to give it, received\n  {served.base}a.tar: sha256: expected {row.sha256}, received "
               f"{received}; the download was deleted\ngive a local copy with mxft zoo get caltech256 --file "
               "256_ObjectCategories.tar (in the recipe also with CALTECH256=FOLDER-OR-TAR), or name a mirror in "
               "MXFT_MIRRORS\n")


def test_a_web_page_in_place_of_the_file_is_told_and_thrown_away(served, capsys):
    served.faults = ["page"]
    assert get_place365(capsys) == failed(served.url, "a web page titled 'Moved away' came instead of the file")
    assert os.listdir(served.folder) == ["resnet-50-symbol.json"]


def test_half_a_file_is_kept_and_the_same_command_goes_on_from_there(served, capsys):
    served.faults = ["half", 500, 500]
    part = f"{served.folder}/resnet-50-0000.params.part"
    assert get_place365(capsys) == failed(
        served.url, f"HTTP 500 Internal Server Error; 2,048 bytes are kept in {part}: the same command continues from "
        "there")
    served.seen.clear()
    status, out, _ = get_place365(capsys)
    assert (status, out) == (0, f"{served.folder}/resnet-50,0\n")
    assert [headers["Range"] for _, headers in served.seen] == ["bytes=2048-"]
    assert (served.folder / "resnet-50-0000.params").read_bytes() == PARAMS
    assert not any(name.endswith(".part") for name in os.listdir(served.folder))


def test_a_full_disk_is_told_before_anything_is_written(served, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 1, 99))
    assert get_place365(capsys) == (
        2, "", f"fetching {served.url}\nmxft zoo: the disk is too full for resnet-50-0000.params: expected 4,096 free "
               f"bytes in {served.folder}, received free=99; make room or choose another folder\n")
    assert os.listdir(served.folder) == ["resnet-50-symbol.json"]


def test_offline_what_is_not_cached_lists_addresses_and_what_is_cached_works(mirror, capsys, monkeypatch):
    def no_network(*args, **options):
        raise OSError("the network is unplugged")

    monkeypatch.setattr(socket, "socket", no_network)
    mirror.put("imagenet11k-place365ch-resnet-50-symbol.json", SYMBOL)
    stem = "models/imagenet-11k-place365-ch/resnet-50-0000.params"
    assert get_place365(capsys) == (
        2, "", f"fetching {DEAD}{stem}\nfetching {DEAD}imagenet11k-place365ch-resnet-50-0000.params\n"
               f"fetching {DEAD}mxnet/{stem}\nmxft zoo: cannot fetch resnet-50-0000.params: expected one of these "
               f"addresses to give it, received\n  {mirror.folder}/{stem}: no such file\n"
               f"  {mirror.folder}/imagenet11k-place365ch-resnet-50-0000.params: no such file\n"
               f"  {DEAD}{stem}: no connection\n  {DEAD}imagenet11k-place365ch-resnet-50-0000.params: no connection\n"
               f"  {DEAD}mxnet/{stem}: no connection\n{HAND}")
    mirror.put("imagenet11k-place365ch-resnet-50-0000.params", PARAMS)
    assert get_place365(capsys)[0] == 0
    shutil.rmtree(mirror.folder)
    assert get_place365(capsys) == (
        0, f"{mirror.cache}/models/imagenet11k-place365ch-resnet-50/resnet-50,0\n", "")


def test_the_last_line_is_what_other_verbs_take(mirror, tmp_path, capsys):
    mirror.put("imagenet1k-resnet-18-symbol.json", SYMBOL)
    mirror.put("imagenet1k-resnet-18-0000.params", PARAMS)
    mirror.put("caltech-256-60-val.rec", RECORDS)
    cache = ("--cache", tmp_path / "c")
    assert mxft(capsys, "get", "ResNet-18", *cache)[:2] == (
        0, f"{tmp_path}/c/models/imagenet1k-resnet-18/resnet-18,0\n")
    assert mxft(capsys, "get", "caltech-256-60-val.rec", *cache)[:2] == (
        0, f"{tmp_path}/c/datasets/caltech-256-60-val.rec\n")


def test_local_copies_are_taken_and_left_where_they_are(mirror, tmp_path, capsys):
    copies = [tmp_path / "my-net.json", tmp_path / "my-net.params", tmp_path / "my.rec"]
    for copy, content in zip(copies, (SYMBOL.encode(), PARAMS, RECORDS)):
        copy.write_bytes(content)
        copy.chmod(0o444)
    prefix = f"{mirror.cache}/models/imagenet11k-place365ch-resnet-50/resnet-50"
    for _ in range(2):  # the second time it is there already
        assert mxft(capsys, "get", "imagenet11k-place365ch-resnet-50", "--file", copies[1], copies[0]) == (
            0, f"{prefix},0\n", "")
    with open(prefix + "-0000.params", "rb") as f:
        assert f.read() == PARAMS
    assert os.path.exists(prefix + "-manifest.json")
    assert mxft(capsys, "get", "caltech-256-60-val.rec", "--file", copies[2])[:2] == (
        0, f"{mirror.cache}/datasets/caltech-256-60-val.rec\n")
    assert [copy.stat().st_mode & 0o777 for copy in copies] == [0o444] * 3


@pytest.mark.parametrize("name, files, message", [
    ("imagenet11k-place365ch-resnet-50", {"a.zip": b"PK\3\4"},
     "--file: expected resnet-50-symbol.json and resnet-50-0000.params of imagenet11k-place365ch-resnet-50, received "
     "a.zip"),
    ("imagenet11k-place365ch-resnet-50", {"a.json": SYMBOL.encode(), "a.params": b"PK\3\4"},
     "local copy of resnet-50-0000.params: a.params: expected an MXNet parameter file (beginning "
     "b'\\x12\\x01\\x00\\x00\\x00\\x00\\x00\\x00'), received a zip archive; it was left as it is"),
    ("imagenet11k-place365ch-resnet-50", {"a.json": PAGE, "a.params": PARAMS},
     "local copy of resnet-50-symbol.json: a.json: expected the file, received a web page titled 'Moved away'; it was "
     "left as it is"),
    ("caltech256", {"a.tar": b"some other"}, "local copy of 256_ObjectCategories.tar: a.tar: size: expected "
     "1,183,006,720 bytes, received 10; it was left as it is"),
    ("caltech-256-60-val.rec", {"a.rec": PARAMS}, "local copy of caltech-256-60-val.rec: a.rec: expected MXNet records "
     "(beginning b'\\n#\\xd7\\xce'), received an MXNet parameter file; it was left as it is"),
    ("gluon:resnet18_v1", {"a.params": PARAMS},
     "local copy of resnet18_v1-a0666292.params: a.params: sha1: expected a0666292f0a30ff61f857b0b66efc0228eb6a54b, "
     f"received {hashlib.sha1(PARAMS).hexdigest()}; it was left as it is"),
    ("gluon:resnet18_v1", {"a.zip": PARAMS}, "local copy of resnet18_v1-a0666292.zip: a.zip: expected a zip with "
     "resnet18_v1-a0666292.params in it, received something else; it was left as it is"),
])
def test_a_local_copy_that_is_not_the_file_is_refused_and_left(mirror, here, capsys, name, files,
                                                               message):
    for file, content in files.items():
        (here / file).write_bytes(content)
    assert mxft(capsys, "get", name, "--file", *files) == (2, "", f"mxft zoo: {message}\n")
    assert [(here / file).read_bytes() for file in files] == list(files.values())
    assert not [path for path in mirror.home.rglob("*") if path.is_file()]


def test_a_local_copy_that_differs_from_what_is_cached_is_refused(mirror, tmp_path, capsys):
    (tmp_path / "a.rec").write_bytes(RECORDS)
    (tmp_path / "b.rec").write_bytes(RECORDS + RECORDS)
    assert mxft(capsys, "get", "caltech-256-60-val.rec", "--file", tmp_path / "a.rec")[0] == 0
    kept = f"{mirror.cache}/datasets/caltech-256-60-val.rec"
    assert mxft(capsys, "get", "caltech-256-60-val.rec", "--file", tmp_path / "b.rec") == (
        2, "", f"mxft zoo: local copy of caltech-256-60-val.rec: expected the file that stands at {kept} already, "
               f"received another, {tmp_path}/b.rec; move away or delete the one that stands there, then run the same "
               "command again\n")


def test_a_missing_local_copy_names_its_neighbour(mirror, tmp_path, capsys):
    (tmp_path / "val.rec").write_bytes(RECORDS)
    status, _, err = mxft(capsys, "get", "caltech-256-60-val.rec", "--file", tmp_path / "va.rec")
    assert status == 2 and "local copy is missing: expected a file" in err and "nearest: val.rec" in err


def test_a_full_disk_is_told_of_a_local_copy_too(mirror, tmp_path, capsys, monkeypatch):
    (tmp_path / "val.rec").write_bytes(RECORDS)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 1, 99))
    status, _, err = mxft(capsys, "get", "caltech-256-60-val.rec", "--file", tmp_path / "val.rec")
    assert status == 2 and "the disk is too full for caltech-256-60-val.rec: expected 4,096 free bytes" in err


def test_a_network_that_cannot_be_converted_is_refused_before_it_is_downloaded(mirror, capsys):
    status, out, err = mxft(capsys, "get", "gluon:resnet50_v1b_gn")
    assert (status, out) == (2, "") and err.startswith("mxft zoo: cannot convert resnetv1b: expected layers that")


def test_the_list_is_one_table_by_source(mirror, capsys):
    status, out, _ = mxft(capsys, "list")
    lines = out.splitlines()
    assert status == 0
    for row in zoo.rows():
        assert sum(line.split(" ")[0] in (row.name, row.name + ",") for line in lines) == 1, row.name
    assert {row.group + ":" for row in zoo.rows()} <= set(lines) and len(lines) == len(zoo.rows()) + 2 * 7 + 1
    assert [line.split() for line in lines if line.startswith("gluon:resnet50_v1b ")] == [
        ["gluon:resnet50_v1b", "224", "scaled", "top-1", "0.7767", "sha1", "0ecdba34"]]


def test_the_list_takes_a_pattern_and_what_is_cached(mirror, capsys):
    mirror.put("caltech-256-60-val.rec", RECORDS)
    assert mxft(capsys, "get", "caltech-256-60-val.rec")[0] == 0
    out = mxft(capsys, "list", "--cached")[1]
    assert out.splitlines()[2:] == ["data sets:", "caltech-256-60-val.rec" + out.splitlines()[3][22:]]
    assert out.endswith("cached\n")
    names = [line.split()[0] for line in mxft(capsys, "list", "mxnet:vgg1?")[1].splitlines()[3:]]
    assert names == ["mxnet:vgg11", "mxnet:vgg13", "mxnet:vgg16", "mxnet:vgg19"]
    assert mxft(capsys, "list", "resnet-18", "--cached") == (
        2, "", f"mxft zoo: nothing to list: expected a name in the cache {mirror.cache} with 'resnet-18' in it, "
               "received none; mxft zoo list shows them all\n")


def test_the_list_as_json(mirror, capsys):
    status, out, _ = mxft(capsys, "list", "lresnet100", "--json")
    assert (status, json.loads(out)) == (0, [{
        "name": "lresnet100e-ir", "aliases": ["model-r100-ii", "r100-arcface-emore"],
        "source": "insightface: MXNet checkpoints for aligned faces",
        "about": "LResNet100E-IR, ArcFace, MS1M refined (v2), embedding 512",
        "note": None, "published": {"LFW": 0.9977, "CFP-FP": 0.9827, "AgeDB-30": 0.9828}, "bytes": 162345348,
        "hash": {"algorithm": "sha256", "hex": "eab0e5bcca81c070f56ffb11a1c32d7b2e574a8bb94f32590e7b48b355c13d1f",
                 "of": "model-r100-arcface-ms1m-refine-v2.zip"},
        "licence": "insightface: for non-commercial research only",
        "input": {"size": [112, 112], "channels": 3, "mean": [0, 0, 0], "scale": [1, 1, 1], "resize": None,
                  "channel_order": "RGB"}, "cached": None}])


def test_where_tells_the_addresses_in_the_order_they_are_asked(mirror, capsys, monkeypatch):
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://my-store")
    status, out, _ = mxft(capsys, "where", "gluon:squeezenet1.1")
    location = "gluon/models/squeezenet1.1-33ba0f93.zip"
    assert (status, out.splitlines()) == (0, [
        "name         gluon:squeezenet1.1", "             gluoncv:squeezenet1.1", "             squeezenet1.1",
        "source       GluonCV's classification zoo", "what         SqueezeNet, 1,000 classes, RGB scaled",
        "published    top-1 0.5496",
        "licence      Apache-2.0 is MXNet's and GluonCV's; none is stated for the weights",
        "hash         sha1 33ba0f93753c83d86e1eb397f38a667eaf2e9376 of the .params inside squeezenet1.1-33ba0f93.zip",
        f"cached       no; it goes to {mirror.cache}/models/squeezenet1.1/squeezenet1.1-33ba0f93",
        "input        224x224 RGB, (pixel - [123.675, 116.28, 103.53]) x [0.0171248, 0.017507, 0.0174292], short side "
        "resized to 256", "feature      the layer is found in the graph when it is converted",
        "from         gluoncv Gluon model store squeezenet1.1-33ba0f93", "file         squeezenet1.1-33ba0f93.zip",
        f"  asked of   {mirror.folder}/{location}", f"             {mirror.folder}/squeezenet1.1-33ba0f93.zip",
        f"             {DEAD}{location}", f"             {DEAD}squeezenet1.1-33ba0f93.zip",
        f"             http://my-store/{location}", f"             {DEAD}gluon-store/{location}",
        "by hand      mxft zoo get gluon:squeezenet1.1 --file PATH ...: squeezenet1.1-33ba0f93.zip, or "
        "squeezenet1.1-33ba0f93.params"])


@pytest.mark.parametrize("words, message", [
    (["get", "caltech265"], "unknown name: expected a name of the zoo, received 'caltech265'; nearest: caltech256, "),
    (["where", "gluon:resnet51_v1b"], "unknown name: expected a name of the zoo, received 'gluon:resnet51_v1b'; "
                                      "nearest: gluon:resnet50_v1b, "),
    (["get"], "arguments are missing: expected NAME, received none; mxft zoo get --help shows them all"),
    ([], "arguments are missing: expected list|get|where, received none; mxft zoo --help shows them all"),
    (["got", "x"], "expected one of"),
    (["list", "--chached"], "unknown argument: expected an option of mxft zoo"),
])
def test_what_is_refused_ends_with_2_and_one_message(words, message, capsys):
    status, out, err = mxft(capsys, *words)
    assert (status, out) == (2, "") and message in err and err.count("\n") == 1


def test_the_list_imports_neither_mxnet_nor_gluoncv():
    code = ("import sys; from mxft.cli import main; main(['zoo', 'list']); "
            "sys.exit(bool({'mxnet', 'gluoncv', 'requests', 'numpy'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_a_zip_of_the_store_that_was_handed_over_becomes_a_checkpoint(mirror, tmp_path, capsys, monkeypatch):
    from mxft.backbones.gluon import build
    from mxft.compat import mx

    net = build("cifar_resnet20_v1", store="gluoncv")
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32))).wait_to_read()
    net.save_parameters(str(tmp_path / "a.params"))
    sha1 = hashlib.sha1((tmp_path / "a.params").read_bytes()).hexdigest()
    row = dataclasses.replace(zoo.find_model("gluon:cifar_resnet20_v1"), sha1=sha1)
    monkeypatch.setattr(gluon, "models", lambda: (row,))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.params", row.stem + ".params")
    prefix = f"{mirror.cache}/models/cifar_resnet20_v1/{row.stem}"
    for copy in ("a.zip", "a.params"):
        assert mxft(capsys, "get", "gluoncv:cifar_resnet20_v1", "--file", tmp_path / copy)[:2] == (0, f"{prefix},0\n")
        assert sorted(os.listdir(os.path.dirname(prefix))) == [
            row.stem + end for end in ("-0000.params", "-manifest.json", "-symbol.json")]
        shutil.rmtree(os.path.dirname(prefix)) if copy == "a.zip" else None
    with open(prefix + "-manifest.json", encoding="utf-8") as f:
        manifest = json.load(f)
    assert manifest["feature_layer"] == "cifarresnetv10_pool0_fwd"
    assert manifest["input"]["size"] == 32 and manifest["input"]["resize"] == 32
    assert manifest["input"]["mean"] == [125.307, 122.961, 113.8575]
    assert manifest["input"]["scale"] == [1 / 51.5865, 1 / 50.847, 1 / 51.255]
    assert "feature      cifarresnetv10_pool0_fwd\n" in mxft(capsys, "where", "gluon:cifar_resnet20_v1")[1]
