"""The stages of a run: one for most plans, several for ``two-stage`` and ``gradual``.

``two-stage`` is the seed recipe of EfficientNet fine-tuning: the head first, then everything, each stage with an
optimizer, a rate and a batch size of its own. ``gradual`` unfreezes the backbone from the output down, as ULMFiT
(arXiv:1801.06146) does.
"""
import dataclasses

from mxft.errors import InputError
from mxft.features.cut import backbone_cut
from mxft.freeze import FreezePlan, asked_to_freeze, freeze_plan
from mxft.options import HEAD_EPOCHS, UNFREEZE_EPOCHS, HeadStage  # noqa: F401 (known by this place too)
from mxft.surgery.depth import parameters_of, resolution_stages


@dataclasses.dataclass(frozen=True)
class Stage:
    """Epochs that are trained by one plan.

    Parameters
    ----------
    name : str
    plan : FreezePlan
    learning_rate : float
    batch_size : int
    fit : mxft.training.fit.FitOptions
        Its `epochs` are this stage's.
    augmentation : mxft.data.augmentation.Augmentation
        Of the training images.
    from_best : bool
        Begins with the best parameters so far, and not with the last.
    """

    name: str
    plan: FreezePlan
    learning_rate: float
    batch_size: int
    fit: object
    augmentation: object = None
    from_best: bool = False


def training_stages(recipe, symbol, head_parameters, image_shape):
    """Return the stages a recipe goes through.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    symbol : mx.sym.Symbol
        The network with its head.
    head_parameters : sequence of str
    image_shape : tuple of int
        ``(C, H, W)``; ``gradual`` counts its stages by the resolution of the maps.

    Returns
    -------
    list of Stage
        Empty where the plan is ``head`` and a solver makes it.

    Raises
    ------
    InputError
        What `mxft.freeze` refuses, epochs that do not suffice for ``gradual``, and what no stage has a use for: a cache
        or a solver where no backbone is frozen, ``lr_mult`` where nothing is, patterns where all of that is frozen.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.surgery import attach_head
    >>> from mxft.training.recipe import Recipe
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=8, name="conv0")
    >>> head = attach_head(mx.sym.Flatten(net, name="flatten0"), 5, layer="flatten0")
    >>> stages = training_stages(Recipe(plan="two-stage"), head.symbol, head.parameters, (3, 8, 8))
    >>> [(stage.name, len(stage.plan.trainable)) for stage in stages]
    [('head', 2), ('everything', 4)]
    """
    stages = [dataclasses.replace(stage, augmentation=recipe.augmentation(_keeps_one_view(recipe, stage, symbol)))
              for stage in _stages(recipe, symbol, head_parameters, image_shape)]
    if recipe.plan == "head":
        _require_more_to_freeze(recipe, symbol, head_parameters)
    if recipe.cache.mode != "none" and not recipe.solver and not any(
            runs_apart(recipe, stage, symbol) for stage in stages):
        require_cut(symbol, stages[0].plan, "`cache.mode`")
    if recipe.freezing.method == "lr_mult" and not any(stage.plan.frozen for stage in stages):
        raise InputError("`freezing.method`: expected something to freeze, received `freezing.method='lr_mult'` with "
                         f"`plan={recipe.plan!r}`, which trains every parameter")
    if not recipe.frozen_backbone and not any(stage.plan.frozen for stage in stages):
        raise InputError("`frozen_backbone`: expected a plan with a frozen backbone, received `frozen_backbone=False` "
                         f"with `plan={recipe.plan!r}`, which freezes nothing")
    return stages


def _require_more_to_freeze(recipe, symbol, head_parameters):
    """Refuse patterns, or a layer to freeze through, that add nothing: plan ``head`` freezes the backbone anyway."""
    asked = asked_to_freeze(symbol, recipe.freezing)
    if not asked or (asked & set(head_parameters) and not recipe.solver):
        return
    name = "patterns" if recipe.freezing.patterns else "through"
    solved = f", and whose head `solver={recipe.solver!r}` makes" if recipe.solver else ""
    given = f"`freezing.{name}={getattr(recipe.freezing, name)!r}`"
    raise InputError(f"`freezing.{name}`: expected parameters that training would move, received {given} beside "
                     f"`plan='head'`, which freezes the backbone anyway{solved}")


