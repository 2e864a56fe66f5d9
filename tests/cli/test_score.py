"""``mxft score`` as a user runs it."""
import json
import os

import numpy as np
import pytest

from mxft.cli import main
from mxft.data.lists import Row, write_list
from mxft.data.packing import pack_list
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.manifest import load_manifest
from tests.support.images import noise, write_image


@pytest.fixture
def here(here, make_checkpoint, make_records):
    """``plain,0`` without and ``told,0`` with a manifest, and val.rec of 7 images."""
    checkpoint = make_checkpoint(3)
    checkpoint.save("plain", 0)
    checkpoint.manifest = {"format": 1, "input": InputSpec((3, 16, 16)).to_dict(), "classes": ["ä", "б", "猫"]}
    checkpoint.save("told", 0)
    make_records("val.rec", [0, 1, 2, 0, 1, 2, 0],
                 lambda number, label: noise(number, (20, 20)))
    return here


def score(*words, model="told,0", records="val.rec"):
    return main(["score", "--model", model, records, *words])


def test_a_line_or_an_object_and_nothing_else(here, capsys):
    before = sorted(os.listdir())
    assert score() == 0
    out, err = capsys.readouterr()
    assert out.startswith("top-1 0.") and "on 7 images" in out and err == ""
    assert score("--json", "--batch-size", "3") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["records"] == 7 and f"top-1 {facts['top1']:.4f}" in out and f"loss {facts['loss']:.4f}" in out
    assert sorted(os.listdir()) == before


def test_without_rewrites_the_numbers_are_the_same(here, capsys):
    facts = []
    for words in (["--json"], ["--json", "--no-rewrite"]):
        assert score(*words) == 0
        facts.append(json.loads(capsys.readouterr().out))
    assert "batch_norm" in facts[0]["rewrites"] and set(facts[1]["rewrites"]) <= {"flatten"}
    assert facts[0]["loss"] == pytest.approx(facts[1]["loss"], rel=1e-5) and facts[0]["top1"] == facts[1]["top1"]


