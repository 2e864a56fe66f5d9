"""Verification sets: pairs of face images and whether they show the same person, read from and written to ``.bin``.

The format is insightface's ``lfw.bin``: a pickle of ``(images, issame)``, 2·P encoded images and P bools.
"""
import dataclasses
import os
import struct

import numpy as np

from mxft.data.images import BadImage, decode, inspect
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.pairs.protocols import read_protocol
from mxft.faces.pairs.restricted_pickle import load_restricted
from mxft.files.whole import whole_file
from mxft.machine.quiet import quiet_native
from mxft.network.image_options import ImageOptions
from mxft.wording import BriefRepr

_HEAD = b"\x80\x02]("        # PROTO 2, EMPTY_LIST, MARK
_BETWEEN = b"e]("             # APPENDS, EMPTY_LIST, MARK
_NEWTRUE, _NEWFALSE = b"\x88", b"\x89"
_END = b"e\x86."              # APPENDS, TUPLE2, STOP


@dataclasses.dataclass(frozen=True, repr=False)
class PairSet(BriefRepr):
    """A verification set.

    Parameters
    ----------
    name : str
        Such as ``"lfw"``.
    images : list of bytes
        2·P encoded images (JPEG, PNG); ``images[2 * i]`` and ``images[2 * i + 1]`` are pair i.
    issame : numpy.ndarray
        Bool ``(P,)``: whether pair i shows one person.
    """

    name: str
    images: list
    issame: np.ndarray

    def __str__(self):
        same = int(self.issame.sum())
        return f"{self.name}: {len(self.issame)} pairs ({same} same, {len(self.issame) - same} different)"


@dataclasses.dataclass(frozen=True)
class PackedPairs:
    """Result of `pack_pairs`.

    Parameters
    ----------
    path : str
    same, different : int
        Pairs of one person and of two.
    files : int
        Different image files behind them.
    image_size : (H, W)
    """

    path: str
    same: int
    different: int
    files: int
    image_size: tuple

    def __str__(self):
        return (f"{self.path}: {self.same + self.different} pairs ({self.same} same, {self.different} different) of "
                f"{self.files} images, {_size(self.image_size)}")


def load_pairs(path):
    """Read a ``.bin`` file of Python 2 or 3 without running anything that may be hidden in it.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    PairSet
        Named after the file.

    Raises
    ------
    InputError
        The file is missing, cut short, holds more than images and bools, no pairs at all, or another number of
        images than two a pair.

    Notes
    -----
    The images are not looked into: `check_images` does.

    Examples
    --------
    >>> write_pairs("/tmp/mxft-example.bin", [b"left", b"right"], [True])
    >>> load_pairs("/tmp/mxft-example.bin").images
    [b'left', b'right']
    """
    value = load_restricted(path, "verification set")
    shape = f"{type(value).__name__} of {len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(
            isinstance(part, (list, tuple, np.ndarray)) for part in value):
        raise InputError(f"{path} is no verification set: expected a pair of lists (images, issame), received {shape}")
    images = [_image_bytes(image, number, path) for number, image in enumerate(value[0])]
    issame = [_truth(answer, number, path) for number, answer in enumerate(value[1])]
    if len(images) != 2 * len(issame):
        raise InputError(f"{path} is no verification set: expected two images a pair, 2 x {len(issame)} = "
                         f"{2 * len(issame)}, received images={len(images)} issame={len(issame)}; make it again with "
                         "mxft pairs-pack")
    if not issame:
        raise InputError(f"{path} is empty: expected at least one pair, received none")
    return PairSet(os.path.splitext(os.path.basename(os.fspath(path)))[0], images, np.array(issame, bool))


