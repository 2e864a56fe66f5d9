"""A head fitted in one pass over photographs: no records, and the same numbers wherever its pictures are read again."""
import csv
import json
import os
import shutil

import numpy as np
import pytest

from mxft.cli import main
from mxft.network.checkpoint import load_checkpoint
from mxft.training.run import read_log
from tests.support.images import encoded, smooth, write_classes, write_image

pytestmark = pytest.mark.usefixtures("quick_figures")
SHAPE = ["--image-shape", "3,16,16", "--rgb-mean", "90,90,90", "--rgb-std", "60,60,60"]


def picture(number, label):
    """Return soft patches, one channel brighter by class; not so clear that none is told wrong."""
    image = smooth((40 + number % 5, 30 + 7 * label), 10 * number + label).astype(int)
    image[:, :, label] += 45
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a checkpoint ``net,0`` and 12 JPEGs of each of three classes in ``photos``."""
    make_checkpoint(3).save("net", 0)
    write_classes("photos", ["red", "green", "blue"], 12, picture, ".jpg")
    return here


def finetune(*words, run="run", data="photos"):
    return main(["finetune", "--model", "net,0", "--data", data, "--run", run, "--plan", "head", "--solver", "logistic",
                 *SHAPE, *words])


def scored(capsys, *words):
    capsys.readouterr()
    assert main(["score", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_validation_score_and_prediction_agree_to_the_picture(here, capsys):
    assert finetune("--per-class", "6") == 0
    out = capsys.readouterr().out
    assert "train: read 18 images of 3 classes, features" in out and "val: read 18 images of 3 classes" in out
    assert sorted(os.listdir("run-records")) == ["images-classes.txt", "images-train.lst", "images-val.lst"]
    metrics = load_checkpoint("run").manifest["metrics"]["best"]
    assert 0.4 < metrics["val_top1"] < 1
    score = scored(capsys, "--model", "run", "photos", "--labels", "run-records/images-val.lst")
    assert score["top1"] == metrics["val_top1"] and score["loss"] == pytest.approx(metrics["val_loss"], rel=1e-4)
    with open("run-records/images-val.lst", encoding="utf-8") as f:
        paths = [line.rstrip("\n").split("\t")[2] for line in f]
    assert main(["predict", "--model", "run", *[f"photos/{path}" for path in paths], "--csv", "told.csv"]) == 0
    with open("told.csv", encoding="utf-8") as f:
        told = {row["image"]: row["class"] for row in csv.DictReader(f) if row.get("rank", "1") == "1"}
    right = sum(told[f"photos/{path}"] == os.path.dirname(path) for path in paths)
    assert right == round(metrics["val_top1"] * 18)


def test_serving_and_records_of_the_same_pictures_give_the_same_numbers(here, capsys):
    from mxft.evaluation.classifier import Classifier
    from mxft.evaluation.prediction import predict_files

    assert finetune() == 0
    checkpoint = load_checkpoint("run")
    assert checkpoint.manifest["packing"] == {"resize": 18, "center_crop": False, "quality": None, "color": 1,
                                              "encoding": ".png", "pass_through": False}
    how = checkpoint.input_spec, checkpoint.manifest["packing"]
    bound = Classifier(checkpoint, *how, checkpoint.classes, "n").bind()
    found, = predict_files(checkpoint, ["photos/red/3.jpg"], *how)
    with open("photos/red/3.jpg", "rb") as f:
        (answer, *_), size = bound.answers(f.read())
    assert size == (30, 43)
    np.testing.assert_allclose(answer.probabilities, found.probabilities, atol=1e-6)
    assert main(["im2rec", "--resize", "18", "--encoding", ".png", "--quality", "3", "run-records/images-val.lst",
                 "photos"]) == 0
    metrics = checkpoint.manifest["metrics"]["best"]
    records = scored(capsys, "--model", "run", "run-records/images-val.rec")
    assert records["top1"] == metrics["val_top1"] and records["loss"] == pytest.approx(metrics["val_loss"], rel=1e-4)


def test_pictures_that_cannot_be_read_are_left_out_and_listed(here, capsys):
    (here / "photos" / "red" / "cut.jpg").write_bytes(encoded(smooth((60, 60)), ".jpg")[:-200])
    (here / "photos" / "blue" / "none.jpg").write_bytes(b"no picture")
    assert finetune("--val-fraction", "0.5") == 0
    assert "left out, listed in run-records/images-" in capsys.readouterr().out
    listed = "".join(open(f"run-records/images-{part}.bad.tsv", encoding="utf-8").read()  # noqa: SIM115
                     for part in ("train", "val") if os.path.exists(f"run-records/images-{part}.bad.tsv"))
    assert "red/cut.jpg\ttruncated JPEG: no end-of-image marker" in listed and "blue/none.jpg\tnot an image" in listed
    start, = [row for row in read_log("run/log.jsonl") if row["event"] == "start"]
    assert start["pictures"] == str(here / "photos") and start["records"]["val"].endswith("images-val.lst")


def test_a_class_none_of_whose_pictures_can_be_read_is_refused_before_there_is_a_run(here, capsys):
    for number in range(12):
        (here / "photos" / "green" / f"{number}.jpg").write_bytes(b"no picture")
    assert finetune() == 2
    err = capsys.readouterr().err
    assert ("class without training images: expected at least one of green, received 10 images that cannot be read"
            in err)
    assert "listed in run-records/images-train.bad.tsv; repair them or --exclude green" in err
    assert not os.path.exists("run")


def test_sgd_is_measured_beside_a_solver_where_its_steps_are_asked_for(here, capsys):
    assert finetune() == 0
    assert "beside it" not in capsys.readouterr().out
    assert finetune("--epochs", "1", run="stepped") == 0
    assert "beside it, sgd on the same features, 1 epochs at 0.01: validation top-1" in capsys.readouterr().out


def test_pictures_in_both_parts_are_told(here, capsys):
    write_classes("divided/train", ["red", "green", "blue"], 6, picture, ".jpg")
    write_classes("divided/val", ["red", "green", "blue"], 2, lambda number, label: picture(number + 50, label), ".jpg")
    write_image("divided/val/red/copy.png", picture(2, 0))
    assert finetune(data="divided") == 0
    assert ("1 picture for validation also in training, so that the score is too good: val/red/copy.png as "
            "train/red/2.jpg; all in run-records/images-duplicates.tsv") in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--keep-records"], ["--quality", "90"], ["--cache", "disk"],
                                   ["--cache", "memory", "--views", "2", "--augment", "1"]])
def test_what_needs_records_packs_them(words, here, capsys):
    assert finetune(*words) == 0
    assert os.path.exists("run-records/images-train.rec") and "packed 30 images" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--keep-records"]])
def test_a_run_is_resumed_as_it_began(words, here, capsys):
    assert finetune(*words, "--resume", "auto") == 0
    assert os.path.exists("run-records/images-train.rec") == bool(words)
    capsys.readouterr()
    assert finetune("--resume", "auto") == 0
    out = capsys.readouterr().out
    assert "saved: run/model,best" in out and ("records are up to date" in out) == bool(words)


def test_a_bundle_tests_itself_with_a_picture_of_the_run(here, capsys):
    assert finetune() == 0
    assert main(["bundle", "--model", "run", "--output", "bundle", "--no-onnx"]) == 0
    assert os.path.getsize("bundle/selftest.jpg")
    os.rename("photos", "elsewhere")
    assert main(["bundle", "--model", "run", "--output", "other", "--no-onnx"]) == 2
    assert "self-test picture: expected --image IMAGE, or a run whose pictures are at hand" in capsys.readouterr().err


def test_records_that_are_there_are_used(here, capsys):
    assert finetune("--keep-records") == 0
    shutil.rmtree("run")
    capsys.readouterr()
    assert finetune() == 0
    assert "records are up to date: run-records/images-train.rec" in capsys.readouterr().out


def test_the_page_is_written_again_from_the_pictures(here, capsys):
    assert finetune() == 0
    page = (here / "run" / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in page
    assert main(["report", "run"]) == 0
    assert "data:image/jpeg" in (here / "run" / "report.html").read_text(encoding="utf-8")
    with open("run-records/images-val.lst", encoding="utf-8") as f:
        path = f.readline().rstrip("\n").split("\t")[2]
    write_image(f"photos/{path}", picture(99, 1))
    capsys.readouterr()
    assert main(["report", "run"]) == 0
    assert "not evaluated: the pictures for validation have changed, expected sha256" in capsys.readouterr().err
    os.rename("photos", "elsewhere")
    assert main(["report", "run"]) == 0
    assert f"the pictures for validation are gone, expected the folder {here}/photos" in capsys.readouterr().err
