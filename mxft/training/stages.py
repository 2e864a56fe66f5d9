"""The stages of a run: one for most plans, several for ``two-stage`` and ``gradual``.

``two-stage`` is the seed recipe of EfficientNet fine-tuning: the head first, then everything, each stage with an
optimizer, a rate and a batch size of its own. ``gradual`` unfreezes the trunk from the output down, as ULMFiT
(arXiv:1801.06146) does.
"""
import dataclasses

from mxft.errors import InputError
from mxft.freeze import FreezePlan, check_plan, freeze_plan
from mxft.surgery.depth import parameters_of, resolution_stages


@dataclasses.dataclass(frozen=True)
class HeadStage:
    """The first stage of ``two-stage`` and ``gradual``: the head alone.

    Parameters
    ----------
    epochs : int
        0 where a solver makes the head.
    learning_rate : float or None
        The run's own when None, as the next two.
    optimizer : str or None
    batch_size : int or None
    """

    epochs: int = 2
    learning_rate: float = None
    optimizer: str = None
    batch_size: int = None


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
    from_best : bool
        Begins with the best parameters so far, and not with the last.
    """

    name: str
    plan: FreezePlan
    learning_rate: float
    batch_size: int
    fit: object
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
        What `mxft.freeze` refuses, and epochs that do not suffice for ``gradual``.

    Examples
    --------
    >>> [stage.name for stage in training_stages(Recipe(plan="two-stage"), net, head, (3, 224, 224))]  # doctest: +SKIP
    ['head', 'everything']
    """
    check_plan(recipe.plan, recipe.batch_norm, recipe.freezing, recipe.fit.optimizer)
    whole = (recipe.learning_rate, recipe.batch_size, recipe.fit)

    def plan(name):
        return freeze_plan(name, symbol, head_parameters, recipe.batch_norm, recipe.freezing)

    if recipe.plan == "two-stage":
        return [*_head_stage(recipe, plan("head")), Stage("everything", plan(recipe.second_plan), *whole,
                                                          from_best=True)]
    if recipe.plan == "gradual":
        return _gradual(recipe, symbol, head_parameters, image_shape, plan)
    if recipe.plan == "head" and recipe.solver:
        plan("head")  # refuses what cannot be
        return []
    return [Stage(recipe.plan, plan(recipe.plan), *whole)]


def _head_stage(recipe, plan):
    if recipe.solver:
        return []
    head = recipe.head_stage
    if head.epochs < 1:
        raise InputError(f"plan {recipe.plan}: expected at least 1 epoch for the head, received "
                         f"head-epochs={head.epochs}; a --solver needs none")
    options = dataclasses.replace(recipe.fit, epochs=head.epochs, optimizer=head.optimizer or recipe.fit.optimizer)
    if head.optimizer and head.optimizer != recipe.fit.optimizer:
        options = dataclasses.replace(options, momentum=None, optimizer_params={})
    rate = recipe.learning_rate if head.learning_rate is None else head.learning_rate
    return [Stage("head", plan, rate, head.batch_size or recipe.batch_size, options)]


def _gradual(recipe, symbol, head_parameters, image_shape, plan):
    """Return the stages of gradual unfreezing: the head, then one stage of the trunk more each time."""
    groups = resolution_stages(symbol, image_shape, without=set(head_parameters))
    stages = _head_stage(recipe, plan("head"))
    left = recipe.fit.epochs
    if left < len(groups):
        raise InputError(f"plan gradual: expected an epoch or more for each of the {len(groups)} stages of the trunk, "
                         f"received epochs={left}")
    asked = set(plan("full").frozen)
    for number in range(1, len(groups) + 1):
        opened = {name for group in groups[-number:] for name in group} - asked
        last = number == len(groups)
        trainable = set(head_parameters) | opened
        names = parameters_of(symbol)
        frozen = () if last and not asked else tuple(name for name in names if name not in trainable)
        this = FreezePlan("gradual", tuple(name for name in names if name not in frozen), frozen,
                          recipe.batch_norm or "frozen", method=recipe.freezing.method)
        epochs = left if last else recipe.unfreeze_epochs
        epochs = min(epochs, left - (len(groups) - number))
        left -= epochs
        stages.append(Stage(f"last {number} of {len(groups)} stages", this, recipe.learning_rate, recipe.batch_size,
                            dataclasses.replace(recipe.fit, epochs=epochs)))
    return stages
