"""Several labels, and numbers, an image from a table to a served page, as a user runs it."""
import io
import json

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.deploy.bundle.checking import check_bundle
from mxft.deploy.bundle.signature import signature_of
from mxft.deploy.serving.application import create_app
from mxft.deploy.serving.classifying import ClassifierWorker
from tests.support.serving import front_of

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture(scope="module")
def trained(make_checkpoint, tmp_path_factory):
    """A folder with photos/, tags.csv, sizes.csv and the runs ``tags`` (labels) and ``sizes`` (numbers)."""
    import os

    folder = tmp_path_factory.mktemp("targets")
    rng, tags, sizes = np.random.RandomState(0), ["image,labels"], ["image,red,green"]
    (folder / "photos").mkdir()
    for number in range(60):
        bright = rng.randint(0, 2, 3)
        image = np.clip(40 + 160 * bright + rng.normal(0, 10, (10, 10, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "photos" / f"{number}.png"), image[:, :, ::-1])
        tags.append(f"{number}.png,{'|'.join(np.array(['r', 'g', 'b'])[bright > 0])}")
        sizes.append(f"{number}.png,{image[..., 0].mean():.4f},{10 * image[..., 1].mean():.4f}")
    (folder / "tags.csv").write_text("\n".join(tags))
    (folder / "sizes.csv").write_text("\n".join(sizes))
    make_checkpoint(filters=16).save(str(folder / "net"), 0)
    before = os.getcwd()
    os.chdir(folder)
    try:
        shared = ["--model", "net,0", "--data", "photos", "--resize", "10", "--image-shape", "3,8,8", "--rgb-mean",
                  "127,127,127", "--rgb-std", "64,64,64", "--batch-size", "8", "--plan", "head", "--epochs", "2"]
        assert main(["finetune", *shared, "--labels", "tags.csv", "--multi-label", "--solver", "logistic", "--run",
                     "tags"]) == 0
        assert main(["finetune", *shared, "--labels", "sizes.csv", "--regression", "--solver", "ridge", "--lr", "1e-3",
                     "--run", "sizes"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def said(capsys, *words):
    """Return what a verb prints, its exit status 0."""
    capsys.readouterr()
    assert main(list(words)) in (0, None)
    return capsys.readouterr().out


def test_score_tells_each_label_at_its_threshold(here, capsys):
    told = said(capsys, "score", "--model", "tags", "tags-records/images-val.rec", "--per-class", "each.csv")
    lines = told.splitlines()
    assert lines[0].startswith("mAP 1.0000, F1 1.0000 at the chosen thresholds"), lines
    assert [line.split()[0] for line in lines[1:]] == ["label", "b", "g", "r"]
    rows = (here / "each.csv").read_text().splitlines()
    assert rows[0] == "label,images,AP,threshold,recall,precision,F1" and len(rows) == 4
    assert json.loads(said(capsys, "score", "--model", "tags", "tags-records/images-val.rec", "--json"))["map"] == 1
    assert main(["score", "--model", "tags", "tags-records/images-val.rec", "--confusion", "c.csv"]) == 2
    assert "--confusion: expected one of several classes an image, received 3 labels" in capsys.readouterr().err


def test_score_tells_each_number_in_its_unit(here, capsys):
    lines = said(capsys, "score", "--model", "sizes", "sizes-records/images-val.rec").splitlines()
    assert lines[0].startswith("MAE ") and float(lines[0].split("R² ")[1].split()[0]) > 0.9
    assert [line.split()[0] for line in lines[1:]] == ["number", "red", "green"]


def test_predict_names_the_labels_that_reach_their_thresholds(here, capsys):
    for line in (here / "tags.csv").read_text().splitlines()[1:9]:
        image, labels = line.split(",")
        lines = said(capsys, "predict", "--model", "tags", f"photos/{image}").splitlines()[1:]
        if labels:
            assert {line.split()[1] for line in lines} == set(labels.split("|")), line
        else:
            assert "no label reaches its threshold" in lines[0]
    answer = json.loads(said(capsys, "predict", "--model", "tags", "--json", "photos/0.png"))
    assert sorted(answer["labels"]) == sorted((here / "tags.csv").read_text().splitlines()[1].split(",")[1].split("|"))


def test_predict_gives_numbers_with_their_names(here, capsys):
    lines = said(capsys, "predict", "--model", "sizes", "photos/0.png").splitlines()[1:]
    true = [float(word) for word in (here / "sizes.csv").read_text().splitlines()[1].split(",")[1:]]
    assert [line.split()[1] for line in lines] == ["red", "green"]
    np.testing.assert_allclose([float(line.split()[0]) for line in lines], true, rtol=0.35)


@pytest.mark.parametrize("run, heading, cell", [("tags", "Each label", "threshold"), ("sizes", "Each number", "R2")])
def test_the_page_has_a_row_for_each_output(here, run, heading, cell):
    page = (here / run / "report.html").read_text()
    assert f"<h2>{heading}</h2>" in page and cell in page and "confusion" not in page


def test_runs_of_different_targets_are_not_compared(here, capsys):
    assert main(["report", "tags", "sizes"]) == 2
    assert "expected runs of one kind of target, received multi-label (tags) and regression (sizes)" in (
        capsys.readouterr().err)


@pytest.mark.parametrize("run, noun", [("tags", "3 labels"), ("sizes", "2 numbers")])
def test_a_bundle_serves_labels_and_numbers(here, capsys, run, noun):
    assert noun in said(capsys, "bundle", "--model", run, "--no-onnx", "--output", f"{run}-bundle")
    classifier = check_bundle(f"{run}-bundle").classifier
    signature = signature_of(classifier)
    worker = ClassifierWorker(classifier)
    client = create_app(front_of(worker), worker.facts).test_client()
    picture = (here / "photos" / "0.png").read_bytes()
    answer = client.post("/predict", data={"file": (io.BytesIO(picture), "0.png")}).get_json()
    if run == "tags":
        true = (here / "tags.csv").read_text().splitlines()[1].split(",")[1].split("|")
        assert sorted(answer["labels"]) == sorted(true)
        assert {row["name"] for row in answer["classes"] if row["said"]} == set(true)
        assert signature["target"]["thresholds"] == list(classifier.thresholds)
    else:
        assert [row["name"] for row in answer["classes"]] == ["red", "green"] and "value" in answer["classes"][0]
    assert noun.split()[1][:-1] in client.get("/").get_data(as_text=True) or run == "sizes"


@pytest.mark.parametrize("words, expected", [
    (["--data", "photos", "--multi-label"], "labels are missing: expected a table (.csv, .tsv, .lst) in photos"),
    (["--data", "photos", "--labels", "tags.csv"], "--multi-label trains on several labels an image"),
    (["--data", "photos", "--labels", "tags.csv", "--multi-label", "--mixup", "0.2"],
     "--mixup: expected one of several classes an image, received --multi-label"),
    (["--data", "photos", "--labels", "tags.csv", "--multi-label", "--per-class", "3"],
     "--val-fraction divides such pictures"),
    (["--records", "tags-records/images", "--regression"], "expected records of that kind, received --records"),
    (["--train", "tags-records/images-train.rec"], "train them with --multi-label or --regression"),
    (["--data", "photos", "--labels", "tags.csv", "--multi-label", "--require-head"],
     "--require-head: expected a head that gives 3 labels an image, received the probabilities of softmax"),
])
def test_flags_that_do_not_go_together_are_refused_before_work(here, capsys, words, expected):
    capsys.readouterr()
    assert main(["finetune", "--model", "net,0", "--image-shape", "3,8,8", "--run", "new", *words]) == 2
    assert expected in capsys.readouterr().err and not (here / "new").exists()


def test_the_records_know_what_they_were_made_for(here, capsys):
    out = said(capsys, "finetune", "--model", "tags", "--records", "tags-records/images", "--require-head", "--plan",
               "head", "--epochs", "1", "--batch-size", "8", "--run", "again")
    assert "kept head: fc1 with 3 labels an image" in out and "validation mAP 1.0000" in out


@pytest.mark.parametrize("flag, table", [("--multi-label", "tags.csv"), ("--regression", "sizes.csv")])
def test_advise_counts_the_table(here, capsys, flag, table):
    out = said(capsys, "advise", "--data", "photos", "--labels", table, flag, "--similar", "yes")
    assert "48 images" in out  # a fifth of 60 is held out
    assert f"--labels {table}" in out and flag in out


def test_advice_of_chosen_columns_is_a_command_as_it_is_typed(here, capsys):
    table = (here / "sizes.csv").read_text().replace("image,", "camera,image,").replace("\n", "\nold,")
    (here / "my sizes.csv").write_text(table)
    words = ["--data", "photos", "--labels", "my sizes.csv", "--label-columns", "green", "--regression"]
    out = said(capsys, "advise", *words, "--similar", "yes")
    assert "    --labels 'my sizes.csv' \\\n    --label-columns green \\" in out
    assert main(["advise", "--images", "9", "--label-columns", "green", "--regression", "--similar", "yes"]) == 2
