"""People into a gallery, and where the threshold comes from that tells strangers."""
import os

import numpy as np

from mxft.errors import InputError
from mxft.faces.gallery.embedding import require_faces
from mxft.faces.gallery.gallery import Gallery
from mxft.faces.gallery.matching import MEAN, best_of_others, threshold_at_fpir
from mxft.wording import plural

FPIR = 0.01


def enrol(embedder, images, reader=None):
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
        No image has a face.
    """
    found = embedder.embed(images, reader, "enrolling")
    require_faces(found, images)
    labels = [images.labels[i] or os.path.splitext(os.path.basename(images.names[i]))[0] for i in found.images]
    return Gallery.of(labels, found.vectors, [images.names[i] for i in found.images], embedder.facts), found


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
    if len(gallery.names) < 2 or not fpir * len(gallery.owners) >= 1:
        needed = int(np.ceil(1 / fpir)) if fpir > 0 else 0
        raise InputError(f"no threshold from the gallery itself: expected two people and {needed} images for a rate "
                         f"of {fpir:g}, received {plural(len(gallery.names), 'person', 'people')} with "
                         f"{plural(len(gallery.owners), 'image')}; `pairs` or `threshold` gives one")
    scores = best_of_others(gallery, pool)
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
