"""finetune: everything wrong with the input is refused before the run folder is made; what it leaves is complete."""
import json
import os

import numpy as np
import pytest

from mxft.data.datasets import Records
from mxft.errors import InputError, MissingFileError, RunError
from mxft.features.solvers import solve_head
from mxft.features.store import CacheOptions
from mxft.files.whole import sha256
from mxft.freeze import FreezeOptions
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.run import read_log
from mxft.training.stages import HeadStage
from mxft.workflows.finetune import finetune

pytestmark = pytest.mark.usefixtures("quick_figures")

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)
ONE_EPOCH = FitOptions(epochs=1)


@pytest.fixture
def model(make_checkpoint, tmp_path):
    """``"prefix,epoch"`` of the tiny network with 10 classes."""
    return make_checkpoint(num_classes=10).save(str(tmp_path / "old" / "net"), 4)


@pytest.fixture
def data(coloured_records):
    return coloured_records(24, 10)


def run(model, data, tmp_path, recipe=None, **arguments):
    return finetune(model, data, str(tmp_path / "run"), recipe or Recipe(batch_size=8, fit=ONE_EPOCH),
                    **{"spec": SPEC, "threads": 1, **arguments})


def test_what_it_leaves_is_complete(model, data, tmp_path, capfd):
    result = run(model, data, tmp_path, Recipe(plan="head", batch_size=8, fit=FitOptions(epochs=2, momentum=.9)))
    assert sorted(os.listdir(result.run)) == ["curves.png", "freeze.json", "log.jsonl", "model-0002.params",
                                              "model-best-novelty.nd", "model-best.params",
                                              "model-manifest.json", "model-symbol.json", "state", "transfer.json"]
    manifest = load_checkpoint(result.run).manifest
    assert manifest["classes"] == ["red", "green", "blue"] and manifest["packing"] == {"resize": 10}
    assert InputSpec.from_dict(manifest["input"]) == SPEC
    assert manifest["head"] == {"layer": "fc1", "feature": "flatten0", "num_classes": 3, "loss": "softmax"}
    assert manifest["parent"] == {"model": "net,4", "sha256": sha256(tmp_path / "old" / "net-0004.params")}
    assert manifest["data"]["train"] == {"file": "train.rec", "sha256": sha256(data.train)}
    assert manifest["metrics"]["best"]["val_top1"] == result.score.top1 and result.score.records == 10
    with open(tmp_path / "run" / "transfer.json", encoding="utf-8") as f:
        assert json.load(f)["counts"] == {"loaded": 6, "new": 2, "dropped": 0, "mismatched": 0}
    assert [row["event"] for row in read_log(tmp_path / "run" / "log.jsonl")] == [
        "start", "bound", "bound", "epoch", "epoch", "end"]  # for training, for validation
    out = capfd.readouterr().out
    assert "new head: fc1 with 3 classes on flatten0 in place of fc1" in out
    assert "plan head: 2 tensors train (21 parameters), 4 are frozen" in out and out.rstrip().endswith("model,best")


def test_settings_that_cannot_go_well_are_said_before_the_first_epoch_and_written_down(model, data, tmp_path, capfd):
    """24 images, the tutorial's batch of 128 and epochs for 15,360 of them."""
    run(model, data, tmp_path, Recipe(learning_rate=0.1, fit=FitOptions(epochs=2, momentum=0.9)))
    warnings = read_log(tmp_path / "run" / "log.jsonl")[0]["warnings"]
    assert [line.split(":")[0] for line in warnings] == [
        "an epoch is one update", "too few updates for a new head", "learning rate too high for pretrained weights"]
    out, err = capfd.readouterr()
    assert ("warning: an epoch is one update: 24 images for training, --batch-size 128; --batch-size 8 makes 3 updates"
            in err and "warning" not in out)


def test_a_solved_head_and_a_head_alone_leave_rates_and_updates_undoubted(model, data, tmp_path):
    options = FitOptions(epochs=2, momentum=0.9)
    for number, recipe in enumerate((Recipe(plan="head", solver="ridge"),
                                     Recipe(plan="head", learning_rate=0.1, batch_size=2, fit=options))):
        result = finetune(model, data, str(tmp_path / str(number)), recipe, SPEC, threads=1)
        assert read_log(os.path.join(result.run, "log.jsonl"))[0]["warnings"] == []


def test_the_manifests_input_is_taken_up_by_the_next_run(model, data, tmp_path):
    first = run(model, data, tmp_path)
    again = finetune(first.run, data, str(tmp_path / "again"), Recipe(batch_size=8, fit=ONE_EPOCH, require_head=True),
                     threads=1)
    assert load_checkpoint(again.run).input_spec == SPEC
    assert load_checkpoint(again.run).manifest["parent"]["model"] == "model,best"
    assert again.fit.history[0]["train_loss"] < first.fit.history[0]["train_loss"]  # the head was kept


