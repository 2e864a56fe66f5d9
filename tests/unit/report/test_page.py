"""The page of a run: what it counts, and that it holds everything itself, whatever the classes are called."""
import dataclasses
import json
import re

import cv2
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.evaluation.classification import cross_entropy
from mxft.evaluation.scoring import Score
from mxft.report.image_results import ImageResults
from mxft.report.page import write_run_page
from mxft.report.reliability import calibration_results
from mxft.report.run_files import RunFiles
from mxft.workflows.reporting import write_comparison

NAMES = ["cat", "<b>dog</b>", "</script>owl"]
#                 true: cat cat cat dog dog; said: cat dog dog dog cat
LOGITS = np.array([[4, 0, 0], [0, 1, 0], [0, 6, 0], [0, 2, 0], [3, 0, 0]], np.float32)
SCORE = Score(0.4, 1.0, 1.5, 5, 1.0, LOGITS, np.array([0., 0., 0., 1., 1.]))


@pytest.fixture
def make_run(tmp_path):
    """A function ``(name, **recipe) -> folder`` that writes what finetune leaves, without its checkpoints."""
    def make(name, epochs=2, **recipe):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        recipe = {"plan": "head", "solver": None, "seed": 0, "fit": {"epochs": epochs}, **recipe}
        rows = [{"event": "start", "model": "net,0", "recipe": recipe, "devices": ["cpu(0)"]}]
        rows += [{"event": "epoch", "epoch": e, "train_loss": 1 / e, "train_top1": 0.5, "val_loss": 1.0,
                  "val_top1": e / 10, "lr": 0.1, "seconds": 2.0, "images_per_second": 9.0}
                 for e in range(1, epochs + 1)]
        (folder / "log.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{half a li")
        (folder / "model-manifest.json").write_text(json.dumps({
            "classes": NAMES, "head": {"num_classes": 3}, "parent": {"model": "net,0"},
            "metrics": {"best": {"epoch": epochs, "val_top1": epochs / 10, "val_top5": 1.0, "val_loss": 1.0}}}))
        (folder / "transfer.json").write_text(json.dumps({
            "counts": {"loaded": 4, "new": 1}, "parameters": [
                {"name": "fc1_weight", "kind": "arg", "status": "new", "checkpoint_shape": [9, 4],
                 "symbol_shape": [3, 4]}]}))
        (folder / "freeze.json").write_text(json.dumps({"frozen": 4, "stages": [
            {"name": "head", "epochs": epochs, "trainable": 2, "frozen": 4, "batch_norm": "eval",
             "rates": {"0.1": 2}}]}))
        return folder
    return make


def test_confusions_and_recalls_by_hand():
    results = ImageResults(SCORE, NAMES)
    assert results.mistakes() == [("cat", "<b>dog</b>", 2, 3), ("<b>dog</b>", "cat", 1, 2)]
    assert results.recalls() == [("cat", pytest.approx(1 / 3), 3, 0), ("<b>dog</b>", 0.5, 2, 1)]  # no image of an owl
    assert results.names_without_images() == {}
    owl = np.array([[0, 0, 9]] * 5, np.float32)
    assert ImageResults(dataclasses.replace(SCORE, logits=owl), NAMES).names_without_images() == {2: NAMES[2]}
    assert results.counts() == {"0,0": 1, "0,1": 2, "1,0": 1, "1,1": 1, "0": 3, "1": 2}


def test_the_best_and_the_worst_are_told_by_the_probability_of_the_truth():
    right, wrong = ImageResults(SCORE, NAMES).extremes()
    assert right == [0, 3] and wrong == [2, 4, 1]


def test_the_matrix_has_a_pixel_a_cell_and_ink_where_images_are():
    pixels = cv2.imdecode(np.frombuffer(ImageResults(SCORE, NAMES).matrix_png(), np.uint8), cv2.IMREAD_UNCHANGED)
    opacity = pixels[..., 3].astype(int)
    assert pixels.shape == (3, 3, 4)
    assert opacity[0, 1] > opacity[0, 0] > 100 and opacity[1, 0] == opacity[1, 1] and not opacity[2].any()


def test_a_page_holds_everything_itself_and_no_name_is_taken_for_markup(make_run, make_records):
    records = make_records("val.rec", [0, 0, 0, 1, 1])
    folder = make_run("run")
    with open(write_run_page(folder, SCORE, records), encoding="utf-8") as f:
        page = f.read()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert page.count("data:image/jpeg") == 5 and page.count("<svg") == 4 and page.count("</script>") == 1
    assert "<b>dog</b>" not in page and "&lt;b&gt;dog" in page
    assert "4 loaded, 1 new" in page and "4 arrays are bit for bit what they were" in page
    assert re.search(r"const names = (.*?), counts", page).group(1) == "{}"  # they are in the table of recalls
    assert page.count('<tr data-class="0"><td class="name">cat</td>') == 1
    assert "<td>fit.epochs</td><td class=\"name\">2</td>" in page and "<td>seed</td>" not in page  # 8 and 0 by default


def test_the_page_says_how_far_probabilities_can_be_trusted(make_run, make_records):
    records = make_records("val.rec", [0, 0, 0, 1, 1])
    with open(write_run_page(make_run("run"), SCORE.at_temperature(2.0), records), encoding="utf-8") as f:
        page = f.read()
    assert "divided by the temperature 2; it was fitted on other images (5 images)" in page
    before, after = (cross_entropy(LOGITS / temperature, SCORE.labels) for temperature in (1, 2))
    assert f'<td>log loss</td><td class="n">{before:.4f}</td><td class="n">{after:.4f}</td>' in page
    own = calibration_results(SCORE.at_temperature(2.0), own=True)
    assert "each half of the images is judged at the temperature fitted on the other half" in own["note"]
    assert len(own["columns"]) == 3 and len(calibration_results(SCORE)["columns"]) == 2


def test_a_run_that_was_not_judged_has_a_page_too(make_run):
    folder = make_run("run", epochs=0)
    with open(write_run_page(folder, path=str(folder / "page.html")), encoding="utf-8") as f:
        page = f.read()
    assert "No epoch was trained." in page and "Confusion matrix" not in page
    with open(write_run_page(folder, note="Not evaluated: <gone>."), encoding="utf-8") as f:
        assert "<p>Not evaluated: &lt;gone&gt;.</p>" in f.read()


def test_a_comparison_marks_the_best_and_shows_what_differs(make_run, tmp_path):
    folders = [make_run("a/run", 2), make_run("b/run", 4, plan="full")]
    write_run_page(folders[0])
    with open(write_comparison(folders, str(tmp_path / "compare.html")), encoding="utf-8") as f:
        page = f.read()
    assert '<a href="a/run/report.html">a/run</a>' in page and "b/run</td>" in page
    best = re.search(r'<tr class="best">.*?</tr>', page, re.DOTALL).group()
    assert "b/run" in best and "0.4000" in best and page.count('class="best"') == 1
    settings = re.findall(r'<td class="name">([a-z.]+)</td><td>', page)
    assert settings == ["plan", "fit.epochs"]


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="log of a run is missing"):
        RunFiles(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"event": "start"}\n')
    with pytest.raises(InputError, match="expected the log of mxft finetune, received .* with 1 line and no recipe"):
        RunFiles(tmp_path)
