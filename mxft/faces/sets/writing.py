"""A face set made of images of others: some of one set, or several sets in one; the bytes of the images unchanged."""
import os

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import stopped_when_full
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.data.face_images import size_text
from mxft.faces.data.packing import require_free, require_outside
from mxft.faces.data.set_writer import MOST_KEYS, FaceSetWriter
from mxft.faces.sets.images import size_of


def require_target(folder, sources, force=False):
    """Refuse a folder in which a set stands already, or that lies in one of the sources.

    Raises
    ------
    InputError
        See `mxft.faces.data.packing.require_free`.
    """
    for source in sources:
        require_free(source, folder, force=force)
        require_outside(source, folder)


def write_people(folder, people, image_size, show=None):
    """Write a face set, person by person, whole or not at all.

    Parameters
    ----------
    folder : str
    people : sequence of (str, list of (str, SetImages, int))
        The name of each, and of each image its path for ``train.lst``, its set and its place in it. A person without
        images is left out.
    image_size : (H, W)
        Of all images.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    images, identities : int

    Raises
    ------
    InputError
        An image that cannot be read or has another size; more images than one set can count; none at all.

    Notes
    -----
    The images of one person are held in memory at a time. Headers are looked at, nothing is decoded.
    """
    people = [(name, images) for name, images in people if images]
    total = sum(len(images) for _, images in people)
    if not total:
        raise InputError("nothing to write: expected at least one image, received none")
    if total + len(people) >= MOST_KEYS:
        raise InputError(f"too many images for one set: expected fewer than {MOST_KEYS} images and identities, which "
                         f"is as far as its header records can count, received {total + len(people)}; write them in "
                         "parts")
    rec = os.path.join(folder, "train.rec")
    with stopped_when_full(rec), FaceSetWriter(folder) as writer, \
            progress(total, f"writing {rec}", show=show) as advance:
        for label, (_, images) in enumerate(people):
            writer.add_identity(label, [(path, _payload(faces, at, image_size)) for path, faces, at in images])
            advance(len(images))
        writer.finish([name for name, _ in people], image_size)
    return total, len(people)


def _payload(faces, at, image_size):
    """Return the bytes of an image, or refuse it."""
    try:
        data = faces[at]
        size = size_of(data)
    except BadImage as reason:
        raise InputError(f"image cannot be written: expected JPEG or PNG, received {faces.paths[at]} of {faces.path}: "
                         f"{reason}; mxft face-pack leaves such images out") from None
    if size != tuple(image_size):
        raise InputError(f"image does not fit: expected {size_text(image_size)} pixels, received {size_text(size)} in "
                         f"{faces.paths[at]} of {faces.path}; mxft face-pack with `size` brings a set to one size")
    return data


def write_some(folder, faces, kept, show=None):
    """Write some images of a set as a set; people none of whose images are kept are left out.

    Parameters
    ----------
    folder : str
    faces : SetImages
    kept : numpy.ndarray
        Bool ``(N,)``.
    show : bool, optional

    Returns
    -------
    images, identities : int

    Raises
    ------
    InputError
        See `write_people`.
    """
    people = [(name, []) for name in faces.names]
    for at in np.flatnonzero(kept).tolist():
        people[faces.labels[at]][1].append((faces.paths[at], faces, at))
    return write_people(folder, people, faces.image_size, show)
