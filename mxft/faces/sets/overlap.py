"""How much of a verification set a training set knows: images that are in both, and people."""
import logging
import time
from dataclasses import dataclass

import numpy as np

from mxft.data.progress import progress
from mxft.faces.data.packed_source import RecordImages
from mxft.faces.evaluation.pair_scoring import distinct_images
from mxft.faces.sets.centres import directions, nearest_others, stranger_cosines, threshold_at
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.labels import clean_centres
from mxft.faces.sets.lists import write_table
from mxft.faces.sets.people import USUAL_THRESHOLD
from mxft.faces.sets.prints import KINDS, alike, take_prints

LOG = logging.getLogger("mxft")

MOST_LOOKED_AT = 20_000  # training images before a run, some ten seconds
COLUMNS = ("target", "pair", "side", "found", "identity", "image", "cosine")


@dataclass(frozen=True)
class Overlap:
    """What a training set and a verification set have in common.

    Attributes
    ----------
    name : str
        Of the verification set.
    images, pairs : int
        Different images in it, and pairs.
    same : dict of int to (int, int)
        Of the set's different images those that are in the training set: the place there, and how alike (see
        `mxft.faces.sets.prints.KINDS`).
    people : dict of int to (int, float)
        Of its different images those whose person is: label and cosine. Empty where no network was asked.
    threshold : float or None
        Of that cosine.
    touched : (int, int)
        Pairs with an image that is in the training set, and pairs with an image whose person is.
    """

    name: str
    images: int
    pairs: int
    same: dict
    people: dict
    threshold: float
    touched: tuple

    def __str__(self):
        kinds = [kind for _, kind in self.same.values()]
        told = ", ".join(f"{kinds.count(kind)} {name}" for kind, name in enumerate(KINDS) if kind in kinds)
        text = (f"{self.name}: {len(self.same):,} of {self.images:,} images are in the training set"
                + (f" ({told})" if told else "") + f", in {self.touched[0]:,} of {self.pairs:,} pairs")
        if self.threshold is None:
            return text
        return text + (f"\n{self.name}: {len(self.people):,} of {self.images:,} images are nearest to somebody of the "
                       f"training set at a cosine of {self.threshold:.3f} or more, in {self.touched[1]:,} of "
                       f"{self.pairs:,} pairs")


def common_images(prints, pair_set, threads=None, advance=lambda count=1: None):
    """Return which different images of a verification set are among others, ``{place: (place there, kind)}``.

    Parameters
    ----------
    prints : mxft.faces.sets.prints.Prints
        Of the training images.
    pair_set : mxft.faces.pairs.bin_file.PairSet
    threads, advance
        See `mxft.faces.sets.prints.take_prints`.
    """
    pairs, kinds = alike(prints, take_prints(distinct_images(pair_set)[0], threads, advance))
    found = {}
    for (place, image), kind in sorted(zip(map(tuple, pairs.tolist()), kinds.tolist()), key=lambda row: row[1]):
        found.setdefault(image, (place, kind))
    return found


def measure_overlap(source, pair_sets, embedder=None, threshold=None, list_path=None, threads=None, show=None):
    """Measure what a training set and verification sets have in common.

    Parameters
    ----------
    source : str
        A face set, ``.rec`` file or folder of people.
    pair_sets : sequence of mxft.faces.pairs.bin_file.PairSet
    embedder : mxft.faces.sets.embedding.SetEmbedder, optional
        Of a network that tells people apart; images alone are compared when None.
    threshold : float, optional
        Cosine of an image with a training person's centre. By default what one in a hundred images of a stranger would
        reach with its nearest of all the people, measured within the training set; `USUAL_THRESHOLD` with too few.
    list_path : str, optional
        A table to write, an image of a pair a line.
    threads, show
        See `mxft.faces.sets.prints.take_prints` and `mxft.data.progress.progress`.

    Returns
    -------
    list of Overlap

    Examples
    --------
    >>> print(*measure_overlap("faces", [load_pairs("faces/lfw.bin")]))                   # doctest: +SKIP
    lfw: 3,702 of 7,701 images are in the training set (3702 same bytes), in 4,310 of 6,000 pairs
    """
    faces = SetImages(source)
    with progress(len(faces), f"reading {source}", show=show) as advance:
        prints = take_prints(faces, threads, advance)
    people = _known_people(faces, embedder, threshold) if embedder else None
    found = [_overlap(pair_set, common_images(prints, pair_set, threads), people, embedder) for pair_set in pair_sets]
    if list_path:
        write_table(list_path, COLUMNS, [row for pair_set, overlap in zip(pair_sets, found)
                                         for row in _rows(faces, pair_set, overlap)])
    return found


