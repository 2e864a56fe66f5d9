"""The self-test of a bundle: a picture, its five classes or its values, and whether a runtime still gives them.

Probabilities are compared by their quotient. Measured with a MobileNetV2 of 256 classes on 60 photographs: one pixel
in twenty off by one, as another JPEG decoder may round, moves the five by a factor of 1.18 at most; swapped channels
move 54 of the 60 by more than 1.5, a lost mean 59. A difference of 0.01 would have noticed 26 and 40 of them.
"""
import contextlib
import itertools
import os

import numpy as np

from mxft.data.images import BadImage, prepare, prepare_with_size
from mxft.data.lists import iter_list
from mxft.data.packing import read_image
from mxft.data.recordio import RecordReader
from mxft.deploy.bundle import SELFTEST_IMAGE
from mxft.errors import InputError
from mxft.files.whole import sha256
from mxft.network.image_options import ImageOptions
from mxft.training.run import read_log

TOP, LEAST = 5, 1e-30
FACTOR, TOLERANCE = 1.5, 0.1  # and no bundle may ask for more; the tolerance is a part of the largest value
SHORT_SIDE, QUALITY = 512, 95
LOOKED_AT = 32


def selftest_picture(data):
    """Return a picture as the JPEG that goes into a bundle: upright, of moderate size, without the camera's notes.

    Parameters
    ----------
    data : bytes
        An image file.

    Raises
    ------
    mxft.data.images.BadImage
    """
    picture, size = prepare_with_size(data, ImageOptions(quality=QUALITY))
    if min(size) > SHORT_SIDE:
        picture = prepare(data, ImageOptions(resize=SHORT_SIDE, quality=QUALITY))
    return picture


def expectation(answer, classes):
    """Return selftest.json: the likeliest classes of the picture, in order, or the numbers of a regression.

    Parameters
    ----------
    answer : mxft.evaluation.answer.Answer
    classes : list of str
        A name for each of its numbers.

    Returns
    -------
    dict
    """
    if answer.output.has_probabilities:
        rule, measure = {"factor": FACTOR}, "probability"
    else:
        rule, measure = {"tolerance": TOLERANCE, "largest": float(np.abs(answer.shown).max())}, "value"
    return {"image": SELFTEST_IMAGE, **rule,
            "top": [{"class": classes[i], "label": i, measure: float(f"{value:.6g}")} for i, value in answer.top(TOP)]}


def require_bounds(expected, classes):
    """Refuse (ValueError) a self-test that would pass whatever a network gives.

    Parameters
    ----------
    expected : dict
        ``selftest.json`` of somebody's bundle.
    classes : list of str

    Notes
    -----
    The factor and the tolerance are mxft's own, or stricter; the lines are as many as `expectation` writes, of
    different classes; and what the tolerance is a part of is no more than the largest number of the lines, or of the
    network's own: see `disagreements`.
    """
    factor, tolerance = expected.get("factor"), expected.get("tolerance")
    if (factor is None) == (tolerance is None):
        raise ValueError("either a factor or a tolerance")
    if factor is not None and not 1 <= factor <= FACTOR:
        raise ValueError(f"a factor from 1 to {FACTOR:g}, received {factor!r}")
    if tolerance is not None and not 0 <= tolerance <= TOLERANCE:
        raise ValueError(f"a tolerance from 0 to {TOLERANCE:g}, received {tolerance!r}")
    top = expected["top"]
    labels = {entry["label"] for entry in top}
    if len(top) < min(TOP, len(classes)) or len(labels) < len(top) or not labels <= set(range(len(classes))):
        raise ValueError(f"{min(TOP, len(classes))} lines of different classes, received {len(top)}")
    if any(classes[entry["label"]] != entry["class"] for entry in top):
        raise ValueError("the classes' own names")
    if not all(np.isfinite(number_of(entry)) and (factor is None or 0 <= number_of(entry) <= 1 + 1e-5)
               for entry in top):
        raise ValueError("numbers, and probabilities from 0 to 1")


