"""Fine-tuning on several labels, and on numbers, an image: plans, kept heads, resuming, and what is refused."""
import dataclasses
import json

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.datasets import Records
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import InputError
from mxft.evaluation.multi_label import MultiLabelScore
from mxft.evaluation.scoring import score_records
from mxft.network.checkpoint import Checkpoint, load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.surgery import cut_loss
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.resume.state import Keeping
from mxft.workflows.finetune import finetune

pytestmark = pytest.mark.usefixtures("quick_figures")

SPEC = InputSpec((3, 8, 8), (127,) * 3, (1 / 64,) * 3)
FAST = FitOptions(epochs=3, momentum=0.9)


def records_of(folder, target, counts=(40, 16)):
    """Return Records of 10x10 images whose channels are bright or dark: labels red, green, blue; or how bright."""
    import cv2

    rng = np.random.RandomState(0)
    for name, count in zip(("train", "val"), counts):
        with RecordWriter(str(folder / f"{target}-{name}.rec")) as writer:
            for number in range(count):
                bright = rng.randint(0, 2, 3) if target == "multi-label" else rng.uniform(size=3)
                image = np.clip(40 + 160 * bright + rng.normal(0, 15, (10, 10, 3)), 0, 255).astype(np.uint8)
                label = bright if target == "multi-label" else 1000 + 500 * bright[:2]
                payload = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
                writer.write(pack(IRHeader(0, np.asarray(label, np.float32), number, 0), payload))
    names = ["red", "green", "blue"] if target == "multi-label" else ["redness", "greenness"]
    return Records(*(str(folder / f"{target}-{name}.rec") for name in ("train", "val")), names,
                   packing={"resize": 10}, target=target)


def recipe_of(target, **settings):
    return Recipe(target=target, batch_size=8, learning_rate=0.05, augment=0, **{"fit": FAST, **settings})


@pytest.mark.parametrize("plan", ["full", "head", "two-stage"])
def test_labels_are_learnt_by_every_plan(make_checkpoint, tmp_path, plan):
    result = finetune(make_checkpoint(), records_of(tmp_path, "multi-label"), str(tmp_path / "run"),
                      recipe_of("multi-label", plan=plan), SPEC)
    rows = result.fit.history
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] and result.score.mean_average_precision > 0.8, result.score
    saved = load_checkpoint(result.fit.best)
    assert saved.manifest["target"] == {"kind": "multi-label", "size": 3}
    assert saved.anatomy.output().kind == "independent probabilities"
    assert len(saved.manifest["metrics"]["best"]["val_thresholds"]) == 3
    best = max(rows, key=lambda row: (row["val_map"], -row["val_loss"]))
    assert best["epoch"] == result.fit.best_epoch


def test_a_score_of_the_records_is_that_of_the_best_epoch_and_uses_its_thresholds(make_checkpoint, tmp_path):
    data = records_of(tmp_path, "multi-label")
    result = finetune(make_checkpoint(), data, str(tmp_path / "run"), recipe_of("multi-label"), SPEC)
    saved = load_checkpoint(result.fit.best)
    score, _ = score_records(saved, SPEC, data.val, batch_size=8)
    assert isinstance(score, MultiLabelScore)
    np.testing.assert_allclose(score.probabilities, result.score.probabilities, atol=1e-5)
    assert list(score.thresholds) == saved.manifest["metrics"]["best"]["val_thresholds"]
    assert score.f1 >= result.score.f1 - 1e-9, "thresholds chosen on these images are no worse than 0.5"


@pytest.mark.parametrize("plan", ["full", "head"])
def test_numbers_are_learnt_in_their_units_and_saved_as_they_are(make_checkpoint, tmp_path, plan):
    data = records_of(tmp_path, "regression")
    recipe = recipe_of("regression", plan=plan, batch_norm="eval")  # batches of 8 make its statistics noise
    result = finetune(make_checkpoint(), data, str(tmp_path / "run"), recipe, SPEC)
    assert result.score.r2 > 0.5 and result.score.mae < 100, result.score  # of numbers from 1000 to 1500
    saved = load_checkpoint(result.fit.best)
    score, _ = score_records(saved, SPEC, data.val, batch_size=8)
    np.testing.assert_allclose(score.values, result.score.values, rtol=1e-5)
    assert saved.anatomy.output().kind == "values" and abs(score.values.mean() - 1250) < 100
    assert result.fit.best_epoch == min(result.fit.history, key=lambda row: row["val_scaled_mae"])["epoch"]


@pytest.mark.parametrize("target, solver", [("multi-label", "logistic"), ("regression", "ridge")])
def test_a_solved_head_is_scored_and_saved(make_checkpoint, tmp_path, target, solver):
    result = finetune(make_checkpoint(), records_of(tmp_path, target), str(tmp_path / "run"),
                      recipe_of(target, plan="head", solver=solver), SPEC)
    assert result.score.metrics()["map" if target == "multi-label" else "r2"] > 0.8, result.score
    row = result.fit.history[0]
    assert row["epoch"] == 0 and row["train_loss"] < 0.3


