"""``mxft embed``, ``verify`` of two pictures and of embeddings, ``enroll``, ``identify`` as a user runs them."""
import json
import shutil

import cv2
import numpy as np
import pytest

from mxft.api import galleries
from mxft.cli import main
from mxft.errors import InputError
from mxft.faces.gallery.gallery import load_gallery
from tests.support.lfw import lfw_faces
from tests.support.small_networks import small_faces

pytestmark = pytest.mark.data


@pytest.fixture
def model(testdata):
    return str(testdata / "models" / "mobilefacenet-y1" / "model") + ",0"


@pytest.fixture
def small(here):
    """A face network of two layers, for what does not depend on who is who."""
    small_faces().save("small", 0)
    return "small,0"


@pytest.fixture
def people(here):
    """Four LFW faces: each a person's, once in a photograph of 280 x 300 too."""
    for number, face in enumerate(lfw_faces(4, step=500)):
        (here / "people" / f"p{number}").mkdir(parents=True)
        (here / "photos").mkdir(exist_ok=True)
        cv2.imwrite(str(here / "people" / f"p{number}" / "1.png"), face)
        scene = np.full((280, 300, 3), (90, 120, 80), np.uint8)
        scene[70:238, 60:228] = cv2.resize(face, (168, 168), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(here / "photos" / f"{number}.jpg"), scene)
    cv2.imwrite(str(here / "photos" / "nobody.jpg"), np.full((200, 200, 3), 80, np.uint8))
    return here


def run(capsys, *words):
    status = main(list(words))
    return (status, *capsys.readouterr())


def test_from_photographs_to_names(people, model, capsys):
    status, out, err = run(capsys, "enroll", "people", "gallery.npz", "--model", model, "--threshold", "0.4")
    assert status == 0 and out.startswith("gallery.npz: 4 people, 4 embeddings of 128 numbers by ")
    assert "a face counts above cosine 0.4000 (as given" in out
    status, out, err = run(capsys, "identify", "gallery.npz", "photos", "--csv", "who.csv", "--top", "2")
    lines = out.splitlines()
    assert status == 0 and err == "nobody.jpg: no face found\n" and lines[-1] == "table: who.csv"
    for number in range(4):
        assert lines[number].startswith(f"{number}.jpg [") and f"]: p{number} 0." in lines[number]
    assert (people / "who.csv").read_text().count("\n") == 5
    status, out, _ = run(capsys, "identify", "gallery.npz", "photos/0.jpg", "--threshold", "0.99")
    assert status == 0 and "unknown (nearest: p0 0." in out


def test_people_are_added_and_galleries_kept(people, small, capsys):
    model = small
    assert run(capsys, "enroll", "people", "g.npz", "--model", model)[0] == 0
    told = "no threshold: 4 images of 4 people are too few to find one (two people and 100 images), "
    assert told in run(capsys, "enroll", "people", "h.npz", "--model", model)[2]
    status, _, err = run(capsys, "enroll", "people", "g.npz", "--model", model)
    assert status == 2 and "a gallery is there already" in err and "--add keeps its people, --force replaces it" in err
    (people / "newcomers").mkdir()
    (people / "photos" / "0.jpg").rename(people / "newcomers" / "Zoe.jpg")
    status, out, _ = run(capsys, "enroll", "newcomers", "g.npz", "--add")
    assert status == 0 and "5 people, 5 embeddings" in out
    _, out, err = run(capsys, "identify", "g.npz", "newcomers/Zoe.jpg", "--top", "2")
    assert "]: Zoe 1.000, p0 0." in out and "no threshold: the nearest person is given" in err


