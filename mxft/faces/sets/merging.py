"""Two or more sets in one: new labels, names kept, people that are in several of them joined where asked."""
import logging
from dataclasses import dataclass

import numpy as np

from mxft.errors import InputError, nearest
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.lists import read_table
from mxft.faces.sets.people import person_numbers, same_names
from mxft.faces.sets.writing import require_target, write_people
from mxft.wording import plural

LOG = logging.getLogger("mxft")

PAIR_COLUMNS = ("first_set", "first", "second_set", "second")


@dataclass(frozen=True)
class MergeResult:
    """What `merge_sets` wrote.

    Attributes
    ----------
    folder : str
    images, identities : int
    joined : int
        People of later sets that became one with somebody before.
    renamed : list of (str, str)
        People of later sets whose name was taken, and their new name.
    """

    folder: str
    images: int
    identities: int
    joined: int
    renamed: list

    def __str__(self):
        text = f"merged {self.images} images of {self.identities} identities into {self.folder}"
        if self.joined:
            text += f"; {plural(self.joined, 'person', 'people')} joined with the same person under another label"
        if self.renamed:
            old, new = self.renamed[0]
            text += (f"\n{plural(len(self.renamed), 'name was', 'names were')} taken by another set and changed, the "
                     f"first {old} to {new}")
        return text


def merge_sets(sources, folder, join_names=False, join_list=None, force=False, show=None):
    """Write several sets as one.

    Parameters
    ----------
    sources : sequence of str
        Face sets, ``.rec`` files or folders of people, all of one image size.
    folder : str
        Of the set to write.
    join_names : bool
        People of the same name are one (see `mxft.faces.sets.people.same_names`).
    join_list : str, optional
        A table with the columns `PAIR_COLUMNS`, as `mxft.faces.sets.comparing.compare_sets` writes it: these are one.
    force : bool
        Replace a set that stands in `folder`.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    MergeResult

    Raises
    ------
    InputError
        Fewer than two sets, names to join by where a set has none, a list of other people; see `write_people`.

    Notes
    -----
    Without joining, people of the same name stay apart: the later one is renamed to ``NAME-2``. People that are only
    numbers are called ``SET-NUMBER``. Equal images are kept: `mxft.faces.sets.duplicates` finds them.

    Examples
    --------
    >>> merge_sets(["faces-a", "faces-b"], "faces", join_names=True).identities           # doctest: +SKIP
    1310
    """
    if len(sources) < 2:
        raise InputError(f"nothing to merge: expected two sets or more, received {len(sources)}")
    require_target(folder, sources, force)
    sets = [SetImages(source) for source in sources]
    stems = _stems(sets)
    pairs = [*(_pairs_by_name(sets) if join_names else ()), *(_pairs_of_list(sets, join_list) if join_list else ())]
    people = person_numbers(sum(len(each.names) for each in sets), pairs)
    if not pairs:
        _say_equal_names(sets)
    names, renamed = _names(sets, stems, people)
    grouped = [(names[person], []) for person in np.unique(people).tolist()]
    places, begin = {person: place for place, person in enumerate(np.unique(people).tolist())}, 0
    for stem, faces in zip(stems, sets):
        for at, label in enumerate(faces.labels.tolist()):
            grouped[places[people[begin + label]]][1].append((f"{stem}/{faces.paths[at]}", faces, at))
        begin += len(faces.names)
    written = write_people(folder, grouped, sets[0].image_size, show)
    return MergeResult(folder, *written, len(people) - len(grouped), renamed)


def _stems(sets):
    """Return a name of each set, none twice."""
    taken = set()
    return [free_name(faces.stem, taken) for faces in sets]


def free_name(name, taken):
    """Return `name`, or ``NAME-2`` and so on where it is in the set `taken`, to which it is added.

    Examples
    --------
    >>> free_name("Ada", {"Ada", "Ada-2"})
    'Ada-3'
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _pairs_by_name(sets):
    """Return pairs of numbers, counted through all sets, of people of the same name in two sets."""
    unnamed = [faces.path for faces in sets if not faces.named]
    if unnamed:
        raise InputError(f"people cannot be joined by name: expected identities.txt in every set, received "
                         f"{unnamed[0]} without; mxft face-sets compare finds them by their faces")
    begins = np.cumsum([0, *(len(faces.names) for faces in sets)])
    return [(int(begins[i]) + a, int(begins[j]) + b) for i in range(len(sets)) for j in range(i + 1, len(sets))
            for a, b in same_names(sets[i].names, sets[j].names)]


def _pairs_of_list(sets, path):
    """Return pairs of numbers, counted through all sets, that a table names by set and person."""
    numbers, begin = {}, 0
    for faces in sets:
        numbers.update({(faces.path.rstrip("/"), name): begin + label for label, name in enumerate(faces.names)})
        begin += len(faces.names)
    pairs = []
    for row in read_table(path, PAIR_COLUMNS):
        ends = [(row[0].rstrip("/"), row[1]), (row[2].rstrip("/"), row[3])]
        for end in ends:
            if end not in numbers:
                raise InputError(f"person is not in the sets: expected one of {', '.join(f.path for f in sets)}, "
                                 f"received {end[1]!r} of {end[0]!r} in {path}; "
                                 f"{nearest(end[1], [name for _, name in numbers])}")
        pairs.append((numbers[ends[0]], numbers[ends[1]]))
    return pairs


def _say_equal_names(sets):
    for number, faces in enumerate(sets):
        for other in sets[:number]:
            if faces.named and other.named and same_names(other.names, faces.names):
                count = len(same_names(other.names, faces.names))
                LOG.info(f"{plural(count, 'name is', 'names are')} in both {other.path} and {faces.path}, and kept "
                         "apart: `join_names` joins them")


def _names(sets, stems, people):
    """Return {number of a person: name}, none twice, and the (old, new) names of those that were taken."""
    names, renamed, taken, number = {}, [], set(), 0
    for stem, faces in zip(stems, sets):
        for name in faces.names:
            person = int(people[number])
            if person not in names:
                wanted = name if faces.named else f"{stem}-{name}"
                names[person] = free_name(wanted, taken)
                if names[person] != wanted:
                    renamed.append((wanted, names[person]))
            number += 1
    return names, renamed
