"""curves.png is a picture, also of a history with gaps."""
import cv2
import pytest

from mxft.report.curves import draw_curves, draw_runs

TRAIN_ONLY = [{"epoch": e, "train_loss": 2.0 / e, "train_top1": 1 - 1 / e} for e in (1, 2, 3)]
VALIDATED = [{**row, "val_loss": row["train_loss"] + .1, "val_top1": row["train_top1"]} for row in TRAIN_ONLY]


@pytest.mark.parametrize("history", [TRAIN_ONLY, VALIDATED, TRAIN_ONLY[:1], [{"epoch": 1}]])
@pytest.mark.filterwarnings("ignore:No artists with labels")
def test_curves_are_drawn(tmp_path, history):
    draw_curves(history, str(tmp_path / "curves.png"))
    image = cv2.imread(str(tmp_path / "curves.png"))
    assert image.shape == (432, 1080, 3) and image.std() > 5
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_the_curves_show_the_numbers(tmp_path):
    draw_curves(VALIDATED, str(tmp_path / "a.png"))
    draw_curves([{**row, "val_top1": 0.1} for row in VALIDATED], str(tmp_path / "b.png"))
    assert (cv2.imread(str(tmp_path / "a.png")) != cv2.imread(str(tmp_path / "b.png"))).any()


def test_several_runs_share_a_picture(tmp_path):
    draw_runs({"head": VALIDATED, "full": TRAIN_ONLY}, str(tmp_path / "runs.png"))
    assert cv2.imread(str(tmp_path / "runs.png")).shape == (432, 1080, 3)
