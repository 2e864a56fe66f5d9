"""Lists that name five landmarks for each picture: what such data sets came with, so that no detector is needed.

``face2rec2.py``'s rows (insightface, src/common/face_preprocess.py, `parse_lst_line`: aligned, path, label, box, the
five x and then the five y), those of MS-Celeb-1M and CASIA-WebFace (path, label, x y x y …), CelebA's (path, x y …)
and IJB's (path, x y …, score).
"""
import logging
import os
import re
from typing import NamedTuple, Optional

import numpy as np

from mxft.data.picture_files import found_path
from mxft.errors import InputError
from mxft.faces.align.detection import Detections
from mxft.faces.align.picture import detections_of
from mxft.faces.align.similarity import REFERENCE, reference_points, similarity_transform
from mxft.files.whole import require_file, sha256

LOG = logging.getLogger("mxft")

# Pixels of 112 that landmarks lie from insightface's points at the mean, once aligned: a face in front view 2 to 6, in
# profile 11 to 14; x taken for y 14, left taken for right 20.
WRONG_LIST, WRONG_FACE = 11.5, 15.0
_SAMPLE = 200          # rows by which the order of the numbers is told
_ORDERS = {"x y, x y …": lambda numbers: numbers.reshape(-1, 5, 2),
           "five x, five y": lambda numbers: numbers.reshape(-1, 2, 5).transpose(0, 2, 1)}


class Listed(NamedTuple):
    """One row: the picture as the list calls it, its label as text or None, and what is known of its face.

    `landmarks` is float64 ``(5, 2)`` or None, `box` ``(4,)`` or None; `aligned` that it is a crop already.
    """

    path: str
    label: Optional[str]
    box: Optional[np.ndarray]
    landmarks: Optional[np.ndarray]
    aligned: bool
    line: int


def read_landmark_list(path):
    """Read a list of pictures with the places of their faces.

    Parameters
    ----------
    path : str
        Rows separated by tabs, or by blanks where there are none.

    Returns
    -------
    rows : list of Listed
    how : str
        How the numbers were read, for a person; empty where there are no landmarks.

    Raises
    ------
    InputError
        A row of another form than the first, numbers that are none, or landmarks that are no face's in any order.

    Notes
    -----
    Which of the numbers are landmarks and in which order is told by trying: the order in which they lie like a face.

    Examples
    --------
    >>> with open("/tmp/mxft-example.txt", "w") as f:
    ...     _ = f.write("ann/1.jpg 0 38 51 73 51 56 71 41 92 70 92")
    >>> rows, how = read_landmark_list("/tmp/mxft-example.txt")
    >>> rows[0].label, rows[0].landmarks[2].tolist(), how
    ('0', [56.0, 71.0], 'label, x y, x y …')
    """
    path = require_file(path, "list of landmarks")
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as f:
        lines = [(number, line.strip("\r\n")) for number, line in enumerate(f, 1) if line.strip()]
    lines = _without_header(lines)
    if not lines:
        raise InputError(f"list of landmarks is empty: expected at least one row, received {path} with none")
    split = [(number, _fields(line)) for number, line in lines]
    flags, names, numbers = _columns(split, path)
    if not any(len(row) >= 10 for row in numbers):
        return _with_boxes(split, flags, names, numbers, path), ""
    return _with_landmarks(split, flags, names, numbers, path)


def _without_header(lines):
    """Drop CelebA's first lines: a number, and the names of the columns."""
    if lines and re.fullmatch(r"\s*\d+\s*", lines[0][1]):
        lines = lines[1:]
    if lines and not any(_number(word) is not None for word in lines[0][1].split()):
        lines = lines[1:]
    return lines


def _fields(line):
    words = line.split("\t") if "\t" in line else line.split()
    return [word.strip() for word in words if word.strip()]


