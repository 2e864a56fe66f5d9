"""Every flag of ``mxft finetune`` beside every plan: what is carried out is another training, or the flag is refused.

Nothing is trained: what is compared is what the stages would be given.
"""
import dataclasses

import numpy as np
import pytest

from mxft.cli.finetune import parser
from mxft.commandline.training_options import keeping_from, recipe_from
from mxft.compat import mx
from mxft.data.target_spec import TargetSpec
from mxft.errors import InputError
from mxft.network.checkpoint import Checkpoint
from mxft.options import SOLVERS_OF
from mxft.training.contradictions import refuse_unkept, refuse_unmeasured
from mxft.training.network import with_kept_head, with_new_head, without_parameters
from mxft.training.optimizer import make_initializer, optimizer_arguments
from mxft.training.preparation import check_machine
from mxft.training.staged import stage_schedule
from mxft.training.stages import runs_apart, training_stages

SHAPE, UPDATES = (3, 16, 16), 3
PLANS = {"full": ["--plan", "full"], "head": ["--plan", "head"], "discriminative": ["--plan", "discriminative"],
         "gradual": ["--plan", "gradual"], "two-stage": ["--plan", "two-stage"], "scratch": ["--plan", "scratch"],
         "solved": ["--plan", "head", "--solver", "ridge"],
         "solved, then all": ["--plan", "two-stage", "--solver", "ridge"],
         "kept features": ["--plan", "head", "--cache", "memory"],
         "views": ["--plan", "head", "--solver", "ridge", "--cache", "memory", "--views", "2"]}
# a value other than the default for each flag that says how to train, and what it needs beside it
TYPED = {"layer": ["bn0"], "require_head": [], "initializer": ["zero"], "freeze": ["conv0_*"],
         "freeze_through": ["bn0"], "freeze_by": ["lr_mult"], "bn": ["eval", "train"],
         "backbone_lr_mult": ["0.5"], "head_lr_mult": ["2"],
         "layer_decay": ["0.5"], "head_epochs": ["3"], "head_lr": ["0.5"], "head_optimizer": ["nag"],
         "head_batch_size": ["2"], "unfreeze_epochs": ["2"], "solver": ["svm"], "cache": ["disk"], "views": ["3"],
         "cache_budget": ["1"], "cache_dir": ["here"], "no_frozen_backbone": [], "rewrite": [],
         "label_smoothing": ["0.1"],
         "mixup": ["0.2"], "class_weight": ["balanced"], "oversample": [], "hidden": ["4"], "dropout": ["0.5"],
         "epochs": ["5"], "batch_size": ["6"], "accumulate": ["2"], "lr": ["0.3"], "lr_schedule": ["cosine"],
         "lr_step_epochs": ["1"], "lr_factor": ["0.5"], "warmup_epochs": ["1"], "optimizer": ["nag"], "mom": ["0.5"],
         "wd": ["0.1"], "augment": ["2"], "no_mirror": [], "patience": ["2"], "min_delta": ["0.1"], "seed": ["1"],
         "kv_store": ["local"], "cpus": ["2"], "resume": ["auto"], "save_batches": ["2"], "save_minutes": ["1"],
         "keep_last": ["2"], "keep_every": ["2"]}
BESIDE = {"lr_step_epochs": ["--lr-schedule", "step"], "lr_factor": ["--lr-schedule", "step", "--lr-step-epochs", "1"],
          "dropout": ["--hidden", "4"], "min_delta": ["--patience", "2"], "cache_dir": ["--cache", "disk"],
          "cache_budget": ["--cache", "memory"], "views": ["--cache", "memory"]}
OF_DATA = {"data", "val_fraction", "per_class", "resize", "quality", "keep_records", "exclude", "labels",
           "label_columns", "records", "train", "val", "classes", "num_classes", "multi_label", "regression",
           "check"}  # tests/cli/test_finetune.py
OF_PLACE = {"help", "model", "run", "plan", "tensorboard", "image_shape", "rgb_mean", "rgb_std", "mean_image", "gpus",
            "data_nthreads", "fp16", "precision",  # heard before any plan is; fp16 needs GPUs, precision instructions
            "engine", "device"}
# what says that something is not to be done: true of every training in which it would not be done anyway
FORBIDS = {("no_mirror", "solved"), ("no_mirror", "kept features")}


def test_every_flag_is_in_the_table():
    """A new flag gets a value here, and with it is tried beside every plan."""
    flags = {action.dest for action in parser()._actions}
    assert flags == set(TYPED) | OF_DATA | OF_PLACE, flags ^ (set(TYPED) | OF_DATA | OF_PLACE)


PARSER = parser()


