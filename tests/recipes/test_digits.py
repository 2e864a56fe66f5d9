"""recipes/digits.py: the whole workflow once, small."""
import json
import os

import pytest

from mxft.training.run import read_log

pytestmark = pytest.mark.usefixtures("quick_figures")


def test_the_table_the_curves_and_the_runs(recipe, run, here, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    train = recipe.train
    monkeypatch.setattr(recipe, "train", lambda *args, **options: train(*args, **{**options, "epochs": 3})
                        if options else train(*args))
    assert run("--seeds", "1", "--epochs", "2") == 0
    out, err = capsys.readouterr()
    assert os.listdir("runs") == ["digits"] and err == ""
    with open("runs/digits/table.md", encoding="utf-8") as f:
        table = f.read()
    assert table in out and [row.split("|")[1].strip() for row in table.splitlines()[2:]] == [
        "from scratch", "head", "full"]
    for name in ("base", "from-scratch-seed0", "head-seed0", "full-seed0"):
        assert {"model-best.params", "model-manifest.json", "log.jsonl"} <= set(os.listdir(f"runs/digits/{name}"))
    with open("runs/digits/head-seed0/model-manifest.json", encoding="utf-8") as f:
        assert json.load(f)["classes"] == ["5", "6", "7", "8", "9"]
    base, head = (read_log(f"runs/digits/{name}/log.jsonl") for name in ("base", "head-seed0"))
    assert max(row["val_top1"] for row in base if row["event"] == "epoch") > 0.8
    assert len([row for row in head if row["event"] == "epoch"]) == 2


@pytest.mark.parametrize("words, message", [
    (["--seeds", "0"], "--seeds: expected a whole number of at least 1, received seeds='0'"),
    (["--epochs", "x"], "--epochs: expected a whole number of at least 1, received epochs='x'"),
    (["--per-class", "151"], "--per-class: expected a whole number from 1 to 150, received per-class='151'"),
    (["--run", "file"], "run folder: expected a new or empty folder, received run='file', which is a file"),
])
def test_what_is_refused_leaves_nothing(words, message, run, here, capsys):
    (here / "file").write_text("")
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert os.listdir() == ["file"]


def test_without_scikit_learn_its_name_is_told(run, here, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    assert run() == 2
    assert "expected scikit-learn" in capsys.readouterr().err and os.listdir() == []
