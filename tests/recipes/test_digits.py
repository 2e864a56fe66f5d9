"""recipes/digits.py, small: figure, table and page agree, and what it says to type next works."""
import json
import os
import re
import shlex

import pytest

from mxft.cli import main

pytest.importorskip("sklearn")

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def small(recipe, monkeypatch):
    """The recipe with fewer pictures of 0-4 and one epoch on them."""
    train = recipe.train
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(recipe, "COPIES", 1)
    monkeypatch.setattr(recipe, "OF_EACH", 14)
    monkeypatch.setattr(recipe, "mxft_command", lambda: "mxft")
    monkeypatch.setattr(recipe, "train", lambda *args, **options: train(
        *(150 if arg == 600 else arg for arg in args), **{**options, **({"epochs": 1} if "epochs" in options else {})}))
    return recipe


def test_the_table_the_figure_the_page_and_the_next_commands(small, run, here, capsys):
    assert run("--images", "2,3", "--seeds", "2", "--epochs", "1") == 0
    out, err = capsys.readouterr()
    assert "Traceback" not in err and sorted(os.listdir("runs")) == ["digits"]
    with open("runs/digits/table.md", encoding="utf-8") as f:
        table = f.read()
    assert table in out and [row.split(" | ")[0] for row in table.splitlines()[2:]] == [
        "| from scratch", "| frozen backbone", "| fine-tuned"]
    with open("runs/digits/results.json", encoding="utf-8") as f:
        results = json.load(f)
    with open("runs/digits/report.html", encoding="utf-8") as f:
        page = f.read()
    for way, by_count in results.items():
        for count, found in by_count.items():
            assert found["mean"] == pytest.approx(sum(found["scores"]) / 2) and len(found["scores"]) == 2
            text = f"{found['mean']:.3f} ± {found['error']:.3f}"
            assert text in table and text in page, (way, count)
    assert os.path.isfile("runs/digits/ways.png") and "<svg" in page
    assert "fine-tuned-3-seed0/report.html" in page and os.path.isfile("runs/digits/fine-tuned-3-seed0/report.html")
    commands = re.findall(r"^  mxft (.*)$", out, re.MULTILINE)
    assert [words.split()[0] for words in commands] == ["predict", "finetune", "serve"]
    assert main(shlex.split(commands[0])) == 0 and commands[2] == "serve runs/digits-all"
    assert re.search(r"^ +[01]\.\d+ +[5-9]$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.long
def test_the_second_command_trains_a_network_for_all_of_the_digits(small, run, here, capsys):
    assert run("--images", "3", "--seeds", "1", "--epochs", "1") == 0
    words = re.findall(r"^  mxft (.*)$", capsys.readouterr().out, re.MULTILINE)[1]
    assert main(shlex.split(words)) == 0 and os.path.isfile("runs/digits-all/report.html")


@pytest.mark.parametrize("words, message", [
    (["--seeds", "0"], "--seeds: expected a whole number of at least 1, received seeds='0'"),
    (["--epochs", "x"], "--epochs: expected a whole number of at least 1, received epochs='x'"),
    (["--images", "5,91"], "--images: expected numbers from 2 to 50, received images=5,91"),
    (["--run", "file"], "run folder: expected a new or empty folder, received run='file', which is a file"),
])
def test_what_is_refused_leaves_nothing(words, message, run, here, capsys):
    (here / "file").write_text("")
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert os.listdir() == ["file"]


def test_pictures_are_the_same_at_every_call(small, here):
    small.write_pictures("one")
    small.write_pictures("two")
    for folder, _, names in os.walk("one"):
        for name in names[:2]:
            one, two = (os.path.join(root, os.path.relpath(folder, "one"), name) for root in ("one", "two"))
            with open(one, "rb") as f, open(two, "rb") as g:
                assert f.read() == g.read()
    assert len(os.listdir("one/5-9/7")) == small.OF_EACH and len(os.listdir("one/0-4")) == 5
