"""What a face training set is packed from: one folder a person, an aligned list as insightface's face2rec2.py reads,
or another face set or ``.rec``.

The list's rows follow ``parse_lst_line`` of insightface's src/common/face_preprocess.py.
"""
import dataclasses
import os
from collections import namedtuple
from dataclasses import dataclass, field

from mxft.data.classes import read_classes
from mxft.data.folders import EXTENSIONS, normal_extensions, require_root, scan_class_folders
from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.errors import InputError, MissingFileError, nearest
from mxft.faces.data.packed_source import is_packed, read_packed
from mxft.faces.data.records import Damage, RecordFile
from mxft.faces.data.set_files import NAMES
from mxft.files.whole import require_file

ROW_SHAPES = ("expected 1<tab>path<tab>label (aligned faces, as insightface has them) or index<tab>label<tab>path "
              "(as im2rec has them)")

FaceFile = namedtuple("FaceFile", ["identity", "path"])
FaceFile.__doc__ = """One image: int `identity`, the place of its person's name; `path` as the source gives it."""


@dataclass
class FaceSource:
    """The images of a source, those of one identity together.

    Attributes
    ----------
    root : str
        What the paths are relative to; empty for the working directory.
    names : list of str
        Of the identities, in the order their labels will have.
    files : list of FaceFile, or of PackedFace where `records` are there
        In order of identity, then of file name (folder), of the list, or of the key.
    ignored : list of str
        What lies in the folder and is neither a person's folder nor an image in one.
    records : RecordFile or None
        Of a packed source: where the images are.
    named : bool
        Whether the names are more than the numbers of the labels.
    """

    root: str
    names: list
    files: list
    ignored: list = field(default_factory=list)
    records: RecordFile = None
    named: bool = True

    def read(self, file):
        """Return the bytes of one of the `files`; a BadImage says in what way there are none."""
        if self.records is None:
            return read_image(os.path.join(self.root, file.path))
        try:
            return self.records.image(file.offset, file.size)[1].tobytes()
        except Damage as damage:
            raise BadImage(str(damage)) from None


def read_source(source, root=None, exts=EXTENSIONS, exclude=()):
    """List the images of a folder of identities, an aligned list or a face set, without opening them.

    Parameters
    ----------
    source : str
        A folder with a folder a person, a ``.lst`` file, or what `mxft.faces.data.packed_source.read_packed` takes.
    root : str, optional
        Of a list alone: the folder its paths are relative to (default: the working directory).
    exts : iterable of str
        Of a folder alone: the extensions that are images.
    exclude : iterable of str
        Names of identities to leave out.

    Returns
    -------
    FaceSource

    Raises
    ------
    InputError
        No images; a bad row, or one that is not aligned; a name to exclude that is not there.

    Examples
    --------
    >>> import os
    >>> os.makedirs("/tmp/mxft-example-people/Ada", exist_ok=True)
    >>> open("/tmp/mxft-example-people/Ada/1.jpg", "wb").close()
    >>> read_source("/tmp/mxft-example-people").files
    [FaceFile(identity=0, path='Ada/1.jpg')]
    """
    source = os.fspath(source)
    packed = is_packed(source)
    if root and (packed or os.path.isdir(source)):
        raise InputError(f"`root`: expected a list, whose paths begin there, received the "
                         f"{'face set' if packed else 'folder'} {source}")
    if tuple(exts) != tuple(EXTENSIONS) and (packed or os.path.isfile(source)):
        raise InputError(f"`exts`: expected a folder of people, received the {'face set' if packed else 'list'} "
                         f"{source}, which names its images")
    found = (_from_records(source) if packed else _from_folder(source, exts) if os.path.isdir(source) else
             _from_list(source, root or ""))
    for name in exclude:
        if name not in found.names:
            raise InputError(f"nothing to exclude: expected an identity of {source}, received exclude={name!r}; "
                             f"{nearest(name, found.names)}")
    _require_names(found, source)
    return _without(found, set(exclude)) if exclude else found


def _from_records(source):
    names, named, files, records = read_packed(source)
    return FaceSource("", names, files, records=records, named=named)


