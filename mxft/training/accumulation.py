"""Gradient accumulation in numbers: how many updates an epoch has, and how to divide a batch that does not fit."""
import math

from mxft.errors import InputError


def check_accumulation(accumulate):
    """Refuse (InputError) what is no number of batches."""
    if not isinstance(accumulate, int) or accumulate < 1:
        raise InputError(f"accumulation: expected a whole number of batches, 1 or more, received accumulate="
                         f"{accumulate}")


def updates_of(batches, accumulate):
    """Return the updates that so many batches of an epoch make.

    Parameters
    ----------
    batches : int
    accumulate : int
        Batches whose gradients make an update; what is left at an epoch's end makes one too.

    Returns
    -------
    int

    Examples
    --------
    >>> updates_of(10, 4)
    3
    """
    return math.ceil(batches / accumulate)


def divide_batch(images, largest):
    """Divide the images of an update into batches that fit.

    Parameters
    ----------
    images : int
    largest : int
        Images that fit at once, 1 or more.

    Returns
    -------
    batch, accumulate : int
        The fewest batches that make exactly `images`; where those would be more than twice as many as must be, as many
        as must be, which make a few images more.

    Examples
    --------
    >>> divide_batch(128, 50), divide_batch(127, 50)
    ((32, 4), (43, 3))
    """
    fewest = math.ceil(images / largest)
    count = next((count for count in range(fewest, 2 * fewest + 1) if images % count == 0), fewest)
    return math.ceil(images / count), count
