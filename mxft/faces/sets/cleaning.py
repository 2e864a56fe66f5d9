"""A set without the images that seem to carry a wrong label: what goes and why is listed, and a new set written."""
from dataclasses import dataclass

import numpy as np

from mxft.errors import InputError
from mxft.faces.sets.images import FaceImages
from mxft.faces.sets.labels import (
    FAR,
    LEAST_IMAGES,
    MIXED,
    NEARER,
    SMALL,
    STRANGERS,
    UNREADABLE,
    Judgement,
    judge_labels,
)
from mxft.faces.sets.lists import IMAGE_COLUMNS, find_images, write_table
from mxft.faces.sets.writing import require_target, write_some
from mxft.wording import plural, some

COLUMNS = ("reason", *IMAGE_COLUMNS, "cosine", "nearest", "nearest_cosine")
REASONS = {NEARER: "nearer to another", FAR: "far from its own", UNREADABLE: "cannot be read"}


@dataclass(frozen=True)
class LabelsFound:
    """What `find_wrong_labels` found.

    Attributes
    ----------
    faces : FaceImages
    judgement : mxft.faces.sets.labels.Judgement
    bad : dict of int to str
        Images that cannot be read, and why.
    strangers : float
        What the threshold was measured for.
    least : int
        Images of a person that is judged.
    """

    faces: FaceImages
    judgement: Judgement
    bad: dict
    strangers: float
    least: int

    def people(self, verdict):
        """Return the labels of the people with an image of that verdict."""
        return np.unique(self.faces.labels[self.judgement.verdicts == verdict]).tolist()

    def reason(self, at):
        """Return why an image goes, in words."""
        return self.bad.get(at) or REASONS[int(self.judgement.verdicts[at])]

    def __str__(self):
        judged, verdicts, names = self.judgement, self.judgement.verdicts, self.faces.names
        count = int(judged.goes.sum())
        counts = {verdict: int((verdicts == verdict).sum()) for verdict in range(6)}
        lines = [str(self.faces), f"{plural(count, 'image goes', 'images go')} ({count / len(verdicts):.2%}): "
                 + ", ".join(f"{counts[verdict]} {reason}" for verdict, reason in REASONS.items()),
                 f"far: a cosine below {judged.threshold:.3f} with the centre of the person's other images"
                 + (f", which {self.strangers:g} of strangers reach" if judged.measured else "")
                 + f"; nearer: {judged.other_threshold:.3f} or more with another's centre, and more than with its own"]
        if counts[SMALL]:
            lines.append(f"not judged: {plural(counts[SMALL], 'image')} of "
                         f"{plural(len(self.people(SMALL)), 'person', 'people')} with fewer than {self.least}")
        if counts[MIXED]:
            mixed = some([names[label] for label in self.people(MIXED)])
            lines.append(f"not judged, no majority of the images agrees: {mixed} ({plural(counts[MIXED], 'image')})")
        if judged.twins:
            told = some([f"{names[a]} = {names[b]} ({cosine:.2f})" for a, b, cosine in judged.twins])
            lines.append(f"seem to be one person under two names: {told}")
        return "\n".join(lines)


def find_wrong_labels(source, embedder, threshold=None, strangers=STRANGERS, least=LEAST_IMAGES):
    """Judge the labels of a set.

    Parameters
    ----------
    source : str
        A face set, ``.rec`` file or folder of people.
    embedder : mxft.faces.sets.embedding.Embedder
    threshold, strangers, least
        See `mxft.faces.sets.labels.judge_labels`.

    Returns
    -------
    LabelsFound

    Examples
    --------
    >>> print(find_wrong_labels("faces", Embedder(checkpoint)))                           # doctest: +SKIP
    faces: 5,985 images of 423 people
    """
    faces = FaceImages(source)
    embeddings, bad = embedder.embed(faces, faces.path)
    return LabelsFound(faces, judge_labels(embeddings, faces.labels, len(faces.names), threshold, strangers, least),
                       bad, strangers, least)


def write_wrong_labels(path, found):
    """Write the images that go as a table: reason, person, image, cosine, the nearest other person and cosine.

    Parameters
    ----------
    path : str
    found : LabelsFound

    Notes
    -----
    The image furthest from its own centre comes first. `write_clean_set` takes the table, with lines taken out where
    an image is to stay.
    """
    faces, judged = found.faces, found.judgement
    places = np.flatnonzero(judged.goes)
    write_table(path, COLUMNS, [
        (found.reason(at), faces.names[faces.labels[at]], faces.paths[at], float(judged.cosines[at]),
         faces.names[judged.others[at]] if judged.others[at] >= 0 else "", float(judged.other_cosines[at]))
        for at in places[np.argsort(judged.cosines[places], kind="stable")].tolist()])


def write_clean_set(faces, gone, folder, force=False, show=None):
    """Write a set without some of its images.

    Parameters
    ----------
    faces : FaceImages
    gone : sequence of int, or str
        Places of the images, or a table of them: see `write_wrong_labels`.
    folder : str
        Of the set to write; whole or not at all.
    force : bool
        Replace a set that stands there.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    images, identities : int

    Raises
    ------
    InputError
        A table of other images, one that names none, a folder that is taken.

    Examples
    --------
    >>> write_clean_set(FaceImages("faces"), "wrong-labels.tsv", "faces-clean")           # doctest: +SKIP
    (5962, 423)
    """
    require_target(folder, [faces.path], force)
    gone = find_images(faces, gone) if isinstance(gone, str) else gone
    if not len(gone):
        raise InputError(f"nothing to leave out: expected at least one image, received none; {faces.path} can be used "
                         "as it is")
    kept = np.ones(len(faces), bool)
    kept[np.asarray(gone, int)] = False
    return write_some(folder, faces, kept, show)
