"""The people that are in two sets: found by their faces and names, listed, and one set written without them."""
from dataclasses import dataclass, replace

import numpy as np

from mxft.errors import InputError
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.labels import clean_centres
from mxft.faces.sets.lists import write_table
from mxft.faces.sets.merging import PAIR_COLUMNS
from mxft.faces.sets.people import FALSE_PAIRS, same_names, same_people
from mxft.faces.sets.writing import require_target, write_some
from mxft.wording import plural, some

BY_FACE, BY_NAME, BY_BOTH = "face", "name", "face and name"


@dataclass(frozen=True)
class CompareResult:
    """What `compare_sets` found.

    Attributes
    ----------
    first, second : SetImages
    pairs : list of (int, int, float or None, str)
        Labels in the first and the second set, the cosine of the centres (None by name alone), and by what they were
        found: BY_FACE, BY_NAME or BY_BOTH. With faces, names alone make no pair.
    other_faces : list of (int, int, float)
        People of the same name whose faces differ.
    threshold : float or None
        Of the cosine; None by name alone.
    measured : bool
        Whether it was measured on the people of the sets.
    false_pairs : float
        Pairs of different people expected to reach a measured threshold.
    list_path, folder : str or None
        Written: the pairs, and the first set without the people of the second.
    written : (int, int) or None
        Images and identities in `folder`.
    """

    first: SetImages
    second: SetImages
    pairs: list
    other_faces: list
    threshold: float
    measured: bool
    false_pairs: float
    list_path: str = None
    folder: str = None
    written: tuple = None

    def __str__(self):
        first, second = len({pair[0] for pair in self.pairs}), len({pair[1] for pair in self.pairs})
        lines = [str(self.first), str(self.second), f"in both: {first:,} of {len(self.first.names):,} people "
                 f"({first / len(self.first.names):.1%}) and {second:,} of {len(self.second.names):,}"]
        lines += self._how()
        if self.pairs:
            lines.append(f"do not train on {self.first.path} and test on {self.second.path}, or the other way round: "
                         "these people would be known already")
        if self.list_path:
            lines.append(f"listed in {self.list_path}")
        if self.folder:
            lines.append(f"{self.first.path} without them: {plural(self.written[0], 'image')} of "
                         f"{plural(self.written[1], 'person', 'people')} in {self.folder}")
        return "\n".join(lines)

    def _how(self):
        """Return what the pairs rest on, in lines."""
        if self.threshold is None:
            return ["found by name alone"]
        compared = len(self.first.names) * len(self.second.names)
        times = "once" if self.false_pairs == 1 else f"{self.false_pairs:g} times"
        why = (f"measured: different people would reach it {times} in the {compared:,} pairs compared"
               if self.measured else "not measured")
        counts = [sum(pair[3] == how for pair in self.pairs) for how in (BY_BOTH, BY_FACE)]
        lines = [f"found by the cosine of their centres, {self.threshold:.3f} or more ({why}): "
                 f"{plural(sum(counts), 'pair')}, {counts[0]} of the same name, {counts[1]} of other names"]
        if counts[1]:
            told = some([f"{self.first.names[a]} = {self.second.names[b]} ({cosine:.2f})"
                         for a, b, cosine, how in self.pairs if how == BY_FACE])
            lines.append(f"other names, to be looked at before they are joined: {told}")
        if self.other_faces:
            told = some([f"{self.first.names[a]} ({cosine:.2f})" for a, _, cosine in self.other_faces])
            lines.append(f"same name, other face, not counted: {told}")
        return lines


def compare_sets(first, second, embedder=None, threshold=None, false_pairs=FALSE_PAIRS, list_path=None, folder=None,
                 force=False, show=None):
    """Find the people that are in two sets.

    Parameters
    ----------
    first, second : str
        Face sets, ``.rec`` files or folders of people.
    embedder : mxft.faces.sets.embedding.SetEmbedder, optional
        By names alone when None.
    threshold, false_pairs
        See `mxft.faces.sets.people.same_people`.
    list_path : str, optional
        A table of the pairs to write, which `mxft.faces.sets.merging.merge_sets` joins by.
    folder : str, optional
        Of a set to write: the first without the people of the second.
    force : bool
        Replace a set that stands there.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    CompareResult

    Raises
    ------
    InputError
        Names alone where a set has none; what cannot be read or written.

    Notes
    -----
    The centre of a person is the mean of the normalised embeddings that agree (see
    `mxft.faces.sets.labels.clean_centres`), so that a few wrong labels do not make two people one.

    Examples
    --------
    >>> compare_sets("faces-a", "faces-b", SetEmbedder(checkpoint)).pairs[0]              # doctest: +SKIP
    (3, 17, 0.912, 'face and name')
    """
    if folder:
        require_target(folder, (first, second), force)
    sets = SetImages(first), SetImages(second)
    named = all(faces.named for faces in sets)
    if embedder is None and not named:
        unnamed = next(faces.path for faces in sets if not faces.named)
        raise InputError(f"people cannot be told: expected names (identities.txt) in both sets or a `model`, received "
                         f"{unnamed} without names and no `model`")
    by_name = same_names(sets[0].names, sets[1].names) if named else []
    if embedder is None:
        result = CompareResult(*sets, [(*pair, None, BY_NAME) for pair in by_name], [], None, False, false_pairs)
    else:
        result = _by_face(sets, embedder, threshold, false_pairs, by_name)
    return _write(result, list_path, folder, show)


def _by_face(sets, embedder, threshold, false_pairs, by_name):
    """Return the CompareResult of two sets by their centres."""
    centres = [clean_centres(embedder.embed(faces, faces.path)[0], faces.labels, len(faces.names))[0]
               for faces in sets]
    found, by_name = same_people(*centres, threshold, false_pairs), set(by_name)
    pairs = [(*pair, cosine, BY_BOTH if pair in by_name else BY_FACE)
             for pair, cosine in zip(found.pairs, found.cosines)]
    other_faces = [(a, b, float(centres[0][a] @ centres[1][b])) for a, b in sorted(by_name - set(found.pairs))]
    return CompareResult(*sets, pairs, other_faces, found.threshold, found.measured, false_pairs)


def _write(result, list_path, folder, show):
    """Return the result with what was asked for written."""
    first, second, written = result.first, result.second, None
    if list_path:
        write_table(list_path, (*PAIR_COLUMNS, "cosine", "by"), [
            (first.path, first.names[a], second.path, second.names[b], "" if cosine is None else float(cosine), how)
            for a, b, cosine, how in result.pairs])
    if folder:
        kept = ~np.isin(first.labels, [pair[0] for pair in result.pairs])
        written = write_some(folder, first, kept, show)
    return replace(result, list_path=list_path, folder=folder, written=written)
