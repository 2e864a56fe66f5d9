"""recipes/cnn_codes_svm.py on generated images: the table, and checkpoints every verb accepts."""
import json
import os
import tarfile

import numpy as np
import pytest

from mxft.cli import main
from mxft.network.checkpoint import load_checkpoint
from tests.support.images import noise, write_classes

TINY = ["--images", "photos", "--model", "net,0", "--per-class", "6", "--run", "codes", "--image-shape", "3,16,16"]


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and photos/ of three classes that its codes can separate."""
    def image(number, label):
        pixels = noise(10 * label + number, (20, 24), 0, 120) + np.uint8([0, 130, 60][label])
        pixels[..., label] //= 2
        return pixels

    make_checkpoint(5).save("net", 0)
    write_classes("photos", ("ant", "bee", "cät"), 9, image)
    return here


def test_help_fits_80_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run("--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_every_head_scores_as_the_table_says(recipe, run, here, capsys):
    with tarfile.open("photos.tar", "w") as tar:
        tar.add("photos")
    assert run("--images", "photos.tar") == 0
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


def test_an_earlier_layer(run, here, capsys):
    assert run("--layer", "pool0") == 0
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
def test_what_is_refused_makes_no_run(words, message, run, here, capsys):
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and not os.path.exists("codes")
