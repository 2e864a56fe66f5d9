"""recipes/auto_plan.py: the sets are what its page says, and plan auto stands beside the plans chosen by hand."""
import os
import re

import pytest

from tests.support.images import noise, write_classes

TINY = ["--data", "photos", "--model", "net,0", "--image-shape", "3,16,16", "--run", "runs"]


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and photos/, class folders and one of clutter."""
    make_checkpoint(5).save("net", 0)
    write_classes("photos", ("001.ant", "002.bee", "003.cat", "257.clutter"), 20, lambda number, label: noise(
        40 * label + number, (20, 20), 0, 90) + 50 * label)
    return here


@pytest.fixture
def recipe(recipe, monkeypatch):
    """The recipe with sets for three classes of twenty."""
    for name, value in {"MANY": 30, "MANY_CLASSES": 2, "RARE": 3, "DIGITS": {"digits-few": 4}}.items():
        monkeypatch.setattr(recipe, name, value)
    return recipe


def names_of(folder):
    return {name: os.listdir(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}


def test_uneven_classes_are_many_together_and_a_few_of_one(recipe, here):
    recipe.make_set("uneven", "photos", "made", 0)
    train, val = names_of("made/train"), names_of("made/val")
    assert {name: len(files) for name, files in train.items()} == {"many": 30, "rare": 3}
    assert {name: len(files) for name, files in val.items()} == {"many": 10, "rare": 17}
    of = {name: {os.path.realpath(f"made/{part}/{name}/{file}").split("/")[-2]
                 for part, names in (("train", train), ("val", val)) for file in names[name]} for name in train}
    assert len(of["rare"]) == 1 and len(of["many"]) == 2 and not of["rare"] & of["many"]
    assert not any("clutter" in name for names in of.values() for name in names)


def test_no_image_is_in_both_parts_and_another_split_draws_others(recipe, here):
    for split in (0, 1):
        recipe.make_set("digits-few", "photos", f"made{split}", split)
    files = [{part: {os.path.realpath(f"made{split}/{part}/{name}/{file}").replace(f"made{split}-all", "")
                     for name, members in names_of(f"made{split}/{part}").items() for file in members}
              for part in ("train", "val")} for split in (0, 1)]
    assert len(files[0]["train"]) == 40 and len(files[0]["val"]) == 600
    assert not files[0]["train"] & files[0]["val"]
    assert files[0]["train"] != files[1]["train"]


@pytest.mark.parametrize("flags, said", [
    (["--sets", "photographs-9"], "--sets: expected some of photographs-8,.*received 'photographs-9'; "),
    (["--ways", "headd"], "--ways: expected some of auto;"),
    (["--sets", ","], "--sets: expected at least one of photographs-8,"),
    (["--sets", "photographs-8"], "expected 8 class folders for photographs-8, received 3 in"),
])
def test_what_is_refused(run, here, capsys, flags, said):
    assert run(*TINY, *flags) == 2
    assert re.search(said, capsys.readouterr().err)


def test_the_table_has_a_line_for_every_way(run, here, capsys):
    assert run(*TINY, "--sets", "uneven", "--ways", "auto; logistic", "--splits", "2") == 0
    with open("runs/table.md", encoding="utf-8") as f:
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in f]
    assert rows[0] == ["set", "way", "top-1", "mean recall of the classes", "seconds", "validation images"]
    assert [row[:2] for row in rows[2:]] == [["uneven", "auto"], ["uneven", "logistic"]]
    assert all(row[2].count("±") == 1 and row[5] == "54" for row in rows[2:])
    assert "plan auto: " in capsys.readouterr().out
