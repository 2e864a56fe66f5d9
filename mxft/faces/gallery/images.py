"""Images of faces, wherever they lie, one at a time: pictures, face sets, records, verification sets."""
import os

from mxft.data.packing import read_image
from mxft.data.pictures import is_archive, pictures_under, unpacked_folder
from mxft.errors import InputError
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.packed_source import RecordImages, known_names
from mxft.faces.data.plain_records import is_face_set
from mxft.faces.pairs.bin_file import load_pairs


class FaceImages:
    """Images in their order, each read when it is asked for.

    Parameters
    ----------
    names, labels : list of str
        What each is called, and whose it is; a label is empty where nothing says so.
    read : callable
        ``number -> bytes``; BadImage where there are none.
    packed : list of bool
        Whether each is a record's: an aligned face.

    Examples
    --------
    >>> images = FaceImages(["a.jpg"], ["Ann"], lambda number: b"data", [False])
    >>> len(images), images.read(0)
    (1, b'data')
    """

    def __init__(self, names, labels, read, packed):
        self.names, self.labels, self.read, self.packed = names, labels, read, packed

    def __len__(self):
        return len(self.names)


def open_face_images(sources):
    """Open images of faces.

    Parameters
    ----------
    sources : sequence of str
        Pictures, folders, tars and zips of them, tables that name them, face sets, ``.rec`` and ``.bin`` files.

    Returns
    -------
    FaceImages
        Of a folder those in it at any depth, labelled by the folder within it that they lie in; of records by
        ``identities.txt`` (of ``train.rec``) or ``NAME.classes.txt`` beside them, or by number.

    Raises
    ------
    InputError
        A source without images, damaged records, or fewer names than people.
    """
    parts = [_open(os.path.expanduser(os.fspath(source))) for source in sources]
    if len(parts) == 1:
        return parts[0]
    ends, readers = [], []
    for part in parts:
        ends.append((ends[-1] if ends else 0) + len(part))
        readers.append(part.read)

    def read(number):
        place = next(i for i, end in enumerate(ends) if number < end)
        return readers[place](number - (ends[place - 1] if place else 0))

    return FaceImages(*([value for part in parts for value in getattr(part, field)] for field in ("names", "labels")),
                      read, [value for part in parts for value in part.packed])


def _open(source):
    if source.lower().endswith(".bin") and os.path.isfile(source):
        return _of_pairs(source)
    if is_face_set(source) or source.lower().endswith(".rec"):
        return _of_records(source)
    return _of_pictures(source)


def _of_pairs(path):
    pairs = load_pairs(path)
    names = [f"{number}/{side}" for number in range(len(pairs.issame)) for side in ("left", "right")]
    labels = [label for same in pairs.issame for label in (("same", "same") if same else ("different", "different"))]
    return FaceImages(names, labels, lambda number: pairs.images[number], [True] * len(names))


def _of_records(path):
    faces = read_face_set(path, show=False)
    known = known_names(faces)
    labels = [known[label] if known else str(label) for label in faces.labels.tolist()]
    return FaceImages([str(key) for key in faces.keys.tolist()], labels, RecordImages(faces).__getitem__,
                      [True] * len(labels))


def _of_pictures(source):
    root = unpacked_folder(source) if is_archive(source) else source
    paths = pictures_under(root)
    if not os.path.isdir(root):
        names, labels = paths, [""] * len(paths)
    else:
        names = [os.path.relpath(path, root) for path in paths]
        labels = [os.path.dirname(name).split(os.sep)[0] for name in names]
    if not paths:
        raise InputError(f"no faces in {source}: expected at least one picture, received none")
    return FaceImages(names, labels, lambda number: read_image(paths[number]), [False] * len(paths))
