"""mxft advise as a user types it."""
import numpy as np
import pytest

from mxft.cli import run_verb
from tests.support.images import coloured, write_classes


@pytest.fixture
def photos(tmp_path):
    rng = np.random.RandomState(0)
    write_classes(tmp_path / "photos", ("red", "green", "blue"), 8, lambda _, label: coloured(rng, 2 - label))
    return str(tmp_path / "photos")


def test_with_numbers_alone_it_names_case_plan_reason_and_command(capsys):
    assert run_verb("advise", ["--images", "500", "--classes", "10", "--similar", "no"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("case 3: few images, not similar\nplan: features of an earlier layer")
    assert "why: 500 images of 10 classes, 50 a class, are few" in out and "--cache memory --views 8 --layer" in out


def test_on_a_folder_it_shows_its_evidence(photos, make_checkpoint, tmp_path, capsys):
    model = make_checkpoint(num_classes=4).save(str(tmp_path / "net"), 0)
    assert run_verb("advise", ["--data", photos, "--model", model, "--image-shape", "3,8,8"]) == 0
    out = capsys.readouterr().out
    assert "similarity, a linear classifier on 24 images (chance 0.333" in out and "flatten0" in out
    assert f"mxft finetune --model {model} --data {photos}" in out


@pytest.mark.parametrize("words, message", [
    (["--images", "9"], "advice: expected --classes or --data FOLDER, received neither"),
    (["--images", "9", "--classes", "2"], "advice: expected --similar yes or no, or --data and --model to find out"),
    (["--images", "2", "--classes", "4", "--similar", "yes"], "advice: expected at least one image a class"),
    (["--data", "gone", "--similar", "yes"], "gone"),
])
def test_what_is_missing_is_asked_for(words, message, capsys):
    assert run_verb("advise", words) == 2
    err = capsys.readouterr().err
    assert err.startswith("mxft advise: ") and message in err and err.count("\n") == 1
