"""recipes/scaling_plan.py: its counts are the network's, its seconds those published, its page its own."""
import pathlib
import re

import pytest

from mxft.command import run_command

PAGE = pathlib.Path(__file__).parents[2] / "recipes" / "scaling.md"


@pytest.fixture
def r100(recipe):
    return recipe.count("r100")[0]


def test_help_fits_80_columns(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run_command("scaling_plan", recipe.main, ["--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_r100_is_counted(recipe):
    """65.2 million parameters and 12.1 billion multiplications (24.2 GFLOP), as insightface's model zoo has it."""
    backbone, products = recipe.count("r100")
    assert backbone.parameters == 4 * 65_156_160
    assert products == pytest.approx(12.1, abs=0.05)


def test_one_card_is_as_fast_as_was_measured(recipe, r100):
    low, high = recipe.update(recipe.Cluster(), r100, 1, 85742, "every GPU", 64).speeds
    assert low == high == pytest.approx(241.8)


# DLPerf's report on insightface's MXNet scripts, r100, fp32, 64 images a card, eight V100: images/s
@pytest.mark.parametrize("gpus, head, measured", [(8, "every GPU", 650.8), (8, "divided over a machine", 756.96)])
def test_eight_cards_are_as_fast_as_was_measured(recipe, r100, gpus, head, measured):
    low, high = recipe.update(recipe.Cluster(), r100, gpus, 85742, head, 64).speeds
    assert low == pytest.approx(measured, rel=0.15)
    assert low < high


def test_bytes_of_an_update(recipe, r100):
    """What a card pushes: all parameters, or the network's alone; divided, fc7 takes a part of a card's memory."""
    whole, divided = (recipe.update(recipe.Cluster(), r100, 8, 10_000_000, head, 64) for head in recipe.HEADS[:2])
    fc7 = 4 * 512 * 10_000_000
    assert whole.kvstore == r100.parameters + fc7 and divided.kvstore == r100.parameters
    assert whole.resident - divided.resident == 5 * fc7 * 7 / 8  # the logits are as many: 8 x images, classes / 8


def test_a_slower_network_is_what_holds_up(recipe, r100):
    cluster = recipe.Cluster(nic=1e8)
    assert recipe.update(cluster, r100, 64, 85742, "every GPU", 64).slowest == "network"
    assert recipe.update(cluster, r100, 8, 85742, "every GPU", 64).network == 0


def test_the_page_has_the_tables(recipe, capsys):
    assert run_command("scaling_plan", recipe.main, []) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == 2 * (3 + 2 + 2)
    page = PAGE.read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []
