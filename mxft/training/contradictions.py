"""What of a recipe contradicts what: a setting without the one it belongs to, or beside one that leaves it no effect.

Each rule is one line of a table, in the order they are asked; `mxft.training.recipe.Recipe` goes through them when it
is made, so that a command, a notebook and a recipe get the same answer. What only a network can tell, the stages
refuse (`mxft.training.stages`).
"""
from mxft.errors import InputError
from mxft.options import SOLVERS_OF, TARGETS, FitOptions, Keeping, check_plan
from mxft.settings import default_of

_HEAD_STAGE = ("epochs", "learning_rate", "optimizer", "batch_size")
_STEPS = ("learning_rate", "schedule", "warmup_epochs")
_STEPS_OF_FIT = ("epochs", "optimizer", "momentum", "wd", "patience", "accumulate", "fp16", "kvstore")


def refuse_contradictions(recipe):
    """Refuse (InputError) the first contradiction of a Recipe: what is given, what it needs, what there is instead."""
    check_plan(recipe.plan, recipe.batch_norm, recipe.freezing, recipe.fit.optimizer)
    if recipe.plan == "two-stage":
        check_plan(recipe.second, recipe.batch_norm, recipe.freezing, recipe.fit.optimizer)
    if recipe.head_stage.optimizer:
        check_plan("head", recipe.batch_norm, recipe.freezing, recipe.head_stage.optimizer, "head_stage.optimizer")
    if recipe.schedule == "step" and not recipe.lr_steps:
        raise InputError("step schedule: expected growing epochs as `lr_steps`, received `lr_steps=()`; say "
                         f"`lr_steps=({_two_thirds(recipe.fit.epochs)},)`, where the rate falls to a tenth")
    for rules in (_of_the_schedule, _of_plans, _of_a_kept_head, _of_a_solver, _of_a_cache, _of_targets, _of_workers):
        for field, given, expected, received in rules(recipe):
            if given:
                raise InputError(f"{field}: expected {expected}, received {received}")


def _two_thirds(epochs):
    """Return an epoch at about two thirds of a training, where a rate is often lowered first."""
    return max(1, round(epochs * 2 / 3)) if epochs > 1 else 0.5


def _of_the_schedule(recipe):
    for name, given in (("lr_steps", recipe.lr_steps), ("lr_factor", recipe.lr_factor is not None)):
        yield (f"`{name}`", given and recipe.schedule != "step", "`schedule='step'` beside it",
               f"`schedule={recipe.schedule!r}`")


def _of_plans(recipe):
    plan = f"`plan={recipe.plan!r}`"

    def beside(*plans):
        return recipe.plan not in plans, f"{' or '.join(f'`plan={name!r}`' for name in plans)} beside it", plan

    for name in _HEAD_STAGE:
        given = getattr(recipe.head_stage, name) is not None
        misplaced, *told = beside("two-stage", "gradual")
        yield f"`head_stage.{name}`", given and misplaced, *told
        yield (f"`head_stage.{name}`", given and recipe.solver, "no `solver` beside it, which makes the head in that "
               "stage's place", f"`solver={recipe.solver!r}`")
    misplaced, *told = beside("gradual")
    yield "`unfreeze_epochs`", recipe.unfreeze_epochs is not None and misplaced, *told
    misplaced, *told = beside("two-stage")
    yield "`second_plan`", recipe.second_plan is not None and misplaced, *told
    misplaced, *told = beside("discriminative", "two-stage")
    for name in recipe.freezing.multipliers:
        yield f"`freezing.{name}`", misplaced, *told
        yield (f"`freezing.{name}`", recipe.second_plan == "full", "`second_plan='discriminative'` beside it",
               "`second_plan='full'`")
    yield ("`freezing.layer_decay`", recipe.freezing.layer_decay is not None and recipe.freezing.backbone_lr_mult == 0,
           "a backbone that trains", f"`freezing.backbone_lr_mult={recipe.freezing.backbone_lr_mult!r}`, which "
           "freezes it")


