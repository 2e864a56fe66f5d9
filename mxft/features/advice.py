"""When to fine-tune what: the four cases of data size and similarity, with the plan, the command and the reason.

After the CS231n notes on transfer learning ("When and how to fine-tune?") and their translations, and the advice to
take features and a classic classifier below 1,000 images.
"""
import dataclasses
import math

from mxft.command.flags import flag_of
from mxft.errors import InputError
from mxft.options import SOLVERS_OF, TARGETS

FEW_IMAGES, FEW_A_CLASS = 1000, 20
UNEVEN = 10  # the largest class's images over the smallest's, from which on each class weighs the same
BATCH, LEAST_BATCH, UPDATES = 32, 8, 10  # a batch is halved until an epoch has so many updates
_LEFT_AND_RIGHT = "Where left and right matter, as in writing, add --no-mirror."


@dataclasses.dataclass(frozen=True)
class Advice:
    """What to do with a data set.

    Parameters
    ----------
    case : int
        1 small and similar, 2 large and similar, 3 small and different, 4 large and different.
    plan : str
        In a few words.
    settings : dict
        Fields of a Recipe and of what it holds (``"cache.mode"``), as `mxft.command.flags` names them, and their
        values.
    reason : str
    target : {"classes", "multi-label", "regression"}
    """

    case: int
    plan: str
    settings: dict
    reason: str
    target: str = TARGETS[0]

    @property
    def told_settings(self) -> dict:
        """The settings, and the target where it is not classes."""
        return {**self.settings, **({} if self.target == TARGETS[0] else {"target": self.target})}

    @property
    def flags(self) -> str:
        """The settings as flags of ``mxft finetune``."""
        words = [f"{flag_of(name)} {value}" for name, value in self.settings.items()]
        return " ".join(words + [f"--{self.target}"] * (self.target != TARGETS[0]))


def is_small(images, classes, target=TARGETS[0]):
    """Whether a data set is small: under 1,000 images in all, or under 20 a class; numbers have no classes."""
    return images < FEW_IMAGES or (target != "regression" and images / classes < FEW_A_CLASS)


def advise(images, classes, similar, layer=None, target=TARGETS[0], by_steps=False, ratio=1.0):
    """Return the advice for a data set.

    Parameters
    ----------
    images : int
        For training.
    classes : int
        Labels, or numbers an image, of the other targets.
    similar : bool
        Whether the pictures are like those the network was trained on.
    layer : str, optional
        Where the features of case 3 are best taken.
    target : {"classes", "multi-label", "regression"}
    by_steps : bool
        Only plans that train by steps, where epochs, rate and batch are given: those of the large cases.
    ratio : float
        Images of the largest class over those of the smallest.

    Returns
    -------
    Advice

    Raises
    ------
    InputError
        Fewer than 2 classes, or fewer images than classes.

    Examples
    --------
    >>> advise(500, 10, similar=True).flags
    '--plan head --solver logistic --cache memory'
    >>> advise(100000, 10, similar=False).case
    4
    """
    if target == TARGETS[0] and classes < 2:
        raise InputError(f"advice: expected at least 2 classes, received classes={classes}")
    if target == TARGETS[0] and images < classes:
        raise InputError(f"advice: expected at least one image a class, received images={images} of classes={classes}")
    size = {"multi-label": f"{images:,} images, {classes} labels in all",
            "regression": f"{images:,} images, numbers for each"}.get(
                target, f"{images:,} images of {classes} classes, {math.floor(images / classes)} a class")
    small = is_small(images, classes, target)
    case = {(True, True): 1, (False, True): 2, (True, False): 3, (False, False): 4}[
        small and not by_steps, bool(similar)]
    plan, settings, reason = _CASES[case](images, size, layer)
    if small and by_steps:
        reason = (f"{size}, are few; epochs, a rate or a batch were given, so they are trained by steps, from "
                  + ("a fitted head on." if similar else f"the pretrained weights on. {_LEFT_AND_RIGHT}"))
    if target == TARGETS[0] and ratio >= UNEVEN:
        settings["class_weight"] = "balanced"
        reason += (f" The largest class has {ratio:,.0f} times the images of the smallest, so an image weighs the more "
                   "the fewer its class has: else the small classes would hardly ever be predicted.")
    return Advice(case, plan, _of_target(settings, target), reason, target)


def _of_target(settings, target):
    """Return settings for labels or numbers: their solver, and a rate squared errors bear."""
    if "solver" in settings:
        settings["solver"] = SOLVERS_OF.get(target, settings["solver"])
    if target == "regression" and "learning_rate" in settings:
        del settings["momentum"]
        settings.update(learning_rate=0.001, optimizer="adam")
    return settings


def batch_of(images):
    """Return the batch size for so many training images: an epoch of a few updates teaches little.

    Examples
    --------
    >>> batch_of(5000), batch_of(200), batch_of(20)
    (32, 16, 8)
    """
    batch = BATCH
    while batch > LEAST_BATCH and images < UPDATES * batch:
        batch //= 2
    return batch


def _few_similar(images, size, layer):
    return ("the network as a feature extractor, a linear classifier on its features",
            {"plan": "head", "solver": "logistic", "cache.mode": "memory"},
            f"{size}, are few: training the backbone would overfit. They are like what it was trained on, so "
            "its highest features serve as they are.")


def _many_similar(images, size, layer):
    return ("fine-tune everything, the head first",
            {"plan": "two-stage", "solver": "logistic", "learning_rate": 0.003, "momentum": 0.9, "schedule": "cosine",
             "batch_size": batch_of(images), "epochs": 3 if images >= 3000 else 5},
            f"{size}, are enough to train every layer without overfitting, and the weights are good "
            "already: small steps.")


def _few_different(images, size, layer):
    return ("features of an earlier layer, a linear classifier on them",
            {"plan": "head", "solver": "logistic", "cache.mode": "memory", "cache.views": 8,
             "layer": layer or "LAYER"},
            f"{size}, are few, so leave the backbone alone; they are unlike what it was trained on, and its last "
            "layers know that best. Earlier layers are more general; mxft advise --data tells which. Eight views of "
            f"each image stand in for more of them. {_LEFT_AND_RIGHT}")


def _many_different(images, size, layer):
    return ("fine-tune everything from the pretrained weights",
            {"plan": "full", "learning_rate": 0.02, "momentum": 0.9, "schedule": "cosine",
             "batch_size": batch_of(images), "epochs": 20},
            f"{size}, would be enough to train from scratch; the pretrained weights are still the better beginning in "
            f"practice, and every layer may move. {_LEFT_AND_RIGHT}")


_CASES = {1: _few_similar, 2: _many_similar, 3: _few_different, 4: _many_different}