def test_the_threshold_of_a_gallery_stays_when_people_are_added_and_images_count_once(people, model, capsys):
    assert run(capsys, "enroll", "people", "g.npz", "--model", model, "--threshold", "0.4")[0] == 0
    shutil.copytree("people/p0", "newcomers/Zoe")
    status, out, err = run(capsys, "enroll", "newcomers", "g.npz", "--add")
    assert status == 0 and err == "" and "5 people, 5 embeddings" in out
    assert "above cosine 0.4000 (as given; at it 40.0% of the images enrolled" in out and out.count("at it") == 1
    status, out, err = run(capsys, "enroll", "people", "g.npz", "--add")
    assert status == 0 and "5 people, 5 embeddings" in out and "cosine 0.4000 (as given" in out
    assert err == "4 of 4 images already in the gallery, not added again\n"
    assert "cosine 0.5000 (as given" in run(capsys, "enroll", "people", "g.npz", "--add", "--threshold", "0.5")[1]


def test_what_is_no_gallery_and_no_file_of_embeddings_is_called_so(people, model, capsys):
    status, _, err = run(capsys, "identify", "photos/0.jpg", "photos/1.jpg")
    assert status == 2 and err == ("mxft identify: gallery cannot be read: expected one mxft enroll has written, "
                                   "received photos/0.jpg, which is no .npz file, or one cut short\n")
    (people / "pairs.txt").write_text("a b 1\n")
    status, _, err = run(capsys, "verify", "--embeddings", "photos/0.jpg", "--pairs", "pairs.txt")
    assert status == 2 and "received photos/0.jpg, which is no .npz file, or one cut short" in err


def test_two_pictures(people, model, capsys):
    status, out, _ = run(capsys, "verify", "--model", model, "people/p0/1.png", "photos/0.jpg", "--threshold", "0.4",
                         "--json", "v.json")
    lines = out.splitlines()
    assert status == 0 and lines[0] == "people/p0/1.png: taken as an aligned face"
    assert lines[1].startswith("photos/0.jpg: face of ") and lines[3].startswith("same person: the cosine is above 0.4")
    assert json.loads((people / "v.json").read_text())["same"] is True
    out = run(capsys, "verify", "--model", model, "people/p0/1.png", "photos/1.jpg", "--threshold", "0.4")[1]
    assert "different people: the cosine is not above 0.4000, squared distance 1.2000 (as given)" in out
    assert "no verdict: --threshold gives a cosine" in run(capsys, "verify", "--model", model, "people/p0/1.png",
                                                            "photos/1.jpg")[1]


def test_a_threshold_comes_from_pairs(people, small, capsys):
    model = small
    rows = [f"p{a}/1.png p{b}/1.png {int(a == b)}" for a in range(4) for b in range(4)]
    (people / "pairs.txt").write_text("\n".join(rows) + "\n")
    assert run(capsys, "pairs-pack", "pairs.txt", "people", "pairs.bin")[0] == 0
    status, out, _ = run(capsys, "verify", "--model", model, "people/p0/1.png", "photos/0.jpg", "--pairs", "pairs.bin",
                         "--far", "0.1")
    assert status == 0 and "(FAR 0.1 of 12 different pairs of pairs)" in out
    status, _, err = run(capsys, "verify", "--model", model, "people/p0/1.png", "photos/0.jpg", "--pairs", "pairs.bin")
    assert status == 2 and "--far: expected a rate of at least one of the 12 different pairs of pairs, received" in err
    assert run(capsys, "embed", "people", "e.npz", "--model", model)[0] == 0
    by_file = run(capsys, "verify", "--embeddings", "e.npz", "--pairs", "pairs.txt", "--folds", "2")[1].splitlines()
    assert run(capsys, "embed", "pairs.bin", "b.npz", "--model", model)[0] == 0
    by_bin = run(capsys, "verify", "--embeddings", "b.npz", "--folds", "2")[1].splitlines()
    plain = run(capsys, "verify", "--model", model, "--bin", "pairs.bin", "--folds", "2")[1].splitlines()
    for lines in (by_file, by_bin):
        assert [line.split("]")[1] for line in lines[2:]] == [line.split("]")[1] for line in plain[2:-1]]
        assert float(lines[1].split()[-1]) == pytest.approx(float(plain[1].split()[-1]), abs=2e-3)


