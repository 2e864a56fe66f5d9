"""The front door for Python: the same runs, figures and refusals as the commands give."""
import inspect
import json
import logging
import os
import subprocess
import sys
import tarfile

import cv2
import numpy as np
import pytest

import mxft
from mxft.cli import main
from mxft.compat import mx
from mxft.data.labels import scan_labels
from mxft.errors import InputError
from mxft.faces.pairs.bin_file import write_pairs
from mxft.network.checkpoint import Checkpoint, load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.options import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.run import read_log
from tests.support.images import levelled, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")
INPUT = {"image_shape": (3, 16, 16), "rgb_mean": (90, 90, 90), "rgb_std": (60, 60, 60)}
FLAGS = ["--image-shape", "3,16,16", "--rgb-mean", "90,90,90", "--rgb-std", "60,60,60"]
STEPS = {"epochs": 1, "batch_size": 4, "learning_rate": 0.1}


@pytest.fixture(autouse=True)
def as_told():
    """Nobody listens, so that the calls tell by themselves."""


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a checkpoint ``net,0`` of 3 classes and class folders in photos."""
    make_checkpoint(3).save("net", 0)
    write_classes("photos", ["high", "low", "middle"], 6, levelled)
    return here


@pytest.fixture
def trained(here):
    """The result of a short run on photos, in run."""
    return mxft.finetune("net,0", "photos", "run", plan="full", resize=20, **INPUT, **STEPS)


def weights(model):
    checkpoint = load_checkpoint(model)
    return {name: value.asnumpy() for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}


def test_a_run_is_that_of_the_command(trained, here, capsys):
    assert main(["finetune", "--model", "net,0", "--data", "photos", "--run", "typed", "--plan", "full", *FLAGS,
                 "--resize", "20", "--epochs", "1", "--batch-size", "4", "--lr", "0.1"]) == 0
    assert sorted(os.listdir("run")) == sorted(os.listdir("typed")) and "report.html" in os.listdir("run")
    ours, theirs = weights(trained.model), weights("typed")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs) and set(ours) == set(theirs)
    assert f"top-1 {trained.score.top1:.4f}" in capsys.readouterr().out
    assert trained.report == os.path.abspath("run/report.html") and os.path.isfile(trained.report)


def test_without_a_plan_one_is_chosen_and_told_as_python_says_it(here, capsys):
    result = mxft.finetune("net,0", "photos", "run", **INPUT)
    out = capsys.readouterr().out
    assert "plan auto: the network as a feature extractor" in out
    assert "plan='head' solver='logistic' cache.mode='memory'" in out and "--plan" not in out
    assert read_log("run/log.jsonl")[0]["recipe"]["solver"] == "logistic" and result.score.records == 3


def test_given_epochs_are_heard_by_the_plan_that_is_chosen(here, capsys):
    mxft.finetune("net,0", "photos", "run", epochs=1, **INPUT)
    recipe = read_log("run/log.jsonl")[0]["recipe"]
    assert "epochs, a rate or a batch were given" in capsys.readouterr().out
    assert recipe["fit"]["epochs"] == 1 and recipe["plan"] in ("two-stage", "full")


@pytest.mark.parametrize("settings, message", [
    ({"plan": "auto", "solver": "ridge"}, "plan='auto': expected no solver beside it, received both"),
    ({"recipe": Recipe(plan="head"), "epochs": 2}, "recipe: expected it alone, received epochs beside it"),
    ({"plan": "HEAD"}, "plan: expected one of full, head"), ({"epoch": 3}, "received 'epoch'; nearest: epochs"),
    ({"plan": "head", "lr_factor": 0.5}, "lr_factor: expected schedule='step' beside it"),
    ({"plan": "head", "resize": 8}, "resize: expected at least 16, the network's input, received resize=8"),
    ({"data": "fotos"}, "pictures are missing: expected a folder, a table or an archive, received 'fotos'; nearest: "
                        "photos"),
    ({"model": "nets,0"}, "symbol is missing"), ({"model": "resnet50"}, "in the zoo nearest"),
])
def test_what_is_refused_is_named_as_python_names_it_and_leaves_nothing(settings, message, here, capsys):
    given = {"model": "net,0", "data": "photos", "run": "run", **INPUT, **settings}
    with pytest.raises(InputError) as refusal:
        mxft.finetune(given.pop("model"), given.pop("data"), given.pop("run"), **given)
    assert message in str(refusal.value) and " --" not in str(refusal.value)
    assert sorted(os.listdir()) == ["net-0000.params", "net-symbol.json", "photos"]


@pytest.mark.parametrize("kind", ["records", "prefix", "tar", "pictures"])
def test_data_is_what_people_have(kind, trained, here):
    run = "run-records/images"
    given = {"records": f"{run}-train.rec", "prefix": run, "tar": "photos.tar",
             "pictures": mxft.open_pictures("photos")}
    with tarfile.open("photos.tar", "w") as tar:
        tar.add("photos")
    result = mxft.finetune(load_checkpoint("net,0"), given[kind], "second", plan="full", resize=20, **INPUT, **STEPS) \
        if kind in ("tar", "pictures") else mxft.finetune("net,0", given[kind], "second", plan="full", **INPUT, **STEPS)
    assert result.score.records == 3 and result.score.top1 == trained.score.top1


@pytest.mark.parametrize("settings", [{"plan": "full", **STEPS}, {"plan": "head", "solver": "ridge"}])
def test_photographs_that_were_read_once_serve_another_run(here, settings):
    """Their features are those of one network: whatever comes next has the same pictures, not the same features."""
    first = mxft.finetune("net,0", "photos", "run", plan="head", solver="logistic", per_class=3, **INPUT)
    second = mxft.finetune("net,0", first.data, "second", **settings, **INPUT)
    assert second.data.train == "run-records/images-train.rec" and second.data.packing == first.data.packing
    assert second.score.records == len(first.data.judged)


def test_photographs_that_are_read_once_are_not_packed_and_are_found_again(here):
    result = mxft.finetune("net,0", "photos", "run", plan="head", solver="logistic", per_class=3, **INPUT)
    assert sorted(os.listdir("run-records")) == ["images-classes.txt", "images-train.lst", "images-val.lst"]
    assert len(result.data.judged) == 9 and set(result.score.source) == set(result.data.judged)
    again = mxft.score("run", "photos", labels=result.data.val)
    assert again.top1 == result.score.top1 and sorted(again.source) == sorted(result.data.judged)
    np.testing.assert_allclose(again.loss, result.score.loss, rtol=1e-4)
    answers = mxft.predict("run", list(result.data.judged))
    right = [label == os.path.basename(os.path.dirname(path)) for label, path in zip(answers.labels, answers.paths)]
    assert np.mean(right) == result.score.top1
    kept = mxft.finetune("net,0", "photos", "kept", plan="head", solver="logistic", per_class=3, keep_records=True,
                         **INPUT)
    assert kept.data.val == "kept-records/images-val.rec" and os.path.isfile(kept.data.val)
    with pytest.raises(InputError, match="`?keep_records`?: expected pictures beside it, received records"):
        mxft.finetune("net,0", "kept-records/images", "third", keep_records=True, **INPUT)


def test_what_is_done_is_told_to_a_programs_own_handler_alone(here, capsys):
    lines, logger = [], logging.getLogger("mxft")
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        mxft.finetune("net,0", "photos", "run", plan="full", **INPUT, **STEPS)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "") and any("transfer: " in line for line in lines)


def test_scores_and_answers_are_the_commands(trained, here, capsys):
    capsys.readouterr()
    found = mxft.score("run", "photos")
    capsys.readouterr()
    assert main(["score", "--model", "run", "photos", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (found.top1, found.loss, found.records) == (told["top1"], told["loss"], 18)
    answers = mxft.predict("run", ["photos/low", "photos/high/" + sorted(os.listdir("photos/high"))[0]])
    capsys.readouterr()
    assert main(["predict", "--model", "run", "--json", "--top", "1", *answers.paths]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["top"][0]["class"] for row in rows] == answers.labels and len(answers) == 7
    np.testing.assert_allclose([row["top"][0]["probability"] for row in rows], answers.probabilities.max(axis=1),
                               atol=1e-6)
    answers.to_csv("answers.csv")
    assert len(open("answers.csv", encoding="utf-8").read().splitlines()) == 8  # noqa: SIM115
    assert answers[:2].labels == answers.labels[:2] and answers.top(2)[0][0][0] == answers.labels[0]


def test_an_array_is_answered_as_its_file(trained, here):
    path = os.path.join("photos", "low", sorted(os.listdir("photos/low"))[0])
    pixels = cv2.imread(path)[:, :, ::-1]
    from PIL import Image

    answers = mxft.predict("run", [path, pixels, Image.open(path)])
    np.testing.assert_array_equal(answers.probabilities[1], answers.probabilities[0])
    np.testing.assert_array_equal(answers.probabilities[2], answers.probabilities[0])
    assert answers.paths == [path, "array 1", "array 2"]
    with pytest.raises(InputError, match=r"arrays of uint8, .* or grey \(H, W\), received float32 \(4, 4\)"):
        mxft.predict("run", np.zeros((4, 4), np.float32))


def test_embeddings_are_the_layers_outputs(trained, here):
    found = mxft.embed("run", "photos", flip=True, normalise=True)
    plain, other = mxft.embed("run", "photos"), mxft.embed("run", "photos", layer="pool0")
    assert main(["extract-features", "--model", "run", "photos", "features.npz"]) == 0
    with np.load("features.npz") as written:
        np.testing.assert_allclose(plain.vectors, written["features"], rtol=1e-5)
    assert np.asarray(found).shape == (18, 6) and plain.layer == "flatten0" and other.vectors.shape == (18, 6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-6)
    (here / "photos" / "low" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    left = mxft.embed("run", "photos")
    assert len(left) == 18 and list(left.left_out) == ["photos/low/broken.jpg"]


def test_faces_are_verified_and_embedded_as_the_verb_does(here, make_face_checkpoint, capsys):
    checkpoint = make_face_checkpoint()
    checkpoint.manifest = {"format": 1, "input": InputSpec((3, 16, 16)).to_dict()}
    checkpoint.save("face", 0)
    images = [cv2.imencode(".png", np.random.RandomState(seed // 2).randint(0, 255, (16, 16, 3), np.uint8))[1].tobytes()
              for seed in range(80)]
    write_pairs("lfw.bin", images, np.arange(40) % 2 == 0)
    found = mxft.verify("face,0", "lfw.bin")
    capsys.readouterr()
    assert main(["verify", "--model", "face,0", "--bin", "lfw.bin"]) == 0
    assert f"Accuracy-Flip: {found}" in capsys.readouterr().out and len(repr(found)) < 400
    (here / "a.png").write_bytes(images[0])
    assert mxft.embed("face,0", "a.png").layer == "fc1"


def test_a_checkpoint_is_exported_and_taken_back(trained, here):
    result = mxft.export("run", "net.onnx", images="photos")
    assert result.error < 1e-5 and os.path.isfile("net.onnx")
    with pytest.raises(InputError, match="output: expected a name that is free, received 'net.onnx'; force=True"):
        mxft.export("run", "net.onnx")
    back = mxft.import_weights("onnx", "net.onnx")
    assert back.classes == ["high", "low", "middle"] and back.input_spec.shape == (3, 16, 16)


def test_models_are_listed_by_pattern():
    assert "gluon:resnet50_v1b" in mxft.list_models("*resnet50*") and mxft.list_models("nothing like it") == []
    assert "caltech256" not in mxft.list_models()


def test_every_value_shows_itself_in_a_line(trained, here, make_checkpoint):
    many = Checkpoint(mx.sym.Variable("data"), {f"p{i}": mx.nd.zeros((9, 9)) for i in range(500)}, {},
                      {"classes": [f"class {i}" for i in range(5000)]})
    values = [load_checkpoint("run"), many, many.manifest and Recipe(plan="head", fit=FitOptions(epochs=3)), trained,
              trained.fit, trained.score, trained.data, mxft.open_pictures("photos"), mxft.predict("run", "photos"),
              mxft.embed("run", "photos"), mxft.score("run", "photos"), load_checkpoint("run").anatomy]
    for value in values:
        assert len(repr(value)) < 300 and "\n" not in repr(value), repr(value)
    assert repr(Recipe(plan="head", fit=FitOptions(epochs=3))) == "Recipe(plan='head', fit=FitOptions(epochs=3))"


def test_a_notebook_shows_tables_and_curves_with_text_escaped(here, make_checkpoint):
    os.rename("photos/low", "photos/<b>low")
    result = mxft.finetune("net,0", "photos", "run", plan="full", **{**INPUT, **STEPS, "epochs": 2})
    for value in (result, mxft.score("run", "photos"), mxft.predict("run", "photos"), load_checkpoint("run")):
        page = value._repr_html_()
        assert page.startswith("<") and "<b>low" not in page and len(page) < 100_000
    assert "&lt;b&gt;low" in mxft.score("run", "photos")._repr_html_() and "<svg" in result._repr_html_()


def test_the_typed_settings_are_those_of_the_recipe():
    import dataclasses

    from mxft.api.settings import Settings

    fields = {field.name for options in (Recipe, FitOptions) for field in dataclasses.fields(options)}
    assert set(Settings.__annotations__) == fields - {"plan", "fit"}


@pytest.mark.parametrize("name", [name for name in mxft.__all__ if name != "__version__"])
def test_a_public_name_is_documented_and_keyword_only_beyond_three_arguments(name):
    value = getattr(mxft, name)
    assert value.__doc__ and (name in mxft.__doc__ or not inspect.isfunction(value))
    if inspect.isfunction(value) and value.__module__.startswith("mxft.api"):
        parameters = list(inspect.signature(value).parameters.values())
        assert sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters) <= 3
        assert all(p.annotation is not inspect.Parameter.empty for p in parameters)


def test_a_setting_of_another_place_is_told_where_it_belongs():
    with pytest.raises(InputError, match=r"received epochs=3, which is of FitOptions: fit=FitOptions\(epochs=3\)"):
        Recipe(epochs=3)
    with pytest.raises(InputError, match="received 'learning'; nearest: learning_rate"):
        Recipe(learning=3)


def test_settings_are_heard_under_their_names_of_before():
    recipe = Recipe(plan="discriminative", frozen_trunk=False, freezing=mxft.FreezeOptions(trunk_lr_mult=0.5))
    assert recipe == Recipe(plan="discriminative", frozen_backbone=False,
                            freezing=mxft.FreezeOptions(backbone_lr_mult=0.5))
    assert Recipe.of({"plan": "discriminative", "frozen_trunk": False, "freezing.trunk_lr_mult": 0.5}) == recipe
    assert (recipe.frozen_trunk, recipe.freezing.trunk_lr_mult) == (False, 0.5)


def test_an_old_module_of_the_same_name_does_not_hide_the_function():
    import mxft.export  # noqa: F401 - the ONNX exporter's path in mxft 0.1

    assert callable(mxft.export) and sys.modules["mxft.export"].export_onnx


@pytest.mark.long
def test_the_public_surface_is_typed(repository):
    pytest.importorskip("mypy")
    done = subprocess.run([sys.executable, "-m", "mypy", "--no-error-summary"], cwd=repository, capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_classes_are_left_out_of_pictures_that_were_opened(here):
    pictures = mxft.open_pictures("photos")
    left_out, *kept = pictures.target.names
    records = mxft.split(pictures, "part", exclude=[left_out], resize=20)
    assert list(records.classes) == kept
    assert list(mxft.split("photos", "same", exclude=[left_out], resize=20).classes) == kept
    assert set(scan_labels(records.train).first) == set(range(len(kept)))
    assert mxft.finetune("net,0", pictures, "run", exclude=[left_out], **INPUT).score.classes == tuple(kept)
    with pytest.raises(InputError, match="nothing to exclude: expected a class of photos, received exclude='hi'"):
        mxft.split(pictures, "other", exclude=["hi"])
    with pytest.raises(InputError, match="labels: expected a path beside it, received Pictures"):
        mxft.split(pictures, "other", labels="labels.csv")


@pytest.mark.parametrize("setting", [{"exclude": ["high"]}, {"per_class": 2}, {"resize": 20}, {"quality": 80},
                                     {"val_fraction": 0.5}, {"labels": "l.csv"}, {"label_columns": ["a"]}])
def test_what_is_for_pictures_alone_is_refused_beside_records(here, setting):
    records = mxft.split("photos", "part", resize=20)
    for data in (records, "part"):
        with pytest.raises(InputError, match=f"{next(iter(setting))}: expected pictures beside it, received rec"):
            mxft.finetune("net,0", data, "run", **{**INPUT, **setting})
    assert not os.path.exists("run")
