"""When to fine-tune what: the four cases of data size and similarity, with the plan, the command and the reason.

After the CS231n notes on transfer learning ("When and how to fine-tune?") and their translations, and the advice to
take features and a classic classifier below 1,000 images.
"""
import dataclasses
import math
import re

from mxft.errors import InputError
from mxft.options import SOLVERS_OF, TARGETS

FEW_IMAGES, FEW_A_CLASS = 1000, 20
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
    flags : str
        Of ``mxft finetune``.
    reason : str
    """

    case: int
    plan: str
    flags: str
    reason: str


def is_small(images, classes, target=TARGETS[0]):
    """Whether a data set is small: under 1,000 images in all, or under 20 a class; numbers have no classes."""
    return images < FEW_IMAGES or (target != "regression" and images / classes < FEW_A_CLASS)


def advise(images, classes, similar, layer=None, target=TARGETS[0]):
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
    advice = _advice(images, classes, similar, layer, target)
    return advice if target == TARGETS[0] else dataclasses.replace(advice, flags=_of_target(advice.flags, target))


def _of_target(flags, target):
    """Return the flags of ``mxft finetune`` for labels or numbers: its solver, and a rate squared errors bear."""
    flags = flags.replace("--solver logistic", f"--solver {SOLVERS_OF[target]}")
    if target == "regression":
        flags = re.sub(r"--lr [\d.]+ --mom [\d.]+", "--optimizer adam --lr 0.001", flags)
    return f"{flags} --{target}"


def _advice(images, classes, similar, layer, target):
    """Return the Advice of one of the four cases."""
    size = {"multi-label": f"{images:,} images, {classes} labels in all",
            "regression": f"{images:,} images, numbers for each"}.get(
                target, f"{images:,} images of {classes} classes, {math.floor(images / classes)} a class")
    if is_small(images, classes, target):
        if similar:
            return Advice(1, "the network as a feature extractor, a linear classifier on its features",
                          "--plan head --solver logistic --cache memory",
                          f"{size}, are few: training the trunk would fit them by heart. They are like what it was "
                          "trained on, so its highest features serve as they are.")
        return Advice(3, "features of an earlier layer, a linear classifier on them",
                      f"--plan head --solver logistic --cache memory --views 8 --layer {layer or 'LAYER'}",
                      f"{size}, are few, so leave the trunk alone; they are unlike what it was trained on, and its "
                      "last layers know that best. Earlier layers are more general; mxft advise --data tells which. "
                      f"Eight views of each image stand in for more of them. {_LEFT_AND_RIGHT}")
    if similar:
        return Advice(2, "fine-tune everything, the head first",
                      "--plan two-stage --solver logistic --lr 0.003 --mom 0.9 --lr-schedule cosine",
                      f"{size}, are enough to train every layer without fitting them by heart, and the weights are "
                      "good already: small steps.")
    return Advice(4, "fine-tune everything from the pretrained weights",
                  "--plan full --lr 0.02 --mom 0.9 --lr-schedule cosine --batch-size 32 --epochs 20",
                  f"{size}, would be enough to train from scratch; the pretrained weights are still the better "
                  f"beginning in practice, and every layer may move. {_LEFT_AND_RIGHT}")
