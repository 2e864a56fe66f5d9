"""Feature files for other programs: ``.npz``, or ``.npy`` with labels and names beside it."""
import dataclasses
import os

import numpy as np

from mxft.data.classes import read_classes
from mxft.errors import InputError
from mxft.files.arrays import DAMAGE
from mxft.files.whole import require_file
from mxft.wording import BriefRepr

SUFFIXES = (".npz", ".npy")


@dataclasses.dataclass(frozen=True, repr=False)
class Features(BriefRepr):
    """What a feature file holds.

    Parameters
    ----------
    features : numpy.ndarray
        Float32 or float16 ``(N, …)``; of a ``.npy`` a read-only memory map.
    labels : numpy.ndarray
        Float32 ``(N,)``.
    names : list of str
        Path below the folder, or id of the record, of each row.
    classes : list of str or None
        Class names in label order.
    """

    features: np.ndarray
    labels: np.ndarray
    names: list
    classes: list = None


def check_feature_path(path):
    """Refuse (InputError) a name that ends neither in .npz nor in .npy, or is a folder."""
    if not path.endswith(SUFFIXES) or os.path.isdir(os.path.expanduser(path)):
        raise InputError(f"feature file: expected a file ending in .npz or .npy, received {path!r}")


def side_paths(path):
    """Return {"labels", "names", "classes"}: the files beside the ``.npy`` at `path`."""
    stem = path[:-len(".npy")]
    return {"labels": stem + "-labels.npy", "names": stem + "-names.txt", "classes": stem + "-classes.txt"}


def read_features(path):
    """Read a feature file and what belongs to it.

    Parameters
    ----------
    path : str
        ``.npz``, or ``.npy`` with ``-labels.npy`` and ``-names.txt`` beside it.

    Returns
    -------
    Features

    Raises
    ------
    InputError
        A file is missing, cut short or none of these, or the parts hold different numbers of rows.

    Notes
    -----
    Nothing is unpickled.

    Examples
    --------
    >>> np.savez("codes.npz", features=np.ones((2, 5)), labels=np.zeros(2), names=np.array(["a.jpg", "b.jpg"]))
    >>> read_features("codes.npz").labels.shape
    (2,)
    """
    check_feature_path(path)
    require_file(path, "feature file")
    try:
        found = _read_npz(path) if path.endswith(".npz") else _read_npy(path)
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"feature file cannot be read: expected features, labels and names as mxft extract-features "
                         f"writes them, received {path!r} ({error})") from None
    if not len(found.features) == len(found.labels) == len(found.names):
        raise InputError(f"feature file {path!r}: expected a label and a name for each row, received "
                         f"{len(found.features)} rows, {len(found.labels)} labels and {len(found.names)} names")
    return found


def _read_npz(path):
    with np.load(path, allow_pickle=False) as arrays:
        classes = arrays["classes"].tolist() if "classes" in arrays.files else None
        return Features(arrays["features"], arrays["labels"], arrays["names"].tolist(), classes)


def _read_npy(path):
    beside = side_paths(path)
    with open(require_file(beside["names"], "names of the rows"), encoding="utf-8", errors="surrogateescape") as f:
        names = f.read().split("\n")[:-1]
    labels = np.load(require_file(beside["labels"], "labels of the rows"), allow_pickle=False)
    classes = read_classes(beside["classes"]) if os.path.exists(beside["classes"]) else None
    return Features(np.load(path, mmap_mode="r", allow_pickle=False), labels, names, classes)
