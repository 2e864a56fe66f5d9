"""Training and validation parts of images that have several labels, or numbers, each."""
import numpy as np

from mxft.data.splits import rank
from mxft.data.target_spec import MULTI_LABEL
from mxft.errors import InputError


def split_targets(rows, kind, val_fraction=0.2, seed=0):
    """Divide rows with label vectors into training and validation.

    Parameters
    ----------
    rows : sequence of Row
    kind : {"multi-label", "regression"}
        Of several labels, every one has its share in both parts as nearly as can be; rows of numbers are drawn.
    val_fraction : float
        Above 0 and below 1, of all rows.
    seed : int

    Returns
    -------
    train, val : list of Row
        Both in random order.

    Raises
    ------
    InputError
        A fraction out of range, or one that leaves a part empty.

    Notes
    -----
    Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data" (ECML PKDD 2011), algorithm 1: the
    label with the fewest rows left goes first, each of its rows to the part that wants it most. Rows are ordered as
    `mxft.data.splits.split_per_class` orders them.

    Examples
    --------
    >>> from mxft.data.lists import Row
    >>> rows = [Row(i, (float(i % 2), float(i % 5 == 0)), f"{i}.jpg") for i in range(20)]
    >>> train, val = split_targets(rows, "multi-label", 0.25)
    >>> len(train), len(val), sum(row.labels[0] for row in val), sum(row.labels[1] for row in val)
    (15, 5, 2.0, 1.0)
    """
    if not 0 < val_fraction < 1:
        raise InputError(f"cannot split: expected a share for validation above 0 and below 1, received val_fraction="
                         f"{val_fraction}")
    rows = sorted(rows, key=lambda row: rank(row, seed))
    if kind == MULTI_LABEL:
        chosen = _stratified(np.array([row.labels for row in rows]), val_fraction)
    else:
        chosen = np.arange(len(rows)) < int(val_fraction * len(rows))
    val = [row for row, is_val in zip(rows, chosen) if is_val]
    train = [row for row, is_val in zip(rows, chosen) if not is_val]
    if not val or not train:
        raise InputError(f"cannot split: expected images for training and for validation, received {len(rows)} images "
                         f"and val_fraction={val_fraction:g}; raise the fraction or give a list of its own to each "
                         "part (mxft im2rec `labels`)")
    return train, val


def _stratified(labels, val_fraction):
    """Return which rows of ``(N, L)`` labels are for validation, bool ``(N,)``."""
    shares = np.array([1 - val_fraction, val_fraction])
    part = np.full(len(labels), -1)
    wanted, wanted_rows = np.outer(shares, labels.sum(axis=0)), shares * len(labels)
    while (part < 0).any():
        left = labels[part < 0].sum(axis=0)
        if not left.any():  # rows without labels
            for row in np.flatnonzero(part < 0):
                part[row] = int(wanted_rows.argmax())
                wanted_rows[part[row]] -= 1
            break
        label = int(np.where(left > 0, left, np.inf).argmin())
        for row in np.flatnonzero((part < 0) & (labels[:, label] > 0)):
            part[row] = max((0, 1), key=lambda which: (wanted[which, label], wanted_rows[which]))
            wanted[part[row]] -= labels[row]
            wanted_rows[part[row]] -= 1
    return part == 1
