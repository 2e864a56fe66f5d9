"""The fine-tune tutorial's protocol, n images of each class for training and all others for validation; or a fraction.

Follows the shell script in the MXNet tutorial "Fine-tune with Pretrained Models", except that it is seeded, gives both
lists the same class numbers, and moves nothing: the script's ``mv`` empties the source, so that a second run takes
another n.
"""
import hashlib
import os
from dataclasses import dataclass

from mxft.data.folders import require_root
from mxft.data.packing import PackResult
from mxft.errors import InputError, nearest
from mxft.wording import BriefRepr


@dataclass(frozen=True, repr=False)
class SplitResult(BriefRepr):
    """What `mxft.data.datasets.prepare_pictures` did.

    Attributes
    ----------
    train, val : PackResult
    classes_path : str
        The class map: line number is label.
    classes : list of str
    excluded : list of str
        Class folders left out.
    without_validation : list of str
        Classes all of whose images went into training.
    duplicates : list of (str, str)
        Pictures that are in both parts: of each the one for training and the one for validation.
    """

    train: PackResult
    val: PackResult
    classes_path: str
    classes: list
    excluded: list
    without_validation: list
    duplicates: list


def split_per_class(rows, per_class, seed=0, classes=None):
    """Choose `per_class` random rows of every class for training; all others are for validation.

    Parameters
    ----------
    rows : iterable of Row
        The first label is the class.
    per_class : int
    seed : int
    classes : list of str, optional
        Names in order of label. A name without rows is refused too.

    Returns
    -------
    train, val : list of Row
        Both in random order.

    Raises
    ------
    InputError
        A class with fewer than `per_class` rows. Exactly as many is allowed: it has no validation images.

    Notes
    -----
    Rows are ordered by the SHA-256 of seed and path. Python promises the sequence of ``random()`` for a seed but not
    that of ``shuffle`` and ``sample``, and NumPy changes its streams between versions; a hash stays. It does not
    depend on the order of the rows either, and an image added to one class leaves the choice in the others as it was.

    Examples
    --------
    >>> from mxft.data.lists import Row
    >>> train, val = split_per_class([Row(i, (float(i % 2),), f"{i}.jpg") for i in range(10)], per_class=3)
    >>> len(train), len(val)
    (6, 4)
    """
    if per_class < 1:
        raise InputError(f"cannot split: expected `per_class` of 1 or more, received per_class={per_class}")
    members = _members(rows, seed, classes)
    _require_enough(members, per_class, classes)
    return _divided(members, dict.fromkeys(members, per_class), seed)


def split_fraction(rows, val_fraction, seed=0, classes=None, least=0):
    """Choose a share of every class for validation; all others are for training.

    Parameters
    ----------
    rows : iterable of Row
        The first label is the class.
    val_fraction : float
        Above 0 and below 1. A class of n rows gives ``int(val_fraction * n)`` to validation, as Keras's
        ``validation_split`` does (keras_preprocessing/image/utils.py).
    seed, classes
        See `split_per_class`.
    least : int
        Rows of every class that validation has at least, where that leaves one for training.

    Returns
    -------
    train, val : list of Row
        Both in random order.

    Raises
    ------
    InputError
        A fraction out of range, or a class without rows.

    Notes
    -----
    Keras takes the first files of every class in the order of their names, which in a numbered collection need not be
    like the rest; here they are drawn with the seed, as `split_per_class` draws them.

    Examples
    --------
    >>> from mxft.data.lists import Row
    >>> train, val = split_fraction([Row(i, (float(i % 2),), f"{i}.jpg") for i in range(22)], 0.3)
    >>> len(train), len(val)    # of 11 each, int(3.3) = 3
    (16, 6)
    """
    if not 0 < val_fraction < 1:
        raise InputError(f"cannot split: expected a share for validation above 0 and below 1, received val_fraction="
                         f"{val_fraction}")
    members = _members(rows, seed, classes)
    _require_enough(members, 1, classes)
    held_out = {label: max(int(val_fraction * len(of)), min(least, len(of) - 1)) for label, of in members.items()}
    return _divided(members, {label: len(of) - held_out[label] for label, of in members.items()}, seed)


def _members(rows, seed, classes):
    """Return {label: its rows in the seed's order}."""
    members = {float(label): [] for label in range(len(classes or ()))}
    for row in sorted(rows, key=lambda row: rank(row, seed)):
        members.setdefault(row.labels[0], []).append(row)
    return members


def _divided(members, counts, seed):
    """Return the first ``counts[label]`` rows of every class for training, and the others."""
    chosen = {row.path for label, of_class in members.items() for row in of_class[:counts[label]]}
    train, val = [], []
    for row in sorted((row for of_class in members.values() for row in of_class), key=lambda row: rank(row, seed)):
        (train if row.path in chosen else val).append(row)
    return train, val


def rank(row, seed):
    """Return what rows are ordered by: the SHA-256 of seed and path, bytes; see `split_per_class`."""
    return hashlib.sha256(f"{seed}/{row.path.replace(os.sep, '/')}".encode("utf-8", "surrogateescape")).digest()


def _require_enough(members, per_class, classes):
    small = {label: len(rows) for label, rows in members.items() if len(rows) < per_class}
    if small:
        label, count = min(small.items())
        name = classes[int(label)] if classes else f"label {label:g}"
        others = f" ({len(small) - 1} more classes are too small)" if len(small) > 1 else ""
        raise InputError(f"class too small to split: expected at least {per_class} images, received {name}={count}"
                         f"{others}; `per_class` {max(1, min(small.values()))} or `exclude` {name}")


def all_but(folder, classes):
    """Return the class folders to exclude so that only `classes` stay.

    Parameters
    ----------
    folder : str
        One folder a class.
    classes : sequence of str
        Names of those wanted; empty for all.

    Returns
    -------
    list of str
        For `split_folder`'s `exclude`.

    Raises
    ------
    InputError
        A class that has no folder; the nearest names are given.
    """
    if not classes:
        return []
    there = sorted(name for name in os.listdir(require_root(folder)) if os.path.isdir(os.path.join(folder, name)))
    for name in classes:
        if name not in there:
            raise InputError(f"no such class: expected a folder in {folder}, received classes={name!r}; "
                             f"{nearest(name, there)}")
    return [name for name in there if name not in classes]
