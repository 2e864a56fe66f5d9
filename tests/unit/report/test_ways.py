"""Ways by seeds: means and standard errors against NumPy; the table, the figure and the page say the same."""
import numpy as np
import pytest

from mxft.report.figures import new_figure
from mxft.report.ways import Way, draw_ways, mean_and_error, table_of, told, write_ways_page

SCRATCH = Way("from scratch", "at random", {5: [0.2, 0.3, 0.25], 20: [0.4, 0.5, 0.3]})
TUNED = Way("fine-tuned", "from <there>", {5: [0.5, 0.6, 0.4], 20: [0.7, 0.8, 0.75]})


def test_the_mean_and_its_standard_error_are_numpys():
    scores = np.random.RandomState(0).rand(7)
    mean, error = mean_and_error(list(scores))
    assert mean == pytest.approx(scores.mean()) and error == pytest.approx(scores.std(ddof=1) / np.sqrt(7))
    assert told([0.5]) == "0.500"


def test_the_table_holds_each_way_against_the_first_seed_by_seed():
    columns, rows = table_of([SCRATCH, TUNED])
    assert columns == ("way", "5 images of each class", "20 images of each class", "better by, 5", "better by, 20")
    apart = np.subtract(TUNED.scores[5], SCRATCH.scores[5])
    assert rows[0][3:] == ["–", "–"] and rows[1][:2] == ["fine-tuned", "0.500 ± 0.058"]
    assert rows[1][3] == f"+{apart.mean():.3f} ± {apart.std(ddof=1) / np.sqrt(3):.3f}"


def test_the_figure_shows_the_tables_numbers():
    axes = new_figure(5, 4).subplots()
    draw_ways(axes, [SCRATCH, TUNED], chance=0.2)
    drawn = [container[0].get_ydata().tolist() for container in axes.containers]
    assert drawn == [[mean_and_error(way.scores[count])[0] for count in (5, 20)] for way in (SCRATCH, TUNED)]
    bars = axes.containers[1][2][0].get_segments()
    assert bars[0][1][1] - bars[0][0][1] == pytest.approx(2 * mean_and_error(TUNED.scores[5])[1])


def test_the_page_holds_table_figure_and_what_to_type(tmp_path):
    path = tmp_path / "report.html"
    write_ways_page(str(path), "Digits", "What it is worth.", [SCRATCH, TUNED], links=[("base", "base/report.html")],
                    commands=["mxft serve runs/a"], chance=0.2)
    page = path.read_text(encoding="utf-8")
    assert "0.500 ± 0.058" in page and "<svg" in page and "mxft serve runs/a" in page and "of 3 seeds" in page
    assert "from &lt;there&gt;" in page and 'href="base/report.html"' in page
