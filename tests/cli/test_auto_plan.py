"""``mxft finetune`` where nobody says how to train: what suits the pictures, chosen and said."""
import json

import pytest

from mxft.cli import main
from mxft.cli.finetune import parser
from mxft.commandline.auto_plan import takes_auto
from mxft.errors import InputError
from tests.support.images import levelled, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")

SHAPE = ["--image-shape", "3,16,16", "--rgb-mean", "90,90,90", "--rgb-std", "60,60,60"]


@pytest.fixture
def here(here, make_checkpoint, make_records):
    """``net,0`` of 3 classes, photos/ of 3 classes and records of the same."""
    make_checkpoint(3).save("net", 0)
    write_classes("photos", [f"class {label}" for label in range(3)], 6, levelled)
    make_records("train.rec", [0, 1, 2] * 6, levelled)
    make_records("val.rec", [0, 1, 2] * 2, levelled)
    return here


def finetune(*words):
    return main(["finetune", "--model", "net,0", "--run", "run", *SHAPE, *words])


def recipe_of(run="run"):
    with open(f"{run}/log.jsonl") as f:
        return json.loads(f.readline())["recipe"]


@pytest.mark.parametrize("data", [["--data", "photos"], ["--train", "train.rec", "--val", "val.rec"]])
def test_few_pictures_get_a_solved_head_and_the_reason_is_said(here, capsys, data):
    assert finetune(*data) == 0
    out = capsys.readouterr().out
    assert out.startswith("plan auto: ") and "images of 3 classes" in out.split("\n")[2]
    assert "a linear classifier on the last layer's features has a top-1 of " in out
    recipe = recipe_of()
    assert f"--plan {recipe['plan']} --solver logistic" in out
    assert recipe["plan"] == "head" and recipe["solver"] == "logistic" and recipe["cache"]["mode"] == "memory"


@pytest.mark.parametrize("data", ["folder", "records"])
def test_uneven_classes_weigh_the_same(here, make_records, capsys, data):
    write_classes("uneven", ["many"], 40, levelled)
    write_classes("uneven", ["rare"], 3, lambda number, label: levelled(number, 2))
    make_records("uneven.rec", [0] * 40 + [1] * 3, levelled)
    words = ["--data", "uneven"] if data == "folder" else ["--train", "uneven.rec", "--val", "uneven.rec"]
    assert finetune(*words) == 0
    out = capsys.readouterr().out
    assert "--class-weight balanced" in out and "The largest class has 13 times the images of the smallest" in out
    weights = recipe_of()["fit"]["class_weights"]
    assert weights[1] > 10 * weights[0] and "head: fitted by the solver logistic" in out


def test_too_few_to_probe_are_taken_to_be_like_those_it_was_trained_on(here, capsys):
    write_classes("small", ["a", "b"], 2, levelled)
    assert finetune("--data", "small") == 0
    assert "layers were not probed (similarity: expected at least 3 images of every class" in capsys.readouterr().out


@pytest.mark.parametrize("words, auto, plan", [
    ([], True, "full"), (["--plan", "auto"], True, "full"), (["--epochs", "3", "--lr", "0.01"], True, "full"),
    (["--plan", "head"], False, "head"), (["--mixup", "0.2"], False, "full"), (["--require-head"], False, "full"),
    (["--plan", "two-stage", "--solver", "ridge"], False, "two-stage"),
])
def test_when_a_plan_is_chosen(words, auto, plan):
    argv = ["--model", "net,0", "--run", "run", "--data", "photos", *words]
    args = parser().parse_args(argv)
    assert (takes_auto(parser, argv, args), args.plan) == (auto, plan)


def test_settings_of_training_by_steps_get_a_plan_that_hears_them(here, capsys):
    assert finetune("--data", "photos", "--epochs", "2", "--lr", "0.02") == 0
    recipe = recipe_of()
    assert (recipe["plan"], recipe["fit"]["epochs"], recipe["learning_rate"]) in (("two-stage", 2, 0.02),
                                                                               ("full", 2, 0.02))
    assert recipe["batch_size"] == 8, "of 15 images"


def test_auto_beside_a_flag_of_a_plan_of_ones_own_is_refused(here, capsys):
    assert finetune("--data", "photos", "--plan", "auto", "--solver", "ridge") == 2
    assert "--plan auto: expected no --solver beside it, received both" in capsys.readouterr().err
    with pytest.raises(InputError, match="expected no --class-weight beside it"):
        argv = ["--model", "a", "--run", "b", "--plan", "auto", "--class-weight", "balanced"]
        takes_auto(parser, argv, parser().parse_args(argv))


def test_what_cannot_be_trained_is_refused_before_a_plan_is_chosen(here, capsys):
    make_empty = here / "bad.rec"
    make_empty.write_bytes(b"")
    for words, message in ((["--train", "bad.rec"], "no records"), (["--data", "photos", "--lr-schedule", "step"],
                                                                   "--lr-step-epochs")):
        assert finetune(*words) == 2
        out, err = capsys.readouterr()
        assert out == "" and message in err
