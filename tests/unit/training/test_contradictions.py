"""Settings that contradict each other: refused by the values themselves, and by the command with the same reason."""
import dataclasses
import os

import numpy as np
import pytest

from mxft.cli import main
from mxft.command.flags import as_flags
from mxft.data.augmentation import Augmentation
from mxft.data.datasets import Records
from mxft.errors import InputError
from mxft.features.store import CacheOptions
from mxft.freeze import FreezeOptions
from mxft.network.input_spec import InputSpec
from mxft.options import Keeping
from mxft.surgery import Dense
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.stages import HeadStage
from mxft.workflows.finetune import finetune

HEAD, MEMORY = {"plan": "head"}, CacheOptions("memory")
SOLVED = {**HEAD, "solver": "ridge"}

# What is typed, the same in Python, and what both say: of the command its flags, of Python its fields.
VALUES = [
    ("--lr-factor 0.1", lambda: Recipe(lr_factor=0.1), "lr_factor: expected schedule='step' beside it"),
    ("--lr-factor 0.5 --lr-schedule cosine", lambda: Recipe(lr_factor=0.5, schedule="cosine"), "lr_factor: expected"),
    ("--lr-step-epochs 1", lambda: Recipe(lr_steps=[1.0]), "lr_steps: expected schedule='step' beside it"),
    ("--lr-schedule step", lambda: Recipe(schedule="step"), "step schedule: expected growing epochs as lr_steps"),
    ("--min-delta 0", lambda: FitOptions(min_delta=0.0), "min_delta: expected patience beside it"),
    ("--plan heads", lambda: Recipe(plan="heads"), "plan: expected one of full, head"),
    ("--head-epochs 2", lambda: Recipe(head_stage=HeadStage(2)), "head_stage.epochs: expected plan='two-stage' or "),
    ("--plan head --head-lr 0.1", lambda: Recipe(**HEAD, head_stage=HeadStage(learning_rate=0.1)),
     "head_stage.learning_rate: expected plan='two-stage'"),
    ("--plan full --head-optimizer adam", lambda: Recipe(head_stage=HeadStage(optimizer="adam")),
     "head_stage.optimizer: expected plan='two-stage'"),
    ("--plan scratch --head-batch-size 4", lambda: Recipe("scratch", head_stage=HeadStage(batch_size=4)),
     "head_stage.batch_size: expected plan='two-stage'"),
    ("--plan two-stage --solver ridge --head-epochs 3",
     lambda: Recipe("two-stage", solver="ridge", head_stage=HeadStage(3)),
     "head_stage.epochs: expected no solver beside it"),
    ("--plan two-stage --unfreeze-epochs 1", lambda: Recipe("two-stage", unfreeze_epochs=1),
     "unfreeze_epochs: expected plan='gradual' beside it"),
    ("--backbone-lr-mult 0.1", lambda: Recipe(freezing=FreezeOptions(backbone_lr_mult=0.1)),
     "freezing.backbone_lr_mult: expected plan='discriminative' or plan='two-stage' beside it"),
    ("--plan head --head-lr-mult 1", lambda: Recipe(**HEAD, freezing=FreezeOptions(head_lr_mult=1.0)),
     "freezing.head_lr_mult: expected"),
    ("--plan gradual --layer-decay 0.5", lambda: Recipe("gradual", freezing=FreezeOptions(layer_decay=0.5)),
     "freezing.layer_decay: expected"),
    ("--plan scratch --freeze conv0_*", lambda: Recipe("scratch", freezing=FreezeOptions(("conv0_*",))),
     "plan scratch: expected nothing to freeze"),
    ("--plan scratch --freeze-through bn0", lambda: Recipe("scratch", freezing=FreezeOptions(through="bn0")),
     "plan scratch: expected nothing to freeze"),
    ("--plan scratch --require-head", lambda: Recipe("scratch", require_head=True),
     "require_head: expected a plan that loads the checkpoint, received plan='scratch'"),
    ("--require-head --hidden 8", lambda: Recipe(require_head=True, hidden=(Dense(8),)),
     "require_head: expected no hidden beside it"),
    ("--require-head --layer flatten0", lambda: Recipe(require_head=True, layer="flatten0"),
     "require_head: expected no layer beside it"),
    ("--require-head --initializer zero", lambda: Recipe(require_head=True, fit=FitOptions(initializer="zero")),
     "require_head: expected no fit.initializer beside it"),
    ("--require-head --plan head --solver ridge", lambda: Recipe(**SOLVED, require_head=True),
     "require_head: expected no solver beside it"),
    ("--solver ridge", lambda: Recipe(solver="ridge"), "solver: expected plan='head' or plan='two-stage' beside it"),
    ("--plan head --solver ridge --hidden 8", lambda: Recipe(**SOLVED, hidden=(Dense(8),)),
     "solver: expected a head of one layer"),
    ("--plan head --solver ridge --freeze-by lr_mult",
     lambda: Recipe(**SOLVED, freezing=FreezeOptions(method="lr_mult")),
     "solver: expected freezing.method='fixed' beside it"),
    ("--plan head --solver ridge --mixup 0.2", lambda: Recipe(**SOLVED, fit=FitOptions(mixup=0.2)),
     "mixup: expected a head that learns by steps"),
    ("--plan head --solver ridge --label-smoothing 0.1", lambda: Recipe(**SOLVED, fit=FitOptions(label_smoothing=0.1)),
     "label_smoothing: expected a head that learns by steps"),
    ("--plan head --solver imprint --class-weight balanced",
     lambda: Recipe(**{**SOLVED, "solver": "imprint"}, class_weight="balanced"),
     "class_weight: expected a solver that weighs images, received solver='imprint'"),
    ("--plan head --solver ridge --class-weight 1,0", lambda: Recipe(**SOLVED, class_weight=(1.0, 0.0)),
     "class_weight: expected numbers above 0, received class_weight=(1.0, 0.0) beside solver='ridge'"),
    ("--plan head --solver ridge --no-frozen-backbone", lambda: Recipe(**SOLVED, frozen_backbone=False),
     "frozen_backbone: expected a head that learns by steps"),
    ("--plan two-stage --solver ridge --bn train", lambda: Recipe("two-stage", solver="ridge", batch_norm="train"),
     "batch_norm: expected batch_norm='eval', by which an image has the same features in every batch, received"),
    ("--plan head --solver ridge --augment 2", lambda: Recipe(**SOLVED, augment=2), "augment: expected cache.mode"),
    ("--plan head --solver ridge --initializer zero", lambda: Recipe(**SOLVED, fit=FitOptions(initializer="zero")),
     "fit.initializer: expected a head that learns by steps, received solver='ridge'"),
    ("--plan two-stage --layer-decay 0.5 --optimizer ftrl",
     lambda: Recipe("two-stage", freezing=FreezeOptions(layer_decay=0.5), fit=FitOptions(optimizer="ftrl")),
     "plan discriminative by learning rates: expected an optimizer that uses them, received optimizer='ftrl'"),
    ("--plan gradual --freeze-by lr_mult --head-optimizer AdaDelta",
     lambda: Recipe("gradual", freezing=FreezeOptions(method="lr_mult"), head_stage=HeadStage(optimizer="AdaDelta")),
     "plan head by learning rates: expected an optimizer that uses them, received head_stage.optimizer='AdaDelta'"),
    ("--plan discriminative --backbone-lr-mult 0 --layer-decay 0.5",
     lambda: Recipe("discriminative", freezing=FreezeOptions(backbone_lr_mult=0.0, layer_decay=0.5)),
     "freezing.layer_decay: expected a backbone that trains, received freezing.backbone_lr_mult=0.0"),
    ("--cache-budget 2", lambda: CacheOptions(budget_bytes=2 << 30), "cache.budget_bytes: expected cache.mode="),
    ("--views 4", lambda: CacheOptions(views=4), "cache.views: expected cache.mode='memory' or cache.mode='disk'"),
    ("--cache-dir here", lambda: CacheOptions(folder="here"), "cache.folder: expected cache.mode='disk' beside it"),
    ("--plan head --cache memory --cache-dir here", lambda: CacheOptions("memory", "here"),
     "cache.folder: expected cache.mode='disk' beside it"),
    ("--plan head --cache memory --no-frozen-backbone", lambda: Recipe(**HEAD, cache=MEMORY, frozen_backbone=False),
     "cache.mode: expected a frozen backbone that runs separately"),
    ("--plan head --cache memory --freeze-by lr_mult",
     lambda: Recipe(**HEAD, cache=MEMORY, freezing=FreezeOptions(method="lr_mult")),
     "cache.mode: expected freezing.method='fixed' beside it"),
    ("--plan head --cache disk --mixup 0.2", lambda: Recipe(**HEAD, cache=CacheOptions("disk"),
                                                            fit=FitOptions(mixup=0.2)),
     "cache.mode: expected mixup=0 beside it"),
    ("--plan scratch --cache memory", lambda: Recipe("scratch", cache=MEMORY),
     "cache.mode: expected a plan with a frozen backbone, received plan='scratch'"),
    ("--plan head --cache memory --views 3 --augment 0",
     lambda: Recipe(**HEAD, cache=CacheOptions("memory", views=3), augment=0), "cache.views: expected an augment that"),
    ("--oversample --class-weight balanced", lambda: Recipe(oversample=True, class_weight="balanced"),
     "oversample: expected no class_weight='balanced' beside it"),
]
# What a network has to be asked for: `finetune` is what both go through.
NETWORKS = [
    ("--cache memory", lambda: Recipe(cache=MEMORY), "cache.mode: expected a plan that freezes everything"),
    ("--plan discriminative --cache memory", lambda: Recipe("discriminative", cache=MEMORY), "cache.mode: expected"),
    ("--freeze-by lr_mult", lambda: Recipe(freezing=FreezeOptions(method="lr_mult")),
     "freezing.method: expected something to freeze, received freezing.method='lr_mult' with plan='full'"),
    ("--plan head --freeze conv0_*", lambda: Recipe(**HEAD, freezing=FreezeOptions(("conv0_*",))),
     "freezing.patterns: expected parameters that training would move, received freezing.patterns=('conv0_*',)"),
    ("--plan head --freeze-through bn0", lambda: Recipe(**HEAD, freezing=FreezeOptions(through="bn0")),
     "freezing.through: expected parameters that training would move, received freezing.through='bn0' beside plan="),
    ("--plan head --solver ridge --freeze *_bias", lambda: Recipe(**SOLVED, freezing=FreezeOptions(("*_bias",))),
     "freezing.patterns: expected parameters that training would move, received freezing.patterns=('*_bias',)"),
    ("--no-frozen-backbone", lambda: Recipe(frozen_backbone=False),
     "frozen_backbone: expected a plan with a frozen backbone, received frozen_backbone=False with plan='full'"),
    ("--plan head --solver ridge --lr 0.1", lambda: Recipe(**SOLVED, learning_rate=0.1),
     "learning_rate: expected a head that learns by steps, or images for validation, on which SGD is measured beside"),
    ("--plan head --solver ridge --patience 2", lambda: Recipe(**SOLVED, fit=FitOptions(patience=2)),
     "patience: expected a head that learns by steps, or images for validation, on which SGD is measured beside"),
    ("--optimizer adam --mom 0.9", lambda: Recipe(fit=FitOptions(optimizer="adam", momentum=0.9)),
     "optimizer adam: expected no momentum"),
    ("--warmup-epochs 8", lambda: Recipe(warmup_epochs=8.0), "warm-up: expected at least 0 and fewer than 8 epochs"),
    ("--lr-schedule step --lr-step-epochs 9", lambda: Recipe(schedule="step", lr_steps=(9.0,)),
     "step schedule: expected growing epochs between 0 and 8"),
]


