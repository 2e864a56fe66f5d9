"""The images of a face set, a ``.rec`` or a folder of aligned people, each read when it is asked for."""
import contextlib
import os
from collections.abc import Sequence

import numpy as np

from mxft.data.images import BadImage, inspect
from mxft.errors import InputError
from mxft.faces.data.sources import read_source
from mxft.wording import plural


class SetImages(Sequence):
    """The encoded images of a set, each read when it is asked for.

    Parameters
    ----------
    path : str
        See `mxft.faces.data.sources.read_source`.

    Attributes
    ----------
    path : str
    names : list of str
        Of the people, in order of label.
    named : bool
        Whether they are more than numbers.
    labels : numpy.ndarray
        Int64 ``(N,)``: the place of each image's person in `names`.
    paths : list of str
        What each image is called.

    Raises
    ------
    InputError
        See `read_source`.
    BadImage
        From ``images[i]``: it cannot be read.

    Examples
    --------
    >>> faces = SetImages("faces_emore")                                                 # doctest: +SKIP
    >>> len(faces[0]), faces.names[faces.labels[0]]                                       # doctest: +SKIP
    (5213, '0')
    """

    def __init__(self, path):
        self._source = read_source(path)
        self.path, self.names, self.named = os.fspath(path), self._source.names, self._source.named
        self.labels = np.array([file.identity for file in self._source.files], np.int64)
        self.paths = [file.path for file in self._source.files]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, at):
        return self._source.read(self._source.files[at])

    def __str__(self):
        return f"{self.path}: {plural(len(self), 'image')} of {plural(len(self.names), 'person', 'people')}"

    @property
    def stem(self):
        """The set's name: that of its folder, or of its file."""
        path = os.path.abspath(self.path)
        if os.path.basename(path) == "train.rec":
            path = os.path.dirname(path)
        return os.path.splitext(os.path.basename(path))[0]

    @property
    def image_size(self):
        """(H, W) of the first image that can be read."""
        for at in range(len(self)):
            with contextlib.suppress(BadImage):
                return size_of(self[at])
        raise InputError(f"no image to be read: expected JPEG or PNG in {self.path}, received {len(self)} that are not")


def size_of(data):
    """Return (H, W) that the header of an encoded image says; a BadImage is neither JPEG nor PNG."""
    file = inspect(data)
    if not file.width or not file.height:
        raise BadImage("neither JPEG nor PNG")
    return file.height, file.width
