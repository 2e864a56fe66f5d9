"""A run folder: never an old one, always a whole checkpoint in it, and a log that can be read the day after."""
import json
import os

import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.training.run import RunFolder, free_folder, read_log, require_free


@pytest.fixture
def checkpoint(make_checkpoint):
    return make_checkpoint()


def folder_of(path, checkpoint, **arguments):
    return RunFolder(str(path), checkpoint.symbol, {"classes": ["a", "b", "c"]}, **arguments)


def epochs_in(path):
    return sorted(name for name in os.listdir(path) if name.endswith(".params"))


def save(folder, checkpoint, *epochs):
    for epoch in epochs:
        folder.save(epoch, checkpoint.arg_params, checkpoint.aux_params, {"val_top1": 0.5})


def test_a_used_folder_is_refused_with_the_next_free_name(tmp_path, checkpoint):
    run = tmp_path / "mine"
    assert free_folder(str(run)) == str(run)
    save(folder_of(run, checkpoint), checkpoint, 1)
    before = sorted(os.listdir(run))
    with pytest.raises(InputError, match=f"run folder: expected a new or empty folder, received run='{run}' with 3 "
                                         f"files; try run='{run}-2'$"):
        folder_of(run, checkpoint)
    assert sorted(os.listdir(run)) == before
    (tmp_path / "mine-2").mkdir()
    (tmp_path / "mine-2" / "log.jsonl").write_text("")
    with pytest.raises(InputError, match=f"try run='{run}-3'$"):
        folder_of(run, checkpoint)


def test_an_empty_folder_is_taken(tmp_path, checkpoint):
    (tmp_path / "empty").mkdir()
    assert folder_of(tmp_path / "empty", checkpoint).path == str(tmp_path / "empty")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, checkpoint):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to .*/file/run"):
        folder_of(tmp_path / "file" / "run", checkpoint)


def test_the_last_epochs_file_goes_once_the_new_one_stands(tmp_path, checkpoint, monkeypatch):
    folder = folder_of(tmp_path / "run", checkpoint)
    unlink, stood = os.unlink, []

    def watched(path):
        stood.append(epochs_in(folder.path))
        unlink(path)

    monkeypatch.setattr(os, "unlink", watched)
    save(folder, checkpoint, 1, "best", 2, 3)
    assert epochs_in(folder.path) == ["model-0003.params", "model-best.params"]
    assert stood == [["model-0001.params", "model-0002.params", "model-best.params"],
                     ["model-0002.params", "model-0003.params", "model-best.params"]]


def test_every_nth_epoch_is_kept(tmp_path, checkpoint):
    folder = folder_of(tmp_path / "run", checkpoint, keep_every=2)
    save(folder, checkpoint, *range(1, 6), "interrupted")
    assert epochs_in(folder.path) == ["model-0002.params", "model-0004.params", "model-0005.params",
                                      "model-interrupted.params"]
    assert sorted(load_checkpoint(f"{folder.prefix},5").manifest["metrics"]) == ["2", "4", "5", "interrupted"]


def test_what_is_saved_is_the_users_graph_with_manifest_and_metrics(tmp_path, checkpoint):
    folder = folder_of(tmp_path / "run", checkpoint)
    name = folder.save("best", checkpoint.arg_params, checkpoint.aux_params, {"val_top1": 0.75})
    assert name == f"{folder.prefix},best"
    again = load_checkpoint(str(tmp_path / "run"))
    assert Graph(again.symbol).nodes == Graph(checkpoint.symbol).nodes
    assert again.manifest == {"classes": ["a", "b", "c"], "metrics": {"best": {"val_top1": 0.75}}}


def test_parameters_that_are_not_finite_leave_the_last_epoch_standing(tmp_path, checkpoint):
    folder = folder_of(tmp_path / "run", checkpoint)
    save(folder, checkpoint, 1)
    broken = {**checkpoint.arg_params, "fc1_bias": mx.nd.array([1, float("nan"), 1])}
    with pytest.raises(RunError, match="NaN or infinity in fc1_bias"):
        folder.save(2, broken, checkpoint.aux_params, {})
    assert epochs_in(folder.path) == ["model-0001.params"]
    save(folder, checkpoint, 3)
    assert epochs_in(folder.path) == ["model-0003.params"]


def test_metrics_of_what_was_never_saved_are_not_in_the_manifest(tmp_path, checkpoint):
    folder = folder_of(tmp_path / "run", checkpoint)
    broken = {**checkpoint.arg_params, "fc1_bias": mx.nd.array([1, float("nan"), 1])}
    with pytest.raises(RunError):
        folder.save(1, broken, checkpoint.aux_params, {"val_top1": 0.1})
    save(folder, checkpoint, 2)
    assert list(load_checkpoint(f"{folder.prefix},2").manifest["metrics"]) == ["2"]


def test_the_log_is_one_json_object_a_line_and_forgives_a_half_written_last_one(tmp_path, checkpoint):
    folder = folder_of(tmp_path / "run", checkpoint)
    folder.log("start", model="Käse,0")
    folder.log("epoch", epoch=1, train_loss=0.5)
    with open(folder.file("log.jsonl"), "a", encoding="utf-8") as f:
        f.write('{"event": "epoch", "ep')
    assert read_log(folder.file("log.jsonl")) == [{"event": "start", "model": "Käse,0"},
                                                  {"event": "epoch", "epoch": 1, "train_loss": 0.5}]


def test_a_json_file_of_the_run_is_whole(tmp_path, checkpoint):
    folder = folder_of(tmp_path / "run", checkpoint)
    folder.write_json("transfer.json", {"counts": {"new": 2}})
    with open(folder.file("transfer.json"), encoding="utf-8") as f:
        assert json.load(f) == {"counts": {"new": 2}}


def test_a_file_in_the_place_of_a_run_folder_is_taken(tmp_path):
    (tmp_path / "run").write_text("")
    (tmp_path / "run-2").write_text("")
    assert free_folder(str(tmp_path / "run")) == str(tmp_path / "run-3")
    with pytest.raises(InputError, match="expected a new or empty folder, received run=.*, which is a file"):
        require_free(str(tmp_path / "run"))
