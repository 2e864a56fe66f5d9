"""``mxft predict`` as a user runs it, on file names and files of every kind."""
import csv
import json
import os
import sys

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.data.lists import Row, write_list
from mxft.data.packing import pack_list, read_image
from mxft.faces.pairs.bin_file import write_pairs
from mxft.network.input_spec import InputSpec
from mxft.network.manifest import load_manifest, write_manifest
from tests.support.images import noise, write_image

CLASSES = ["ä", "б", "猫"]


@pytest.fixture
def here(here, make_checkpoint):
    """``plain,0`` without and ``told,0`` with a manifest, cat.png and text.jpg."""
    checkpoint = make_checkpoint(3)
    checkpoint.save("plain", 0)
    checkpoint.manifest = {"format": 1, "input": InputSpec((3, 16, 16)).to_dict(), "classes": CLASSES,
                           "packing": {"resize": 20, "encoding": ".png"}}
    checkpoint.save("told", 0)
    write_image("cat.png", noise(0, (30, 40)))
    (here / "text.jpg").write_text("not an image")
    return here


def predict(*words, model="told,0"):
    return main(["predict", "--model", model, *words])


def answers(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_image(here, capsys):
    before = sorted(os.listdir())
    assert predict("--top", "9", "cat.png") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "cat.png" and len(lines) == 4 and err == ""
    assert sorted(line.split()[1] for line in lines[1:]) == sorted(CLASSES)
    assert sum(float(line.split()[0]) for line in lines[1:]) == pytest.approx(1, abs=1e-3)
    assert sorted(os.listdir()) == before


def test_33_images_are_answered_in_order_and_as_one_by_one(here, capsys):
    names = [f"{number}.png" for number in range(33)]
    for number, name in enumerate(names):
        write_image(name, noise(number, (30, 40)))
    assert predict("--json", "--top", "3", *names) == 0
    together = answers(capsys)
    assert [row["image"] for row in together] == names
    assert predict("--json", "--top", "3", names[32]) == 0
    alone, = answers(capsys)
    assert [t["label"] for t in alone["top"]] == [t["label"] for t in together[32]["top"]]
    assert [t["probability"] for t in alone["top"]] == pytest.approx(
        [t["probability"] for t in together[32]["top"]], abs=2e-6)


@pytest.mark.parametrize("name", ["a b.png", " a.png", "a\tb.png", "a\nb.png", "a\rb.png", "ü 猫.png", "'\".png",
                                  "%s.png"])
def test_any_file_name_is_answered(name, here, capsys):
    write_image(name, noise(0, (30, 40)))
    assert predict("--json", name, "cat.png") == 0
    odd, plain = answers(capsys)
    assert odd["image"] == name and odd["top"] == plain["top"] and odd["problem"] is None


@pytest.mark.skipif(sys.platform == "darwin", reason="expected a file system that takes any bytes")
def test_a_name_that_is_no_text_can_be_printed(here, capsys):
    name = os.fsdecode(b"bad\xff.png")
    write_image(name, noise(0, (30, 40)))
    assert predict(name) == 0
    assert capsys.readouterr().out.startswith("bad\\udcff.png\n")


def test_good_ones_are_answered_beside_bad_ones(here, capsys):
    (here / "empty.jpg").write_bytes(b"")
    bad = {"gone.jpg": "missing", "text.jpg": "not an image", "empty.jpg": "empty file"}
    assert predict("--json", "gone.jpg", "cat.png", "text.jpg", "empty.jpg") == 3
    out, err = capsys.readouterr()
    rows = {row["image"]: row for row in map(json.loads, out.splitlines())}
    assert rows["cat.png"]["top"] and err == "3 of 4 images could not be read\n"
    for name, reason in bad.items():
        assert rows[name]["top"] is None and reason in rows[name]["problem"]
    assert predict("gone.jpg", "cat.png") == 3
    assert capsys.readouterr().out.startswith("gone.jpg\n  cannot be read: missing\ncat.png\n  ")


@pytest.mark.parametrize("name, reason", [("gone.jpg", "missing"), ("text.jpg", "not an image")])
def test_nothing_to_answer_is_refused(name, reason, here, capsys):
    assert predict(name) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("mxft predict: no image can be read: expected at least one, received ")
    assert reason in err and err.count("\n") == 1


@pytest.mark.parametrize("words, message", [
    ([], "arguments are missing: expected IMAGE, received none"),
    (["--top", "0", "cat.png"], "--top: expected a whole number of at least 1, received top='0'"),
    (["--batch-size", "-1", "cat.png"], "--batch-size: expected a whole number of at least 1"),
    (["--resize", "0", "cat.png"], "--resize: expected a whole number of at least 1, received resize='0'"),
    (["--image-shape", "3,16", "cat.png"], "--image-shape: expected 3 comma-separated numbers"),
    (["--synset", "gone.txt", "cat.png"], "synset is missing: expected a file, received 'gone.txt'"),
    (["--synset", "cat.png", "cat.png"], "synset cannot be read: expected class names in UTF-8 text"),
    (["--synset", "two.txt", "cat.png"], "synset: expected 3 class names, one for each output, received 2 in two.txt"),
])
def test_settings_are_refused(words, message, here, capsys):
    (here / "two.txt").write_text("one\ntwo\n")
    assert predict(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1


def test_without_a_manifest_size_and_resizing_are_asked_for(here, capsys):
    assert predict("cat.png", model="plain,0") == 2
    assert "input is not known" in capsys.readouterr().err
    assert predict("--image-shape", "3,16,16", "cat.png", model="plain,0") == 2
    err = capsys.readouterr().err
    assert "say --resize 18, the usual short side before the centre crop of 16" in err and err.count("\n") == 1
    assert predict("--image-shape", "3,16,16", "--resize", "20", "cat.png", model="plain,0") == 0
    assert "class 0" in capsys.readouterr().out
    (here / "names.txt").write_text("one\ntwo words\nthree\n")
    assert predict("--image-shape", "3,16,16", "--resize", "20", "--synset", "names.txt", "cat.png",
                   model="plain,0") == 0
    assert "  two words\n" in capsys.readouterr().out


def test_the_manifest_of_another_checkpoint_is_refused(here, capsys):
    write_manifest("told", {**load_manifest("told"), "classes": ["a", "b"]})
    assert predict("cat.png") == 2
    assert "manifest of told,0: expected 3 class names, one for each output, received 2" in capsys.readouterr().err


def test_an_input_that_says_how_to_resize_needs_no_packing_facts(tmp_path, make_checkpoint, capsys):
    """As of a network of the zoo or an imported one: the same as with --resize."""
    cv2.imwrite(str(tmp_path / "cat.png"), np.random.RandomState(0).randint(0, 255, (24, 30, 3), np.uint8))
    checkpoint = make_checkpoint(5)
    checkpoint.manifest = {"input": {"size": 16, "resize": 20}}
    checkpoint.save(str(tmp_path / "net"), 0)
    for more in ([], ["--resize", "20"]):
        assert main(["predict", "--model", f"{tmp_path}/net,0", "--json", str(tmp_path / "cat.png"), *more]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_a_folder_and_a_table_of_answers(here, capsys):
    for name in ("b/2.png", "a/1.png", "a/.hidden.png"):
        write_image(os.path.join("all", name), noise(len(name), (30, 40)))
    (here / "all" / "notes.txt").write_text("x")
    (here / "all" / "b" / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert predict("--csv", "out.csv", "--top", "2", "all", "cat.png") == 3
    said = capsys.readouterr().out
    assert said.startswith("wrote out.csv: 3 of 4 images\n") and said.count("\n") >= 2
    rows = list(csv.reader(open("out.csv", encoding="utf-8")))  # noqa: SIM115
    assert rows[0] == ["image", "class", "probability", "class 2", "probability 2", "problem"]
    assert [row[0] for row in rows[1:]] == ["all/a/1.png", "all/b/2.png", "all/b/bad.jpg", "cat.png"]
    assert rows[3][1:5] == [""] * 4 and "JPEG" in rows[3][5]
    predict("--json", "--top", "2", "all/b/2.png")
    top = answers(capsys)[0]["top"]
    assert rows[2][1:5] == [top[0]["class"], f"{top[0]['probability']:.6f}", top[1]["class"],
                            f"{top[1]['probability']:.6f}"]


def test_a_folder_without_pictures_is_refused(here, capsys):
    (here / "none").mkdir()
    assert predict("none") == 2
    assert "no pictures in none: expected JPEG" in capsys.readouterr().err


def test_records_tables_and_verification_sets_are_sources_too(here, capsys):
    """An image in records is seen as it is packed: it gets what the picture that was packed so gets."""
    write_image("set/cat/0.png", noise(1, (30, 40)))
    write_image("set/dog/1.png", noise(2, (30, 40)))
    write_list("set.lst", [Row(0, (0.0,), "cat/0.png"), Row(7, (1.0,), "dog/1.png")])
    pack_list("set.lst", "set", resize=20, encoding=".png", show=False)
    write_pairs("set.bin", [read_image(f"set/{name}") for name in ("cat/0.png", "dog/1.png")], [False])
    (here / "set.csv").write_text("picture,caption\ndog/1.png,a dog\n")
    assert predict("--json", "set", "set.rec", "set.csv") == 0
    one, two, *records, third = answers(capsys)
    assert [row["image"] for row in (one, two, *records, third)] == [
        "set/cat/0.png", "set/dog/1.png", "set.rec:0/0.png", "set.rec:1/7.png", "set/dog/1.png"]
    assert [row["top"] for row in (one, two, two)] == [row["top"] for row in (*records, third)]
    assert predict("--json", "set.bin", "text.jpg", "cat.png") == 3
    assert [row["image"] for row in answers(capsys)] == ["set.bin:images/0.png", "set.bin:images/1.png", "text.jpg",
                                                         "cat.png"]