@pytest.mark.parametrize("words, message", [
    (["embed", "people", "out.bin"], "embeddings: expected a file ending in .npz as the last argument"),
    (["embed", "people", "o.npz", "--images", "aligned", "--min-size", "40"], "--min-size: expected photographs in"),
    (["verify", "people/p0/1.png"], "pictures cannot be compared: expected two, received 1"),
    (["verify", "photos/nobody.jpg", "people/p0/1.png"], "no comparison: expected a face in both pictures, received "
                                                          "photos/nobody.jpg: no face found"),
    (["verify", "people/p0/1.png", "photos/0.jpg", "--far", "0.1"], "--far: expected --pairs FILE.bin beside it"),
    (["verify", "people/p0/1.png", "photos/0.jpg", "--threshold", "0.1", "--pairs", "x"], "--threshold: expected one"),
    (["verify", "people/p0/1.png", "photos/0.jpg", "--bin", "x.bin"], "--bin: expected verification sets, received"),
    (["verify", "--bin", "x.bin", "--threshold", "0.4"], "--threshold: expected two pictures to compare"),
    (["verify", "people/p0/1.png", "photos/0.jpg", "--folds", "3"], "--folds: expected verification sets, received"),
    (["verify", "people/p0/1.png", "photos/0.jpg", "--json", "photos/0.jpg/a"], "--json: expected a folder that can"),
    (["enroll", "photos/nobody.jpg", "g.npz"], "no face to embed"),
    (["enroll", "people", "g.txt"], "gallery is not written: expected a file ending in .npz")])
def test_refusals_are_one_line_and_exit_2(people, small, capsys, words, message):
    model = small
    status, out, err = run(capsys, *words, "--model", model)
    assert status == 2 and err.count("\n") == 1 and message in err


@pytest.mark.parametrize("words, name", [
    (["--threshold", "0.3"], "threshold"), (["--no-flip"], "no-flip"), (["--image-size", "64"], "image-size"),
    (["--detector", "mtcnn"], "detector"), (["--images", "aligned"], "images"), (["--gpus", "0"], "gpus")])
def test_what_embeddings_have_no_use_for_is_refused(capsys, words, name):
    status, _, err = run(capsys, "verify", "--embeddings", "e.npz", *words)
    assert status == 2 and f"--{name}: expected a network to embed with, received" in err


def test_a_page_of_faces_refuses_what_names_pictures(capsys):
    status, _, err = run(capsys, "serve", "x,0", "--faces", "--port", "0", "--resize", "256")
    assert status == 2 and "--resize: expected a network that names pictures, received resize=256 beside faces" in err


def test_a_gallery_that_somebody_else_writes_meanwhile_is_not_lost(people, small, capsys, monkeypatch):
    assert run(capsys, "enroll", "people", "g.npz", "--model", small)[0] == 0
    real = galleries.enroll_faces

    def meanwhile(*given):
        load_gallery("g.npz").save("g.npz")
        return real(*given)

    monkeypatch.setattr(galleries, "enroll_faces", meanwhile)
    status, _, err = run(capsys, "enroll", "people", "g.npz", "--add")
    assert status == 3 and "gallery is not written: expected g.npz as it was read, received another" in err


@pytest.mark.parametrize("threshold", [float("nan"), 2.0])
def test_a_threshold_is_a_cosine(people, small, threshold):
    with pytest.raises(InputError, match="threshold: expected a cosine from -1 to 1, received threshold="):
        galleries.compare_faces(small, "people/p0/1.png", "people/p0/1.png", threshold=threshold)


def test_a_gallery_of_another_network_is_refused(people, small, capsys):
    assert run(capsys, "enroll", "people", "g.npz", "--model", small)[0] == 0
    small_faces(seed=1).save("other", 0)
    status, _, err = run(capsys, "identify", "g.npz", "photos/0.jpg", "--model", "other,0")
    assert status == 2 and "embeddings cannot be compared: expected the same network as the gallery, made by" in err
    assert run(capsys, "identify", "g.npz", "photos/0.jpg", "--no-flip")[0] == 2
