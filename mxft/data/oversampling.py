"""Oversampling: a record file in which every class is as frequent as the largest, by repeating records.

The counterpart of class weights for uneven classes (Buda et al., arXiv:1710.05381, found it the better of the two).
"""
import os

import numpy as np

from mxft.data.labels import scan_labels
from mxft.errors import InputError
from mxft.files.whole import whole_file


def oversample_records(path, out, seed=0):
    """Write a record file in which records of the smaller classes are repeated until all classes are level.

    Parameters
    ----------
    path : str
        A ``.rec`` file of one label a record; only read.
    out : str
        The ``.rec`` file to write, whole or not at all.
    seed : int
        Of which records are repeated once more than others, and of the order. The same seed makes the same file.

    Returns
    -------
    str
        `out`.

    Raises
    ------
    InputError
        No records, several labels a record, a label that is no class number, damage, or `out` the file that is read.

    Notes
    -----
    Records are copied byte for byte, header and id included, so ids repeat and no ``.idx`` is written. Copies of a
    record differ by no more than one in number. Classes that have no record get none. It is for training: an
    oversampled validation file would count some images several times.

    Examples
    --------
    >>> oversample_records("train.rec", "train-balanced.rec", seed=0)      # doctest: +SKIP
    'train-balanced.rec'
    """
    if os.path.exists(out) and os.path.samefile(path, out):
        raise InputError(f"oversampling: expected another file to write than the one that is read, received "
                         f"out={out!r}")
    scan = scan_labels(path)
    order = oversampled_order(_class_numbers(scan), seed)
    ends = np.append(scan.offsets[1:], os.path.getsize(path))
    with open(path, "rb") as source, whole_file(out) as copy:
        for record in order:
            source.seek(scan.offsets[record])
            copy.write(source.read(ends[record] - scan.offsets[record]))
    return out


def oversampled_order(labels, seed=0):
    """Return numbers of records, in random order, in which every class is as frequent as the largest.

    Parameters
    ----------
    labels : array of int, shape (N,)
    seed : int

    Returns
    -------
    int64 array, shape (classes present · size of the largest,)

    Examples
    --------
    >>> sorted(oversampled_order(np.array([0, 0, 1])).tolist())
    [0, 1, 2, 2]
    """
    random = np.random.RandomState(seed)  # the one generator whose streams NumPy promises to keep
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    largest = max(map(len, members))
    repeated = [np.concatenate([np.tile(of_class, largest // len(of_class)),
                                random.permutation(of_class)[:largest % len(of_class)]]) for of_class in members]
    return random.permutation(np.concatenate(repeated))


def _class_numbers(scan):
    """Return the labels as class numbers, int64 (N,), refusing what is none."""
    if not len(scan.ids):
        raise InputError(f"oversampling: expected at least one record, received {scan.path} with none")
    if scan.labels.ndim > 1:
        raise InputError(f"oversampling: expected one label in each record, received {scan.labels.shape[1]} in "
                         f"{scan.path}; pack it again without `pack_label`")
    wrong = np.flatnonzero(~(np.isfinite(scan.labels) & (np.floor(scan.labels) == scan.labels) & (scan.labels >= 0)))
    if len(wrong):
        raise InputError(f"oversampling: expected labels that are class numbers, received label="
                         f"{scan.labels[wrong[0]]:g} in record {wrong[0]} of {scan.path}")
    return scan.labels.astype(np.int64)