@pytest.fixture
def here(tmp_path, monkeypatch, make_checkpoint, make_records):
    """A working directory with a checkpoint ``net,0`` with a BatchNorm, and ``train.rec``."""
    monkeypatch.chdir(tmp_path)
    make_checkpoint(3).save("net", 0)
    make_records("train.rec", [0, 1, 2] * 2, lambda *_: np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def told_by_the_command(words, capsys):
    """Return what ``mxft finetune`` refuses `words` with."""
    status = main(["finetune", "--plan", "full", "--model", "net,0", "--train", "train.rec", "--run", "run",
                   "--image-shape", "3,8,8", *words.split()])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1), (status, out, err)
    assert not os.path.exists("run")
    return err[len("mxft finetune: "):-1]


@pytest.mark.parametrize("words, make, message", VALUES, ids=[row[0] for row in VALUES])
def test_a_contradiction_is_refused_by_the_value_and_by_the_command(words, make, message, here, capsys):
    with pytest.raises(InputError) as refused:
        make()
    assert str(refused.value).startswith(message) and "`" not in str(refused.value) and "--" not in str(refused.value)
    assert told_by_the_command(words, capsys) == as_flags(refused.value.message)


@pytest.mark.parametrize("words, make, message", NETWORKS, ids=[row[0] for row in NETWORKS])
def test_what_a_network_shows_to_contradict_is_refused_alike(words, make, message, here, capsys):
    recipe = make()
    with pytest.raises(InputError) as refused:
        finetune("net,0", Records("train.rec"), "run", recipe, InputSpec((3, 8, 8)))
    assert str(refused.value).startswith(message) and "--" not in str(refused.value)
    assert told_by_the_command(words, capsys) == as_flags(refused.value.message)


