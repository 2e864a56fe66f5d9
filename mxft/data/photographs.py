"""Photographs straight to a network's input: the pixels a record file of lossless images would give, without one.

A PNG in a record is encoded, written, read and decoded again, and then is what it was. Where the packing says ``.png``
all of that can be left out, and nobody can tell by the pixels; JPEG changes them, and its records are made.
"""
import contextlib
import hashlib
import os
from functools import partial

import numpy as np

from mxft.compat import load_cv2, mx
from mxft.data.images import BadImage, pixels_with_size
from mxft.data.labels import LabelScan
from mxft.data.packing import BadRow, one_opencv_thread, ordered_map, read_image
from mxft.data.picture_files import found_path
from mxft.errors import InputError
from mxft.machine.quiet import quiet_native
from mxft.network.image_options import ImageOptions

cv2 = load_cv2()


def reads_directly(packing, spec):
    """Whether pictures that go through this packing are read straight to a network's input, with the same pixels.

    Parameters
    ----------
    packing : dict
        Of `ImageOptions`.
    spec : mxft.network.input_spec.InputSpec

    Returns
    -------
    bool
        Of colour pictures, encoded without loss and resized once, no smaller than the input.

    Examples
    --------
    >>> from mxft.network.input_spec import InputSpec
    >>> reads_directly({"resize": 256, "encoding": ".png"}, InputSpec()), reads_directly({"resize": 256}, InputSpec())
    (True, False)
    """
    options = ImageOptions(**packing)
    return (options.encoding == ".png" and options.color == 1 and not options.pass_through and spec.shape[0] == 3
            and options.resize >= max(spec.shape[1:]) and spec.resize in (None, 0, options.resize))


class Photographs:
    """Batches of picture files for an `mxft.inference.executor.InferenceExecutor`, decoded on threads ahead of it.

    Parameters
    ----------
    rows : sequence of Row
        Their labels are given as they are, the first alone or, with `label_width` above 1, all.
    root : str
        What the paths are relative to.
    spec : mxft.network.input_spec.InputSpec
    packing : dict
        Of `ImageOptions`; `reads_directly` must hold.
    batch_size : int
    threads : int, optional
        Decoding threads; the number of cores when None.
    label_width : int
    look : callable, optional
        ``look(pixels)`` of each picture before the crop, on its thread; what it returns is kept in `looks`.
    advance : callable, optional
        Called after each picture.
    required : bool
        Refuse (InputError), at the end, pictures none of which can be read.

    Attributes
    ----------
    bad : list of BadRow
        The pictures that could not be read so far.
    kept : list of Row
        The others, in order.
    looks : list
        What `look` returned for them.
    digest : str
        SHA-256 of labels and files of `kept`, in order.

    Notes
    -----
    A picture that cannot be read is left out, as in packing. Nothing is written into a batch once it was given. Iterate
    within `reading`, or OpenCV's threads and libjpeg's remarks come on top.

    Examples
    --------
    >>> batches = Photographs(rows, "photos", spec, {"resize": 256, "encoding": ".png"}, 128)      # doctest: +SKIP
    >>> with reading():                                                                            # doctest: +SKIP
    ...     features = [output for output, label in executor.over(batches)]
    """

    def __init__(self, rows, root, spec, packing, batch_size=32, threads=None, label_width=1, look=None,
                 advance=None, required=True):
        self._rows, self._root, self._spec, self._options = rows, root, spec, ImageOptions(**packing)
        self.batch_size, self._threads = batch_size, threads or os.cpu_count() or 1
        self._width, self._look, self._advance = label_width, look, advance or (lambda: None)
        self._required = required
        self.reset()

    def reset(self):
        """Begin again with the first picture."""
        self.bad, self.kept, self.looks, self._digest = [], [], [], hashlib.sha256()

    @property
    def digest(self):
        """SHA-256 in hexadecimal digits."""
        return self._digest.hexdigest()

    def __iter__(self):
        """Yield an mx.io.DataBatch after another."""
        read = partial(_read, root=self._root, spec=self._spec, options=self._options, look=self._look)
        images, labels = [], []
        for row, image, facts in ordered_map(read, self._rows, self._threads, self.batch_size):
            self._advance()
            if image is None:
                self.bad.append(BadRow(row, facts))
                continue
            look, file_hash = facts
            self.kept.append(row)
            self.looks.append(look)
            self._digest.update(repr(row.labels).encode() + file_hash)
            images.append(image)
            labels.append(row.labels if self._width > 1 else row.labels[0])
            if len(images) == self.batch_size:
                yield _batch(images, labels)
                images, labels = [], []
        if images:
            yield _batch(images, labels)
        if self._required and not self.kept:
            listed = "; ".join(f"{bad.row.path}: {bad.reason}" for bad in self.bad[:5])
            raise InputError(f"no image can be read: expected at least one, received {listed}")