def test_without_names_the_highest_label_tells_the_classes(model, data, tmp_path):
    result = run(model, Records(data.train), tmp_path)
    assert result.score is None and load_checkpoint(result.run).manifest["head"]["num_classes"] == 3


@pytest.mark.parametrize("recipe, message", [
    (Recipe(layer="flaten0"), "layer='flaten0'; nearest: flatten0"),
    (Recipe(fit=FitOptions(optimizer="sdg")), "optimizer='sdg'; nearest: .*sgd"),
    (Recipe(schedule="step", lr_steps=(9,)), r"received lr_steps=\(9,\)"),
    (Recipe(require_head=True), "require_head: expected a head of 3 classes, received fc1 with 10"),
    (Recipe(cache=CacheOptions("memory")), "cache.mode: expected a plan that freezes"),
])
def test_a_recipe_that_cannot_be_carried_out_is_refused_before_the_run_folder_is_made(model, data, tmp_path, recipe,
                                                                                      message):
    with pytest.raises(InputError, match=message):
        run(model, data, tmp_path, recipe)
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_divide_over_the_devices_is_refused(model, data, tmp_path):
    with pytest.raises(InputError, match="batch size: expected a multiple of the 2 devices, received batch_size=9"):
        run(model, data, tmp_path, Recipe(batch_size=9), cpus=2)