def _known_people(faces, embedder, threshold):
    """Return the centres of the training people, and the cosine from which on an image is of one of them."""
    embeddings, _ = embedder.embed(faces, faces.path)
    centres, _ = clean_centres(embeddings, faces.labels, len(faces.names))
    strangers = stranger_cosines(directions(embeddings), faces.labels, centres)
    measured = threshold_at(strangers, 0.01 / max(1, len(centres)))
    return centres, threshold if threshold is not None else USUAL_THRESHOLD if measured is None else measured


def _overlap(pair_set, same, people, embedder):
    """Return the Overlap of a set whose images in common are known, `people` being `_known_people` or None."""
    images, places = distinct_images(pair_set)
    found, threshold = {}, None
    if people is not None:
        centres, threshold = people
        embeddings, _ = embedder.embed(images, pair_set.name)
        labels, cosines = nearest_others(directions(embeddings), np.full(len(images), -1), centres,
                                         np.arange(len(centres)))
        found = {at: (int(labels[at]), float(cosines[at])) for at in np.flatnonzero(cosines >= threshold).tolist()}
    touched = tuple(int(np.isin(places, list(known)).reshape(-1, 2).any(axis=1).sum()) for known in (same, found))
    return Overlap(pair_set.name, len(images), len(pair_set.issame), same, found, threshold, touched)


def _rows(faces, pair_set, overlap):
    _, places = distinct_images(pair_set)
    for number, place in enumerate(places.tolist()):
        pair, side = number // 2, ("left", "right")[number % 2]
        if place in overlap.same:
            at, kind = overlap.same[place]
            yield pair_set.name, pair, side, KINDS[kind], faces.names[faces.labels[at]], faces.paths[at], ""
        if place in overlap.people:
            label, cosine = overlap.people[place]
            yield pair_set.name, pair, side, "person", faces.names[label], "", cosine


def tell_overlap(face_set, pair_sets, threads=None, most=MOST_LOOKED_AT):
    """Say before a run which images of its verification sets are trained on.

    Parameters
    ----------
    face_set : mxft.faces.data.layout.FaceSet
    pair_sets : sequence of mxft.faces.pairs.bin_file.PairSet
    threads : int, optional
        For decoding; one a core when None.
    most : int
        Training images looked at, evenly spread over the set.

    Returns
    -------
    dict
        For the log: images looked at, and of each set how many of its images are among them.
    """
    if not pair_sets:
        return {}
    began, count = time.perf_counter(), len(face_set.labels)
    places = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))
    images = RecordImages(face_set, places)
    try:
        prints = take_prints(images, threads)
    finally:
        images.close()
    found = {pair_set.name: len(common_images(prints, pair_set, threads)) for pair_set in pair_sets}
    told = ", ".join(f"{number} of {len(distinct_images(pair_set)[0])} in {pair_set.name}"
                     for pair_set, number in zip(pair_sets, found.values()))
    of = "the training set" if len(places) == count else f"{len(places):,} of {count:,} training images looked at"
    LOG.info(f"images of the verification sets that are in {of}: {told}"
             + ("; those numbers say what is remembered, not how new faces are told apart" * any(found.values())))
    return {"looked_at": len(places), "images": count, "found": found,
            "seconds": round(time.perf_counter() - began, 2)}
