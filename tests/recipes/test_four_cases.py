"""recipes/four_cases.py: each case's advice is carried out on each case's data."""
import os

import numpy as np
import pytest

from mxft.training.run import read_log
from tests.support.images import noise, write_classes

TINY = ["--data", "photos", "--model", "net,0", "--image-shape", "3,16,16", "--seeds", "1", "--epochs", "1", "--run",
        "cases"]


@pytest.fixture
def recipe(recipe, monkeypatch):
    """The recipe with two of its cases, small."""
    monkeypatch.setattr(recipe, "KINDS", {"insects": "ant bee", "mammals": "cat dog"})
    monkeypatch.setattr(recipe, "CASES", {2: ("photographs-many", 8), 3: ("digits-few", 4)})
    monkeypatch.setattr(recipe, "DIGITS_HELD_OUT", 2)
    return recipe


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and photos/, class folders as Caltech-256 numbers them."""
    make_checkpoint(5).save("net", 0)
    write_classes("photos", ("001.ant", "002.bee", "003.cat", "004.dog"), 6, lambda number, label: noise(
        10 * label + number, (20, 20), 0, 90) + np.uint8(80 * (label > 1)))
    return here


def start_of(run_folder):
    return next(row for row in read_log(f"cases/{run_folder}/log.jsonl") if row["event"] == "start")


def test_help_fits_80_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run("--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


@pytest.mark.long
def test_every_advice_is_tried_on_every_data_set(recipe, run, here):
    assert run() == 0
    with open("cases/table.md", encoding="utf-8") as f:
        rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in f]
    assert rows[0] == ["case", "data", "advice 2", "advice 3", "±", "picked by advise"]
    assert [row[:2] for row in rows[2:]] == [["2", "photographs, many"], ["3", "digits, few"]]
    assert all(0 <= float(cell) <= 1 for row in rows[2:] for cell in row[2:4])
    for row, judged in zip(rows[2:], (24 - 2 * 8, 10 * 2)):
        best = max(map(float, row[2:4]))
        assert float(row[4]) == pytest.approx((best * (1 - best) / judged) ** 0.5, abs=1e-3)
    assert len(os.listdir("cases/photographs-many/insects")) == 12
    assert [len(os.listdir(f"cases/digits-few/{digit}")) for digit in range(10)] == [6] * 10
    for run_folder in ("photographs-many-advice2-seed0", "digits-few-advice3-seed0"):
        assert os.path.exists(f"cases/{run_folder}/model-best.params")
    for name, mirrored in (("photographs-many", True), ("digits-few", False)):
        assert start_of(f"{name}-advice2-seed0")["augmentation"][0]["rand_mirror"] == mirrored


def test_a_folder_without_the_classes_is_refused(run, here, capsys):
    os.rename("photos/002.bee", "photos/002.wasp")
    assert run() == 2
    assert "expected the class folders of Caltech-256 in photos, received none called bee" in capsys.readouterr().err
