"""Faces named by a gallery: the nearest people of each, unknown where nobody is near enough."""
import csv
from typing import NamedTuple, Optional

import numpy as np

from mxft.faces.gallery.matching import MEAN, nearest_people
from mxft.files.whole import whole_path

UNKNOWN = "unknown"


class NamedFace(NamedTuple):
    """One face and the people nearest to it.

    `image` is the picture's name, `box` left, top, right and bottom in pixels or None of an aligned face; `name` who
    it is, or ``"unknown"``; `nearest` ``(name, cosine)`` of the people nearest to it.
    """

    image: str
    box: Optional[tuple]
    name: str
    nearest: tuple

    def __str__(self):
        place = "" if self.box is None else f" [{', '.join(f'{edge:.0f}' for edge in self.box)}]"
        listed = ", ".join(f"{name} {cosine:.3f}" for name, cosine in self.nearest)
        if self.name == UNKNOWN:
            return f"{self.image}{place}: {UNKNOWN} (nearest: {listed})"
        return f"{self.image}{place}: {listed}"


def identify(gallery, found, names, top=1, pool=MEAN, threshold=None):
    """Name faces.

    Parameters
    ----------
    gallery : mxft.faces.gallery.gallery.Gallery
    found : mxft.faces.gallery.embedding.EmbeddedFaces
        Of the same network.
    names : list of str
        Of the images they are of.
    top : int
        People shown of each.
    pool : {"mean", "max"}
    threshold : float, optional
        A face is unknown where its highest cosine is not above it; None: nobody is.

    Returns
    -------
    list of NamedFace
        In the order of the faces.
    """
    people, cosines = nearest_people(gallery, found.vectors, top, pool)
    rows = []
    for number, box, own, scores in zip(found.images, found.boxes, people, cosines):
        nearest = tuple((gallery.names[person], float(score)) for person, score in zip(own, scores))
        known = threshold is None or nearest[0][1] > threshold
        rows.append(NamedFace(names[number], None if np.isnan(box).any() else tuple(box.tolist()),
                              nearest[0][0] if known else UNKNOWN, nearest))
    return rows


def write_table(path, rows):
    """Write named faces as CSV: image, box, name, then the nearest people and their cosines."""
    top = max((len(row.nearest) for row in rows), default=0)
    with whole_path(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape",
                                             newline="") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["image", "left", "top", "right", "bottom", "name",
                        *(text for i in range(1, top + 1) for text in (f"nearest{i}", f"cosine{i}"))])
        for row in rows:
            box = ["", "", "", ""] if row.box is None else [f"{edge:.1f}" for edge in row.box]
            table.writerow([row.image, *box, row.name,
                            *(text for name, cosine in row.nearest for text in (name, f"{cosine:.6f}"))])
