"""``mxft ijb`` as a user runs it."""
import json
import os
import re

import numpy as np
import pytest

from mxft.cli import main
from tests.support.small_ijb import face_checkpoint, made_faces, write_lists, write_scenes


@pytest.fixture
def here(here, random_parameters):
    """IJBB/meta and IJBB/loose_crop: 40 templates of two faces, 20 people; and ``face,0``."""
    faces, whose = made_faces(20, 4)
    points = write_scenes("IJBB/loose_crop", faces)
    templates, media = np.arange(80) // 2, np.arange(80)
    pairs = [(a, b, int(a // 2 == b // 2)) for a in range(40) for b in range(a)]
    galleries = {"S1": [(t, t // 2) for t in range(0, 10, 2)], "S2": [(t, t // 2) for t in range(10, 20, 2)]}
    write_lists("IJBB/meta", points, templates, media, pairs, galleries, [(t, t // 2) for t in range(1, 40, 2)],
                name="ijbb")
    face_checkpoint(random_parameters)
    return here


def ijb(*words):
    return main(["ijb", "--model", "face,0", *words])


def test_pairs(here, capsys, quick_figures):
    assert ijb("--meta", "IJBB", "--json", "out/numbers.json", "--plots", "out", "--scores", "out/scores.npy") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == "" and lines[:2] == ["[ijbb]80 faces of 40 templates, 780 pairs (20 same, 760 different)",
                                       "[ijbb]flip, detector score, embeddings weighted by their length"]
    assert [re.sub(r"[01]\.\d{5}", "R", line) for line in lines[2:]] == [
        "[ijbb]TAR@FAR 1e-06: needs 1,000,000 different pairs, received 760",
        "[ijbb]TAR@FAR 1e-05: needs 100,000 different pairs, received 760",
        "[ijbb]TAR@FAR 0.0001: needs 10,000 different pairs, received 760",
        "[ijbb]TAR@FAR 0.001: needs 1,000 different pairs, received 760", "[ijbb]TAR@FAR 0.01: R",
        "[ijbb]TAR@FAR 0.1: R", "[ijbb]AUC: R", "plot: out/ijbb-roc.png", "scores: out/scores.npy",
        "numbers: out/numbers.json"]
    numbers = json.loads((here / "out/numbers.json").read_text(encoding="utf-8"))
    assert [numbers[key] for key in ("model", "set", "protocol", "templates")] == ["face,0", "ijbb", "1:1", 40]
    assert numbers["pooling"] == {"flip": True, "detector_score": True, "unit_length": False}
    assert f"TAR@FAR 0.1: {numbers['numbers']['tar_at_far']['0.1']:.5f}" in out
    scores = np.load(here / "out/scores.npy")
    assert scores.shape == (780,) and scores.dtype == np.float32
    same = np.array([a // 2 == b // 2 for a in range(40) for b in range(a)])
    assert scores[same].mean() > scores[~same].mean() + 0.2


def test_search(here, capsys, quick_figures):
    assert ijb("--meta", "IJBB/meta", "--protocol", "1:N", "--json", "numbers.json", "--plots", "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[ijbb]80 faces of 40 templates, 20 probes, 5 in gallery G1, 5 in gallery G2"
    assert [re.sub(r"[01]\.\d{5}", "R", line) for line in lines[2:5]] == [
        "[ijbb][G1]top-1 R, top-5 R, top-10 R",
        "[ijbb][G1]TPIR@FPIR 0.01: needs 100 probes whose person is not in the gallery, received 15",
        "[ijbb][G1]TPIR@FPIR 0.1: R"]
    assert lines[8].startswith("[ijbb][mean]top-1 ") and lines[-2:] == ["plot: out/ijbb-tpir.png",
                                                                         "numbers: numbers.json"]
    numbers = json.loads((here / "numbers.json").read_text(encoding="utf-8"))["numbers"]
    assert sorted(numbers) == ["G1", "G2", "mean"] and numbers["G1"]["mated"] == 5


def test_the_switches_change_the_numbers(here, capsys):
    found = set()
    for words in ([], ["--no-flip"], ["--no-detector-score"], ["--unit-length"]):
        assert ijb("--meta", "IJBB", "--scores", "scores.npy", *words) == 0
        found.add(float(np.load("scores.npy").sum()))
    assert len(found) == 4
    assert "[ijbb]flip, detector score, unit-length embeddings" in capsys.readouterr().out


@pytest.mark.parametrize("words, message", [
    (["--meta", "IJBC"], "lists are missing: expected a folder such as IJBC/meta, received 'IJBC'"),
    (["--meta", "IJBB", "--images", "none"], "images are missing: expected a folder, received images='none'"),
    (["--meta", "IJBB", "--protocol", "1:2"], "--protocol: expected one of "),
    (["--meta", "IJBB", "--protocol", "1:N", "--scores", "a.npy"], "--scores: expected --protocol 1:1 beside it"),
    (["--meta", "IJBB", "--json", "face-0000.params/a"], "--json: expected a folder that can be written to"),
    (["--meta", "IJBB", "--plots", "face-0000.params"], "--plots: expected a folder that can be written to"),
    (["--meta", "IJBB/loose_crop"], "expected NAME_face_tid_mid.txt of one data set in IJBB/loose_crop, received none"),
])
def test_what_is_refused_before_any_image(words, message, here, capsys):
    assert ijb(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1


def test_an_unreadable_or_unaligned_image_ends_with_3(here, capsys):
    assert ijb("--meta", "IJBB", "--aligned") == 3
    assert "without --aligned it is aligned by its landmarks" in capsys.readouterr().err
    os.truncate("IJBB/loose_crop/7.png", 100)
    assert ijb("--meta", "IJBB") == 3
    assert "received IJBB/loose_crop/7.png (truncated PNG" in capsys.readouterr().err
