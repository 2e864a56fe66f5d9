"""Going on with a run gives, bit for bit, what it would have given without the interruption."""
import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError, RunError
from mxft.features.store import CacheOptions
from mxft.files.checked_json import write_checked
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.surgery import Dense
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.resume.snapshots import Snapshots
from mxft.training.resume.state import Keeping, RunState, refuse_differences
from mxft.training.run import read_log
from mxft.training.staged import StagedTraining
from mxft.workflows.finetune import finetune
from tests.support.killing import Killed, killed_after

pytestmark = pytest.mark.usefixtures("quick_figures")

SPEC = InputSpec((3, 8, 8))
RECIPE = Recipe(batch_size=4, learning_rate=0.05, fit=FitOptions(epochs=3, momentum=0.9))


@pytest.fixture
def data(coloured_records):
    return coloured_records(18, 10)


@pytest.fixture
def run(data, make_checkpoint, tmp_path):
    """A function that trains into a folder and returns the result."""
    def train(folder, recipe=RECIPE, **keeping):
        return finetune(make_checkpoint(5), data, str(tmp_path / folder), recipe, SPEC,
                        keeping=Keeping(**{"state_batches": 1, "state_minutes": 0, **keeping}))
    return train


def parameters(folder, epoch):
    checkpoint = load_checkpoint(f"{folder}/model,{epoch}")
    return {name: value.asnumpy() for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}


def assert_same(a, b, *epochs):
    for epoch in epochs:
        first, second = parameters(a, epoch), parameters(b, epoch)
        assert set(first) == set(second)
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name], err_msg=name)


RECIPES = {
    "everything, augmented": RECIPE,
    "Adam": dataclasses.replace(RECIPE, learning_rate=0.01, fit=FitOptions(epochs=3, optimizer="adam")),
    "mixup and smoothing": dataclasses.replace(RECIPE, fit=FitOptions(epochs=3, momentum=0.9, mixup=0.4,
                                                                      label_smoothing=0.1)),
    "dropout": dataclasses.replace(RECIPE, hidden=(Dense(6, dropout=0.5),)),
    "head on cached features": dataclasses.replace(RECIPE, plan="head", augment=0, cache=CacheOptions("memory")),
    "head on a live backbone": dataclasses.replace(RECIPE, plan="head"),
    "two stages, cosine": dataclasses.replace(RECIPE, plan="two-stage", schedule="cosine"),
    "accumulated": dataclasses.replace(RECIPE, schedule="cosine", fit=FitOptions(epochs=3, momentum=0.9, accumulate=2)),
    "accumulated head, dropout": dataclasses.replace(RECIPE, plan="head", hidden=(Dense(6, dropout=0.5),),
                                                     fit=FitOptions(epochs=3, momentum=0.9, accumulate=4)),
    "steps and patience": dataclasses.replace(RECIPE, schedule="step", lr_steps=(1, 2),
                                              fit=FitOptions(epochs=3, momentum=0.9, patience=2)),
}


QUICK = ("head on cached features", "two stages, cosine")


@pytest.mark.parametrize("recipe", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
                                    for name in RECIPES])
def test_a_killed_run_goes_on_bit_for_bit(recipe, run, tmp_path):
    """Killed in the middle of an epoch, and where one ends: there are five batches in each."""
    recipe = RECIPES[recipe]
    whole = run("whole", recipe)
    for kill in (3, 10):
        killed = tmp_path / f"killed at {kill}"
        with killed_after(kill, Snapshots, "save"):
            run(killed.name, recipe)
        result = run(killed.name, recipe, resume="auto")
        assert_same(tmp_path / "whole", killed, "best", whole.fit.history[-1]["epoch"])
        assert figures(result.fit.history) == figures(whole.fit.history)
        assert (result.fit.best_epoch, result.score.top1) == (whole.fit.best_epoch, whole.score.top1)
        logged = [row for row in read_log(killed / "log.jsonl") if row["event"] == "epoch"]
        assert figures(logged) == [{"event": "epoch", **row} for row in figures(whole.fit.history)]
        assert sorted(os.listdir(killed)) == sorted(os.listdir(tmp_path / "whole"))


