"""recipes/cnn_codes_svm.py on generated images: the table, and checkpoints every verb accepts."""
import json
import os
import tarfile

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.command import run_command
from mxft.network.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def recipe(load_recipe):
    return load_recipe("cnn_codes_svm")


@pytest.fixture
def here(tmp_path, monkeypatch, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and photos/ of three classes that its codes can separate."""
    monkeypatch.chdir(tmp_path)
    make_checkpoint(5).save("net", 0)
    for label, name in enumerate(("ant", "bee", "cät")):
        os.makedirs(f"photos/{name}")
        for number in range(9):
            image = np.random.RandomState(10 * label + number).randint(0, 120, (20, 24, 3)) + [0, 130, 60][label]
            image[..., label] //= 2
            with open(f"photos/{name}/{number}.png", "wb") as f:
                f.write(cv2.imencode(".png", image.astype(np.uint8))[1].tobytes())
    return tmp_path


def run(recipe, *words, images="photos"):
    return run_command("cnn_codes_svm", recipe.main, ["--images", images, "--model", "net,0", "--per-class", "6",
                                                      "--run", "codes", "--image-shape", "3,16,16", *words])


def test_help_fits_80_columns(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run(recipe, "--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_every_head_scores_as_the_table_says(recipe, here, capsys):
    with tarfile.open("photos.tar", "w") as tar:
        tar.add("photos")
    assert run(recipe, images="photos.tar") == 0
    out = capsys.readouterr().out
    assert "codes of flatten0: 18 + 9 images x 6 in " in out
    table = [line.rsplit(None, 4) for line in out.splitlines()]
    table = {row[0]: (float(row[1]), row[4]) for row in table if row[0] in ("neighbours", *recipe.SOLVERS)}
    assert set(table) == {"neighbours", "class means", "ridge", "SVM", "softmax"}
    assert min(top1 for top1, _ in table.values()) > 0.6
    records, = [os.path.join(path, "codes-val.rec") for path, _, names in os.walk("data-cache")
                if "codes-val.rec" in names]
    for name in recipe.SOLVERS:
        top1, model = table[name]
        assert main(["score", "--json", "--model", model.rpartition("/")[0], records]) == 0
        score = json.loads(capsys.readouterr().out)
        assert score["top1"] == pytest.approx(top1, abs=1e-4) and score["loss"] < np.log(3)
        checkpoint = load_checkpoint(model)
        assert checkpoint.classes == ["ant", "bee", "cät"] and checkpoint.symbol.list_outputs() == ["softmax_output"]


def test_an_earlier_layer(recipe, here, capsys):
    assert run(recipe, "--layer", "pool0") == 0
    assert "codes of pool0: 18 + 9 images x 6" in capsys.readouterr().out
    assert load_checkpoint("codes/svm").manifest["head"]["feature"] == "pool0"


def test_neighbours_vote_by_cosine(recipe):
    """Against a loop: the nearest by angle to the training mean, each vote weighing 1 / distance."""
    rng = np.random.RandomState(0)
    (train, labels), (val, wanted) = ((rng.normal(size=(n, 3)).astype("f"), rng.randint(0, 3, n)) for n in (40, 30))
    mean, hits = train.mean(axis=0), 0
    units = [(row - mean) / np.linalg.norm(row - mean) for row in train]
    for row, label in zip(val, wanted):
        row = (row - mean) / np.linalg.norm(row - mean)
        far = np.array([np.linalg.norm(row - unit) for unit in units])
        votes = np.zeros(3)
        for near in np.argsort(far)[:5]:
            votes[labels[near]] += 1 / far[near]
        hits += votes.argmax() == label
    assert recipe.neighbours_top1((train, labels), (val, wanted), 5) == pytest.approx(hits / 30)


@pytest.mark.parametrize("words, message", [
    (["--layer", "pol0"], "received layer='pol0'; nearest: pool0"),
    (["--run", "photos"], "run folder: expected a new or empty folder, received run='photos'"),
    (["--model", "net,3"], "parameters are missing"),
    (["--per-class", "20"], "expected at least 20 images, received ant=9"),
])
def test_what_is_refused_makes_no_run(words, message, recipe, here, capsys):
    assert run(recipe, *words) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and not os.path.exists("codes")
