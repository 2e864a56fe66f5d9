"""Images known again: by their bytes, by their pixels, and by how they look. Arrays in, pairs and groups out."""
import contextlib
import hashlib
import os
from collections import namedtuple
from functools import partial

import numpy as np

from mxft.compat import load_cv2
from mxft.data import duplicates
from mxft.data.images import BadImage, inspect
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.faces.sets.people import person_numbers
from mxft.machine.quiet import quiet_native

BYTES, PIXELS, NEAR = range(3)
KINDS = ("same bytes", "same pixels", "near")

Prints = namedtuple("Prints", ["bytes", "pixels", "thumbnails", "looks"])
Prints.__doc__ = """What images are known by: digests of `bytes` and of decoded `pixels`, ``S16`` arrays ``(N,)``, empty
where there is none; grey `thumbnails`, uint8 ``(N, 16, 16)``; `looks`, bool ``(N,)``: not plain, so that they tell."""


def take_prints(images, threads=None, advance=lambda count=1: None):
    """Return the Prints of encoded images.

    Parameters
    ----------
    images : sequence of bytes
        Each is asked for once; those that cannot be read have no pixels and no looks.
    threads : int, optional
        One a core when None.
    advance : callable
        Called after each.

    Returns
    -------
    Prints
        Some 300 bytes an image.

    Examples
    --------
    >>> take_prints([b"no image", b"no image"], 1).looks.tolist()
    [False, False]
    """
    count = len(images)
    prints = Prints(np.zeros(count, "S16"), np.zeros(count, "S16"), np.zeros((count, 16, 16), np.uint8),
                    np.zeros(count, bool))
    made = ordered_map(partial(_print, images), range(count), threads or os.cpu_count() or 1)
    with quiet_native(), one_opencv_thread(), contextlib.closing(made) as rows:
        for at, (file, pixels, thumbnail) in enumerate(rows):
            prints.bytes[at], prints.pixels[at] = file, pixels
            if thumbnail is not None:
                prints.thumbnails[at], prints.looks[at] = thumbnail, True
            advance()
    return prints


def _print(images, at):
    """Return the digests and the thumbnail of one image."""
    cv2 = load_cv2()
    try:
        data = images[at]
    except BadImage:
        return b"", b"", None
    image = None
    with contextlib.suppress(BadImage, cv2.error):
        inspect(data)  # a damaged header may announce more pixels than there is memory for
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return _digest(data), b"", None
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return _digest(data), _digest(repr(image.shape).encode() + image.tobytes()), duplicates.grey_thumbnail(grey)


def _digest(data):
    """Return 16 bytes of which none is 0: NumPy cuts zeros off the end."""
    return hashlib.blake2b(data, digest_size=16).digest().replace(b"\0", b"\1")


def alike(prints, others=None):
    """Return the pairs of images that are the same or look the same.

    Parameters
    ----------
    prints : Prints
    others : Prints, optional
        Of a second collection; pairs within the first when None.

    Returns
    -------
    pairs : numpy.ndarray
        Int ``(P, 2)``: a place in the first, one in the second. Of a group of equal images not every pair is among
        them, but enough to connect them; of a second collection every image that is alike to one has a pair.
    kinds : numpy.ndarray
        Int ``(P,)``: BYTES, PIXELS or NEAR. The pairs up to a kind connect all that are alike in that way or a stricter
        one; a pair that others connect already may be called looser than it is.

    Notes
    -----
    Near is what `mxft.data.duplicates` calls so: copies at another size or quality. Mirrored, cropped or turned
    ones are not found; nor are nearly plain images. Beyond `mxft.data.duplicates.MOST_PAIRS` pairs, equal hashes only.
    """
    second, found = prints if others is None else others, {}
    for kind, name in ((BYTES, "bytes"), (PIXELS, "pixels")):
        for pair in _equal(getattr(prints, name), getattr(second, name), others is None):
            found.setdefault(pair, kind)
    for pair in _near(prints, second, others is None):
        found.setdefault(pair, NEAR)
    pairs = np.array(list(found), int).reshape(-1, 2)
    return pairs, np.array(list(found.values()), int)


def _equal(digests, others, one):
    """Yield (place of the first equal digest, place) of others; of one collection without an image and itself."""
    first = {}
    for at, digest in enumerate(digests.tolist()):
        first.setdefault(digest, at)
    for at, digest in enumerate(others.tolist()):
        if digest and digest in first and not (one and first[digest] == at):
            yield first[digest], at


def _looked_at(prints):
    """Return the places of images that are not plain, one of each with equal pixels."""
    places = np.flatnonzero(prints.looks)
    return places[np.sort(np.unique(prints.pixels[places], return_index=True)[1])]


def _near(prints, others, one):
    """Yield (place, place) of images that look the same; of one collection each pair once."""
    places, other_places = _looked_at(prints), _looked_at(others) if one else np.flatnonzero(others.looks)
    for row, candidates, _ in duplicates.near_thumbnails(prints.thumbnails[places], others.thumbnails[other_places]):
        at = int(other_places[row])
        yield from ((place, at) for place in places[candidates].tolist() if not one or place < at)


def too_many(prints, others=None):
    """Whether near images are only looked for among equal hashes: see `alike`."""
    other_places = _looked_at(prints) if others is None else np.flatnonzero(others.looks)
    return len(_looked_at(prints)) * len(other_places) > duplicates.MOST_PAIRS


def groups(count, pairs):
    """Return the groups that pairs connect, a list of lists of places, each ascending, of two or more.

    Examples
    --------
    >>> groups(5, [(0, 3), (3, 4)])
    [[0, 3, 4]]
    """
    numbers = person_numbers(count, pairs)
    involved = sorted({place for pair in pairs for place in map(int, pair)})
    found = {}
    for place in involved:
        found.setdefault(int(numbers[place]), []).append(place)
    return list(found.values())
