"""Preparation: what stands between the command and the first batch is done once, and handed on."""
import builtins
import collections
import os

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.data import datasets
from mxft.data.datasets import Records
from mxft.data.labels import scan_labels
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.data.validation import check_records
from mxft.errors import InputError
from mxft.files.whole import sha256
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.training import preparation
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.workflows.finetune import finetune

pytestmark = pytest.mark.usefixtures("quick_figures")

SPEC = InputSpec((3, 8, 8))


@pytest.fixture
def here(tmp_path, monkeypatch, make_checkpoint, make_records):
    """A working directory with a checkpoint ``net,0``, train.rec, val.rec and class folders in photos."""
    def picture(number, label):
        return np.full((10, 10, 3), 60 * label, np.uint8)

    monkeypatch.chdir(tmp_path)
    make_checkpoint(3).save("net", 0)
    make_records("train.rec", [0, 1, 2] * 4, picture)
    make_records("val.rec", [0, 1, 2] * 2, picture)
    for label in range(3):
        os.makedirs(f"photos/class {label}")
        for number in range(3):
            cv2.imwrite(f"photos/class {label}/{number}.png", picture(number, label))
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """How often each step of the preparation is called, and how many bytes of each record file Python reads."""
    counts = collections.Counter()

    def counted(name, function):
        def call(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)
        return call

    for name in ("check_machine", "with_new_head", "with_kept_head", "training_stages"):
        monkeypatch.setattr(preparation, name, counted(name, getattr(preparation, name)))
    for name in ("check_records", "scan_labels"):
        monkeypatch.setattr(datasets, name, counted(name, getattr(datasets, name)))
    real = builtins.open

    def opened(path, *arguments, **options):
        file = real(path, *arguments, **options)
        if str(path).endswith(".rec") and "r" in (arguments[0] if arguments else "r"):
            name = os.path.basename(path)
            read = file.read

            class Counted:
                def __getattr__(self, attribute):
                    return getattr(file, attribute)

                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    file.close()

                def read(self, *size):
                    data = read(*size)
                    counts[name] += len(data)
                    return data
            return Counted()
        return file
    monkeypatch.setattr(builtins, "open", opened)
    return counts


def once(calls, *names):
    return {name: calls[name] for name in names}


STEPS = ("check_machine", "with_new_head", "training_stages")


def test_a_call_prepares_once_and_reads_the_images_once(here, calls):
    finetune("net,0", Records("train.rec", "val.rec"), "run", Recipe(batch_size=4, fit=FitOptions(epochs=1)), SPEC)
    assert once(calls, *STEPS) == dict.fromkeys(STEPS, 1)
    assert calls["scan_labels"] == calls["check_records"] == 2  # of two files
    for name in ("train.rec", "val.rec"):  # and a sample of each at the end, which novelty is judged by
        assert calls[name] < 2.5 * os.path.getsize(name), "once for images and hash, then labels"


def test_the_command_prepares_once(here, calls):
    words = ["finetune", "--model", "net,0", "--plan", "full", "--epochs", "1", "--batch-size", "4",
             "--image-shape", "3,8,8"]
    assert main([*words, "--train", "train.rec", "--run", "records"]) == 0
    assert once(calls, *STEPS) == dict.fromkeys(STEPS, 1)
    calls.clear()
    assert main([*words, "--data", "photos", "--per-class", "2", "--run", "folder"]) == 0
    assert once(calls, *STEPS[:2]) == dict.fromkeys(STEPS[:2], 1), "the network checked before packing is trained"
    calls.clear()
    assert main([*words, "--data", "photos", "--per-class", "2", "--run", "kept", "--require-head"]) == 0
    assert calls["with_kept_head"] == 1 and not calls["with_new_head"]


def test_what_was_checked_for_another_recipe_is_made_anew(here, calls):
    checkpoint, recipe = load_checkpoint("net,0"), Recipe(fit=FitOptions(epochs=1), batch_size=4)
    checked = preparation.check_recipe(recipe, checkpoint, SPEC, num_classes=3)
    ready = preparation.prepare(checkpoint, Records("train.rec"), recipe, SPEC, checked=checked)
    assert ready.network is checked.network and calls["with_new_head"] == 1
    for other in (preparation.check_recipe(recipe, checkpoint, SPEC, num_classes=7),
                  preparation.check_recipe(Recipe(layer="relu0"), checkpoint, SPEC, num_classes=3)):
        ready = preparation.prepare(checkpoint, Records("train.rec"), recipe, SPEC, checked=other)
        assert ready.network is not other.network and ready.network.num_classes == 3


@pytest.mark.parametrize("level", ["fast", "full"])
def test_the_hash_taken_while_images_are_checked_is_the_files(level, here):
    assert check_records(scan_labels("train.rec"), level, show=False) == sha256("train.rec")
    assert check_records(scan_labels("train.rec"), "off") is None
    ready = preparation.prepare(load_checkpoint("net,0"), Records("train.rec", "val.rec", check="off"), Recipe(), SPEC)
    assert ready.hashes == {"train": sha256("train.rec"), "val": sha256("val.rec")}


@pytest.mark.parametrize("data, target, solver, message", [
    (Records("train.rec", num_classes=4), "classes", "ridge", "at least one image of each of 4 classes, received none"),
    (Records("tags.rec", classes=["cat", "photo"]), "multi-label", "logistic", "received 'photo' in all of 6"),
])
def test_records_no_solver_can_make_a_head_of_are_refused_before_the_run_begins(data, target, solver, message, here):
    picture = cv2.imencode(".png", np.zeros((10, 10, 3), np.uint8))[1].tobytes()
    with RecordWriter("tags.rec") as writer:
        for number in range(6):
            writer.write(pack(IRHeader(0, np.array([number % 2, 1], np.float32), number, 0), picture))
    with pytest.raises(InputError, match=message):
        finetune("net,0", data, "run", Recipe("head", target=target, solver=solver), SPEC)
    assert not os.path.exists("run")
