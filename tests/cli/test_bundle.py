"""``mxft bundle`` as a user runs it: what it prints, that any verb takes the folder, and its refusals."""
import json
import os
import sys

import pytest

from mxft.cli import main
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.files.whole import sha256
from tests.support.images import encoded, noise, write_image

CLASSES = ["ä", "б", "猫"]


@pytest.fixture
def here(here, make_checkpoint):
    """A run folder with validation records, ``plain,0`` without a manifest, and cat.png."""
    checkpoint = make_checkpoint(3)
    checkpoint.save("plain", 0)
    write_image("cat.png", noise(0, (24, 30)))
    with RecordWriter("val.rec") as writer:
        for number in range(4):
            writer.write(pack(IRHeader(0, float(number % 3), number, 0), encoded(noise(number, (20, 22)), ".jpg")))
    checkpoint.manifest = {"format": 1, "input": {"size": 16, "scale": .01}, "classes": CLASSES,
                           "packing": {"resize": 20}, "data": {"val": {"file": "val.rec", "sha256": sha256("val.rec")}},
                           "metrics": {"best": {"val_top1": 0.5}}}
    os.makedirs("runs/my net")
    checkpoint.save("runs/my net/model", "best")
    (here / "runs/my net/log.jsonl").write_text(
        json.dumps({"event": "start", "records": {"val": str(here / "val.rec")}}) + "\n")
    return here


def bundle(*words):
    return main(["bundle", "--no-onnx", *words])


