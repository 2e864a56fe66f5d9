"""recipes/faces_from_photographs.py: from scenes made of faces to names, with the published MobileFaceNet."""
import pathlib

import cv2
import numpy as np
import pytest

from mxft.command import run_command
from mxft.faces.align.scenes import drawn_face, make_scene


@pytest.fixture
def recipe(load_recipe):
    return load_recipe("faces_from_photographs")


def run(recipe, *words):
    return run_command("faces_from_photographs", recipe.main, [str(word) for word in words])


def test_refusals_come_before_any_work(recipe, here, capsys):
    for words, message in ((("--photographs", "p", "--faces", "f"), "--photographs: expected no --faces beside it"),
                           (("--people", "2"), "--people: expected a whole number of at least 4"),
                           (("--faces", "gone.tar"), "gone.tar")):
        assert run(recipe, *words, "--run", "run") == 2
        assert message in capsys.readouterr().err
    for name in ("ann", "bob"):
        (here / "photos" / name).mkdir(parents=True)
        cv2.imwrite(f"photos/{name}/1.jpg", np.zeros((9, 9, 3), np.uint8))
    assert run(recipe, "--photographs", "photos", "--run", "run", "--model", "x,0") == 2
    assert "expected 4 people with three photographs at least, received photos with 0 of 2" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.data
def test_scenes_of_lfw_become_names(recipe, testdata, here, capsys):
    status = run(recipe, "--faces", testdata / "data" / "lfw-112x112.tar", "--model",
                 f"{testdata}/models/mobilefacenet-y1/model,0", "--people", 6, "--epochs", 1, "--run", "run")
    out = capsys.readouterr().out
    assert status == 0 and "new pictures whose person is named, of 6" in out
    named = next(line for line in out.splitlines() if line.startswith("new pictures whose person is named"))
    assert int(named.split()[-1]) >= 4 and pathlib.Path("run/named.png").is_file()


@pytest.mark.long
@pytest.mark.data
def test_photographs_of_ones_own(recipe, testdata, here, capsys):
    rng = np.random.default_rng(0)
    for person in range(4):
        for image in range(4):
            path = here / "photos" / f"p{person}" / f"{image}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), make_scene([drawn_face(person, image)], rng, sizes=(150, 250), most_degrees=5)[0])
    status = run(recipe, "--photographs", "photos", "--model", f"{testdata}/models/mobilefacenet-y1/model,0",
                 "--epochs", 1, "--run", "run")
    assert status == 0 and "of other people" in capsys.readouterr().out
