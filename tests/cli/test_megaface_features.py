"""``mxft megaface-features`` as a user runs it."""
import os

import cv2
import pytest

from mxft.cli import main
from mxft.faces.evaluation.megaface.feature_file import read_feature
from tests.support.small_ijb import face_checkpoint, made_faces

FACESCRUB = ["--facescrub-lst", "fs", "--facescrub-root", "root"]
MEGAFACE = ["--megaface-lst", "mf", "--megaface-root", "root"]


@pytest.fixture
def here(here, random_parameters):
    """root with two people and two distractors, their lists, lists of noises, and ``face,0``."""
    faces, _ = made_faces(2, 3)
    names = ["Ann/1.png", "Ann/2.png", "Bob/3.png", "Bob/4.png", "9/x@N0/5.png", "9/x@N0/6.png"]
    for name, face in zip(names, faces):
        os.makedirs(os.path.dirname(f"root/{name}"), exist_ok=True)
        cv2.imwrite(f"root/{name}", face[:, :, ::-1])
    for path, rows in (("fs", names[:4]), ("mf", names[4:]), ("fs-noises", ["2.png", "7.png"]),
                       ("mf-noises", names[5:])):
        (here / path).write_text("\n".join(rows) + "\n", encoding="utf-8")
    face_checkpoint(random_parameters)
    return here


def run(*words):
    return main(["megaface-features", "--output", "out", "--algo", "y1", *words])


def test_features_and_then_without_noises(here, capsys):
    noises = ["--facescrub-noises", "fs-noises", "--megaface-noises", "mf-noises"]
    assert run("--model", "face,0", *FACESCRUB, *MEGAFACE, "--clean", "clean", *noises) == 0
    assert capsys.readouterr().out.splitlines() == [
        "out/facescrub: 4 features", "out/megaface: 2 features",
        "clean/facescrub: 4 features, of them 1 noise; 1 noise not in the list of images",
        "clean/megaface: 2 features, of them 1 noise"]
    feature = read_feature("clean/megaface/9/x@N0/6.png_y1.bin")
    assert len(feature) == 13 and feature[12] == 100
    first = (here / "clean/facescrub/Ann/2.png_y1.bin").read_bytes()
    assert run("--clean", "clean", "--facescrub-lst", "fs", "--facescrub-noises", "fs-noises") == 0
    assert (here / "clean/facescrub/Ann/2.png_y1.bin").read_bytes() == first


def test_unreadable_images_are_listed_and_end_with_3(here, capsys):
    (here / "root/Bob/3.png").write_bytes(b"none")
    assert run("--model", "face,0", *FACESCRUB, *MEGAFACE) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == ["out/facescrub: 3 features", "out/megaface: 2 features"]
    assert err.endswith("expected all to be readable, received 1 that are not, listed in out/facescrub.bad.tsv\n")


@pytest.mark.parametrize("words, message", [
    ([], "nothing to write: expected --facescrub-lst FILE or --megaface-lst FILE, received neither"),
    (FACESCRUB, "nothing to do: expected --model PREFIX,EPOCH or --clean DIR, received neither"),
    (["--model", "face,0", *FACESCRUB[:2]], "expected --facescrub-root DIR beside --facescrub-lst, received none"),
    (["--clean", "c", *MEGAFACE[:2]], "expected --megaface-noises FILE beside --megaface-lst, received none"),
    (["--clean", "./out", *MEGAFACE[:2], "--megaface-noises", "mf-noises"], "--clean: expected another folder than "
     "--output, received clean='./out'"),
    (["--model", "face,0", *FACESCRUB, "--algo", "a/b"], "--algo: expected a part of a file name, received algo='a/b'"),
    (["--model", "face,0", "--facescrub-lst", "fs", "--facescrub-root", "rot"], "expected a folder, received "
                                                                                "facescrub_root='rot'"),
    (["--clean", "c", *MEGAFACE[:2], "--megaface-noises", "mf-noises"], "feature file is missing: expected a file"),
])
def test_what_is_refused(words, message, here, capsys):
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