def runs_apart(recipe, stage, symbol):
    """Whether a stage has a frozen backbone that is run by itself, at inference speed or from a cache."""
    return (recipe.frozen_backbone and stage.plan.method == "fixed" and not stage.fit.mixup
            and backbone_cut(symbol, stage.plan) is not None)


def head_plan_of(recipe, symbol, head_parameters):
    """Return the FreezePlan ``head`` as a recipe has it: what a solver, and a backbone that is frozen, go by."""
    return freeze_plan("head", symbol, head_parameters, recipe.batch_norm, recipe.freezing)


def require_cut(symbol, plan, what="frozen backbone"):
    """Return `mxft.features.cut.backbone_cut`, or refuse (InputError) a plan that leaves no frozen backbone."""
    cut = backbone_cut(symbol, plan)
    if cut is None:
        raise InputError(f"{what}: expected a plan that freezes everything below some layer, with BatchNorm in eval "
                         f"mode there, received `plan={plan.name!r}` with {len(plan.frozen)} frozen parameters and "
                         f"`batch_norm={plan.batch_norm!r}`; `plan='head'` with `batch_norm='eval'` has one")
    return cut


def _keeps_one_view(recipe, stage, symbol):
    return recipe.cache.mode != "none" and recipe.cache.view_count == 1 and runs_apart(recipe, stage, symbol)


def _stages(recipe, symbol, head_parameters, image_shape):
    whole = (recipe.learning_rate, recipe.batch_size, recipe.fit)

    def plan(name):
        return freeze_plan(name, symbol, head_parameters, recipe.batch_norm, recipe.freezing)

    if recipe.solver:
        require_cut(symbol, plan("head"), "`solver`")
    if recipe.plan == "two-stage":
        return [*_head_stage(recipe, plan("head")), Stage("everything", plan(recipe.second), *whole, from_best=True)]
    if recipe.plan == "gradual":
        return _gradual(recipe, symbol, head_parameters, image_shape, plan)
    if recipe.plan == "head" and recipe.solver:
        return []
    return [Stage(recipe.plan, plan(recipe.plan), *whole)]


def _head_stage(recipe, plan):
    if recipe.solver:
        return []
    head = recipe.head_stage
    options = dataclasses.replace(recipe.fit, epochs=head.epochs or HEAD_EPOCHS,
                                  optimizer=head.optimizer or recipe.fit.optimizer)
    if head.optimizer and head.optimizer != recipe.fit.optimizer:
        options = dataclasses.replace(options, momentum=None, optimizer_params={})
    rate = recipe.learning_rate if head.learning_rate is None else head.learning_rate
    return [Stage("head", plan, rate, head.batch_size or recipe.batch_size, options)]


def _gradual(recipe, symbol, head_parameters, image_shape, plan):
    """Return the stages of gradual unfreezing: the head, then one stage of the backbone more each time."""
    groups = resolution_stages(symbol, image_shape, without=set(head_parameters))
    stages = _head_stage(recipe, plan("head"))
    left, each = recipe.fit.epochs, recipe.unfreeze_epochs or UNFREEZE_EPOCHS
    least = each * (len(groups) - 1) + 1
    if left < least:
        raise InputError(f"plan gradual: expected {least} epochs or more, {each} for each of the {len(groups)} stages "
                         f"of the backbone but the last, received `epochs={left}`; say `epochs={least}`")
    asked = set(plan("full").frozen)
    for number in range(1, len(groups) + 1):
        opened = {name for group in groups[-number:] for name in group} - asked
        last = number == len(groups)
        trainable = set(head_parameters) | opened
        names = parameters_of(symbol)
        frozen = () if last and not asked else tuple(name for name in names if name not in trainable)
        this = FreezePlan("gradual", tuple(name for name in names if name not in frozen), frozen,
                          recipe.batch_norm or "frozen", method=recipe.freezing.method)
        epochs = left if last else each
        left -= epochs
        stages.append(Stage(f"last {number} of {len(groups)} stages", this, recipe.learning_rate, recipe.batch_size,
                            dataclasses.replace(recipe.fit, epochs=epochs)))
    return stages
