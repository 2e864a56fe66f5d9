"""The page of what would go out of a set for a wrong label: each image beside those its person's centre is made of."""
import shlex

import numpy as np

from mxft.data.images import BadImage
from mxft.data.thumbnails import thumbnail
from mxft.faces.sets.labels import MIXED, NEARER, SMALL, UNREADABLE
from mxft.report.template import write_template
from mxft.wording import plural, some

MOST_SHOWN = 300   # images that go: 3 MB of pictures
BESIDE = 3         # images of the same person that stay
_MOST_TWINS = 20


def write_cleaning_page(path, found, list_path=None):
    """Write the page of a set's wrong labels.

    Parameters
    ----------
    path : str
    found : mxft.faces.sets.cleaning.WrongLabels
    list_path : str, optional
        The table of the same images, which the page's last command names.

    Notes
    -----
    The people with most images that go come first; `MOST_SHOWN` images are shown, and the page says of how many.

    Examples
    --------
    >>> write_cleaning_page("wrong-labels.html", found, "wrong-labels.tsv")               # doctest: +SKIP
    """
    faces, results = found.faces, found.results
    goes, shown = int(results.goes.sum()), 0
    people = []
    for label in _most_first(faces.labels[results.goes], results.cosines[results.goes]):
        cards = _Cards(found, label)
        if people and shown + len(cards.going) > MOST_SHOWN:
            break
        people.append(cards.block())
        shown += len(cards.going)
    more = f"Shown: {shown:,} of {goes:,}, the people with most of them; the list has all." if shown < goes else ""
    write_template(
        path, "cleaning.html", title=faces.path, summary=str(faces), more=more, people=people,
        figures=[("images go", f"{goes:,}"), ("of all", f"{goes / len(faces):.2%}"),
                 ("people touched", f"{len(np.unique(faces.labels[results.goes])):,}")],
        how=str(found).split("\n")[1:3], twins=[_twin(found, *twin) for twin in results.twins[:_MOST_TWINS]],
        unjudged=_unjudged(found), mixed=some([faces.names[label] for label in found.people(MIXED)], 50),
        commands=_commands(faces, list_path))


def _unjudged(found):
    """Return why people were not judged, how many, and how many images they have."""
    return [(why, f"{len(found.people(verdict)):,}", f"{int((found.results.verdicts == verdict).sum()):,}")
            for verdict, why in ((SMALL, f"fewer than {plural(found.least, 'image')}"),
                                 (MIXED, "their images do not agree")) if found.people(verdict)]


def _commands(faces, list_path):
    if not list_path:
        return []
    return ["# take the lines of images that are to stay out of the list, then",
            f"mxft face-sets clean {shlex.quote(faces.path)} --take {shlex.quote(list_path)} "
            f"--out {shlex.quote(faces.stem + '-clean')}"]


def _most_first(labels, cosines):
    """Return the labels that occur, the most frequent first, of equals the one with the lowest cosine."""
    labels, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    lowest = np.ones(len(labels))
    np.minimum.at(lowest, numbers, cosines)
    return labels[np.lexsort((lowest, -counts))].tolist()


class _Cards:
    """The pictures of one person: some that stay, and those that go."""

    def __init__(self, found, label):
        self.found, self.faces, self.results, self.label = found, found.faces, found.results, label
        self.of_person = np.flatnonzero(self.faces.labels == label)
        going = self.of_person[self.results.goes[self.of_person]]
        self.going = going[np.argsort(self.results.cosines[going], kind="stable")].tolist()

    def block(self):
        """Return what the template shows of the person."""
        cards = [_card(self.found, at, "stays", "stays") for at in _nearest_to_centre(self.found, self.label, BESIDE)]
        for at in self.going:
            cards.append(_card(self.found, at, "goes", self.found.reason(at)))
            if self.results.verdicts[at] == NEARER:
                cards += self._other(at)
        return {"name": self.faces.names[self.label], "cards": cards,
                "count": f"{len(self.going)} of {plural(len(self.of_person), 'image')}"}

    def _other(self, at):
        """Return the card of the person an image is nearer to."""
        other = int(self.results.others[at])
        nearest = _nearest_to_centre(self.found, other, 1)
        card = _card(self.found, nearest[0], "other", "the other") if nearest else {
            "kind": "other", "image": None, "alt": "", "what": "the other"}
        return [{**card, "detail": f"{self.results.other_cosines[at]:.2f} with {self.faces.names[other]}"}]


def _nearest_to_centre(found, label, count):
    """Return the places of the person's images that stay and are nearest to the centre."""
    places = np.flatnonzero((found.faces.labels == label) & ~found.results.goes)
    return places[np.argsort(-found.results.cosines[places], kind="stable")][:count].tolist()


def _card(found, at, kind, what):
    try:
        image = thumbnail(found.faces[at], 112) if found.results.verdicts[at] != UNREADABLE else None
    except BadImage:
        image = None
    cosine = "" if found.results.verdicts[at] == UNREADABLE else f"{found.results.cosines[at]:.2f} · "
    name = found.faces.paths[at]
    return {"kind": kind, "image": image, "alt": name, "what": what, "detail": cosine + name.split("/")[-1]}


def _twin(found, first, second, cosine):
    names = found.faces.names
    cards = [_card(found, at, "stays", names[label]) for label in (first, second)
             for at in _nearest_to_centre(found, label, BESIDE)]
    return {"name": f"{names[first]} = {names[second]}", "count": f"{cosine:.2f}", "cards": cards}