def figures(history):
    """Return the rows without what a clock says."""
    return [{key: value for key, value in row.items() if key not in ("seconds", "images_per_second")}
            for row in history]


@pytest.mark.long
def test_a_signal_in_the_middle_of_a_group_loses_nothing(run, tmp_path, monkeypatch):
    """SIGTERM after the third batch of five, of which two make an update: its gradient is in the state."""
    recipe, original = RECIPES["accumulated"], Snapshots.batch_end
    run("whole", recipe, state_batches=0)

    def then_told_to_end(self, param):
        original(self, param)
        if (param.epoch, param.nbatch) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "batch_end", then_told_to_end)
        assert run("stopped", recipe, state_batches=0).fit.interrupted == "SIGTERM"
    arrays = mx.nd.load(str(next((tmp_path / "stopped" / "state").glob("*.params"))))
    assert {name for name in arrays if name.startswith("gradient:")} == {
        f"gradient:{name}:0" for name in ("conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta", "fc1_weight",
                                          "fc1_bias")}
    assert all(arrays[name].asnumpy().any() for name in ("gradient:conv0_weight:0", "gradient:fc1_bias:0"))
    run("stopped", recipe, state_batches=0, resume="must")
    assert_same(tmp_path / "whole", tmp_path / "stopped", "best", 3)
OVERWRITTEN = """
import os, sys
from mxft.training.resume.snapshots import Snapshots
from mxft.data.datasets import Records
from mxft.workflows.finetune import finetune
from mxft.training.resume.state import Keeping
from tests.unit.training.resume.test_resume import RECIPE, SPEC
model, train, val, run = sys.argv[1:]
taken = Snapshots.epoch_end

def overwrite(self, *args):
    taken(self, *args)
    before = os.stat(train)
    with open(train, "r+b") as f:
        size = len(f.read())
        f.seek(size // 2)
        f.write(bytes(size - size // 2))
    os.utime(train, ns=(before.st_atime_ns, before.st_mtime_ns))

Snapshots.epoch_end = overwrite
finetune(model, Records(train, val, ["red", "green", "blue"], packing={"resize": 10}), run, RECIPE, SPEC,
         keeping=Keeping(state_minutes=0))
"""


@pytest.mark.long
def test_records_overwritten_behind_the_iterators_back_end_the_process_but_not_the_run(run, data, make_checkpoint,
                                                                                       tmp_path, repository):
    """MXNet's C++ ends a process that finds no record where one was; what had been written down goes on."""
    make_checkpoint(5).save(str(tmp_path / "old"), 0)
    with open(data.train, "rb") as f:
        content = f.read()
    done = subprocess.run([sys.executable, "-c", OVERWRITTEN, f"{tmp_path}/old,0", data.train, data.val,
                           str(tmp_path / "ended")], cwd=repository, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(repository)})  # and as many threads as here
    assert done.returncode == -signal.SIGABRT, done.stderr
    with open(data.train, "wb") as f:
        f.write(content)
    assert finetune(f"{tmp_path}/old,0", data, str(tmp_path / "ended"), RECIPE, SPEC,
                    keeping=Keeping(resume="must")).fit.history[-1]["epoch"] == 3
    run("whole")
    assert_same(tmp_path / "whole", tmp_path / "ended", "best", 3)


@pytest.mark.long
def test_a_kill_before_the_first_state_begins_anew(run, tmp_path, monkeypatch):
    run("whole")
    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "save", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            run("killed")
    run("killed", resume="must")
    assert_same(tmp_path / "whole", tmp_path / "killed", "best", 3)