def _number(word):
    try:
        value = float(word)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _columns(split, path):
    """Return what stands before the paths (a flag or None), the paths, and the numbers behind them, row by row."""
    flags, names, numbers = [], [], []
    for line, words in split:
        at = 1 if _number(words[0]) is not None and len(words) > 1 else 0
        values = [_number(word) for word in words[at + 1:]]
        if _number(words[at]) is not None or None in values or (at and words[0] not in ("0", "1")):
            raise InputError(f"bad row in {path}, line {line}: expected a path and numbers (0 or 1 before the path in "
                             f"face2rec2.py's lists), received {' '.join(words)[:120]!r}")
        flags.append(words[0] if at else None)
        names.append(words[at])
        numbers.append(np.array(values, np.float64))
    return flags, names, numbers


def _with_boxes(split, flags, names, numbers, path):
    """Return rows without landmarks: a label and perhaps a box."""
    rows = []
    for (line, words), flag, name, values in zip(split, flags, names, numbers):
        if len(values) not in (0, 1, 4, 5):
            raise InputError(f"bad row in {path}, line {line}: expected a path with a label, a box of four numbers or "
                             f"five landmarks of ten, received {len(values)} numbers in {' '.join(words)[:120]!r}")
        label = _label(values[0], path, line) if len(values) in (1, 5) else None
        box = values[-4:] if len(values) > 1 else None
        rows.append(Listed(name, label, box, None, flag == "1", line))
    return rows


def _with_landmarks(split, flags, names, numbers, path):
    """Return the rows with landmarks, in the order of the numbers that makes faces of most of them, and the order."""
    full = [values for values in numbers if len(values) >= 10]
    width = max(map(len, full))
    sample = np.stack([values for values in full if len(values) == width][:_SAMPLE])
    start, order = min(((start, order) for start in range(max(0, width - 11), width - 9) for order in _ORDERS),
                       key=lambda way: np.median(_distances(_ORDERS[way[1]](sample[:, way[0]:way[0] + 10]))))
    off = np.median(_distances(_ORDERS[order](sample[:, start:start + 10])))
    if not off <= WRONG_LIST:
        raise InputError(f"list of landmarks cannot be read: expected left eye, right eye, nose and the corners of the "
                         f"mouth as x y x y … or five x and five y, received {path} whose numbers are no face's in any "
                         f"order (off by {off:.0f} pixels of 112 at best), as in line {split[0][0]}: "
                         f"{' '.join(split[0][1])[:120]!r}")
    rows = []
    for (line, words), flag, name, values in zip(split, flags, names, numbers):
        if len(values) not in (width, 0, 1, 5):
            raise InputError(f"bad row in {path}, line {line}: expected {width} numbers behind the path as in other "
                             f"rows, received {len(values)} in {' '.join(words)[:120]!r}")
        has = len(values) == width
        before = values[:start] if has else values
        rows.append(Listed(name, _label(before[0], path, line) if len(before) in (1, 5) else None,
                           before[-4:] if len(before) in (4, 5) else None,
                           _ORDERS[order](values[None, start:start + 10])[0] if has else None, flag == "1", line))
    told = [{0: "", 1: "label", 4: "box", 5: "label and box"}.get(start, ""), order,
            "score" if start + 10 < width else ""]
    return rows, ", ".join(filter(None, told))


def _label(value, path, line):
    """Return a label as text; refuse one so large that it could be its neighbour's."""
    if abs(value) >= 2 ** 53:
        raise InputError(f"bad row in {path}, line {line}: expected a label below {2 ** 53}, received {value:g}")
    return str(int(value)) if value.is_integer() else repr(float(value))


def _distances(landmarks):
    """Return how far landmarks (N, 5, 2) lie from insightface's points once aligned, (N,), in pixels of 112."""
    return np.array([landmark_distance(points) for points in landmarks])


def landmark_distance(points):
    """Return the mean distance in pixels of 112 that five points keep from insightface's when they are aligned.

    Infinite where they cannot be aligned.
    """
    try:
        matrix = similarity_transform(points, REFERENCE)
    except InputError:
        return np.inf
    return float(np.linalg.norm(points @ matrix[:, :2].T + matrix[:, 2] - REFERENCE, axis=1).mean())