def _from_folder(folder, exts):
    try:
        scan = scan_class_folders(folder, exts)
    except MissingFileError:
        raise
    except InputError as error:
        nested = _folder_of_people(folder, normal_extensions(exts))
        if nested is None or os.path.samefile(nested, folder):
            raise
        raise InputError(f"no people in {folder}: expected one folder a person with images in it, received "
                         f"images that lie at another depth; try {nested}") from error
    files = [FaceFile(int(row.labels[0]), row.path) for row in scan.rows]
    return FaceSource(folder, scan.classes, files, scan.ignored)


def _folder_of_people(folder, exts):
    """Return the folder that holds the first folder with images, or None."""
    for path, _, files in os.walk(folder):
        if any(name.lower().endswith(exts) for name in files):
            return os.path.dirname(os.path.abspath(path))
    return None


def _from_list(path, root):
    if root:
        require_root(root)
    rows = sorted(_labelled_paths(path), key=lambda row: row[0])  # a stable sort: the list's order within a label
    if not rows:
        raise InputError(f"image list is empty: expected at least one row, received {path} with none")
    labels = sorted({label for label, _ in rows})
    numbers = {label: number for number, label in enumerate(labels)}
    names = _names(labels, path)
    return FaceSource(root, names, [FaceFile(numbers[label], file) for label, file in rows],
                      named=names != list(map(str, labels)))


def _names(labels, list_path):
    """Name sorted labels after the ``identities.txt`` beside their list, as face-pack writes both, or by number."""
    names_path = os.path.join(os.path.dirname(list_path), NAMES)
    names = read_classes(names_path) if os.path.isfile(names_path) else []
    return [names[label] if labels[-1] < len(names) else str(label) for label in labels]


def _labelled_paths(path):
    """Yield (label, path) of every row of a list, all in the one shape its first row has."""
    shape = None
    path = require_file(path, "source (a folder of identities, a .lst, a face set or a .rec)")
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            fields = [text.strip() for text in line.split("\t")]
            shape = shape or _shape(fields, path, number)
            try:
                yield shape(fields)
            except (ValueError, IndexError, OverflowError):
                raise InputError(f"bad row in {path}, line {number}: {ROW_SHAPES}, all in the same shape; received "
                                 f"{line.rstrip()!r}") from None
            except _NotAligned:
                raise InputError(
                    f"face is not aligned in {path}, line {number}: expected 1 in the first column (aligned=1), "
                    f"received {fields[0]!r} with {len(fields) - 3} numbers for box and landmarks; `align` cuts the "
                    "faces out") from None


class _NotAligned(Exception):
    """A row says aligned=0."""


def _shape(fields, path, number):
    """Return the function that reads a list's rows: a path is what no number can be read from."""
    if len(fields) >= 3 and not _is_number(fields[1]):
        return _aligned_row
    if len(fields) >= 3 and not _is_number(fields[-1]):
        return _im2rec_row
    raise InputError(f"rows cannot be told apart in {path}, line {number}: {ROW_SHAPES}, received {fields}, in which "
                     "no column can be taken for a path alone; write the paths with their folder or extension")


def _aligned_row(fields):
    if fields[0] == "0":
        raise _NotAligned
    if fields[0] != "1" or not fields[1] or _is_number(fields[1]):
        raise ValueError
    return _whole(fields[2]), fields[1]


def _im2rec_row(fields):
    if not fields[-1] or _is_number(fields[-1]):
        raise ValueError
    int(fields[0])
    return _whole(fields[1]), fields[-1]


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(text):
    label = float(text)
    if label != int(label) or label < 0:
        raise ValueError
    return int(label)


def _require_names(source, where):
    """Refuse names and paths that ``identities.txt`` and ``train.lst`` could not hold."""
    for what, texts in (("person's folder", source.names), ("file", (file.path for file in source.files))):
        for text in texts:
            if not text.strip() or any(mark in text for mark in "\t\r\n"):
                raise InputError(f"name does not fit a list: expected no tab or line end in the name of a {what} of "
                                 f"{where}, received {text!r}; rename it")


def _without(source, excluded):
    kept = [number for number, name in enumerate(source.names) if name not in excluded]
    numbers = {old: new for new, old in enumerate(kept)}
    files = [file._replace(identity=numbers[file.identity]) for file in source.files if file.identity in numbers]
    return dataclasses.replace(source, names=[source.names[number] for number in kept], files=files)