class PhotographList:
    """Pictures with labels that are to be read directly: what stands for a record file of them.

    Parameters
    ----------
    rows : sequence of Row
    root : str
        What their paths are relative to.
    packing : dict
        Of `ImageOptions`.
    several : bool
        Give all labels of a row, not the first alone.

    Attributes
    ----------
    opened : Photographs or None
        What `open` gave last, which knows the pictures that could not be read.
    """

    def __init__(self, rows, root, packing, several=False):
        self._rows, self.root, self._packing, self._several, self.opened = list(rows), root, packing, several, None

    @property
    def scan(self):
        """The LabelScan a record file of all these pictures would have."""
        labels = [row.labels if self._several and len(row.labels) > 1 else row.labels[0] for row in self._rows]
        zeros = np.zeros(len(labels), np.int64)
        return LabelScan(self.root, np.array([row.index for row in self._rows], np.uint64),
                         np.array(labels, np.float32), zeros, zeros)

    def open(self, spec, batch_size, threads=None, label_width=1):
        """Return Photographs of them."""
        self.opened = Photographs(self._rows, self.root, spec, self._packing, batch_size, threads, label_width)
        return self.opened

    @property
    def paths(self):
        """The paths of those that could be read, a tuple."""
        return tuple(os.path.join(self.root, found_path(self.root, row.path) or row.path) for row in self.opened.kept)


@contextlib.contextmanager
def reading():
    """Decode with one thread of OpenCV's for each of ours, and without what libjpeg prints; open no progress before."""
    with one_opencv_thread(), quiet_native():
        yield


def _batch(images, labels):
    return mx.io.DataBatch([np.stack(images)], [mx.nd.array(np.array(labels, np.float32))], pad=0)


def _read(row, root, spec, options, look):
    """Return (row, network input, (look, hash)), or (row, None, reason) for a picture that cannot be read."""
    try:
        data = read_image(os.path.join(root, found_path(root, row.path) or row.path))
        pixels, _ = pixels_with_size(data, options)
    except BadImage as error:
        return row, None, str(error)
    return row, input_of_pixels(pixels, spec), (look and look(pixels), hashlib.sha256(data).digest())


def input_of_pixels(pixels, spec):
    """Return a network's input for resized pixels: the centre crop, float32 ``(C, H, W)``, with mean and scale.

    Parameters
    ----------
    pixels : numpy.ndarray
        Uint8 ``(H, W, 3)``, in OpenCV's order of colours, no smaller than the input.
    spec : mxft.network.input_spec.InputSpec

    Returns
    -------
    numpy.ndarray
    """
    height, width = spec.shape[1:]
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    planes = cv2.split(pixels[top:top + height, left:left + width])
    result = np.empty((3, height, width), np.float32)
    for plane, into, mean, scale in zip(reversed(planes), result, spec.mean, _each(spec.scale)):
        into[:] = plane
        if mean:
            into -= np.float32(mean)
        if scale != 1:
            into *= np.float32(scale)
    return result


def _each(scale):
    return np.broadcast_to(np.float32(scale), (3,))