def _of_a_kept_head(recipe):
    keeps = recipe.require_head
    for name, value, why in (
            ("layer", recipe.layer, "a kept head stands where it stood"),
            ("hidden", recipe.hidden, "a kept head has the layers it had"),
            ("head_name", recipe.head_name, "a kept head has the name it had"),
            ("fit.initializer", recipe.fit.initializer, "a kept head has its parameters"),
            ("solver", recipe.solver, "a solver makes a new head")):
        yield "`require_head`", keeps and value, f"no `{name}` beside it", f"{_told(name, value)}; {why}"
    yield ("`require_head`", keeps and recipe.plan == "scratch", "a plan that loads the checkpoint",
           "`plan='scratch'`; nothing of the head would be kept")


def _told(name, value):
    if name == "hidden":
        return f"{len(value)} hidden layer{'s' * (len(value) > 1)}"
    return f"`{name}={value!r}`" if isinstance(value, str) else f"`{name}`"


def _of_a_solver(recipe):
    solver, alone = recipe.solver, recipe.is_solved
    yield ("`solver`", solver and recipe.plan not in ("head", "two-stage"),
           "`plan='head'` or `plan='two-stage'` beside it", f"`plan={recipe.plan!r}`")
    yield "`solver`", solver and recipe.hidden, "a head of one layer", _told("hidden", recipe.hidden)
    yield ("`solver`", solver and recipe.freezing.method != "fixed", "`freezing.method='fixed'` beside it",
           f"`freezing.method={recipe.freezing.method!r}`; it learns nothing by steps")
    weights = recipe.class_weight or recipe.fit.class_weights
    yield ("`class_weight`", solver == "imprint" and weights, "a solver that weighs images",
           "`solver='imprint'`, which takes the mean of each class")
    yield ("`class_weight`", solver and isinstance(weights, tuple) and not all(weights), "numbers above 0",
           f"`class_weight={weights}` beside `solver={solver!r}`")
    for name, value in (("label_smoothing", recipe.fit.label_smoothing), ("mixup", recipe.fit.mixup)):
        yield (f"`{name}`", alone and value, "a head that learns by steps", f"`solver={solver!r}`; with "
               "`plan='two-stage'` it holds for the second stage")
    yield ("`fit.initializer`", solver and recipe.fit.initializer, "a head that learns by steps",
           f"`solver={solver!r}`, which makes its parameters")
    yield ("`frozen_backbone`", alone and not recipe.frozen_backbone, "a head that learns by steps",
           f"`solver={solver!r}`, which takes a frozen backbone's features")
    yield ("`batch_norm`", solver and recipe.batch_norm == "train", "`batch_norm='eval'`, by which an image has the "
           "same features in every batch", f"`batch_norm='train'` beside `solver={solver!r}`")
    yield ("`augment`", alone and recipe.cache.view_count == 1 and recipe.augment is not None
           and recipe.augmentation().is_random,
           "`cache.mode` and `cache.views` beside it, from which a solver learns several views of an image",
           f"`solver={solver!r}` of one view, the centre crop")


def refuse_unmeasured(recipe):
    """Refuse (InputError) what says how to take steps, of a recipe that takes none: a solver's, without validation.

    With validation images, SGD is measured on the same features beside the solver where one of these is set.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    """
    for name, value in step_settings(recipe):
        raise InputError(f"`{name}`: expected a head that learns by steps, or images for validation, on which SGD "
                         f"is measured beside a solver, received `{name}={value!r}` beside "
                         f"`solver={recipe.solver!r}` alone")


