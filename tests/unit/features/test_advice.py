"""The four cases of seed text and CS231n: few or many, similar or not."""
import pytest

from mxft.cli.finetune import parser, recipe_from
from mxft.commandline.data_options import target_kind
from mxft.errors import InputError
from mxft.features.advice import advise, is_small


@pytest.mark.parametrize("images, classes, similar, case, flags", [
    (500, 10, True, 1, "--plan head --solver logistic"), (100_000, 10, True, 2, "--plan two-stage"),
    (500, 10, False, 3, "--plan head --solver logistic --cache memory --views 8 --layer"),
    (100_000, 10, False, 4, "--plan full"),
])
def test_the_four_cases(images, classes, similar, case, flags):
    advice = advise(images, classes, similar)
    assert advice.case == case and advice.flags.startswith(flags)


@pytest.mark.parametrize("images, classes, small", [(999, 2, True), (1000, 50, False), (1000, 51, True)])
def test_small_is_under_1000_images_or_20_a_class(images, classes, small):
    assert is_small(images, classes) is small


@pytest.mark.parametrize("images, similar", [(500, True), (500, False), (10**6, True), (10**6, False)])
def test_the_command_is_one_that_finetune_takes(images, similar):
    flags = advise(images, 10, similar, layer="relu3").flags.split()
    recipe = recipe_from(parser().parse_args(["--model", "net,0", "--data", "photos", "--run", "run", *flags]))
    assert recipe.plan == flags[1] and (recipe.layer == "relu3") == (images == 500 and not similar)


@pytest.mark.parametrize("images, classes, message", [
    (10, 1, "advice: expected at least 2 classes, received classes=1"),
    (3, 4, "advice: expected at least one image a class, received images=3 of classes=4"),
])
def test_numbers_that_cannot_be_are_refused(images, classes, message):
    with pytest.raises(InputError, match=message):
        advise(images, classes, True)


@pytest.mark.parametrize("images, similar, target, solver", [
    (500, True, "multi-label", "logistic"), (10**6, True, "multi-label", "logistic"),
    (500, True, "regression", "ridge"), (10**6, False, "regression", None), (10**6, True, "regression", "ridge")])
def test_the_command_for_labels_and_numbers_is_one_that_finetune_takes(images, similar, target, solver):
    advice = advise(images, 1, similar, target=target)
    words = ["--model", "net,0", "--data", "photos", "--labels", "table.csv", "--run", "run", *advice.flags.split()]
    args = parser().parse_args(words)
    recipe = recipe_from(args, target_kind(args))
    assert (recipe.target, recipe.solver) == (target, solver)
    assert target == "multi-label" or recipe.fit.optimizer == ("sgd" if "head" in advice.flags else "adam")


@pytest.mark.parametrize("images, similar", [(500, True), (500, False), (10**6, True), (10**6, False)])
def test_uneven_classes_weigh_the_same(images, similar):
    assert "class_weight" not in advise(images, 10, similar, layer="relu3", ratio=9.9).settings
    advice = advise(images, 10, similar, layer="relu3", ratio=333.3)
    assert "The largest class has 333 times the images of the smallest" in advice.reason
    recipe = recipe_from(parser().parse_args(["--model", "net,0", "--data", "photos", "--run", "run",
                                              *advice.flags.split()]))
    assert recipe.class_weight == "balanced"
    assert "class_weight" not in advise(images, 10, similar, layer="relu3", target="multi-label", ratio=333.3).settings
