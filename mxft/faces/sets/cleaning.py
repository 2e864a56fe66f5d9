"""A set without the images that seem to carry a wrong label: what goes and why is listed, and a new set written."""
from dataclasses import dataclass

import numpy as np

from mxft.errors import InputError
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.labels import (
    FAR,
    LEAST_IMAGES,
    MIXED,
    NEARER,
    SMALL,
    STRANGERS,
    UNREADABLE,
    LabelResults,
    judge_labels,
)
from mxft.faces.sets.lists import IMAGE_COLUMNS, find_images, write_table
from mxft.faces.sets.writing import require_target, write_some
from mxft.wording import plural, some

COLUMNS = ("reason", *IMAGE_COLUMNS, "cosine", "nearest", "nearest_cosine")
MANY = 0.3  # of the images: at 40 % planted wrong labels, what was left was worse than before
REASONS = {NEARER: "nearer to another", FAR: "far from its own", UNREADABLE: "cannot be read"}


@dataclass(frozen=True)
class WrongLabels:
    """What `find_wrong_labels` found.

    Attributes
    ----------
    faces : SetImages
    results : mxft.faces.sets.labels.LabelResults
    bad : dict of int to str
        Images that cannot be read, and why.
    strangers : float
        What the threshold was measured for.
    least : int
        Images from which on a person is judged.
    """

    faces: SetImages
    results: LabelResults
    bad: dict
    strangers: float
    least: int

    def people(self, verdict):
        """Return the labels of the people with an image of that verdict."""
        return np.unique(self.faces.labels[self.results.verdicts == verdict]).tolist()

    def reason(self, at):
        """Return why an image goes, in words."""
        return self.bad.get(at) or REASONS[int(self.results.verdicts[at])]

    def __str__(self):
        results, verdicts, names = self.results, self.results.verdicts, self.faces.names
        count = int(results.goes.sum())
        counts = {verdict: int((verdicts == verdict).sum()) for verdict in range(6)}
        why = ", ".join(f"{counts[verdict]} {reason}" for verdict, reason in REASONS.items() if counts[verdict])
        lines = [str(self.faces), f"{plural(count, 'image goes', 'images go')} ({count / len(verdicts):.2%})"
                 + (f": {why}" if why else ""),
                 f"far: a cosine below {results.threshold:.3f} with the centre of the person's other images"
                 + (f", which {self.strangers:g} of strangers reach" if results.measured else "")
                 + f"; nearer: {results.other_threshold:.3f} or more with another's centre, and more than with its own"]
        if counts[SMALL]:
            lines.append(f"not judged: {plural(counts[SMALL], 'image')} of "
                         f"{plural(len(self.people(SMALL)), 'person', 'people')} with fewer than {self.least}")
        if counts[MIXED]:
            mixed = some([names[label] for label in self.people(MIXED)])
            lines.append(f"not judged, their images do not agree: {mixed} ({plural(counts[MIXED], 'image')})")
        if count + counts[MIXED] > MANY * len(verdicts):
            lines.append("so many labels seem wrong that a threshold measured on these centres is doubtful: choose one")
        if results.twins:
            told = some([f"{names[a]} = {names[b]} ({cosine:.2f})" for a, b, cosine in results.twins])
            lines.append(f"seem to be one person under two names: {told}")
        return "\n".join(lines)


def find_wrong_labels(source, embedder, threshold=None, strangers=STRANGERS, least=LEAST_IMAGES):
    """Judge the labels of a set.

    Parameters
    ----------
    source : str
        A face set, ``.rec`` file or folder of people.
    embedder : mxft.faces.sets.embedding.SetEmbedder
    threshold, strangers, least
        See `mxft.faces.sets.labels.judge_labels`.

    Returns
    -------
    WrongLabels

    Examples
    --------
    >>> print(find_wrong_labels("faces", SetEmbedder(checkpoint)))                        # doctest: +SKIP
    faces: 5,985 images of 423 people
    """
    faces = SetImages(source)
    embeddings, bad = embedder.embed(faces, faces.path)
    return WrongLabels(faces, judge_labels(embeddings, faces.labels, len(faces.names), threshold, strangers, least),
                       bad, strangers, least)


def write_wrong_labels(path, found):
    """Write the images that go as a table: reason, person, image, cosine, the nearest other person and cosine.

    Parameters
    ----------
    path : str
    found : WrongLabels

    Notes
    -----
    The image furthest from its own centre comes first. `write_clean_set` takes the table, with lines taken out where
    an image is to stay.
    """
    faces, results = found.faces, found.results
    places = np.flatnonzero(results.goes)
    write_table(path, COLUMNS, [
        (found.reason(at), faces.names[faces.labels[at]], faces.paths[at], float(results.cosines[at]),
         faces.names[results.others[at]] if results.others[at] >= 0 else "", float(results.other_cosines[at]))
        for at in places[np.argsort(results.cosines[places], kind="stable")].tolist()])


def write_clean_set(faces, gone, folder, force=False, show=None):
    """Write a set without some of its images.

    Parameters
    ----------
    faces : SetImages
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
    >>> write_clean_set(SetImages("faces"), "wrong-labels.tsv", "faces-clean")           # doctest: +SKIP
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