@pytest.mark.parametrize("target", ["multi-label", "regression"])
def test_what_was_trained_goes_on_with_its_own_head_and_loss(make_checkpoint, tmp_path, target):
    data = records_of(tmp_path, target)
    first = finetune(make_checkpoint(), data, str(tmp_path / "first"), recipe_of(target), SPEC)
    then = finetune(first.fit.last, data, str(tmp_path / "then"),
                    recipe_of(target, require_head=True, fit=dataclasses.replace(FAST, epochs=1)), SPEC)
    assert then.fit.history[0]["train_loss"] < 0.7 * first.fit.history[0]["train_loss"]
    one, other = load_checkpoint(first.fit.last), load_checkpoint(then.fit.last)
    assert one.symbol.list_outputs() == other.symbol.list_outputs()
    assert one.manifest["target"] == other.manifest["target"]


def test_a_foreign_head_keeps_its_own_loss(make_checkpoint, random_parameters, tmp_path):
    logits = cut_loss(make_checkpoint(num_classes=2).symbol)
    net = mx.sym.MAERegressionOutput(logits, grad_scale=0.5, name="ages")
    args, auxs = random_parameters(net, (3, 8, 8))
    result = finetune(Checkpoint(net, args, auxs), records_of(tmp_path, "regression"), str(tmp_path / "run"),
                      recipe_of("regression", require_head=True, fit=FitOptions(epochs=1)), SPEC)
    last = json.loads(load_checkpoint(result.fit.last).symbol.tojson())["nodes"][-1]
    assert (last["op"], last["name"], float(last["attrs"]["grad_scale"])) == ("MAERegressionOutput", "ages", 0.5)
    gradient = 0.5 / 2 / 8 * 40 * 0.05  # of a bias: grad_scale over outputs, a batch's mean, 5 batches, all too low
    moved = result.fit.parameters[0]["fc1_bias"].asnumpy() - args["fc1_bias"].asnumpy()
    np.testing.assert_allclose(moved, gradient, rtol=1e-3)


@pytest.mark.parametrize("target", ["multi-label", pytest.param("regression", marks=pytest.mark.long)])
def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(make_checkpoint, tmp_path, target):
    data, whole = records_of(tmp_path, target), recipe_of(target)
    straight = finetune(make_checkpoint(), data, str(tmp_path / "straight"), whole, SPEC)
    part = dataclasses.replace(whole, fit=dataclasses.replace(FAST, epochs=1))
    finetune(make_checkpoint(), data, str(tmp_path / "run"), part, SPEC)
    resumed = finetune(make_checkpoint(), data, str(tmp_path / "run"), whole, SPEC, keeping=Keeping(resume="must"))
    for name, value in straight.fit.parameters[0].items():
        np.testing.assert_array_equal(value.asnumpy(), resumed.fit.parameters[0][name].asnumpy(), err_msg=name)


@pytest.mark.parametrize("settings, expected", [
    ({"fit": FitOptions(label_smoothing=0.1)}, "label_smoothing: expected one of several classes an image"),
    ({"fit": FitOptions(mixup=0.2)}, "mixup: expected one of several classes an image"),
    ({"class_weight": "balanced"}, "class_weight: expected one of several classes an image"),
    ({"oversample": True}, "oversample: expected one of several classes an image, received target='multi-label'"),
    ({"plan": "head", "solver": "svm"}, "solver: expected solver='logistic', the one there is for target="),
    ({"target": "multilabel"}, "target: expected one of classes, multi-label, regression, received"),
])
def test_what_has_no_meaning_for_labels_is_refused_by_the_recipe(settings, expected):
    with pytest.raises(InputError) as refused:
        recipe_of(**{"target": "multi-label", **settings})
    assert expected in str(refused.value)


@pytest.mark.parametrize("settings, expected", [
    ({"target": "classes"}, "expected what the records were made for, target='multi-label', received target='classes'"),
    ({"require_head": True}, "expected a head that gives 3 labels an image, received the probabilities of softmax"),
])
def test_what_does_not_go_with_the_records_is_refused_before_a_run_folder_is_made(make_checkpoint, tmp_path, settings,
                                                                                  expected):
    recipe = recipe_of(**{"target": "multi-label", **settings})
    with pytest.raises(InputError) as refused:
        finetune(make_checkpoint(), records_of(tmp_path, "multi-label"), str(tmp_path / "run"), recipe, SPEC)
    assert expected in str(refused.value) and not (tmp_path / "run").exists()


def test_a_head_of_labels_is_not_taken_for_one_of_classes(make_checkpoint, coloured_records, tmp_path):
    labels = records_of(tmp_path, "multi-label")
    first = finetune(make_checkpoint(), labels, str(tmp_path / "first"),
                     recipe_of("multi-label", fit=FitOptions(epochs=1)), SPEC)
    with pytest.raises(InputError, match="expected a head of one of 3 classes, received the independent probabilities "
                                         "of sigmoid in .*; target='multi-label' continues with it"):
        finetune(first.fit.last, coloured_records(12), str(tmp_path / "then"),
                 Recipe(require_head=True, fit=FitOptions(epochs=1)), SPEC)
    other = dataclasses.replace(labels, classes=["green", "red", "blue"])
    with pytest.raises(InputError, match="in their order, received 'green' in place of 'red'"):
        finetune(first.fit.last, other, str(tmp_path / "then"), recipe_of("multi-label", require_head=True), SPEC)