def test_a_refusal_names_fields_in_python_and_flags_in_the_command(here, capsys):
    with pytest.raises(InputError) as refused:
        Recipe(**HEAD, cache=MEMORY, freezing=FreezeOptions(method="lr_mult"))
    assert str(refused.value) == ("cache.mode: expected freezing.method='fixed' beside it, received freezing.method="
                                  "'lr_mult', which computes the backbone's gradients for every batch")
    assert told_by_the_command("--plan head --cache memory --freeze-by lr_mult", capsys) == (
        "--cache: expected --freeze-by fixed beside it, received freeze-by='lr_mult', which computes the backbone's "
        "gradients for every batch")


@pytest.mark.parametrize("make, message", [
    (lambda: FitOptions(epochs=0), "epochs: expected a whole number of at least 1, received epochs=0"),
    (lambda: FitOptions(epochs=2.0), "epochs: expected a whole number"),
    (lambda: FitOptions(epochs=True), "received epochs=True"),
    (lambda: FitOptions(momentum=1), "momentum: expected a number of at least 0 and below 1"),
    (lambda: FitOptions(wd=float("nan")), "received wd=nan"), (lambda: FitOptions(mixup="a"), "received mixup='a'"),
    (lambda: FitOptions(kvstore="devcie"), "received kvstore='devcie'; nearest: device"),
    (lambda: FitOptions(fp16=1), "fp16: expected True or False, received fp16=1"),
    (lambda: FitOptions(optimizer_params={"learning_rate": 1}), "the setting for that is learning_rate"),
    (lambda: FitOptions(momentum=0.9, optimizer_params={"momentum": 0.5}), "the setting for that is momentum"),
    (lambda: HeadStage(0), "head_stage.epochs: expected a whole number of at least 1, received head_stage.epochs=0"),
    (lambda: Keeping(last=0), "keeping.last: expected a whole number of at least 1, received keeping.last=0"),
    (lambda: Keeping(resume="yes"), "received keeping.resume='yes'"), (lambda: Keeping(state_minutes=-1), "=-1"),
    (lambda: FreezeOptions("conv0_*"), "freezing.patterns: expected a tuple"),
    (lambda: CacheOptions("ram"), "received cache.mode='ram'"), (lambda: CacheOptions("disk", budget_bytes=0), "=0"),
    (lambda: Recipe(batch_size=-1), "received batch_size=-1"),
    (lambda: FitOptions(class_weights="balanced"), "class_weights: expected a tuple, each a number of at least 0"),
    (lambda: FitOptions(class_weights=(1, float("nan"))), "class_weights: expected a tuple"),
    (lambda: FitOptions(optimizer_params=None), "optimizer_params: expected a dict"),
    (lambda: FitOptions(initializer=3), "initializer: expected a name or an mx.init.Initializer, received initial"),
    (lambda: Recipe(class_weight=()), "class_weight: expected 'balanced' or a number for each class, received class_"),
    (lambda: Recipe(class_weight=(1, 2), fit=FitOptions(class_weights=(1, 2))), "fit.class_weights: expected no "),
    (lambda: Recipe(**SOLVED, fit=FitOptions(class_weights=(1, 0))), "class_weight: expected numbers above 0"),
    (lambda: Recipe(**HEAD, cache=CacheOptions("memory", views=2), mirror=False,
                    augment=Augmentation(rand_mirror=True)),
     "cache.views: expected an augment that changes images at random"),
    (lambda: Recipe(augment=True), "received augment=True"), (lambda: Recipe(augment=4), "received augment=4"),
    (lambda: Recipe(learning_rate=-1), "received learning_rate=-1"), (lambda: Recipe(hidden=(8,)), "a mxft.surgery.D"),
    (lambda: Recipe(class_weight="balancd"), "class_weight: expected 'balanced' or a number for each class"),
    (lambda: Recipe(batch_norm="frozen"), "received batch_norm='frozen'"), (lambda: Recipe(solver="rigde"), "ridge"),
    (lambda: Recipe("two-stage", second_plan="full", freezing=FreezeOptions(layer_decay=0.5)),
     "freezing.layer_decay: expected second_plan='discriminative' beside it"),
    (lambda: Recipe(require_head=True, head_name="fc9"), "require_head: expected no head_name beside it"),
    (lambda: Recipe(oversample=True, fit=FitOptions(kvstore="dist_sync")), "oversample: expected a kvstore of one"),
    (lambda: Recipe(**HEAD, cache=MEMORY, fit=FitOptions(kvstore="dist_async")), "cache.mode: expected a kvstore of "),
])
def test_values_out_of_range_are_refused_by_name(make, message):
    with pytest.raises(InputError) as refused:
        make()
    assert message in str(refused.value)


