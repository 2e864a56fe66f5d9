"""What a face training set is packed from: one folder a person, or an aligned list as insightface's face2rec2.py reads.

The list's rows follow ``parse_lst_line`` of insightface's src/common/face_preprocess.py.
"""
import os
import shlex
from collections import namedtuple
from dataclasses import dataclass, field

from mxft.data.classes import read_classes
from mxft.data.folders import EXTENSIONS, normal_extensions, require_root, scan_class_folders
from mxft.errors import InputError, MissingFileError, nearest
from mxft.files.whole import require_file

NAMES = "identities.txt"  # a name a line; its number, from 0, is the label
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
    files : list of FaceFile
        In order of identity, then of file name (folder) or of the list.
    ignored : list of str
        What lies in the folder and is neither a person's folder nor an image in one.
    """

    root: str
    names: list
    files: list
    ignored: list = field(default_factory=list)


def read_source(source, root=None, exts=EXTENSIONS, exclude=()):
    """List the images of a folder of identities or of an aligned list, without opening them.

    Parameters
    ----------
    source : str
        A folder with a folder a person, or a ``.lst`` file.
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
    if root and os.path.isdir(source):
        raise InputError(f"`root`: expected a list, whose paths begin there, received the folder {source}")
    if tuple(exts) != tuple(EXTENSIONS) and os.path.isfile(source):
        raise InputError(f"`exts`: expected a folder of people, received the list {source}, which names its images")
    _refuse_packed(source)
    found = _from_folder(source, exts) if os.path.isdir(source) else _from_list(source, root or "")
    for name in exclude:
        if name not in found.names:
            raise InputError(f"nothing to exclude: expected an identity of {source}, received exclude={name!r}; "
                             f"{nearest(name, found.names)}")
    _require_names(found, source)
    return _without(found, set(exclude)) if exclude else found


def _refuse_packed(folder):
    """Refuse a folder that is a training set already."""
    if all(os.path.isfile(os.path.join(folder, name)) for name in ("train.rec", "train.idx")):
        raise InputError(f"people are packed already: expected one folder a person with images in it, received "
                         f"{folder}, a face set; mxft unpack {shlex.quote(folder)} "
                         f"{shlex.quote(folder.rstrip(os.sep) + '-people')} makes images of it again")


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
    return FaceSource(root, _names(labels, path), [FaceFile(numbers[label], file) for label, file in rows])


def _names(labels, list_path):
    """Name sorted labels after the ``identities.txt`` beside their list, as face-pack writes both, or by number."""
    names_path = os.path.join(os.path.dirname(list_path), NAMES)
    names = read_classes(names_path) if os.path.isfile(names_path) else []
    return [names[label] if labels[-1] < len(names) else str(label) for label in labels]


def _labelled_paths(path):
    """Yield (label, path) of every row of a list, all in the one shape its first row has."""
    shape = None
    path = require_file(path, "source (a folder of identities, or a .lst)")
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
    files = [FaceFile(numbers[file.identity], file.path) for file in source.files if file.identity in numbers]
    return FaceSource(source.root, [source.names[number] for number in kept], files, source.ignored)
