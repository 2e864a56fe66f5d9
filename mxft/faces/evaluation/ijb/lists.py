"""The rows of the list files of IJB-B and IJB-C, every one checked.

Conventions of ``recognition/_evaluation_/ijb/ijb_11.py``, ``ijb_1n.py`` and ``ijb_evals.py`` of insightface. A template
is what is compared: one or more faces of a person. A medium is a photograph, or a video with several frames.
"""
import dataclasses
import math

import numpy as np

from mxft.data.text_rows import is_number, text_rows
from mxft.errors import InputError
from mxft.faces.evaluation.ijb.number_rows import iter_number_rows, line_of_row
from mxft.wording import BriefRepr


@dataclasses.dataclass(frozen=True, repr=False)
class Faces(BriefRepr):
    """The faces of all templates, one a row.

    Parameters
    ----------
    path : str
        The list, for messages.
    lines : numpy.ndarray
        Int32 ``(N,)``, where in the list each stands.
    names : list of str
        Image files, below one folder.
    templates, media : numpy.ndarray
        Int64 ``(N,)``. A medium belongs to its template: the same number in two templates is two media.
    landmarks : numpy.ndarray or None
        Float32 ``(N, 5, 2)``, x and y in pixels: eyes, nose, corners of the mouth.
    scores : numpy.ndarray or None
        Float32 ``(N,)``, the detector's, from 0 up.
    """

    path: str
    lines: np.ndarray
    names: list
    templates: np.ndarray
    media: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray

    def __str__(self):
        return f"{len(self.names)} faces"

    def place(self, row):
        """Return ``line 3 of LIST`` of a row."""
        return f"line {self.lines[row]} of {self.path}"


def read_faces(media_path, points_path=None):
    """Read which faces a template has, and their landmarks and detector scores.

    Parameters
    ----------
    media_path : str
        ``ijbc_face_tid_mid.txt``: rows of ``image template medium``, separated by blanks or tabs.
    points_path : str, optional
        ``ijbc_name_5pts_score.txt``: rows of ``image x1 y1 … x5 y5 score``, row by row the same images.

    Returns
    -------
    Faces

    Raises
    ------
    InputError
        A bad row, with file, line and text; a row of one list that is another image in the other, or lists of
        different length: upstream pairs them by their place.

    Notes
    -----
    An image may stand in several rows. Templates and media need not be sorted.
    """
    lines, names, templates, media = [], [], [], []
    for number, line in text_rows(media_path, "list of templates"):
        words = line.rsplit(None, 2)
        if len(words) != 3 or not all(map(is_number, words[1:])):
            raise _bad_row(media_path, number, "image template medium", line)
        lines.append(number)
        names.append(words[0])
        templates.append(int(words[1]))
        media.append(int(words[2]))
    if not names:
        raise InputError(f"list of templates is empty: expected at least one row, received {media_path} with none")
    landmarks, scores = (None, None) if points_path is None else _read_points(points_path, media_path, lines, names)
    return Faces(media_path, np.array(lines, np.int32), names, np.array(templates, np.int64),
                 np.array(media, np.int64), landmarks, scores)


def _read_points(path, media_path, lines, names):
    """Return landmarks and scores of the images `names`, which stand on `lines` of the list at `media_path`."""
    values, rows = np.empty((len(names), 11), np.float32), 0
    for number, line in text_rows(path, "list of landmarks"):
        words = line.rsplit(None, 11)
        try:
            numbers = [float(word) for word in words[1:]]
        except ValueError:
            numbers = []
        if len(numbers) != 11 or not all(map(math.isfinite, numbers)) or numbers[-1] < 0:
            raise _bad_row(path, number, "image x1 y1 … x5 y5 score, the score from 0 up", line)
        if rows < len(names):
            if words[0] != names[rows]:
                raise InputError(f"lists do not belong together: expected {names[rows]}, as line {lines[rows]} of "
                                 f"{media_path} has it, received {words[0]} on line {number} of {path}")
            values[rows] = numbers
        rows += 1
    if rows != len(names):
        raise InputError(f"lists do not belong together: expected {len(names)} rows, as {media_path} has, received "
                         f"{rows} in {path}")
    return values[:, :10].reshape(-1, 5, 2), values[:, 10].copy()


