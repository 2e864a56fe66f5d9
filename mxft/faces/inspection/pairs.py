"""Explain a verification set (.bin): a pickle of encoded images and whether each two are of one person."""
import os
from collections import Counter

import numpy as np

from mxft.data.packing import one_opencv_thread
from mxft.errors import InputError
from mxft.faces.inspection.facts import Inspection, describe_images
from mxft.faces.inspection.records import look_at
from mxft.machine.quiet import quiet_native

FOLDS = 10  # as verification divides a set, in its order


def inspect_pairs(path, folds=FOLDS):
    """Explain a ``.bin`` file; all its images are decoded.

    Parameters
    ----------
    path : str
    folds : int
        Into which verification divides the pairs, in their order.

    Returns
    -------
    Inspection
    """
    from mxft.faces.pairs.bin_file import load_pairs

    found = Inspection(os.fspath(path), "verification set")
    try:
        pairs = load_pairs(path)
    except InputError as error:
        found.problems.append(str(error))
        return found
    issame = np.asarray(pairs.issame, bool)
    found.facts.append(("pairs", f"{len(issame)} = {issame.sum()} of one person + {(~issame).sum()} of two"))
    found.numbers.update(pairs=len(issame), same=int(issame.sum()), images=len(pairs.images))
    if len(pairs.images) != 2 * len(issame):
        found.problems.append(f"{len(pairs.images)} images do not make {len(issame)} pairs: expected "
                              f"{2 * len(issame)}")
    _check_images(found, pairs.images)
    _check_folds(found, issame, folds)
    return found


def _check_images(found, images):
    with one_opencv_thread(), quiet_native():
        looks = [look_at(bytes(image), decoded=True) for image in images]
    files = [file for file, _ in looks if file]
    describe_images(found, np.array([file.height for file in files], np.int64),
                    np.array([file.width for file in files], np.int64), Counter(file.format for file in files))
    sizes = {(file.height, file.width) for file in files}
    if len(sizes) > 1:
        found.problems.append(f"images are of {len(sizes)} sizes, from {min(sizes)} to {max(sizes)} high and wide")
    bad = [(number, reason) for number, (_, reason) in enumerate(looks) if reason]
    found.numbers["undecodable"] = len(bad)
    if bad:
        number, reason = bad[0]
        found.problems.append(f"{len(bad)} of {len(images)} images cannot be decoded, the first image {number}, of "
                              f"pair {number // 2}: {reason}")


def _check_folds(found, issame, folds):
    """Report folds without pairs of one person, or without pairs of two: no threshold can be chosen or tried there."""
    if len(issame) < folds:
        found.problems.append(f"{len(issame)} pairs cannot be divided into {folds} folds")
        return
    sides = [(int(fold.sum()), int((~fold).sum())) for fold in np.array_split(issame, folds)]
    if len(set(sides)) == 1:
        found.facts.append(("folds", f"{folds}, each {sides[0][0]} of one person + {sides[0][1]} of two"))
    else:
        found.facts.append(("folds", f"{folds}, with {min(s for s, _ in sides)} to {max(s for s, _ in sides)} of one "
                            f"person, {min(d for _, d in sides)} to {max(d for _, d in sides)} of two"))
    found.numbers["folds"] = [list(side) for side in sides]
    for column, what in ((0, "one person"), (1, "two persons")):
        without = [str(number) for number, side in enumerate(sides, 1) if not side[column]]
        if without:
            found.problems.append(f"{len(without)} of {folds} folds have no pair of {what}: fold {', '.join(without)}")