@pytest.fixture(scope="module")
def checkpoint(random_parameters):
    """A network of two resolutions, a convolution and a BatchNorm each, so that every plan has something to do."""
    net = mx.sym.Variable("data")
    for number in range(2):
        net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), stride=(1 + number,) * 2, num_filter=3,
                                 name=f"conv{number}")
        net = mx.sym.Activation(mx.sym.BatchNorm(net, fix_gamma=False, name=f"bn{number}"), act_type="relu",
                                name=f"relu{number}")
    net = mx.sym.Flatten(mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg"), name="flatten0")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=3, name="fc1"), name="softmax")
    return Checkpoint(net, *random_parameters(net, SHAPE))


def carried_out(words, checkpoint, kind="classes", validated=True):
    """Return what a training with these flags would be given, nothing of it that is not used; None where refused."""
    try:
        return _carried_out(words, checkpoint, kind, validated)
    except InputError:
        return None


def _carried_out(words, checkpoint, kind, validated):
    args = PARSER.parse_args(["--model", "net,0", "--run", "run", "--train", "train.rec", *words])
    recipe = recipe_from(args, kind)
    refuse_unkept(recipe, keeping_from(args))
    if recipe.is_solved and not validated:
        refuse_unmeasured(recipe)
    devices = check_machine(recipe, checkpoint, None, args.gpus, args.cpus).devices
    target = TargetSpec(kind, 3)
    network = (with_kept_head(checkpoint, 3, SHAPE, target) if recipe.require_head else
               with_new_head(checkpoint, 3, SHAPE, recipe.layer, recipe.hidden, recipe.head_name, target))
    network = without_parameters(network, SHAPE) if recipe.plan == "scratch" else network
    stages = training_stages(recipe, network.symbol, network.head_parameters, SHAPE)
    given = [network.symbol.tojson(), sorted(network.arg_params), recipe.seed, recipe.oversample,
             recipe.fit.rewrite, len(devices)]
    given += [stage_given(recipe, stage, network) for stage in stages]
    if recipe.solver:
        augmentation = recipe.augmentation() if recipe.cache.view_count > 1 else None
        given += [recipe.solver, recipe.class_weight, whole(recipe.cache), whole(augmentation), recipe.batch_size]
        given += [steps_given(recipe, recipe.fit, recipe.learning_rate)] if validated and not stages else []
    return str([given, whole(keeping_from(args))])


def whole(value):
    """Return all fields of a dataclass; anything else as it is."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def stage_given(recipe, stage, network):
    """Return what a stage of steps is given."""
    apart = runs_apart(recipe, stage, network.symbol)
    return [whole(stage.plan), stage.batch_size, whole(stage.augmentation), stage.from_best, apart,
            whole(recipe.cache) if apart else None, recipe.class_weight,
            steps_given(recipe, stage.fit, stage.learning_rate, stage)]


def steps_given(recipe, options, rate, stage=None):
    """Return what ``fit`` reads of the options, the rate of every update in place of what makes it."""
    schedule = stage_schedule(recipe, stage or dataclasses.make_dataclass("S", ["learning_rate", "fit"])(rate, options),
                              UPDATES)
    arguments = optimizer_arguments(options, schedule)
    del arguments["lr_scheduler"]
    rates = [schedule(update) for update in range(1, options.epochs * UPDATES + 1)]
    initializer = make_initializer(options.initializer).dumps() if stage else None
    return [options.optimizer, arguments, np.round(rates, 9).tolist(), initializer, options.epochs, options.patience,
            options.min_delta, options.label_smoothing, options.mixup, options.accumulate, options.kvstore]


def flag_of(dest):
    return next(action for action in PARSER._actions if action.dest == dest).option_strings[0]


def unheard(plan, checkpoint, kind="classes", validated=True):
    """Return the flags that are neither heard beside a plan nor refused, whatever their value."""
    found, plain = [], {}
    for dest, values in TYPED.items():
        words = [SOLVERS_OF.get(kind, "ridge") if word == "ridge" else word for word in PLANS[plan]]
        base = (*words, *(BESIDE.get(dest, ()) if plan != "views" else ()))
        if base not in plain:
            plain[base] = carried_out(base, checkpoint, kind, validated)
        typed = [[flag_of(dest), value] for value in values] or [[flag_of(dest)]]
        told = [carried_out([*base, *words], checkpoint, kind, validated) for words in typed]
        if plain[base] and set(told) == {plain[base]} and (dest, plan) not in FORBIDS:
            found.append(flag_of(dest))
    return found


def of_each(plans, quick):
    """Return plans to parametrize by, those that are not quick left to `make test-long`."""
    return [plan if plan in quick else pytest.param(plan, marks=pytest.mark.long) for plan in plans]


@pytest.mark.parametrize("plan", of_each(PLANS, ("full", "solved", "solved, then all")))
def test_every_flag_is_heard_beside_every_plan_or_refused(plan, checkpoint):
    assert unheard(plan, checkpoint) == []


@pytest.mark.parametrize("kind", of_each(["multi-label", "regression"], ("multi-label",)))
@pytest.mark.parametrize("plan", of_each(["full", "solved"], ("solved",)))
def test_of_labels_and_numbers_too(plan, kind, checkpoint):
    assert unheard(plan, checkpoint, kind) == []


@pytest.mark.parametrize("plan", of_each(["solved", "views"], ("solved",)))
def test_without_validation_a_solver_is_told_nothing_of_steps(plan, checkpoint):
    assert unheard(plan, checkpoint, validated=False) == []
