"""People into a gallery, and where the threshold comes from that tells strangers."""
import os

import numpy as np

from mxft.errors import InputError
from mxft.faces.gallery.embedding import require_faces
from mxft.faces.gallery.gallery import Gallery
from mxft.faces.gallery.identification import UNKNOWN
from mxft.faces.gallery.matching import MEAN, SAMPLE, best_of_others, threshold_at_fpir
from mxft.wording import is_plain, plural

FPIR = 0.01


def enroll_faces(embedder, images, reader=None):
    """Embed the images of people and put them into a gallery.

    Parameters
    ----------
    embedder : mxft.faces.gallery.embedder.Embedder
    images : mxft.faces.gallery.images.FaceImages
        Labelled by person. An image without a label is of the person its file is named after.
    reader : mxft.faces.gallery.reading.FaceReader, optional

    Returns
    -------
    Gallery
    EmbeddedFaces
        With the images that have no face, and those with several, in its `problems` and `notes`.

    Raises
    ------
    InputError
        No image has a face; somebody is called ``unknown``, as strangers are, or has a name of several lines.
    """
    people = [label or os.path.splitext(os.path.basename(name))[0] for label, name in zip(images.labels, images.names)]
    _check_names(people, images.names)
    found = embedder.embed(images, reader, "enrolling")
    require_faces(found, images)
    return Gallery.of([people[i] for i in found.images], found.vectors, [images.names[i] for i in found.images],
                      embedder.facts), found


def _check_names(people, images):
    """Refuse, before any work, names that could not be told from strangers or do not fit on a line."""
    for person, image in zip(people, images):
        if person == UNKNOWN:
            raise InputError(f"name cannot be enrolled: expected another than {UNKNOWN!r}, which strangers are called, "
                             f"received it for {image}; rename it")
        for name in (person, image):
            if not is_plain(name):
                raise InputError(f"name cannot be enrolled: expected one line without control characters, received "
                                 f"{name!r}; rename it")


def own_threshold(gallery, fpir=FPIR, pool=MEAN):
    """Return the threshold at which the people of a gallery would be taken for each other at a given rate.

    Parameters
    ----------
    gallery : Gallery
    fpir : float
        The share of strangers that may be named: false positive identification rate.
    pool : {"mean", "max"}

    Returns
    -------
    float
        A cosine.
    text : str
        Where it comes from, for a person.

    Raises
    ------
    InputError
        Too few people, or too few images, for that rate.

    Notes
    -----
    Each image is asked for among the other people, as a stranger's would be; it says nothing about strangers who are
    unlike the people enrolled.
    """
    if not 0 < fpir < 1:
        raise InputError(f"`fpir`: expected a rate between 0 and 1, received fpir={fpir:g}")
    if len(gallery.names) < 2 or fpir * len(gallery.owners) < 1:
        raise InputError(f"no threshold from the gallery itself: expected two people and {int(np.ceil(1 / fpir))} "
                         f"images for a rate of {fpir:g}, received {plural(len(gallery.names), 'person', 'people')} "
                         f"with {plural(len(gallery.owners), 'image')}; `pairs` or `threshold` gives one")
    scores = best_of_others(gallery, pool, max(SAMPLE, int(np.ceil(2 / fpir))))
    return threshold_at_fpir(scores, fpir), (f"FPIR {fpir:g} of {len(scores):,} images asked for among the other "
                                             f"{len(gallery.names) - 1} people")


def expected_fpir(gallery, threshold, pool=MEAN):
    """Return the share of a gallery's images that would be taken for somebody else at a threshold; None of one person.

    Parameters
    ----------
    gallery : Gallery
    threshold : float
    pool : {"mean", "max"}
    """
    if len(gallery.names) < 2:
        return None
    return float((best_of_others(gallery, pool) > threshold).mean())
