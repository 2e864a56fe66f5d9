"""What a run leaves for honest answers: a temperature with every validated epoch, and a novelty file with the best."""
import dataclasses
import json
import os

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.data.datasets import Records
from mxft.evaluation.classifier import Classifier
from mxft.evaluation.novelty_file import load_reference, novelty_path
from mxft.evaluation.prediction import predict_files
from mxft.evaluation.scoring import score_records
from mxft.network.calibration import Calibration
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.locating import parse_model
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.resume.state import Keeping
from mxft.workflows.finetune import finetune
from tests.support.images import coloured

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)
RECIPE = Recipe(plan="full", batch_size=6, learning_rate=0.1, fit=FitOptions(epochs=2, momentum=0.9))
HEAD = dataclasses.replace(RECIPE, plan="head")
PACKING = {"resize": 10, "encoding": ".png"}


@pytest.fixture
def run(make_checkpoint, coloured_records, tmp_path):
    """A function that trains on 18 images, validated on 12, and returns the result."""
    data = dataclasses.replace(coloured_records(18, 12), packing=PACKING)

    def train(recipe=RECIPE, name="run", data=data, **more):
        return finetune(make_checkpoint(5), data, str(tmp_path / name), recipe, SPEC, threads=1, **more)
    return train


@pytest.fixture
def picture(tmp_path):
    """The path of a red picture."""
    path = str(tmp_path / "red.png")
    cv2.imwrite(path, coloured(np.random.RandomState(3), 0)[:, :, ::-1])
    return path


@pytest.mark.parametrize("recipe, fitted", [(RECIPE, True), (HEAD, True),
                                            (dataclasses.replace(HEAD, solver="ridge"), False),
                                            (dataclasses.replace(RECIPE, plan="two-stage", solver="ridge"), None)])
def test_every_validated_epoch_has_a_temperature_and_the_best_is_served_by_it(recipe, fitted, run):
    result = run(recipe)
    best = load_checkpoint(result.run)
    rows = {row["epoch"]: Calibration.of(row) for row in result.fit.history}
    assert all(rows.values()) and best.calibration == rows[result.fit.best_epoch]
    if fitted is None:
        assert rows[0].temperature == 1.0 and len(rows) > 1, "of a fitted head that is trained on"
    else:
        assert (best.calibration.temperature != 1) == fitted
    score, _ = score_records(best, SPEC, result.data.val, batch_size=6)
    assert score.temperature == best.calibration.temperature == result.score.temperature
    assert score.loss == pytest.approx(result.score.loss, rel=1e-4)
    assert score.at_temperature(1.0).loss == pytest.approx(best.metrics["val_loss"], rel=1e-4)


def test_a_resumed_run_has_the_same(run, capsys):
    straight = run()
    run(dataclasses.replace(RECIPE, fit=FitOptions(epochs=1, momentum=0.9)), "parts")
    resumed = run(name="parts", keeping=Keeping(resume="must"))
    assert resumed.fit.history[0]["val_calibration"] == straight.fit.history[0]["val_calibration"]
    assert resumed.score.temperature == straight.score.temperature and resumed.score.loss == pytest.approx(
        straight.score.loss, rel=1e-5)
    best = load_checkpoint(resumed.run)
    assert load_reference(best).threshold == pytest.approx(load_reference(load_checkpoint(straight.run)).threshold)


def test_one_picture_gets_the_same_from_predict_bundle_and_export(run, picture, tmp_path, capsys):
    """The page of a bundle, its plain graph, an exported file and the run itself."""
    onnxruntime = pytest.importorskip("onnxruntime")
    result = run()
    best = load_checkpoint(result.run)
    prediction, = predict_files(best, [picture], SPEC, PACKING)
    expected = prediction.probabilities
    bundle = str(tmp_path / "bundle")
    assert main(["bundle", "--model", result.run, "--output", bundle, "--image", picture]) == 0
    bundled = load_checkpoint(bundle)
    bound = Classifier(bundled, SPEC, PACKING, bundled.classes, "net").bind()
    with open(picture, "rb") as f:
        content = f.read()
    (answer, *_), _, novelty = bound.answers_and_novelty(content)
    np.testing.assert_allclose(answer.probabilities, expected, rtol=1e-4)
    assert novelty.distance == pytest.approx(prediction.novelty.distance, abs=1e-3)
    pixels, _ = bound.read(content)
    assert bundled.anatomy.output().link.calibration == 1 and bundled.calibration.in_graph
    exported = str(tmp_path / "net.onnx")
    for words, same in ((["--calibrated"], True), ([], False)):
        assert main(["export", "--to", "onnx", "--model", result.run, "--output", exported, "--force", *words]) == 0
        assert ("probabilities are calibrated: " if same else "are not calibrated") in capsys.readouterr().out
        for path in (exported, *[os.path.join(bundle, "model.onnx")] * same):
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            values, = session.run(None, {session.get_inputs()[0].name: pixels})
            assert np.allclose(values[0], expected, rtol=1e-3) == same, path


def test_what_is_unlike_the_training_images_is_said_so(run, picture, tmp_path, capsys):
    model = run(dataclasses.replace(HEAD, solver="ridge")).run
    capsys.readouterr()
    stripes = str(tmp_path / "stripes.png")
    cv2.imwrite(stripes, np.tile(np.array([[255], [0]], np.uint8), (5, 10))[..., None].repeat(3, 2))
    assert main(["predict", "--model", model, "--json", picture, stripes]) == 0
    near, far = (json.loads(line)["novelty"] for line in capsys.readouterr().out.splitlines())
    assert far["far"] and not near["far"] and far["distance"] > far["threshold"] >= near["distance"]
    assert main(["predict", "--model", model, picture, stripes]) == 0
    said = capsys.readouterr().out
    assert said.count("far from the training images (distance ") == 1
    assert main(["predict", "--model", model, "--csv", str(tmp_path / "out.csv"), picture, stripes]) == 0
    with open(tmp_path / "out.csv", encoding="utf-8") as f:
        rows = [line.strip().split(",") for line in f]
    place = rows[0].index("far")
    assert [row[place] for row in rows[1:]] == ["no", "yes"] and rows[0][place + 1] == "distance"


def test_features_that_moved_need_held_out_images(run, coloured_records, capsys):
    data = coloured_records(18)
    result = run(data=Records(data.train, classes=data.classes, packing=data.packing))
    assert not os.path.exists(novelty_path(*parse_model(result.fit.best)))
    assert load_checkpoint(result.run).calibration is None
    assert "will not be marked, because none were held out" in capsys.readouterr().out
    head = run(HEAD, "head", data=Records(data.train, classes=data.classes, packing=data.packing))
    assert os.path.exists(novelty_path(*parse_model(head.fit.best)))