def test_numbers_of_numpy_are_taken_as_pythons_own():
    recipe = Recipe(learning_rate=np.float32(0.5), batch_size=np.int64(4), lr_steps=np.array([1, 2]), schedule="step",
                    seed=np.uint8(3), oversample=np.bool_(True), class_weight=np.array([1.0, 2.0]),
                    fit=FitOptions(epochs=np.int32(3), wd=np.float64(0.1), accumulate=np.int64(2)))
    found = [recipe.learning_rate, recipe.batch_size, recipe.lr_steps, recipe.seed, recipe.oversample,
             recipe.class_weight, recipe.fit.epochs, recipe.fit.wd, recipe.fit.accumulate]
    assert found == [0.5, 4, (1, 2), 3, True, (1.0, 2.0), 3, 0.1, 2]
    assert [type(value) for value in found] == [float, int, tuple, int, bool, tuple, int, float, int]
    assert type(recipe.lr_steps[0]) is int and type(recipe.class_weight[0]) is float
    assert CacheOptions("memory", views=np.int64(2)).views == 2 and HeadStage(np.int64(1)).epochs == 1


def test_a_recipe_may_be_changed_into_another():
    """What is not given stays not given: no default of the first plan stands in the way of the second."""
    for before, after in ((Recipe("two-stage"), HEAD), (Recipe(schedule="step", lr_steps=(1,)),
                                                        {"schedule": "cosine", "lr_steps": ()}),
                          (Recipe(**HEAD, cache=CacheOptions("disk")), {"cache": MEMORY})):
        assert dataclasses.replace(before, **after) == dataclasses.replace(Recipe(), **{
            **{field.name: getattr(before, field.name) for field in dataclasses.fields(before)}, **after})
