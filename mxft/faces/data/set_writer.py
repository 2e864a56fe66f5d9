"""Write a face training set in insightface's layout; follows ``read_list`` and ``write_worker`` of face2rec2.py."""
import contextlib
import os

from mxft.data.recordio import IRHeader, RecordWriter, frame, pack
from mxft.faces.data.sources import NAMES
from mxft.files.locks import Lock
from mxft.files.whole import require_folder, whole_file

MOST_KEYS = 1 << 24  # header and identity records hold keys as float32, which counts no further in ones


class FaceSetWriter:
    """Write ``property``, ``train.lst``, ``train.rec``, ``train.idx`` and ``identities.txt``, all or none.

    Use it as a context manager and call `finish` last: the files appear when the block ends, and an exception in it
    leaves none, nor an empty folder. The header, which says where the identity records stand, is the first record of
    the file, so that a program that reads in order meets it first. ``train.rec`` appears last, and an older one goes
    first: a folder with a ``train.rec`` holds a whole set at every moment. One process writes a set at a time.

    Parameters
    ----------
    folder : str
        Created where it is missing.

    Examples
    --------
    >>> with FaceSetWriter("/tmp/mxft-example-set") as writer:
    ...     writer.add_identity(0, [("Ada/1.jpg", b"image"), ("Ada/2.jpg", b"image")])
    ...     writer.finish(["Ada"], (112, 112))
    >>> print(open("/tmp/mxft-example-set/train.idx").read().replace(chr(9), " "), end="")
    0 0
    1 40
    2 80
    3 120
    """

    def __init__(self, folder):
        self.folder = os.fspath(folder)
        self.rec = os.path.join(self.folder, "train.rec")
        self.images = 0
        self._ranges = []
        self._files = contextlib.ExitStack()

    def __enter__(self):
        require_folder(self.folder)
        with contextlib.ExitStack() as files:
            files.enter_context(_without_empty_folder(self.folder))
            files.enter_context(set_lock(self.folder))
            # what is entered first appears last: a folder with records holds the rest
            self._records = files.enter_context(_Records(self.rec))
            self._property = files.enter_context(whole_file(os.path.join(self.folder, "property"), "w"))
            self._names = files.enter_context(whole_file(os.path.join(self.folder, NAMES)))
            self._list = files.enter_context(whole_file(os.path.join(self.folder, "train.lst")))
            self._records.index = files.enter_context(whole_file(os.path.join(self.folder, "train.idx"), "w"))
            self._records.write(_bounds(0, 0, key=0), key=0)
            files.push(self._before_they_appear)
            self._files = files.pop_all()
        return self

    def _before_they_appear(self, error, *_):
        if error is None:
            for file in (self._property, self._names, self._list, self._records):
                file.flush()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.rec)

    def __exit__(self, *error):
        return self._files.__exit__(*error)

    @property
    def bytes(self):
        """Bytes written to ``train.rec`` so far."""
        return self._records.offset

    @property
    def identities(self):
        """Identities added so far."""
        return len(self._ranges)

    def add_identity(self, label, images):
        """Append the images of one identity.

        Parameters
        ----------
        label : int
        images : list of (str, bytes)
            Path for ``train.lst``, and encoded image. Of an empty list nothing is written.
        """
        first = self.images + 1
        for path, payload in images:
            self.images += 1
            self._records.write(pack(IRHeader(0, float(label), self.images, 0), payload), key=self.images)
            self._list.write(f"1\t{path}\t{label}\n".encode("utf-8", "surrogateescape"))
        if images:
            self._ranges.append((first, self.images + 1))

    def finish(self, names, image_size):
        """Write identity records, header, ``property`` and ``identities.txt``.

        Parameters
        ----------
        names : list of str
            In order of label; their number is the ``num_classes`` of ``property``, whether or not each has images.
        image_size : (H, W)
        """
        key = self.images
        for first, past in self._ranges:
            key += 1
            self._records.write(_bounds(first, past, key), key=key)
        self._records.overwrite(0, _bounds(self.images + 1, key + 1, key=0))
        self._property.write(f"{len(names)},{image_size[0]},{image_size[1]}\n")
        self._names.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def set_lock(folder):
    """Return the Lock of whoever writes a face set into `folder`."""
    return Lock(os.path.join(folder, ".lock"), f"face set {folder}")


@contextlib.contextmanager
def _without_empty_folder(folder):
    """Remove `folder` after an exception where nothing is in it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        raise


class _Records(RecordWriter):
    """A RecordWriter that can, as the last thing, write a record again by one of the same length."""

    def overwrite(self, offset, data):
        self._rec.seek(offset)
        self._rec.write(frame(data))


def _bounds(first, past, key):
    """Return a record without payload that says which keys [first, past) belong together."""
    return pack(IRHeader(2, (first, past), key, 0), b"")