def _bad_row(path, number, expected, line):
    return InputError(f"bad row in {path}, line {number}: expected {expected}, received {line!r}")


def read_template_pairs(path, templates):
    """Read the pairs of a 1:1 protocol.

    Parameters
    ----------
    path : str
        ``ijbc_template_pair_label.txt``: rows of ``template template 0|1``, 1 for one person.
    templates : numpy.ndarray
        Int64 ``(T,)``, ascending: the templates that have faces.

    Returns
    -------
    left, right : numpy.ndarray
        Int32 ``(P,)``: places in `templates`.
    issame : numpy.ndarray
        Bool ``(P,)``.

    Raises
    ------
    InputError
        A bad row, another label, or a template without faces, with the line.
    """
    parts, before = [], 0
    for rows in iter_number_rows(path, ("template", "template", "0|1"), "list of pairs"):
        wrong = np.flatnonzero(rows[:, 2] > 1)
        if len(wrong):
            number, line = line_of_row(path, before + wrong[0])
            raise _bad_row(path, number, "template template 0|1", line)
        parts.append((*(_places(rows[:, side], templates, path, before) for side in (0, 1)), rows[:, 2] == 1))
        before += len(rows)
    left, right, issame = map(np.concatenate, zip(*parts))
    return left, right, issame


def _places(wanted, templates, path, before):
    """Return where numbers stand among `templates`, refusing one that does not; the first is of row `before`."""
    places = np.searchsorted(templates, wanted)
    places[places == len(templates)] = 0
    unknown = np.flatnonzero(templates[places] != wanted)
    if len(unknown):
        number, line = line_of_row(path, before + unknown[0])
        raise InputError(f"template without faces: expected one of the {len(templates)} templates that have images, "
                         f"received template={wanted[unknown[0]]} on line {number} of {path}: {line!r}")
    return places.astype(np.int32)


def read_subjects(path, templates):
    """Read whom the templates of a gallery, or the probes, show.

    Parameters
    ----------
    path : str
        ``ijbc_1N_gallery_G1.csv`` and kin: rows that begin ``template,subject``, one or more a template, below one
        row of column names.
    templates : numpy.ndarray
        Int64 ``(T,)``, ascending: the templates that have faces.

    Returns
    -------
    places : numpy.ndarray
        Int32 ``(M,)``: places in `templates`, each once, ascending.
    subjects : numpy.ndarray
        Int64 ``(M,)``.

    Raises
    ------
    InputError
        A bad row, a template of two subjects, or one without faces, with the line.
    """
    subjects, known = {}, set(templates.tolist())
    for row, (number, line) in enumerate(text_rows(path, "list of subjects")):
        words = [word.strip().strip('"') for word in line.replace("\t", ",").split(",")[:2]]
        if len(words) != 2 or not all(map(is_number, words)):
            if not row and not any(map(is_number, words)):
                continue  # the row of column names
            raise _bad_row(path, number, "template,subject,…", line)
        template, subject = map(int, words)
        if subjects.setdefault(template, (subject, number))[0] != subject:
            raise InputError(f"template of two subjects: expected subject {subjects[template][0]}, as line "
                             f"{subjects[template][1]} of {path} has it for template {template}, received "
                             f"subject={subject} on line {number}")
        if template not in known:
            raise InputError(f"template without faces: expected one of the {len(templates)} templates that have "
                             f"images, received template={template} on line {number} of {path}: {line!r}")
    if not subjects:
        raise InputError(f"list of subjects is empty: expected at least one template,subject row, received {path} "
                         "with none")
    numbers = np.array(sorted(subjects), np.int64)
    return (np.searchsorted(templates, numbers).astype(np.int32),
            np.array([subjects[number][0] for number in numbers.tolist()], np.int64))