def test_a_run_is_bundled_with_one_of_its_own_pictures(here, capsys):
    assert bundle("--model", "runs/my net", "--output", "out") == 0
    said, err = capsys.readouterr()
    lines = said.splitlines()
    assert err == "" and lines[0] == "self-test picture:" and len(lines) == 7
    assert sorted(line.split()[1] for line in lines[1:4]) == CLASSES
    assert lines[4].startswith("read back, MXNet: the same five, largest difference ")
    assert lines[5].startswith("wrote out: my-net, 3 classes, 9 files, 0.0 MB") and lines[6] == "next: mxft serve out"
    assert main(["predict", "--model", "out", "--top", "3", "out/selftest.jpg"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == lines[1:4]
    assert main(["score", "--model", "out", "val.rec"]) == 0


def test_a_checkpoint_without_a_manifest_is_completed_by_flags(here, capsys):
    (here / "names.txt").write_text("one\ntwo\nthree\n")
    words = ["--model", "plain,0", "--output", "plain.tar", "--image-shape", "3,16,16", "--resize", "20", "--image",
             "cat.png", "--name", "net"]
    assert bundle(*words) == 2
    assert "class names: expected them in the manifest of plain,0, received none; --synset" in capsys.readouterr().err
    assert bundle(*words, "--synset", "names.txt") == 0
    assert "wrote plain.tar: net, 3 classes" in capsys.readouterr().out
    assert bundle(*words, "--synset", "names.txt") == 2
    assert "output: expected a name that is free, received 'plain.tar'" in capsys.readouterr().err


@pytest.mark.parametrize("words, message", [
    (["--output", "runs"], "output: expected a name that is free, received 'runs'; choose another or remove it"),
    (["--output", "x.tar.gz"], "output: expected a folder's name or one ending in .tar, received 'x.tar.gz'"),
    (["--image", "dog.png"], "self-test picture: expected an image, received 'dog.png': missing"),
    (["--image", "plain-symbol.json"], "self-test picture: expected an image, received 'plain-symbol.json': not an"),
    (["--name", "../x"], "--name: expected letters, digits, '.', '-' and '_', received name='../x'"),
    (["--model", "plain,0"], "input is not known"),
    (["--model", "plain,0", "--image-shape", "3,16,16"], "resizing is not known"),
])
def test_refusals(words, message, here, capsys):
    before = sorted(os.listdir())
    assert bundle("--model", "runs/my net", "--output", "out", *words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1 and sorted(os.listdir()) == before


def test_a_run_whose_pictures_are_gone_asks_for_one(here, capsys):
    with open("val.rec", "ab") as f:
        f.write(b"more")
    assert bundle("--model", "runs/my net", "--output", "out") == 2
    assert "val.rec, which has changed since; --image IMAGE gives one\n" in capsys.readouterr().err
    os.unlink("val.rec")
    assert bundle("--model", "runs/my net", "--output", "out") == 2
    assert "self-test picture: expected --image IMAGE, or a run whose" in capsys.readouterr().err
    assert bundle("--model", "runs/my net", "--output", "out", "--image", "cat.png") == 0


def test_without_onnx_both_ways_out_are_told(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    pytest.importorskip("onnx")
    assert main(["bundle", "--model", "runs/my net", "--output", "out"]) == 2
    err = capsys.readouterr().err
    assert "expected the package onnxruntime, which is not installed; pip install onnxruntime" in err
    assert err.endswith("; or --no-onnx for a bundle without model.onnx\n")


def test_a_face_network_in_training_has_no_classes_to_name(here, make_face_checkpoint, capsys):
    make_face_checkpoint(num_classes=9).save("face", 3)
    assert bundle("--model", "face,3", "--output", "out", "--image", "cat.png") == 2
    assert ("model: expected a network that gives class scores, received face,3, a face network as it was trained; "
            "mxft export --to onnx --model face,3 --output embedding.onnx writes its embedding"
            ) in capsys.readouterr().err


def test_of_a_folder_the_first_picture_that_can_be_read_is_the_test(here, capsys):
    write_image("photos/b.png", noise(3, (24, 30)))
    (here / "photos/a.jpg").write_text("no picture")
    assert bundle("--model", "runs/my net", "--output", "out", "--image", "photos") == 0
    first = capsys.readouterr().out.splitlines()[1:4]
    assert bundle("--model", "runs/my net", "--output", "again", "--image", "photos/b.png") == 0
    assert capsys.readouterr().out.splitlines()[1:4] == first


@pytest.fixture
def keys(here):
    """``own.key``, ``own.pub``, ``other.key`` and ``other.pub``."""
    pytest.importorskip("cryptography")
    from tests.unit.deploy.bundle.test_signing import write_keys

    write_keys(here, "own")
    write_keys(here, "other")


def test_a_signed_bundle_is_checked(here, keys, capsys):
    assert bundle("--model", "runs/my net", "--output", "out.tar", "--sign", "own.key") == 0
    capsys.readouterr()
    assert main(["bundle", "--check", "out.tar", "--trust", "own.pub"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "out.tar: my-net, 8 files as SHA256SUMS says, signed by the owner of own.pub"
    assert second.startswith("self-test, MXNet: the same five, largest difference ")
    for verb in (["bundle", "--check"], ["serve", "--port", "0"]):
        assert main([*verb, "out.tar", "--trust", "other.pub"]) == 2
        assert "bundle: expected SHA256SUMS signed by the key of --trust, received another" in capsys.readouterr().err
    assert bundle("--model", "runs/my net", "--output", "plain") == 0
    capsys.readouterr()
    assert main(["bundle", "--check", "plain"]) == 0 and "signed" not in capsys.readouterr().out
    assert main(["serve", "plain", "--port", "0", "--trust", "own.pub"]) == 2
    assert ("expected the signature SHA256SUMS.sig, received a bundle that is not signed; who writes it signs it with "
            "--sign KEY, and without --trust any bundle is taken\n") in capsys.readouterr().err


@pytest.mark.parametrize("words, message", [
    (["--trust", "own.pub"], "--trust: expected --check BUNDLE beside it, received trust=own.pub alone; --sign KEY"),
    (["--model", "plain,0"], "arguments are missing: expected --output, received none"),
    (["--check", "plain,0"], "check: expected a bundle, a folder with SHA256SUMS or a .tar of one, received check="),
    (["--check", "out", "--sign", "own.key"], "--sign: expected --check BUNDLE alone, or with --trust, received sign="),
    (["--model", "runs/my net", "--output", "out", "--sign", "plain-symbol.json"],
     "--sign: expected an Ed25519 private key in PEM without a passphrase, received sign='plain-symbol.json', which"),
])
def test_refusals_of_signing_and_checking(words, message, here, capsys):
    pytest.importorskip("cryptography")
    assert main(["bundle", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
