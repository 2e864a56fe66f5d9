"""``mxft face-pack`` and tools/face_pack.py as a user runs them."""
import os
import subprocess
import sys

import numpy as np
import pytest

from mxft.cli import main
from mxft.cli.face_pack import part_or_number
from mxft.commandline.arguments import face_size
from tests.support.images import write_classes


@pytest.fixture
def people(here):
    """Three people with five images of 16 x 16 pixels each, in the working directory."""
    write_classes("people", ("Ada", "Bob", "Cy"), 5,
                  lambda number, label: np.full((16, 16, 3), 60 * label + number, np.uint8), ".jpg")
    return here / "people"


def run(*words):
    return main(["face-pack", *words])


def test_packing_says_what_was_done(people, capsys):
    (people / "Bob" / "4.jpg").unlink()
    (people / "Cy" / "4.jpg").write_bytes(b"")
    assert run("people", "faces", "--size", "16", "--hold-out", "0.2", "--min-images", "2", "--num-thread", "2") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("packed 10 images of 3 identities into faces/train.rec (")
    assert out[1:] == ["held out 3 images of 3 identities in faces/held-out/train.rec, under the same labels",
                       "left out 1 bad images, listed in faces/train.bad.tsv"]


def test_refusals_are_one_line_and_exit_2(people, capsys):
    for words, message in ((("people", "faces", "--size", "16,x"), "--size: expected H,W or one number, in pixels, "
                                                                   "received size='16,x'"),
                           (("people", "faces", "--hold-out", "1.5"), "--hold-out: expected a part from 0 to below 1, "
                                                                      "or a whole number of images"),
                           (("gone", "faces"), "source (a folder of identities, a .lst, a face set or a .rec) is "
                                               "missing"),
                           (("people", "people/Ada/0.jpg/faces"), "OUT_DIR: expected a folder that can be written to"),
                           (("people", "faces", "--exclude", "Bobby"), "received exclude='Bobby'; nearest: Bob")):
        assert run(*words) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and message in err
    assert os.listdir() == ["people"]


def test_photographs_are_told_what_aligns_them(here, capsys):
    write_classes("photos", ("Ada", "Bob"), 2, lambda number, label: np.full((60, 90, 3), 90, np.uint8))
    assert run("photos", "faces") == 2
    err = capsys.readouterr().err
    assert "would stretch the face; all are in faces/train.bad.tsv; --align finds and aligns the faces of" in err


def test_size_and_part():
    assert face_size("112") == face_size("112,112") == (112, 112) and face_size("20,16") == (20, 16)
    assert part_or_number("0.2") == 0.2 and part_or_number("3") == 3 and isinstance(part_or_number("3"), int)


def test_the_tool_runs_without_mxnet(people, repository):
    """PYTHONPATH is empty, and an mxnet that cannot be imported stands first on the path."""
    (people.parent / "mxnet.py").write_text("raise ImportError('face_pack must not import mxnet')\n")
    tool = [sys.executable, str(repository / "tools" / "face_pack.py")]
    done = subprocess.run([*tool, "people", "faces", "--size", "16"], capture_output=True, text=True,
                          env=dict(os.environ, PYTHONPATH=str(people.parent)))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir("faces")) == ["identities.txt", "property", "train.idx", "train.lst", "train.rec"]
