"""Pictures that are in the training and in the validation records: their score would be too good.

A picture is known again by its difference hash (N. Krawetz, "Kind of Like That", 2013: is each pixel of a 9x8 thumbnail
brighter than its left neighbour), as saved again at another size or quality; thumbnails of 16x16 then decide.
"""
import contextlib
import os

import numpy as np

from mxft.compat import load_cv2
from mxft.data.recordio import RecordReader
from mxft.files.whole import whole_file

HASH_BITS = 6          # of 64 that may differ
GREY_LEVELS = 4.0      # mean difference of the thumbnails, of 255
_LEAST_CONTRAST = 4.0  # grey levels, standard deviation: hashes of plain pictures say nothing
_BLOCK = 1 << 22       # pairs held at a time
MOST_PAIRS = 1 << 32   # compared bit by bit, some 20 s; of more, hashes must be equal
_MOST_ALIKE = 1000


def find_duplicates(train, val):
    """Return which records of a validation file are in a training file, too.

    Parameters
    ----------
    train, val : str
        ``.rec`` files.

    Returns
    -------
    list of (int, int)
        Ids of the training and of the validation record; for each validation record the nearest one.

    Notes
    -----
    Mirrored, cropped or recoloured copies are not found, nor are copies of nearly plain pictures. Beyond `MOST_PAIRS`
    pairs (some 150,000 images) only copies whose hashes are equal are: 22 of 47 at 0.7 of the size and quality 60.

    Examples
    --------
    >>> find_duplicates("photos-train.rec", "photos-val.rec")       # doctest: +SKIP
    [(17, 203)]
    """
    return duplicates_of(*_thumbnails(train), *_thumbnails(val))


def duplicates_of(ids, thumbnails, val_ids, val_thumbnails):
    """Return what `find_duplicates` does of thumbnails, uint8 ``(N, 16, 16)``, and the ids of their pictures."""
    return [(int(ids[candidates[levels.argmin()]]), int(val_ids[row]))
            for row, candidates, levels in near_thumbnails(thumbnails, val_thumbnails)]


def near_thumbnails(thumbnails, others):
    """Yield which thumbnails are near to each of others, of those that have any.

    Parameters
    ----------
    thumbnails, others : numpy.ndarray
        Uint8 ``(N, 16, 16)`` and ``(M, 16, 16)``, of `grey_thumbnail`.

    Yields
    ------
    row : int
        In `others`.
    candidates : numpy.ndarray
        Int ``(n,)``, in `thumbnails`.
    levels : numpy.ndarray
        Float32 ``(n,)``, their mean difference in grey levels, at most `GREY_LEVELS`.
    """
    for row, candidates in _near(_hashes(thumbnails), _hashes(others)):
        levels = np.abs(thumbnails[candidates].astype(np.float32) - others[row]).mean(axis=(1, 2))
        near = levels <= GREY_LEVELS
        if near.any():
            yield int(row), candidates[near], levels[near]


def grey_thumbnail(grey):
    """Return a grey image (uint8 ``(H, W)``) as uint8 ``(16, 16)``, or None where it is nearly plain."""
    thumbnail = load_cv2().resize(grey, (16, 16), interpolation=load_cv2().INTER_AREA)
    return thumbnail if thumbnail.std() >= _LEAST_CONTRAST else None


def colour_thumbnail(pixels):
    """Return what `grey_thumbnail` does of a picture in colour, uint8 ``(H, W, 3)``, of every other pixel."""
    cv2 = load_cv2()
    few = np.ascontiguousarray(pixels[::2, ::2]) if min(pixels.shape[:2]) >= 64 else pixels
    return grey_thumbnail(cv2.cvtColor(few, cv2.COLOR_BGR2GRAY))


def _near(hashes, val_hashes):
    """Yield (row, numbers of near hashes) of the validation hashes that have any; of very many, equal ones alone."""
    if len(hashes) * len(val_hashes) > MOST_PAIRS:
        order = np.argsort(hashes, kind="stable")
        begin, end = (np.searchsorted(hashes[order], val_hashes, side) for side in ("left", "right"))
        yield from ((row, order[begin[row]:end[row]][:_MOST_ALIKE]) for row in np.flatnonzero(end > begin))
        return
    step = max(1, _BLOCK // max(1, len(hashes)))
    for first in range(0, len(val_hashes), step):
        near = _bits(val_hashes[first:first + step, None] ^ hashes[None]) <= HASH_BITS
        yield from ((first + row, np.flatnonzero(near[row])) for row in np.flatnonzero(near.any(axis=1)))


def write_duplicates(path, found, train_rows, val_rows):
    """Write the pictures that are in both parts, or remove the list of an earlier run where there are none.

    Parameters
    ----------
    path : str
        To write: two paths a line, separated by a tab.
    found : list of (int, int)
        Of `find_duplicates`: indices of rows.
    train_rows, val_rows : sequence of Row

    Returns
    -------
    list of (str, str)
        Paths of the training and of the validation picture.
    """
    names = [{row.index: row.path for row in rows} for rows in (train_rows, val_rows)]
    found = [(names[0][first], names[1][second]) for first, second in found]
    if not found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return found
    with whole_file(path) as f:
        f.write(b"training\tvalidation\n")
        f.write("".join(f"{first}\t{second}\n" for first, second in found).encode("utf-8", "surrogateescape"))
    return found


def _thumbnails(path):
    """Return ids ``(N,)`` and grey thumbnails, uint8 ``(N, 16, 16)``, of records that are neither damaged nor plain."""
    cv2 = load_cv2()
    ids, thumbnails = [], []
    with RecordReader(path) as reader:
        for record in reader:
            data = np.frombuffer(record.payload, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_4)
            if image is not None and min(image.shape) < 32:
                image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
            thumbnail = None if image is None else grey_thumbnail(image)
            if thumbnail is not None:
                ids.append(record.header.id)
                thumbnails.append(thumbnail)
    return np.array(ids, np.uint64), np.array(thumbnails, np.uint8).reshape(-1, 16, 16)


def _hashes(thumbnails):
    """Return difference hashes, uint64 ``(N,)``."""
    cv2 = load_cv2()
    if not len(thumbnails):
        return np.zeros(0, np.uint64)
    small = np.stack([cv2.resize(each, (9, 8), interpolation=cv2.INTER_AREA) for each in thumbnails])
    brighter = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), 64)
    return np.packbits(brighter, axis=1).view(np.uint64)[:, 0]


def _bits(values):
    """Return how many bits are set in each uint64, uint8 of the same shape."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.uint8)
    return table[np.ascontiguousarray(values)[..., None].view(np.uint8)].sum(axis=-1, dtype=np.uint8)
