"""recipes/reproduce.py: what is run, what is kept, what is said of the rest; and that every row's command parses."""
import json
import os
import re

import pytest
import yaml

from mxft.cli import verify
from mxft.command import run_command
from mxft.report.scorecard import verdict

RECIPE = """\
import json, os, sys
out, seed = sys.argv[1], int(sys.argv[2])
os.makedirs(out, exist_ok=True)
with open("calls.txt", "a") as f:
    f.write(f"{seed}\\n")
if os.path.exists("fail"):
    sys.exit(3)
with open(os.path.join(out, "r.json"), "w") as f:
    json.dump({"sets": [{"accuracy": 0.7 + seed / 100, "std": 0.01},
                        {"accuracy": 0.5}], "speed": 40 + seed}, f)
"""


@pytest.fixture
def here(here, monkeypatch):
    """A working directory with a recipe, and a table of a row that can be run and one that cannot."""
    monkeypatch.setenv("MXFT_TESTDATA", str(here / "nothing"))
    monkeypatch.setenv("MXNET_HOME", str(here / "home"))
    (here / "recipe.py").write_text(RECIPE)
    row = {"what": "a <run>", "measure": "top-1", "source": "a paper", "protocol": "ours", "needs": [],
           "result": {"file": "r.json", "path": "sets.0.accuracy", "spread": "sets.0.std", "speed": "speed"},
           "also": [{"what": "another set", "published": 0.6, "path": "sets.1.accuracy"}]}
    (here / "table.yaml").write_text(yaml.safe_dump([
        {**row, "id": "here", "published": 0.71, "tolerance": 0.02, "seeds": [0, 2],
         "command": f"{here}/recipe.py {{out}} {{seed}}"},
        {**row, "id": "there", "published": 0.9, "tolerance": 0.01, "needs": ["resnet-50", "faces"],
         "command": "recipe.py {resnet-50}"}]))
    return here


def reproduce(recipe, *words):
    return run_command("reproduce", recipe.main, ["--table", "table.yaml", "--home", "home", *words])


def calls():
    with open("calls.txt", encoding="utf-8") as f:
        return f.read().split()


def test_help_fits_80_columns(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        reproduce(recipe, "--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_what_can_be_run_is_run_once_and_nothing_else_is_filled_in(recipe, here, capsys):
    assert reproduce(recipe) == 0
    assert calls() == ["0", "2"]
    said = capsys.readouterr().out
    assert "--- there: not run: resnet-50 is missing (mxft zoo get resnet-50); faces is missing (a copy" in said
    with open("home/reproduction.md", encoding="utf-8") as f:
        lines = f.read().splitlines()
    assert re.fullmatch(r"\| a <run> \| 0.7100 \| – \| 0.7100 \| [+-]0.0000 \| 0.0141 \| 2 \| \d+ \| 41.0 \| within "
                        r"0.02 of the published number \|", lines[6])
    assert lines[7] == ("| another set | 0.6000 | – | 0.5000 | -0.1000 | – | – | – | – | below the published number by "
                        "0.1000 |")
    assert lines[9:13] == ["| not run | published | expected |  |", "|---|---|---|---|",
                           "| a <run> | 0.9000 | – | not run: resnet-50, faces are missing |",
                           "| another set | 0.6000 | – | not run: resnet-50, faces are missing |"]
    assert "- runs: [seed 0](<here-seed0>), [seed 2](<here-seed2>)" in lines
    ran, missing = [line for line in lines if line.startswith("- command: ")]
    assert ran.endswith(f"recipe.py {here}/home/here-seed0-2 0`")
    assert missing == "- command: `mxft recipe recipe RESNET-50`"
    assert "- missing: resnet-50; to get it: mxft zoo get resnet-50" in lines
    with open("home/reproduction.html", encoding="utf-8") as f:
        page = f.read()
    assert "a &lt;run&gt;" in page and "<run>" not in page

    assert reproduce(recipe) == 0
    assert calls() == ["0", "2"] and "here, seed 2: 0.7200, from an earlier run" in capsys.readouterr().out


def test_a_run_whose_folder_is_gone_is_run_again(recipe, here):
    assert reproduce(recipe, "--only", "here") == 0
    (here / "home/here-seed0/r.json").unlink()
    assert reproduce(recipe, "--only", "here") == 0
    assert calls() == ["0", "2", "0"]


def test_a_row_that_failed_is_said_so_and_tried_again(recipe, here, capsys):
    (here / "fail").touch()
    assert reproduce(recipe, "--only", "here") == 3
    with open("home/reproduction.md", encoding="utf-8") as f:
        assert f"| failed: exit status 3, see {here}/home/here-seed0.log |" in f.read()
    (here / "fail").unlink()
    assert reproduce(recipe, "--only", "here") == 0
    assert calls() == ["0", "2", "0", "2"]


def test_another_command_is_another_run(recipe, here):
    assert reproduce(recipe, "--only", "here") == 0
    table = (here / "table.yaml").read_text()
    (here / "table.yaml").write_text(table.replace("{out} {seed}", "{out} {seed} --more"))
    assert reproduce(recipe, "--only", "here") == 0
    assert calls() == ["0", "2", "0", "2"]


@pytest.mark.parametrize("words, message", [
    (["--only", "her"], "--only: expected the id of a row, received 'her'; nearest: here"),
    (["--have", "faces"], "--have: expected NAME=PATH with the name of something a row needs, received 'faces'"),
    (["--have", "face=table.yaml"], "received 'face=table.yaml'; nearest: faces"),
    (["--have", "faces=nothing"], "--have: expected something at that place, received 'faces=nothing'"),
    (["--table", "tablet.yaml"], "table of published numbers is missing: expected a file, received 'tablet.yaml'"),
])
def test_refusals(recipe, here, words, message, capsys):
    assert reproduce(recipe, *words) == 2
    assert message in capsys.readouterr().err
    assert not os.path.exists("home")


def test_a_checkpoint_that_is_there_is_told_by_its_hash(recipe, here, make_checkpoint):
    make_checkpoint().save("net", 3)
    assert recipe.exists("net,3") and not recipe.exists("net,4") and not recipe.exists("net")
    assert re.fullmatch("net,3, sha256 [0-9a-f]{16}", recipe.identity("net,3"))


def test_verdicts():
    card = {"published": 0.9, "expected": 0.8, "tolerance": 0.01, "missing": []}
    assert verdict({**card, "value": 0.805}) == "within 0.01 of the expected number"
    assert verdict({**card, "value": 0.82}) == "above the expected number by 0.0200"
    assert verdict({"value": 0.5, "missing": []}) == "nothing to compare with"


def test_every_row_of_the_projects_own_table_is_a_command_its_recipe_takes(recipe, load_recipe, repository):
    rows = recipe.read_table(repository / "recipes/published.yaml")
    assert len({row["id"] for row in rows}) == len(rows) >= 25
    for row in rows:
        assert ("tolerance" in row) == ("published" in row or "expected" in row), row["id"]
        names = {**dict.fromkeys(row["needs"], "x,0"), "out": "out", "seed": 0, "work": "work"}
        words = recipe.filled_in(row["command"], names)
        assert not any("{" in word for word in words), row["id"]
        verb = verify if words[0] == "mxft" else load_recipe(words[0][:-len(".py")])
        verb.parser().parse_args(words[2:] if words[0] == "mxft" else words[1:])
        assert json.dumps(row["result"]) and row["result"]["path"]