def test_data_that_does_not_fit_is_refused_before_the_run_folder_is_made(model, data, make_records, tmp_path):
    cases = [
        (Records(str(tmp_path / "trian.rec")), "records is missing: .*nearest: train.rec"),
        (Records(data.train, data.val, ["red", "green"]), r"expected whole numbers in \[0, 2\), received label=2"),
        (Records(data.train, make_records("far.rec", [0, 7]), data.classes), r"far.rec: .* received label=7"),
        (Records(data.train, num_classes=5, classes=data.classes), "class names: .* classes, 5, received 3 names"),
        (Records(make_records("one.rec", [0, 0])), "nothing to learn: expected at least 2 classes"),
        (Records(make_records("none.rec", [])), "no records: expected at least one"),
        (Records(make_records("half.rec", [0, 0.5])), "received label=0.5"),
        (Records(data.train, packing={"resize": 6}), "records are smaller than the network's input: .* resize=6"),
    ]
    for records, message in cases:
        with pytest.raises(InputError, match=message):
            run(model, records, tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_missing_checkpoint_or_parameter_is_refused(model, data, tmp_path, make_checkpoint):
    with pytest.raises(MissingFileError, match="epochs there: 4"):
        run(model.replace(",4", ",5"), data, tmp_path)
    broken = make_checkpoint()
    del broken.arg_params["conv0_weight"]
    with pytest.raises(InputError, match="received none for conv0_weight"):
        run(broken, data, tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_keeps_its_log(model, data, tmp_path):
    with pytest.raises(RunError, match="no epoch was finished, so nothing was saved"):
        run(model, data, tmp_path, Recipe(batch_size=8, learning_rate=1e30, fit=ONE_EPOCH))
    assert [row["event"] for row in read_log(tmp_path / "run" / "log.jsonl")] == ["start", "bound"]


def test_two_cpu_contexts_train(model, data, tmp_path):
    assert run(model, data, tmp_path, cpus=2).score.records == 10


def parameters(result_or_model):
    """{name: numpy array} of a checkpoint's arguments and moving statistics."""
    checkpoint = load_checkpoint(result_or_model)
    return {name: value.asnumpy() for params in (checkpoint.arg_params, checkpoint.aux_params)
            for name, value in params.items()}


STAGED = FitOptions(epochs=2, momentum=0.9, wd=0.1)
CONV = {"conv0_weight", "conv0_bias"}
BN = {"bn0_gamma", "bn0_beta", "bn0_moving_mean", "bn0_moving_var"}


@pytest.mark.parametrize("apart, method", [(True, "fixed"), (False, "lr_mult"), *(
    pytest.param(*case, marks=pytest.mark.long) for case in ((True, "lr_mult"), (False, "fixed")))])
@pytest.mark.parametrize("recipe, frozen", [
    ({"plan": "head"}, CONV | BN),
    ({"plan": "full", "freezing": {"through": "bn0"}}, CONV | BN),
    ({"plan": "full", "freezing": {"patterns": ("conv0_*",)}}, CONV),
    ({"plan": "discriminative", "freezing": {"patterns": ("bn0_*",), "layer_decay": 0.5}}, BN),
    ({"plan": "two-stage", "freezing": {"through": "conv0"}}, CONV),
    ({"plan": "gradual", "freezing": {"patterns": ("bn0_*",)}}, BN),
])
def test_frozen_is_bit_for_bit_under_every_plan(recipe, frozen, method, apart, model, data, tmp_path, capsys):
    freezing = FreezeOptions(method=method, **recipe.get("freezing", {}))
    stage = {"head_stage": HeadStage(1)} if recipe["plan"] in ("two-stage", "gradual") else {}
    result = run(model, data, tmp_path, Recipe(plan=recipe["plan"], freezing=freezing, batch_size=8, fit=STAGED,
                                               learning_rate=0.1, frozen_backbone=apart, **stage))
    old, new = parameters(model), parameters(result.fit.last)
    same = {name for name in new if name in old and np.array_equal(old[name], new[name])}
    assert same == frozen
    with open(tmp_path / "run" / "freeze.json", encoding="utf-8") as f:
        proof = json.load(f)
    assert {name for name, row in proof["parameters"].items() if row["frozen"]} == frozen
    assert all(row["before"] == row["after"] for name, row in proof["parameters"].items() if name in frozen)
    assert f"frozen: {len(frozen)} arrays are bit for bit what they were" in capsys.readouterr().out


def test_fixed_and_lr_mult_train_alike(model, data, tmp_path):
    results = []
    for method in ("fixed", "lr_mult"):
        recipe = Recipe(plan="full", freezing=FreezeOptions(through="bn0", method=method), batch_size=8, fit=STAGED,
                        frozen_backbone=False)
        results.append(parameters(run(model, data, tmp_path / method, recipe).fit.last))
    for name, value in results[0].items():
        np.testing.assert_allclose(value, results[1][name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_updates_are_in_the_ratio_of_the_multipliers(model, data, tmp_path):
    moved = []
    for factor in (1.0, 0.25):  # one update, plain SGD: what an array moves by is its rate times one gradient
        recipe = Recipe(plan="discriminative", freezing=FreezeOptions(backbone_lr_mult=factor), batch_size=24,
                        learning_rate=0.01, augment=0, fit=ONE_EPOCH)
        new = parameters(run(model, data, tmp_path / str(factor), recipe).fit.last)
        moved.append({name: new[name] - old for name, old in parameters(model).items() if name in CONV})
    for name in CONV:
        np.testing.assert_allclose(moved[1][name], 0.25 * moved[0][name], rtol=1e-3, atol=1e-7)


def test_scratch_loads_nothing(model, data, tmp_path, capsys):
    result = run(model, data, tmp_path, Recipe(plan="scratch", batch_size=8, fit=ONE_EPOCH, learning_rate=0.0))
    old, new = parameters(model), parameters(result.fit.last)
    assert not np.array_equal(old["conv0_weight"], new["conv0_weight"])
    assert "0 loaded" in capsys.readouterr().out


def test_epochs_are_counted_on_from_stage_to_stage(model, data, tmp_path):
    result = run(model, data, tmp_path, Recipe(plan="two-stage", batch_size=8, fit=STAGED, head_stage=HeadStage(3)))
    assert [row["epoch"] for row in result.fit.history] == [1, 2, 3, 4, 5]
    assert result.fit.last.endswith("model,5")
    best = max(result.fit.history, key=lambda row: (row["val_top1"], -row["val_loss"]))
    assert result.fit.best_epoch == best["epoch"] and result.score.top1 == best["val_top1"]


def test_weights_and_repetition_for_uneven_classes(model, make_records, data, tmp_path, capsys):
    uneven = Records(make_records("uneven.rec", [0] * 9 + [1] * 3 + [2] * 3), data.val, data.classes)
    run(model, uneven, tmp_path / "weights", Recipe(class_weight="balanced", batch_size=5, fit=ONE_EPOCH))
    run(model, uneven, tmp_path / "repeat", Recipe(oversample=True, batch_size=5, fit=ONE_EPOCH))
    assert "oversampled: 27 records an epoch" in capsys.readouterr().out
    with pytest.raises(InputError, match="class weights: expected one for each of the 3 classes, received 2"):
        run(model, uneven, tmp_path / "two", Recipe(class_weight=(1.0, 2.0), batch_size=5, fit=ONE_EPOCH))
    assert not os.path.exists(tmp_path / "two" / "run")


def test_a_solver_is_told_which_views_are_of_one_image(model, data, tmp_path, monkeypatch):
    """Colours follow one another in the records: a row that stood elsewhere in another view would be another colour."""
    told = {}

    def solve(solver, features, labels, num_classes, seed, images, class_weights):
        told.update(labels=labels, images=images, features=features)
        return solve_head(solver, features, labels, num_classes, seed, images, class_weights)

    monkeypatch.setattr("mxft.training.solving.solve_head", solve)
    run(model, data, tmp_path, Recipe(plan="head", solver="ridge", batch_size=8, fit=ONE_EPOCH,
                                      cache=CacheOptions("memory", views=3)))
    assert np.bincount(told["images"]).tolist() == [3] * 24 and len(np.unique(told["features"], axis=0)) > 24
    for image in range(24):
        assert len(set(told["labels"][told["images"] == image])) == 1
