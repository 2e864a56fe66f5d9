"""What a face training set holds, checked before training; follows insightface's face2rec2.py and image_iter.py."""
import os
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from mxft.compat import load_cv2
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.data.identities import find_images
from mxft.faces.data.records import Damage, RecordFile, read_openings
from mxft.faces.data.set_files import SetFiles, read_keys, read_property, require_all_named

LOOKED_AT = 5                    # images decoded to see their size


@dataclass(frozen=True, eq=False)
class FaceSet:
    """What `read_face_set` found.

    Attributes
    ----------
    rec : str
        The ``.rec`` file.
    kind : {"insightface", "im2rec"}
        With a header record, or plain.
    num_classes : int
        From property, else the highest label + 1.
    image_size : (int, int) or None
        Height and width in pixels, from property, else of the images looked at; None where those differ.
    keys, offsets, sizes, labels : int64 array, shape (N,)
        Of the images kept, in the order of their keys: key, place and length in the file in bytes, class.
    identities : int
        Classes with at least one image kept.
    dropped_identities, dropped_images : int
        Left out by `images_filter`.
    notes : tuple of str
        What is unusual and legal, a sentence each.
    """

    rec: str
    kind: str
    num_classes: int
    image_size: Optional[tuple]
    keys: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    identities: int
    dropped_identities: int = 0
    dropped_images: int = 0
    notes: tuple = ()

    def at(self, rows):
        """Return the set of the images at positions `rows`, int array, in that order; classes keep their numbers."""
        columns = {name: getattr(self, name)[rows] for name in ("keys", "offsets", "sizes", "labels")}
        return replace(self, **columns, identities=len(np.unique(columns["labels"])))

    def __str__(self):
        text = f"{len(self.labels)} images of {self.identities} identities in {self.rec}, {self.num_classes} classes"
        if not self.dropped_identities:
            return text
        return f"{text}; {self.dropped_identities} identities with {self.dropped_images} images left out"


def read_face_set(path, images_filter=0, show=None, look=True):
    """Read what a training set holds, and refuse one whose parts contradict each other.

    Parameters
    ----------
    path : str
        A folder with ``property``, ``train.rec`` and ``train.idx``, or a ``.rec`` file; ``property`` and the ``.idx``
        beside a ``.rec`` file are used where they are there.
    images_filter : int
        Identities with fewer images are left out; labels stay as they are.
    show : bool, optional
        False: no progress on stderr.
    look : bool
        Decode a few images to see their size. False: damaged ones are not refused, and `image_size` is property's.

    Returns
    -------
    FaceSet

    Raises
    ------
    MissingFileError
        A file of the folder is not there.
    InputError
        Malformed property; labels it has no class for; images of another size; an index that does not belong to the
        records; header and identity records that contradict them; damage where an image should begin; nothing left.

    Notes
    -----
    The opening of every image record is read, 32 bytes each, and of payloads only a few: an image that cannot be
    decoded is found while training. Without an ``.idx`` the file is walked once, and the records number from 0.

    Examples
    --------
    >>> read_face_set("faces_emore", images_filter=10)                                    # doctest: +SKIP
    """
    if images_filter < 0:
        raise InputError(f"images-filter: expected 0 or more images, received images_filter={images_filter}")
    source = SetFiles.find(path)
    announced = read_property(source.property) if source.property else None
    keys, offsets = read_keys(source)
    with progress(len(keys), f"reading {os.path.basename(source.rec)}", "records", show) as advance:
        try:
            table = read_openings(source.rec, offsets, advance)
        except Damage as damage:
            raise source.refuse(f"record with key {keys[damage.at]} at byte {offsets[damage.at]}: {damage}",
                                f"is {source.idx or 'the file'} of this .rec?") from None
    require_all_named(source, offsets, table.sizes)
    kind, images, notes = find_images(source, keys, table)
    labels = _class_labels(source, keys[images], table.labels[images, 0])
    num_classes = _num_classes(source, announced, labels, keys[images], notes)
    images, labels, dropped = _filtered(source, images, labels, images_filter)
    size = (_image_size(source, announced, keys[images], offsets[images], table.sizes[images]) if look else
            announced[1:] if announced else None)
    return FaceSet(source.rec, kind, num_classes, size, keys[images], offsets[images], table.sizes[images], labels,
                   len(np.unique(labels)), *dropped, tuple(notes))


def _class_labels(source, keys, labels):
    """Return `labels` (float64) as int64, or refuse those that are no class numbers."""
    wrong = ~(np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels)))
    if wrong.any():
        i = wrong.argmax()
        raise source.refuse(f"{wrong.sum()} of {len(labels)} labels are no class numbers: expected whole numbers of 0 "
                            f"or more, received label={labels[i]:g} in the record with key {keys[i]}")
    return labels.astype(np.int64)


def _num_classes(source, announced, labels, keys, notes):
    """Return the number of classes; property may announce more than the images have (a note), and not fewer."""
    if announced is None:
        return int(labels.max()) + 1
    outside = labels >= announced[0]
    if outside.any():
        i = outside.argmax()
        raise source.refuse(f"property announces num_classes={announced[0]}: expected labels below it, received "
                            f"label={labels[i]} in the record with key {keys[i]}, and labels up to {labels.max()} in "
                            f"{outside.sum()} of {len(labels)} images", f"is {source.property} of this .rec?")
    found = len(np.unique(labels))
    if found < announced[0]:
        notes.append(f"property announces {announced[0]} classes, {found} of them have images")
    return announced[0]


def _filtered(source, images, labels, least):
    """Return (images, labels, (dropped identities, dropped images)) without identities of fewer than `least` images."""
    classes, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.max() < least:
        raise InputError(f"no images left of {source.path}: expected identities of at least images-filter={least} "
                         f"images, received {len(classes)} with {counts.max()} at most; a smaller `images_filter` "
                         "keeps some")
    kept = counts[members] >= least
    return images[kept], labels[kept], (int(np.count_nonzero(counts < least)), int(np.count_nonzero(~kept)))


def _image_size(source, announced, keys, offsets, sizes):
    """Return (height, width) of a few images spread over the set, None where they differ and property names none."""
    cv2, records, found = load_cv2(), RecordFile(source.rec), set()
    for i in np.unique(np.linspace(0, len(keys) - 1, LOOKED_AT).astype(int)):
        try:
            image = cv2.imdecode(records.image(int(offsets[i]), int(sizes[i]))[1], cv2.IMREAD_COLOR)
        except (cv2.error, Damage):  # more pixels than OpenCV takes, say
            image = None
        if image is None:
            raise source.refuse(f"the record with key {keys[i]} at byte {offsets[i]} of {source.rec} holds no image: "
                                "expected JPEG or PNG, received what cannot be decoded")
        found.add(image.shape[:2])
        if announced and image.shape[:2] != announced[1:]:
            raise source.refuse(f"property announces images of {announced[1]}x{announced[2]} (height x width): "
                                f"expected that size, received {image.shape[0]}x{image.shape[1]} in the record with "
                                f"key {keys[i]}", f"is {source.property} of this .rec?")
    records.close()
    if announced:
        return announced[1:]
    return tuple(found.pop()) if len(found) == 1 else None
