"""Images that stand several times in one set or in several, within a person and under two names."""
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mxft.data.progress import progress
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.lists import write_table
from mxft.faces.sets.prints import KINDS, Prints, alike, groups, take_prints, too_many
from mxft.wording import plural

WITHIN, ACROSS, BETWEEN = "within a person", "under two names", "in two sets"
COLUMNS = ("group", "kind", "where", "set", "identity", "image")


@dataclass(frozen=True)
class DuplicatesResult:
    """What `find_set_duplicates` found.

    Attributes
    ----------
    images : int
        Looked at.
    groups : list of (str, str, list of (int, int))
        How alike the farthest are (one of `mxft.faces.sets.prints.KINDS`), where they stand, and (set, place) of each.
    unread : int
        Images that could not be decoded, which only their bytes could tell.
    near_all : bool
        False: too many images to compare each with each; near ones were sought among those of equal hashes.
    list_path : str or None
    """

    images: int
    groups: list
    unread: int
    near_all: bool
    list_path: str

    @property
    def surplus(self):
        """Images beyond the first of each group."""
        return sum(len(places) - 1 for _, _, places in self.groups)

    def __str__(self):
        text = (f"{plural(self.images, 'image')}: {plural(self.surplus, 'duplicate')} in "
                f"{plural(len(self.groups), 'group')}")
        counts = Counter((where, kind) for kind, where, _ in self.groups)
        for where in (WITHIN, ACROSS, BETWEEN):
            told = ", ".join(f"{counts[where, kind]} {kind}" for kind in KINDS if counts[where, kind])
            text += f"\n  {where}: {told}" if told else ""
        if any(where == ACROSS for _, where, _ in self.groups):
            text += "\none image under two names: one of the labels is wrong, or the names are one person's"
        if self.unread:
            text += f"\n{plural(self.unread, 'image')} could not be decoded: compared by bytes alone"
        if not self.near_all:
            text += "\ntoo many images to compare each with each: near ones were sought among those with equal hashes"
        return text + (f"\nlisted in {self.list_path}" if self.list_path else "")


def find_set_duplicates(sources, list_path=None, threads=None, show=None):
    """Find images that stand several times in one set or in several.

    Parameters
    ----------
    sources : sequence of str
        Face sets, ``.rec`` files or folders of people.
    list_path : str, optional
        A table to write, an image a line.
    threads : int, optional
        For decoding; one a core when None.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    DuplicatesResult

    Notes
    -----
    Some 300 bytes an image are held. A group with images of two sets is `BETWEEN`, whatever the people are called. See
    `mxft.faces.sets.prints.alike` for what is not found.

    Examples
    --------
    >>> print(find_set_duplicates(["faces-a", "faces-b"]))                                # doctest: +SKIP
    9,600 images: 12 duplicates in 12 groups
    """
    sets = [SetImages(source) for source in sources]
    taken = []
    for faces in sets:
        with progress(len(faces), f"reading {faces.path}", show=show) as advance:
            taken.append(take_prints(faces, threads, advance))
    prints = Prints(*(np.concatenate(column) for column in zip(*taken)))
    where = [(number, at) for number, faces in enumerate(sets) for at in range(len(faces))]
    pairs, kinds = alike(prints)
    found = [_described(sets, [where[place] for place in group], kind)
             for group, kind in _with_kinds(groups(len(where), pairs), pairs, kinds)]
    result = DuplicatesResult(len(where), found, int((prints.pixels == b"").sum()), not too_many(prints), list_path)
    if list_path:
        write_table(list_path, COLUMNS, _rows(sets, found))
    return result


def _with_kinds(found, pairs, kinds):
    """Return (group, the loosest kind needed to connect it) of each group."""
    loosest = {}
    number = {place: i for i, group in enumerate(found) for place in group}
    for kind in sorted(set(kinds.tolist())):
        joined = groups(max(number, default=-1) + 1, pairs[kinds <= kind])
        for group in joined:
            if len(group) == len(found[number[group[0]]]):
                loosest.setdefault(number[group[0]], kind)
    return [(group, loosest[i]) for i, group in enumerate(found)]


def _described(sets, places, kind):
    """Return the kind's name, where the images of a group stand, and the group."""
    if len({number for number, _ in places}) > 1:
        return KINDS[kind], BETWEEN, places
    people = {int(sets[number].labels[at]) for number, at in places}
    return KINDS[kind], ACROSS if len(people) > 1 else WITHIN, places


def _rows(sets, found):
    for group, (kind, where, places) in enumerate(found, 1):
        for number, at in places:
            faces = sets[number]
            yield group, kind, where, faces.path, faces.names[faces.labels[at]], faces.paths[at]