def disagreements(expected, numbers, classes):
    """Compare what a runtime gives with what is expected.

    Parameters
    ----------
    expected : dict
        From `expectation`.
    numbers : numpy.ndarray
        Probabilities of classes, or values, float ``(K,)``.
    classes : list of str

    Returns
    -------
    list of str
        One line for each class that is not as expected, naming both numbers.

    Notes
    -----
    A probability agrees that is neither more nor less by the factor; so two classes that are nearly tied may change
    places, and a picture that is named with certainty tells as much as another. A value agrees that is not further off
    than the tolerance, a part of the largest value.
    """
    top, lines = expected["top"], []
    for entry in top:
        received, wanted = float(numbers[entry["label"]]), number_of(entry)
        if not _agree(expected, received, wanted, numbers):
            lines.append(f"expected {wanted:.4g} {entry['class']}, received {received:.4g}")
    if "factor" not in expected:
        return lines
    told, most = {entry["label"] for entry in top}, expected["factor"] * max(number_of(top[-1]), LEAST)
    for label in np.argsort(-numbers, kind="stable")[:len(top)]:
        if label not in told and not numbers[label] <= most:
            lines.append(f"expected at most {most:.4g} {classes[label]}, received {float(numbers[label]):.4g}")
    return lines


def _agree(expected, received, wanted, numbers):
    if "factor" not in expected:
        largest = min(expected["largest"], float(np.abs(numbers).max()) / (1 - expected["tolerance"]))
        return abs(received - wanted) <= expected["tolerance"] * max(largest, LEAST)
    factor = expected["factor"]
    return max(received, LEAST) / factor <= max(wanted, LEAST) <= max(received, LEAST) * factor


def number_of(entry):
    """Return the number of one of selftest.json's lines: a probability, or a value."""
    return entry["probability"] if "probability" in entry else entry["value"]


def largest_difference(expected, numbers):
    """Return how far the expected numbers are from a runtime's, at most."""
    return max(abs(float(numbers[entry["label"]]) - number_of(entry)) for entry in expected["top"])


def picture_of_run(folder, manifest, bound):
    """Return a validation picture of a run: the first whose class or labels are told right, or the first.

    Parameters
    ----------
    folder : str
        A run folder, with its ``log.jsonl``.
    manifest : dict
    bound : mxft.evaluation.classifier.BoundClassifier

    Returns
    -------
    bytes
        From `selftest_picture`.

    Raises
    ------
    InputError
        There is no run, or its validation records are gone or others by now; ``--image`` is the way out.
    """
    found = []
    for data, labels in itertools.islice(_validation_pictures(folder, manifest), LOOKED_AT):
        try:
            picture = selftest_picture(data)
            (answer, *_), _ = bound.answers(picture)
        except BadImage:
            continue
        found.append(picture)
        if _is_right(answer, np.ravel(labels), bound.classifier.thresholds):
            return picture
    if not found:
        raise InputError(f"self-test picture: expected one that can be read among the validation records of {folder}, "
                         "received none; `image` IMAGE gives one")
    return found[0]


def _is_right(answer, labels, thresholds):
    """Whether a picture's class, or its labels, are told right; True where the output names nothing."""
    if thresholds and len(labels) == len(thresholds):
        return labels.any() and np.array_equal(answer.shown >= thresholds, labels > 0)
    return not answer.output.names_classes or answer.shown.argmax() == int(labels[0])


def _validation_pictures(folder, manifest):
    """Yield the bytes and the label of each validation picture of a run, as far as they can be read."""
    log = os.path.join(folder, "log.jsonl")
    rows = read_log(log) if os.path.isfile(log) else []
    start = next((row for row in rows if row["event"] == "start" and "records" in row), {})
    path, root = start.get("records", {}).get("val"), start.get("pictures")
    if root is None:
        with RecordReader(_unchanged(path, folder, manifest)) as reader:
            for record in reader:
                yield bytes(record.payload), record.header.label
    elif not os.path.isfile(path) or not os.path.isdir(root):
        raise InputError(f"self-test picture: expected `image` IMAGE, or a run whose pictures are at hand, received "
                         f"neither ({path}, {root}); `image` IMAGE gives one")
    else:  # they were read where they lie
        for row in iter_list(path):
            with contextlib.suppress(BadImage):
                yield read_image(os.path.join(root, row.path)), row.labels


def _unchanged(path, folder, manifest):
    """Return the path of a run's validation records; refuse (InputError) those that are gone or others by now."""
    entry = (manifest.get("data") or {}).get("val") or {}
    if not path or not os.path.isfile(path):
        raise InputError("self-test picture: expected `image` IMAGE, or a run whose validation records are at hand, "
                         f"received neither ({path or folder + ' has no log that names them'}); `image` IMAGE gives "
                         "one")
    if entry.get("sha256") not in (None, sha256(path)):
        raise InputError(f"self-test picture: expected the validation records of the run, received {path}, which has "
                         "changed since; `image` IMAGE gives one")
    return path
