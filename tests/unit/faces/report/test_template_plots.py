"""The pictures of IJB's protocols are drawn whole, and where there is no curve they say so."""
import cv2
import numpy as np
import pytest

from mxft.faces.evaluation.ijb.identification import identify_templates, mean_of
from mxft.faces.evaluation.ijb.verification import verify_templates
from mxft.faces.report import template_plots
from mxft.faces.report.template_plots import draw_identification, draw_template_roc


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the picture that is drawn, kept."""
    kept = []
    monkeypatch.setattr(template_plots, "finish", kept.append)
    return kept


def test_a_roc_curve(drawn, here):
    rng = np.random.RandomState(0)
    issame = np.arange(500) < 100
    result = verify_templates(rng.randn(500) + issame, issame)
    draw_template_roc("ijb$c", result, "plots/roc.png")
    axes, = drawn
    line, = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), result.true_accepts)
    assert axes.get_xscale() == "log" and line.get_label() == rf"ijb\$c, area {result.auc:.5f}"
    assert cv2.imread("plots/roc.png").shape[2] == 3


def test_a_curve_a_gallery_and_none_of_the_mean(drawn, here):
    faces = np.random.RandomState(1).randn(60, 4).astype(np.float32)
    found = identify_templates(faces, np.arange(60), faces[:20], np.arange(20))
    draw_identification("ijbc", {"G1": found, "G2": found, "mean": mean_of([found, found])}, "tpir.png")
    assert [line.get_label() for line in drawn[0].lines] == ["ijbc, G1", "ijbc, G2"]


def test_pairs_and_probes_of_one_kind(drawn, here):
    faces = np.eye(3, dtype=np.float32)
    draw_identification("ijbc", {"G1": identify_templates(faces, np.arange(3), faces, np.arange(3))}, "tpir.png")
    assert drawn.pop().lines[0].get_label() == "ijbc, G1: probes of one kind only"
    draw_template_roc("ijbc", verify_templates(np.arange(3.0), np.ones(3, bool)), "roc.png")
    assert drawn[0].lines[0].get_label() == "ijbc, pairs of one kind only"