class ListedFaces:
    """Finds the faces that a list names; where it gives a box alone, or nothing, a detector looks.

    Parameters
    ----------
    rows : list of Listed
    root : str
        The folder of the pictures.
    detector : callable or None
        None: what has no landmarks is left out.
    digest : str
        Of the list's file.

    Attributes
    ----------
    paths : list of str
        Below `root`, each once, in the order of the list.

    Raises
    ------
    InputError
        None of the pictures is there.
    """

    def __init__(self, rows, root, detector=None, digest=""):
        self._rows, self._detector = {}, detector
        self.settings = {"landmarks": digest, **(detector.settings if detector else {})}
        for row in rows:
            found = found_path(root, row.path) or row.path
            self._rows.setdefault(found, []).append(row)
        self.paths = list(self._rows)
        if not any(os.path.isfile(os.path.join(root, path)) for path in self.paths):
            raise InputError(f"pictures of the list are missing: expected them in {root or 'the working directory'}, "
                             f"received none of {len(self.paths)}, as {self.paths[0]!r}; `root` says where they lie")

    def label(self, path):
        """Return the label of a picture as text, None where its row has none.

        Raises
        ------
        InputError
            It shows several people, by the list: which of its faces is whose would be a guess.
        """
        first, *others = self._rows[path]
        for row in others:
            if row.label != first.label:
                raise InputError(f"picture of two people: expected one label of {path}, received {first.label} on line "
                                 f"{first.line} of the list and {row.label} on line {row.line}; leave one of them out")
        return first.label

    def of(self, name, image):
        """Return the faces of the picture called `name`."""
        rows = [row for row in self._rows[name] if row.landmarks is not None]
        likely = [row.landmarks for row in rows if landmark_distance(row.landmarks) <= WRONG_FACE
                  and _lies_in(row.landmarks.mean(axis=0), image)]
        if likely:
            found = [detections_of(points) for points in likely]
            return Detections(*(np.concatenate(parts) for parts in zip(*found)))
        if self._rows[name][0].aligned and not rows:
            return detections_of(reference_points(image.shape[:2]))
        if rows or self._detector is None:
            return Detections.none()
        return self._inside(self._rows[name][0], image)

    def _inside(self, row, image):
        """Return what the detector finds of a picture whose box alone is known: the face that shares most with it."""
        found = self._detector(image)
        if row.box is None or not len(found):
            return found
        shared = _shared(found.boxes, row.box)
        return found.only(slice(shared.argmax(), shared.argmax() + 1)) if shared.max() > 0.3 else Detections.none()

    def missing(self, name):
        """Return why a picture has no face."""
        rows = self._rows[name]
        if any(row.landmarks is not None for row in rows):
            return f"landmarks of line {rows[0].line} are no face's, or lie outside of the picture"
        if self._detector is None:
            return f"line {rows[0].line} names no landmarks"
        return f"no face found{' in the box of the list' if rows[0].box is not None else ''}"


def open_listed(path, root, detector_for):
    """Return the ListedFaces of a list, and say how it was read.

    Parameters
    ----------
    path : str
        See `read_landmark_list`.
    root : str
        The folder of the pictures.
    detector_for : callable
        ``needed -> detector or None``: a detector is needed where a row of the list names no landmarks.

    Returns
    -------
    ListedFaces

    Raises
    ------
    InputError
        See `read_landmark_list` and `ListedFaces`.
    """
    rows, how = read_landmark_list(path)
    detector = detector_for(not all(row.landmarks is not None or row.aligned for row in rows))
    LOG.info(f"landmarks: {sum(row.landmarks is not None for row in rows)} of {len(rows)} rows of {path}"
             + f", read as {how}" * bool(how))
    return ListedFaces(rows, root, detector, sha256(path))


def _lies_in(point, image):
    return bool((point >= 0).all() and (point < image.shape[1::-1]).all())


def _shared(boxes, box):
    """Return the part of their union that boxes (n, 4) share with one box."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-9)
