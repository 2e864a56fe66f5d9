"""mxft/faces/report/verification_plots.py: what the pictures hold, and that they appear."""
import cv2
import numpy as np
import pytest

from mxft.faces.evaluation.verification import verify_embeddings
from mxft.faces.report import verification_plots
from mxft.faces.report.verification_plots import draw_distances, draw_roc


@pytest.fixture
def drawn(monkeypatch):
    """The axes of every picture drawn."""
    axes, save = [], verification_plots.save_png
    monkeypatch.setattr(verification_plots, "save_png",
                        lambda figure, path: axes.append(figure.axes[0]) or save(figure, path))
    return axes


def verification(pairs=200, seed=0, one_kind=False):
    rng = np.random.RandomState(seed)
    left = rng.standard_normal((pairs, 8))
    issame = np.ones(pairs, bool) if one_kind else np.arange(pairs) % 2 == 0
    return verify_embeddings(left, np.where(issame[:, None], left + 0.6 * rng.standard_normal(left.shape),
                                            rng.standard_normal(left.shape)), issame)


def test_roc_curves_on_a_logarithmic_axis(drawn, tmp_path):
    sets = {"lfw": verification(), "cfp_fp": verification(400, 1), "odd": verification(one_kind=True)}
    draw_roc(sets, str(tmp_path / "roc.png"))
    axes, = drawn
    assert axes.get_xscale() == "log" and axes.get_xlim() == (1 / 200 / 2, 1)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"lfw, area {sets['lfw'].auc:.5f}", f"cfp_fp, area {sets['cfp_fp'].auc:.5f}",
                      "odd: pairs of one kind only"]
    x, y = axes.lines[0].get_data()
    false_accepts, true_accepts = sets["lfw"].roc()
    np.testing.assert_array_equal(y, true_accepts)
    np.testing.assert_array_equal(x, np.maximum(false_accepts, 1 / 200))
    assert min(x) > 0 and axes.get_ylim()[0] < y[x <= 1 / 200].max()
    assert cv2.imread(str(tmp_path / "roc.png")).shape[1] > 400


def test_distances_of_both_kinds_and_the_thresholds(drawn, tmp_path):
    result = verification()
    draw_distances(result, "lfw", str(tmp_path / "lfw.png"))
    axes, = drawn
    labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert labels[:2] == ["same (100)", "different (100)"] and labels[2].startswith("threshold ")
    heights = [[bar.get_height() for bar in kind] for kind in axes.containers]
    assert [sum(kind) for kind in heights] == [100, 100]                 # none falls off the axis
    assert axes.get_title() == f"lfw: accuracy {result.accuracy:.5f} ± {result.std:.5f}"
    assert cv2.imread(str(tmp_path / "lfw.png")) is not None


def test_pairs_of_one_kind_are_drawn_too(tmp_path):
    draw_distances(verification(one_kind=True), "odd", str(tmp_path / "odd.png"))
    draw_roc({"odd": verification(one_kind=True)}, str(tmp_path / "roc.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd.png", "roc.png"]