@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.long), 3])  # killed in a group of three
def test_two_contexts_go_on_too(data, make_checkpoint, tmp_path, accumulate):
    recipe = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, accumulate=accumulate))

    def train(folder, **keeping):
        return finetune(make_checkpoint(5), data, str(tmp_path / folder), recipe, SPEC, cpus=2,
                        keeping=Keeping(state_batches=1, **keeping))
    train("whole")
    with killed_after(7, Snapshots, "save"):
        train("killed")
    train("killed", resume="auto")
    first, second = parameters(tmp_path / "whole", 3), parameters(tmp_path / "killed", 3)
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_more_epochs_go_on_from_the_last(run, tmp_path):
    run("whole")
    run("parts", dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, epochs=1)))
    run("parts", resume="must")
    assert_same(tmp_path / "whole", tmp_path / "parts", "best", 3)


def test_a_finished_run_stays_as_it_is(run, tmp_path):
    run("whole")
    before = parameters(tmp_path / "whole", 3)
    result = run("whole", resume="auto")
    np.testing.assert_equal(parameters(tmp_path / "whole", 3), before)
    assert [row["epoch"] for row in result.fit.history] == [1, 2, 3] and result.score.top1 >= 0


def test_auto_begins_where_there_is_nothing_and_must_refuses(run, tmp_path):
    run("new", resume="auto")
    assert os.path.exists(tmp_path / "new" / "model-0003.params")
    with pytest.raises(InputError, match="resume: expected a run to resume, received run='.*other' without "
                                         "state/state.json; resume auto starts one"):
        run("other", resume="must")
    assert not os.path.exists(tmp_path / "other")


def test_other_settings_are_refused_by_name(run, tmp_path):
    run("one")
    other = dataclasses.replace(RECIPE, learning_rate=0.1, fit=dataclasses.replace(RECIPE.fit, momentum=0.8))
    with pytest.raises(InputError) as refused:
        run("one", other, resume="auto")
    assert str(refused.value) == (
        "resume: expected what the run was started with, received learning_rate=0.1 (it was 0.05), "
        "momentum=0.8 (it was 0.9); give the same, or start again with another run")


def test_epochs_may_grow_but_for_a_cosine_and_not_shrink():
    def asked(epochs, schedule):
        return {"recipe": {"schedule": schedule, "fit": {"epochs": epochs}}}
    refuse_differences(asked(3, "constant"), asked(5, "constant"))
    for before, now, schedule in ((3, 5, "cosine"), (5, 3, "step")):
        with pytest.raises(InputError, match=f"received epochs={now} "):
            refuse_differences(asked(before, schedule), asked(now, schedule))


def test_fields_renamed_since_010_are_the_same():
    before = {"recipe": {"frozen_trunk": True, "freezing": {"trunk_lr_mult": None}}}
    refuse_differences(before, {"recipe": {"frozen_backbone": True, "freezing": {"backbone_lr_mult": None}}})
    with pytest.raises(InputError, match="received frozen_backbone=False"):
        refuse_differences(before, {"recipe": {"frozen_backbone": False}})


def test_a_state_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    state = RunState(str(tmp_path / "state"), {"a": 1})
    state.begin()
    state.stage = 1
    state.save({"epoch": 1}, {"arg:w": mx.nd.ones((2,))})
    monkeypatch.setattr(mx.nd, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Exception, match="state is not saved: expected room in .*, received no space left on device"):
        state.save({"epoch": 2}, {"arg:w": mx.nd.zeros((2,))})
    again = RunState(str(tmp_path / "state"), {"a": 1})
    assert again.load()
    again.stage = 1
    facts, arrays = again.restore()
    assert facts["epoch"] == 1 and arrays["arg:w"].asnumpy().tolist() == [1, 1]
    for held in (again, state):
        held.release()
    assert again.restore() is None and sorted(os.listdir(tmp_path / "state")) == ["1.params", "state.json"]


@pytest.mark.parametrize("text, message", [
    ("{", "which is damaged; start again with another run$"), ("[]", "which is damaged"),
    (json.dumps({"format": 1, "number": "../../x", "stage": 1, "asked": {}}), "which is damaged"),
    (json.dumps({"format": 1, "number": 1, "stage": [], "asked": {}}), "which is damaged"),
    (json.dumps({"format": 1, "number": 1, "stage": 1, "asked": 5}), "which is damaged"),
    (json.dumps({"format": 9, "number": 1, "asked": {}}), "expected format 1, received 9")])