def test_a_tilde_and_a_run_folder_are_models(here, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert score(model="~/told,0") == 0
    os.mkdir("run")
    checkpoint = load_checkpoint("told,0")
    checkpoint.save("run/model", 3)
    checkpoint.save("run/model", "best")
    assert score(model="run") == 0
    assert capsys.readouterr().out.count("top-1") == 2


def test_what_is_assumed_without_a_manifest_is_told(here, capsys):
    assert score(model="plain,0") == 2
    err = capsys.readouterr().err
    assert "input is not known: expected a manifest beside the checkpoint, received model='plain,0' without one" in err
    assert "say --image-shape 3,224,224" in err and err.count("\n") == 1
    assert score("--image-shape", "3,16,16", model="plain,0") == 0
    assert capsys.readouterr().err == ("no manifest beside plain,0: reading images as 16x16 RGB, raw 0-255; "
                                       "--rgb-mean and --rgb-std say otherwise\n")


@pytest.mark.parametrize("words, message", [
    (["--batch-size", "0"], "--batch-size: expected a whole number of at least 1, received batch-size='0'"),
    (["--resize", "-5"], "--resize: expected a whole number of at least 1, received resize='-5'"),
    (["--image-shape", "1,16,16"],
     "network does not take this input: expected images of 3 channels, received image-shape=(1, 16, 16)"),
    (["--gpus", "x"], "devices: expected different GPU numbers such as 0,1, received gpus='x'"),
    (["--data-nthreads", "0"], "--data-nthreads: expected a whole number of at least 1"),
])
def test_settings_are_refused(words, message, here, capsys):
    assert score(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1


def test_records_are_refused(here, capsys, make_records):
    whole = (here / "val.rec").read_bytes()
    (here / "cut.rec").write_bytes(whole[:-100])
    (here / "text.rec").write_text("no records\n" * 9)
    (here / "empty.rec").write_bytes(b"")
    make_records("words.rec", [0, 1], lambda *_: b"no image" * 5)
    make_records("ninth.rec", [0, 9])
    (here / "folder").mkdir()
    for records, message in (("cut.rec", "before the end of the file, in record 6"),
                             ("text.rec", "expected the magic 0xced7230a"),
                             ("empty.rec", "no records: expected at least one, received empty.rec"),
                             ("words.rec", "no image in words.rec: expected JPEG or PNG in every record"),
                             ("ninth.rec", "expected whole numbers in [0, 3), received label=9 in record 1"),
                             ("folder", "no pictures in folder: expected JPEG, PNG"),
                             ("vl.rec", "record file is missing: expected a file, received 'vl.rec'; in that folder "
                                        "nearest: val.rec")):
        assert score(records=records) == 2, records
        out, err = capsys.readouterr()
        assert out == "" and message in err and "Traceback" not in err, err


def test_an_image_behind_those_looked_at_is_found_before_mxnet_meets_it(here, capsys, make_records):
    path = make_records("late.rec", [0] * 71, lambda number, label: b"no image" if number == 70 else
                        np.full((8, 8, 3), number, np.uint8))
    words = ["score", "--model", "plain,0", "--image-shape", "3,8,8", "--resize", "9", path]
    assert main(words) == 2 and "in record 70 (id 70) at byte" in capsys.readouterr().err
    assert main([*words, "--check", "full"]) == 2 and "1 of 71 records are damaged" in capsys.readouterr().err
    assert main([*words, "--check", "some"]) == 2
    assert "--check: expected one of 'fast', 'full', 'off', received check='some'" in capsys.readouterr().err


def test_an_image_of_too_many_pixels_is_refused(here, capsys, make_records):
    path = make_records("bomb.rec", [0, 1], lambda number, label: b"P5 40000 40000 255\n")
    assert score(records=path) == 2 and "received announces 40000 x 40000 pixels, more than" in capsys.readouterr().err


def test_damaged_and_foreign_manifests(here, capsys):
    entry = load_manifest("told")
    for text, message in (("{", "manifest cannot be read: expected JSON, received told-manifest.json"),
                          ("[]", "manifest cannot be read: expected a JSON object"),
                          (json.dumps({"input": {"size": "x"}}), "manifest input: expected size, mean, scale"),
                          (json.dumps({**entry, "input": {**entry["input"], "channels": 1}}),
                           "network does not take this input: expected images of 3 channels")):
        (here / "told-manifest.json").write_text(text, encoding="utf-8")
        assert score() == 2, text
        assert message in capsys.readouterr().err


def test_a_checkpoint_with_a_parameter_too_few(here, capsys):
    checkpoint = load_checkpoint("told,0")
    del checkpoint.arg_params["conv0_weight"]
    checkpoint.save("told", 1)
    assert score(model="told,1") == 2
    assert "received none for conv0_weight" in capsys.readouterr().err


def test_small_records_are_told_and_scored(here, capsys):
    assert score("--image-shape", "3,40,40") == 0
    assert "note: 7 of 7 records looked at in val.rec are smaller than the input of 40x40" in capsys.readouterr().err
    assert score("--image-shape", "3,40,40", "--resize", "40") == 0
    assert capsys.readouterr().err == ""


def test_an_ensemble_with_ten_crops_and_its_tables(here, capsys, make_checkpoint):
    other = make_checkpoint(3, seed=2)
    other.manifest = load_checkpoint("told,0").manifest
    other.save("other", 0)
    assert score("--with", "other,0", "--crops", "10", "--resize", "20", "--per-class", "classes.csv", "--confusion",
                 "confusion.csv") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and out.startswith("top-1 ") and "on 7 images" in out
    assert err.startswith("told,0: top-1 ") and "\nother,0: top-1 " in err and "wrote confusion.csv" in err
    with open("classes.csv", encoding="utf-8") as f:
        rows = [line.split(",") for line in f.read().splitlines()]
    assert rows[0] == ["class", "images", "recall", "precision", "F1"]
    assert [row[:2] for row in rows[1:]] == [["ä", "3"], ["б", "2"], ["猫", "2"]]
    with open("confusion.csv", encoding="utf-8") as f:
        matrix = [line.split(",") for line in f.read().splitlines()]
    assert matrix[0] == ["true / predicted", "ä", "б", "猫"]
    assert [sum(map(int, row[1:])) for row in matrix[1:]] == [3, 2, 2]


def test_ten_crops_need_to_know_the_images_side(here, capsys):
    assert score("--crops", "10") == 2
    assert "--crops 10: expected to know the images' short side, at least 16, received resize=None; say --resize" in (
        capsys.readouterr().err)


def test_pictures_are_scored_by_the_names_of_their_classes(here, capsys):
    """Folders sort otherwise than the checkpoint's classes: it is the names that count."""
    for number, name in enumerate(["猫", "ä", "ä"]):
        write_image(os.path.join("photos", name, f"{number}.png"), noise(number, (20, 20)))
    assert score("--json", "--resize", "20", records="photos") == 0
    out, err = capsys.readouterr()
    assert err == "photos: class folders; 3 pictures, 3 classes (ä, б, 猫)\n"
    write_list("plain.lst", [Row(0, (2.0,), "猫/0.png"), Row(1, (0.0,), "ä/1.png"), Row(2, (0.0,), "ä/2.png")])
    pack_list("plain.lst", "photos", resize=20, quality=90, show=False)
    assert score("--json", "--resize", "20", records="plain.rec") == 0
    by_hand = json.loads(capsys.readouterr().out)
    assert {name: json.loads(out)[name] for name in ("top1", "loss", "records")} == pytest.approx(
        {name: by_hand[name] for name in ("top1", "loss", "records")})


@pytest.mark.parametrize("words, message", [
    (["--model", "told,0", "photos"], "not in the class map: expected one of 3 classes, received 'dog'"),
    (["--model", "plain,0", "--image-shape", "3,16,16", "photos"], "classes are not known: expected a manifest"),
    (["--model", "told,0", "--labels", "a.csv", "val.rec"], "--labels: expected pictures, received the records val"),
])
def test_pictures_whose_classes_are_others_are_refused(here, capsys, words, message):
    write_image("photos/dog/1.png", noise(1))
    write_image("photos/猫/1.png", noise(2))
    assert main(["score", *words]) == 2
    assert message in capsys.readouterr().err


def test_records_of_few_of_a_networks_classes_are_told(here, make_checkpoint, capsys):
    """A network of 9 classes that tells them apart otherwise: its figures on labels 0 to 2 mean nothing."""
    other = make_checkpoint(9)
    other.arg_params["fc1_bias"][8] = 1e3
    other.save("nine", 0)
    assert score("--image-shape", "3,16,16", model="nine,0") == 0
    assert ("note: the labels are 0 to 2, the network tells 9 classes apart: the figures hold only where label n is "
            "the network's class n; mxft finetune trains it on classes of your own") in capsys.readouterr().err
