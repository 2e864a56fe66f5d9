"""Settings that cannot go well with so many images: found before a run begins, one line each, warned and not refused.

The tutorial's and upstream's defaults are for many images: a batch of 128, a rate of 0.1, 100,000 epochs.
"""
import dataclasses
import logging
import math
from typing import Optional

from mxft.features.advice import LEAST_BATCH, batch_of
from mxft.wording import plural

LOG = logging.getLogger("mxft")

FEWEST_UPDATES = 20   # in all: fewer teach a new head little
MOST_EPOCHS = 1000    # how often an image is seen before it is asked whether that is meant
FEW_AN_EPOCH = 100    # updates an epoch, below which a high rate is too high for pretrained weights
HIGH = 0.5            # rate of SGD, over 1 - momentum
HIGH_ADAPTIVE = 0.005
_ADAPTIVE = {"adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "ftml", "lamb"}
_NAMES = {"batch": "batch_size", "rate": "learning_rate", "epochs": "epochs", "end": "epochs", "falls": "lr_steps"}


@dataclasses.dataclass(frozen=True)
class Steps:
    """What a run, or a stage of one, goes through.

    Parameters
    ----------
    images : int
        For training.
    batch : int
        As it is set.
    epochs : int
    batches : int
        Batches an update: those of all devices and workers that are counted apart, and those that are accumulated.
    most : int
        Updates after which the run ends at the latest; 0 for none.
    rate : float
        The highest at which pretrained parameters of the backbone train; 0 where none do.
    momentum : float or None
    optimizer : str
    falls : tuple of int
        Updates after which the rate falls.
    new_head : bool
        Whether a head begins with random numbers.
    stops : bool
        Whether early stopping may end the run before its last epoch.
    updates : int
        Updates an epoch where only whole batches are taken; 0 where what is left at its end makes one too.
    batch_statistics : int
        Layers that normalise with the mean and variance of the device's batch.

    Examples
    --------
    >>> steps = Steps(images=96, batch=128, epochs=8)
    >>> steps.an_epoch, steps.total
    (1, 8)
    """

    images: int
    batch: int
    epochs: int
    batches: int = 1
    most: int = 0
    rate: float = 0.0
    momentum: Optional[float] = None
    optimizer: str = "sgd"
    falls: tuple = ()
    new_head: bool = True
    stops: bool = False
    updates: int = 0
    batch_statistics: int = 0

    @property
    def an_epoch(self):
        """Updates an epoch."""
        return self.updates or math.ceil(self.images / (self.batch * self.batches))

    @property
    def total(self):
        """Updates in all."""
        updates = self.epochs * self.an_epoch
        return min(updates, self.most) if self.most else updates

    @property
    def adaptive(self):
        """Whether the optimizer divides a gradient by its own size."""
        return self.optimizer.lower() in _ADAPTIVE

    @property
    def effective_rate(self):
        """The rate, and what momentum makes of it."""
        return self.rate if self.adaptive else self.rate / (1 - (self.momentum or 0))


def doubts(steps, names=None):
    """Return what cannot go well with the settings of a run, one line each.

    Parameters
    ----------
    steps : Steps
    names : dict of str to str, optional
        What the settings are called, where they are not called as those of a `Recipe`.

    Returns
    -------
    list of str
        With the settings in backticks, as an `MxftError` has them.

    Examples
    --------
    >>> doubts(Steps(images=96, batch=128, epochs=30))
    ['an epoch is one update: 96 images for training, `batch_size=128`; `batch_size=8` makes 12 updates']
    """
    names = {**_NAMES, **(names or {})}
    rules = (_of_one_image, _of_the_batch, _of_the_updates, _of_the_rate, _of_the_falls, _of_the_epochs)
    return [line for rule in rules for line in rule(steps, names)]


def recipe_doubts(recipe, stages, head_parameters, images, batches=1):
    """Return the `doubts` of every stage of a recipe.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    stages : list of mxft.training.stages.Stage
    head_parameters : sequence of str
    images : int
        For training.
    batches : int
        Batches an update, of all workers and those that are accumulated.

    Returns
    -------
    list of str
    """
    lines, new = [], not (recipe.solver or recipe.require_head)
    for stage in stages:
        options, plan = stage.fit, stage.plan
        rates = [plan.multipliers.get(name, 1.0) for name in plan.trainable if name not in head_parameters]
        rate = 0.0 if recipe.plan == "scratch" else stage.learning_rate * max(rates, default=0.0)
        lines += doubts(Steps(images, stage.batch_size, options.epochs, batches, rate=rate, momentum=options.momentum,
                              optimizer=options.optimizer, new_head=new, stops=bool(options.patience)))
        new = False
    return list(dict.fromkeys(lines))


def warn(lines):
    """Log lines of `doubts`."""
    for line in lines:
        LOG.warning(f"warning: {line}")


def _of_one_image(steps, names):
    """With one image its own mean is the batch's: BatchNorm behind a dense layer makes the same of every image."""
    if steps.batch == 1 and steps.batch_statistics:
        yield (f"a batch of one image under BatchNorm: {plural(steps.batch_statistics, 'layer')} would normalise each "
               "image by itself, and the one behind a dense layer makes the same of all; "
               f"`{names['batch']}={LEAST_BATCH}`, on each device")


def _of_the_batch(steps, names):
    better = max(1, batch_of(steps.images) // steps.batches)
    if steps.an_epoch == 1 and better < steps.batch and steps.images > LEAST_BATCH:
        yield (f"an epoch is one update: {plural(steps.images, 'image')} for training, `{names['batch']}="
               f"{steps.batch}`; `{names['batch']}={better}` makes "
               f"{plural(math.ceil(steps.images / better / steps.batches), 'update')}")


def _of_the_updates(steps, names):
    if steps.new_head and steps.total < FEWEST_UPDATES:
        smaller = f", or a smaller `{names['batch']}`" if steps.batch > LEAST_BATCH else ""
        yield (f"too few updates for a new head: {steps.total} in all, {steps.an_epoch} an epoch, where "
               f"{FEWEST_UPDATES} is little; more `{names['epochs']}`{smaller}")


def _of_the_rate(steps, names):
    high = HIGH_ADAPTIVE if steps.adaptive else HIGH
    if steps.effective_rate >= high * (1 - 1e-9) and steps.an_epoch < FEW_AN_EPOCH:
        lower = steps.rate * high / 5 / steps.effective_rate
        momentum = f" with momentum {steps.momentum:g}" if steps.momentum else ""
        yield (f"learning rate too high for pretrained weights: {steps.rate:g}{momentum} undoes what they know at "
               f"{plural(steps.an_epoch, 'update')} an epoch; `{names['rate']}={lower:.2g}`")


def _of_the_falls(steps, names):
    late = [fall for fall in steps.falls if fall >= steps.total]
    if late:
        proposed = sorted({max(1, steps.total * part // 8) for part in (5, 7)})
        yield (f"the learning rate falls after the end: at update {', '.join(f'{fall:,}' for fall in late)} of "
               f"{steps.total:,}; `{names['falls']}={','.join(map(str, proposed))}`")


def _of_the_epochs(steps, names):
    if steps.total / steps.an_epoch > MOST_EPOCHS and not steps.stops:
        yield (f"too many epochs: {steps.epochs:,} of {plural(steps.an_epoch, 'update')}, {steps.total:,} in all, and "
               f"nothing ends the run before; say `{names['end']}`, or press Ctrl-C, which saves what was learnt")