def test_a_damaged_state_is_refused(text, message, tmp_path):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(InputError, match=message):
        RunState(str(tmp_path), {}).load()


@pytest.mark.parametrize("change", [
    lambda facts: facts["epochs"]["history"][0].pop("epoch"), lambda facts: facts.update(epochs=5),
    lambda facts: facts["optimizer"]["numbers"].update(lr="abc"), lambda facts: facts.update(log_bytes=-1),
    lambda facts: facts["optimizer"]["numbers"].update(__class__=1), lambda facts: facts.update(seeds={"layers": "x"}),
    lambda facts: facts["optimizer"].update(counts={"0": {"0": {}}}), lambda facts: facts.update(kept=["/../../mine"]),
    lambda facts: facts["epochs"]["history"][0].update(train_loss=["x"]),
], ids=["history", "epochs", "numbers", "log", "class", "seeds", "counts", "kept", "figure"])
def test_a_state_of_a_stranger_is_refused_and_removes_no_file(change, run, tmp_path):
    run("one", dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, epochs=1)))
    (tmp_path / "one" / "model-").mkdir()
    (tmp_path / "mine.params").write_text("x")
    path = tmp_path / "one" / "state" / "state.json"
    facts = json.loads(path.read_text())
    change(facts)
    write_checked(path, facts)
    (path.parent / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="state: expected what .* damaged"):
        run("one", resume="must")
    assert (tmp_path / "mine.params").exists() and (path.parent / "notes.txt").exists()


def test_an_iterator_goes_to_any_batch_of_any_epoch(data):
    def iterator():
        return RecordIterator(data.train, SPEC, 4, 18, augment=1, shuffle=True, seed=5)
    read, expected = iterator(), []
    for _ in range(3):
        expected.append([batch.data[0].asnumpy() for batch in read])
        read.reset()
    for epoch, batch in ((0, 2), (1, 0), (2, 4)):
        there = iterator()
        there.go_to(epoch, batch)
        for found, value in zip([b.data[0].asnumpy() for b in there], expected[epoch][batch:]):
            np.testing.assert_array_equal(found, value)


def test_a_disk_that_is_full_from_the_beginning_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left")

    monkeypatch.setattr("mxft.training.resume.state.write_checked", fail)
    with pytest.raises(InputError, match="state cannot be written: expected room in .*state, received no space left; "
                                         "make room or choose another folder"):
        RunState(str(tmp_path / "state"), {}).begin()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which, plan", [
    ("val", "full"), pytest.param("train", "two-stage", marks=pytest.mark.long)])
def test_records_that_vanish_between_epochs_and_stages_end_the_run_and_it_goes_on(which, plan, data, run, tmp_path,
                                                                                  monkeypatch):
    recipe = dataclasses.replace(RECIPE, plan=plan)
    whole, path = run("whole", recipe), getattr(data, which)
    original, calls = StagedTraining._records, []

    def then_gone(self, name, *args, **options):
        calls.append(name)
        if calls == {"full": ["train", "val", "val"], "two-stage": ["train", "val", "train"]}[plan]:
            os.rename(path, tmp_path / "kept.rec")
        return original(self, name, *args, **options)
    with monkeypatch.context() as patch:
        patch.setattr(StagedTraining, "_records", then_gone)
        with pytest.raises(RunError, match=rf"^reading .*{which}.rec stopped: expected the file as it was in the "
                                           r"beginning, received one that is gone or was changed; leave .* \(epoch"):
            run("stopped", recipe)
    os.rename(tmp_path / "kept.rec", path)
    run("stopped", recipe, resume="must")
    assert_same(tmp_path / "whole", tmp_path / "stopped", "best", whole.fit.history[-1]["epoch"])
