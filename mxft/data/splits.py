"""The fine-tune tutorial's protocol, n images of each class for training and all others for validation; or a fraction.

Follows the shell script in the MXNet tutorial "Fine-tune with Pretrained Models", except that it is seeded, gives both
lists the same class numbers, and moves nothing: the script's ``mv`` empties the source, so that a second run takes
another n.
"""
import hashlib
import math
import os
from dataclasses import dataclass

from mxft.data.classes import write_classes
from mxft.data.folders import EXTENSIONS, require_root, scan_class_folders
from mxft.data.lists import write_list
from mxft.data.packing import PackResult, pack_list
from mxft.errors import InputError, nearest

CLUTTER = "257.clutter"


@dataclass(frozen=True)
class SplitResult:
    """What `split_folder` did.

    Attributes
    ----------
    train, val : PackResult
    classes_path : str
        The class map: line number is label.
    classes : list of str
    excluded, ignored : list of str
        Class folders left out, and what was no image or lay deeper than a class folder.
    without_validation : list of str
        Classes all of whose images went into training.
    """

    train: PackResult
    val: PackResult
    classes_path: str
    classes: list
    excluded: list
    ignored: list
    without_validation: list


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


def split_fraction(rows, val_fraction, seed=0, classes=None):
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
    return _divided(members, {label: len(of) - int(val_fraction * len(of)) for label, of in members.items()}, seed)


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


def split_folder(folder, prefix, per_class=60, seed=0, exclude=(), keep_clutter=False, exts=EXTENSIONS,
                 val_fraction=None, **packing):
    """Split a folder of class folders, and write and pack both lists.

    Parameters
    ----------
    folder : str
        One folder a class, as in Caltech-256's ``256_ObjectCategories``. It is only read.
    prefix : str
        Of ``PREFIX-train`` and ``PREFIX-val`` (``.lst .rec .idx``) and ``PREFIX-classes.txt``.
    per_class, seed
        See `split_per_class`.
    exclude : iterable of str
        Class folders to leave out.
    keep_clutter : bool
        Caltech-256's ``257.clutter``, which is no category, is left out unless this is True.
    exts : iterable of str
        File extensions that are images.
    val_fraction : float, optional
        Split every class by this share for validation (see `split_fraction`) and not by `per_class`.
    **packing
        `resize`, `quality`, `num_thread`, `strict`, `show` …: see ``pack_list``.

    Returns
    -------
    SplitResult

    Raises
    ------
    InputError
        An empty folder, a single class, a class that is too small, no image left for validation, a folder to exclude
        that is not there; and what `pack_list` refuses.
    """
    _require_folders(folder, exclude)
    left_out = set(exclude) | (set() if keep_clutter else {CLUTTER})
    scan = scan_class_folders(folder, exts, left_out)
    if len(scan.classes) < 2:
        raise InputError(f"nothing to tell apart: expected two or more class folders in {folder}, received "
                         f"{len(scan.classes)} ({', '.join(scan.classes)})")
    train, val = (split_per_class(scan.rows, per_class, seed, scan.classes) if val_fraction is None
                  else split_fraction(scan.rows, val_fraction, seed, scan.classes))
    if not val:
        most = per_class if val_fraction is None else math.ceil(1 / val_fraction) - 1
        advice = "lower `per_class`" if val_fraction is None else f"raise the fraction above {val_fraction:g}"
        raise InputError(f"no images left for validation: expected a class with more than {most} images in "
                         f"{folder}; {advice}")
    classes_path = f"{prefix}-classes.txt"
    write_classes(classes_path, scan.classes)
    results = []
    for name, rows in (("train", train), ("val", val)):
        write_list(f"{prefix}-{name}.lst", rows)
        results.append(pack_list(f"{prefix}-{name}.lst", folder, **packing))
    validated = {row.labels[0] for row in val}
    return SplitResult(*results, classes_path, scan.classes,
                       excluded=sorted(name for name in left_out if os.path.isdir(os.path.join(folder, name))),
                       ignored=scan.ignored,
                       without_validation=[name for i, name in enumerate(scan.classes) if i not in validated])


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
    there = sorted(name for name in os.listdir(require_root(folder)) if os.path.isdir(os.path.join(folder, name)))
    for name in classes:
        if name not in there:
            raise InputError(f"no such class: expected a folder in {folder}, received classes={name!r}; "
                             f"{nearest(name, there)}")
    return [name for name in there if classes and name not in classes]


def _require_folders(folder, exclude):
    for name in exclude:
        if not os.path.isdir(os.path.join(folder, name)) and os.path.isdir(folder):
            raise InputError(f"nothing to exclude: expected a class folder in {folder}, received exclude={name!r}; "
                             f"{nearest(name, sorted(os.listdir(folder)))}")