def step_settings(recipe):
    """Yield name and value of the settings that say how to take steps and are not at their defaults.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    """
    of_fit = [(name, getattr(recipe.fit, name), default_of(FitOptions, name)) for name in _STEPS_OF_FIT]
    of_recipe = [(name, getattr(recipe, name), default_of(type(recipe), name)) for name in _STEPS]
    for name, value, default in (*of_recipe, *of_fit):
        if value != default:
            yield name, value


def refuse_unkept(recipe, keeping):
    """Refuse (InputError) to keep several epochs' checkpoints, or states between them, of a head that is solved.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    keeping : mxft.options.Keeping
    """
    name = kept_on_the_way(keeping) if recipe.is_solved else None
    if name:
        raise InputError(f"`keeping.{name}`: expected a head that learns by steps, received "
                         f"`keeping.{name}={getattr(keeping, name)!r}` beside `solver={recipe.solver!r}`, which makes "
                         "one checkpoint")


def kept_on_the_way(keeping):
    """Return the first field of a Keeping that only a training by steps has a use for and that was set; or None.

    Parameters
    ----------
    keeping : mxft.options.Keeping

    Examples
    --------
    >>> kept_on_the_way(Keeping(resume="auto")), kept_on_the_way(Keeping(every=2))
    (None, 'every')
    """
    return next((name for name in ("every", "last", "state_batches", "state_minutes")
                 if getattr(keeping, name) != default_of(Keeping, name)), None)


def _of_a_cache(recipe):
    cached = recipe.cache.mode != "none"
    yield ("`cache.mode`", cached and not recipe.frozen_backbone, "a frozen backbone that runs separately",
           "`frozen_backbone=False`")
    yield ("`cache.mode`", cached and recipe.freezing.method == "lr_mult", "`freezing.method='fixed'` beside it",
           "`freezing.method='lr_mult'`, which computes the backbone's gradients for every batch")
    yield ("`cache.mode`", cached and recipe.fit.mixup, "`mixup=0` beside it",
           f"`mixup={recipe.fit.mixup}`; images are mixed before the backbone")
    yield ("`cache.mode`", cached and recipe.plan == "scratch", "a plan with a frozen backbone", "`plan='scratch'`")
    yield ("`cache.views`", recipe.cache.view_count > 1 and not recipe.augmentation().is_random,
           "an `augment` that changes images at random", "the centre crop, of which every view is the same")


def _of_targets(recipe):
    yield ("`oversample`", recipe.oversample and recipe.class_weight == "balanced", "no `class_weight='balanced'` "
           "beside it, which would count small classes twice", "both")
    yield ("`fit.class_weights`", recipe.fit.class_weights and recipe.class_weight, "no `class_weight` beside it",
           "both; one of them would be left out")
    if recipe.target == TARGETS[0]:
        return
    for name, value in (("label_smoothing", recipe.fit.label_smoothing), ("mixup", recipe.fit.mixup),
                        ("class_weight", recipe.class_weight or recipe.fit.class_weights),
                        ("oversample", recipe.oversample)):
        yield f"`{name}`", value, "one of several classes an image", f"`target={recipe.target!r}`"
    only = SOLVERS_OF[recipe.target]
    yield ("`solver`", recipe.solver not in (None, only), f"`solver={only!r}`, the one there is for "
           f"`target={recipe.target!r}`", f"`solver={recipe.solver!r}`")


def _of_workers(recipe):
    store = recipe.fit.kvstore
    told = f"`kvstore={store!r}`; leave it out, or train with `kvstore='device'`"
    optimizers = {(name or "").lower() for name in (recipe.fit.optimizer, recipe.head_stage.optimizer)}
    yield ("optimizer", store in ("dist_sync", "dist_device_sync") and "sgld" in optimizers,
           "one that draws no random numbers, since every worker updates its own parameters",
           "`optimizer='sgld'` with " + told)
    for field, value in (("`oversample`", recipe.oversample),
                         ("`cache.mode`", recipe.cache.mode != "none")):
        yield field, value and store.startswith("dist"), "a kvstore of one machine beside it", told