def _image_bytes(image, number, path):
    """Return an image as bytes; OpenCV's arrays of encoded bytes are (n,) or (n, 1)."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size == max(image.shape, default=0):
        return image.tobytes()
    if isinstance(image, bytes):
        return image
    received = f"uint8 pixels of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise InputError(f"image {number} of {path}: expected an encoded image in bytes, received {received}")


def _truth(answer, number, path):
    if isinstance(answer, (bool, np.bool_)) or (isinstance(answer, (int, np.uint8)) and answer in (0, 1)):
        return bool(answer)
    received = answer if isinstance(answer, int) else type(answer).__name__
    raise InputError(f"issame {number} of {path}: expected True or False, received {received}")


def check_images(pair_set, image_size=None):
    """Refuse a set with an image that is empty, cut short, no JPEG or PNG, or of another size.

    Parameters
    ----------
    pair_set : PairSet
    image_size : (H, W), optional
        What the network takes; the first image's own size when None.

    Returns
    -------
    (H, W)

    Raises
    ------
    InputError
        With the image's number: 2·i and 2·i + 1 belong to pair i.

    Notes
    -----
    Headers and ends of the files are looked at; what is wrong inside is told when it is decoded.
    """
    for number, image in enumerate(pair_set.images):
        try:
            file = inspect(image)
            if not file.width or not file.height:
                raise BadImage(f"neither JPEG nor PNG: it begins {image[:8]!r}")
        except BadImage as error:
            raise InputError(f"image {number} of {pair_set.name} (pair {number // 2}) cannot be used: expected a whole "
                             f"JPEG or PNG, received {error}") from None
        size = (file.height, file.width)
        image_size = image_size or size
        if size != tuple(image_size):
            raise InputError(f"image {number} of {pair_set.name} (pair {number // 2}) does not fit: expected "
                             f"{_size(image_size)} pixels, received {_size(size)}; align and crop the faces to "
                             f"{_size(image_size)} and pack them with mxft pairs-pack")
    return tuple(image_size)


def _size(size):
    return f"{size[1]}x{size[0]}"


def write_pairs(path, images, issame):
    """Write a ``.bin`` file, whole or not at all.

    Parameters
    ----------
    path : str
    images : sequence of bytes
        2·P encoded images.
    issame : sequence of bool
        P.

    Notes
    -----
    The pickle is what Python 2 would write (protocol 2, images as its ``str``), as the published sets are: whatever
    reads those reads this one, insightface on either Python among it (``pickle.load(f, encoding="bytes")``). A
    pickle of Python 3's bytes would be lost on Python 2, or half as large again.

    Examples
    --------
    >>> import pickle
    >>> write_pairs("/tmp/mxft-example.bin", [b"left", b"right"], [True])
    >>> with open("/tmp/mxft-example.bin", "rb") as f:
    ...     pickle.load(f, encoding="bytes")
    ([b'left', b'right'], [True])
    """
    if len(images) != 2 * len(issame) or not len(issame):
        raise InputError(f"verification set is not written: expected two images a pair and at least one pair, received "
                         f"images={len(images)} issame={len(issame)}")
    with whole_file(path) as f:
        f.write(_HEAD)
        for image in images:
            f.write(b"T" + struct.pack("<i", len(image)) + image)   # BINSTRING
        f.write(_BETWEEN + b"".join(_NEWTRUE if same else _NEWFALSE for same in issame) + _END)


def pack_pairs(pairs_path, root, path, image_size=None, show=None, protocol="auto", frames=1):
    """Pack the images that a list of pairs names into a ``.bin`` file.

    Parameters
    ----------
    pairs_path : str
        The list, or the folder of the lists: see `mxft.faces.pairs.protocols.read_protocol`.
    root : str
        The folder of the images; only read.
    path : str
        The file to write, whole or not at all.
    image_size : (H, W), optional
        What every image must be; the first one's own size when None.
    show : bool, optional
        See `mxft.data.progress.progress`.
    protocol, frames
        See `mxft.faces.pairs.protocols.read_protocol`.

    Returns
    -------
    PackedPairs

    Raises
    ------
    InputError
        A malformed row, a missing image (both with line number and text), one that cannot be decoded, or images of
        several sizes.

    Notes
    -----
    The files' own bytes are packed, once they have been decoded to see that they can be: re-encoding costs accuracy.
    """
    return pack_rows(read_protocol(pairs_path, root, protocol, frames), path, image_size, show, pairs_path)


def pack_rows(rows, path, image_size=None, show=None, listed=None):
    """Pack pairs of image files into a ``.bin`` file; see `pack_pairs`.

    Parameters
    ----------
    rows : sequence of mxft.faces.pairs.lists.PairRow
    path, image_size, show
        See `pack_pairs`.
    listed : str, optional
        The list they stand in, which messages name with the row's line; they name the pair's number when None.

    Returns
    -------
    PackedPairs

    Raises
    ------
    InputError
        See `pack_pairs`.
    """
    lists = {listed, *(row.listed for row in rows)} - {None}
    _refuse_source(path, [*lists, *(file for row in rows for file in row.files)])
    images = {}
    with quiet_native(), progress(2 * len(rows), "packing", show=show) as advance:
        for row in rows:
            for file in row.files:
                if file not in images:
                    source = row.listed or listed
                    named = f"line {row.number} of {source} names" if source else f"pair {row.number} names"
                    images[file], image_size = _read_image(file, named, image_size)
                advance()
    write_pairs(path, [images[file] for row in rows for file in row.files], [row.same for row in rows])
    same = sum(row.same for row in rows)
    return PackedPairs(path, same, len(rows) - same, len(images), tuple(image_size))


def _refuse_source(path, sources):
    """Refuse to write to a folder, or over a file that is read."""
    what = "a folder" if os.path.isdir(path) else None
    if os.path.isfile(path) and os.path.realpath(path) in {os.path.realpath(source) for source in sources}:
        what = "one of the files that are packed"
    if what:
        raise InputError(f"verification set is not written: expected a new file, received out={path!r}, {what}")


def _read_image(file, named, image_size):
    """Return the bytes of one image and the size all must have; `named` says what names it."""
    with open(file, "rb") as f:
        data = f.read()
    try:
        size = decode_rgb(data).shape[:2]
    except BadImage as error:
        raise InputError(f"image cannot be packed: expected a whole JPEG or PNG, received {file} ({error}), which "
                         f"{named}") from None
    if image_size and size != tuple(image_size):
        raise InputError(f"image does not fit: expected {_size(image_size)} pixels, received {_size(size)} in {file}, "
                         f"which {named}; align and crop the faces to one size first "
                         "(`size` H,W says which)")
    return data, size


def decode_rgb(data):
    """Decode an image file's bytes to uint8 RGB pixels ``(H, W, 3)``.

    Raises
    ------
    mxft.data.images.BadImage
        Not a whole JPEG or PNG.
    """
    file = inspect(data)
    if file.format not in ("JPEG", "PNG"):
        raise BadImage(f"neither JPEG nor PNG: it begins {data[:8]!r}")
    return decode(data, file, ImageOptions())[0][:, :, ::-1]
