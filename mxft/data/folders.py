"""Scan a folder of photographs into list rows and class names; follows `list_image` of MXNet's tools/im2rec.py."""
import os
from collections import Counter
from dataclasses import dataclass, field

from mxft.data.classes import class_number
from mxft.data.lists import Row
from mxft.errors import InputError, MissingFileError, nearest

EXTENSIONS = (".jpeg", ".jpg", ".png")
PARTS = {**dict.fromkeys(("train", "training"), "train"), **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
         **dict.fromkeys(("test", "testing"), "test")}  # what people call the parts of a data set


@dataclass
class FolderScan:
    """What a scan found.

    Attributes
    ----------
    rows : list of Row
        In the order of the walk, indices from 0.
    classes : list of str
        Class names; the place of a name is its label. Empty where folders are not classes.
    ignored : list of str
        Paths relative to the folder that were passed over: folders without images, and for `scan_class_folders`
        whatever in or beside a class folder is not an image.
    """

    rows: list = field(default_factory=list)
    classes: list = field(default_factory=list)
    ignored: list = field(default_factory=list)


def scan_folder(root, recursive=False, exts=EXTENSIONS, exclude=(), classes=None, classes_path="the class map"):
    """List the images under `root` as ``im2rec --list`` does.

    Parameters
    ----------
    root : str
    recursive : bool
        True: every folder that holds images is a class named by its path under `root`, numbered in the order of a
        sorted walk. False: the images in `root` itself, all with label 0.
    exts : iterable of str
        Extensions to take; case and a missing dot do not matter.
    exclude : iterable of str
        Folders to leave out with all they hold: by name, or by path under `root`.
    classes : list of str, optional
        Names in order of label, from a class map. Classes without a folder keep their number.
    classes_path : str
        Where `classes` came from, for the error message.

    Returns
    -------
    FolderScan

    Raises
    ------
    InputError
        No images, an `exclude` that names no folder, a class folder that is not in `classes`.

    Notes
    -----
    Images are not opened. Symbolic links are followed as upstream does, but a link back to a folder that contains
    it is not entered: upstream lists such a loop some forty times over.
    """
    root, exts = os.path.abspath(require_root(root)), normal_extensions(exts)
    numbers = {name: number for number, name in enumerate(classes or ())}
    scan, excluded = FolderScan(classes=list(classes or ())), set()
    for path, files, has_folders in _walk(root, recursive, tuple(exclude), excluded):
        name = _posix(os.path.relpath(path, root))
        images = [f for f in files if is_image(os.path.join(path, f), exts)]
        if not images:
            if recursive and not has_folders:
                scan.ignored.append(name)
            continue
        if recursive and classes is not None:
            label = class_number(name, numbers, classes_path)
        else:
            label = len(scan.classes) if recursive else 0
            scan.classes += [name] if recursive else []
        for image in images:
            relative = os.path.relpath(os.path.join(path, image), root)
            scan.rows.append(Row(len(scan.rows), (float(label),), relative))
    _require_all_excluded(exclude, excluded, root)
    require_images(scan.rows, root, exts, recursive)
    return scan


def by_parts(scan):
    """Return a scan of training and validation folders as one of classes and parts; None of any other.

    Parameters
    ----------
    scan : FolderScan
        Of `scan_folder`, recursive: its classes are called ``train/cat``, ``val/cat``.

    Returns
    -------
    (FolderScan, dict of str to list of Row) or None
        The classes of both under one name each, and the rows of ``"train"``, ``"val"`` and ``"test"``.

    Raises
    ------
    InputError
        A class that is in validation alone.
    """
    split = [name.partition("/") for name in scan.classes]
    parts = {part.lower(): PARTS.get(part.lower()) for part, _, _ in split}
    if not all(name for _, _, name in split) or None in parts.values() or not {"train"} < set(parts.values()):
        return None
    where = [(parts[part.lower()], name) for part, _, name in split]
    names = sorted(name for part, name in where if part == "train")
    for part, name in where:
        if name not in names:
            raise InputError(f"class for {part} alone: expected one of the {len(names)} classes in the training "
                             f"folder, received {name!r}; {nearest(name, names)}")
    rows = {part: [] for part in dict.fromkeys(part for part, _ in where)}
    for row in scan.rows:
        part, name = where[int(row.labels[0])]
        rows[part].append(row._replace(labels=(float(names.index(name)),)))
    return FolderScan([row for each in rows.values() for row in each], names, scan.ignored), rows


def _walk(root, recursive, exclude, excluded):
    """Yield (folder, sorted file names, whether it has folders); add to `excluded` the names that were left out."""
    for path, folders, files in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(folders) if recursive else ():
            names = {name, _posix(os.path.relpath(os.path.join(path, name), root))}.intersection(exclude)
            excluded |= names
            if not names and not _is_loop(os.path.join(path, name), root):
                kept.append(name)
        folders[:] = kept
        yield path, sorted(files), bool(kept)


def _is_loop(path, root):
    """Whether `path` is a link to a folder on the way from `root` to it, or to one that contains such a folder."""
    if not os.path.islink(path):
        return False
    target, here = os.path.realpath(path), os.path.dirname(path)
    while os.path.commonpath([target, os.path.realpath(here)]) != target:
        if here == root:
            return False
        here = os.path.dirname(here)
    return True


def scan_class_folders(root, exts=EXTENSIONS, exclude=()):
    """List a folder of class folders one level deep, as the Caltech-256 archive is laid out.

    Parameters
    ----------
    root, exts
        As in `scan_folder`.
    exclude : iterable of str
        Class folders to leave out; one that does not exist is no error.

    Returns
    -------
    FolderScan
        Every folder in `root` is a class, also one without images; what lies deeper or is no image is in `ignored`
        (the original archive holds ``056.dog/greg`` and ``198.spider/RENAME2``).
    """
    exts = normal_extensions(exts)
    scan = FolderScan()
    for name in sorted(os.listdir(require_root(root))):
        folder = os.path.join(root, name)
        if not os.path.isdir(folder) or name.startswith("."):
            scan.ignored.append(name)
            continue
        if name in exclude:
            continue
        for file in sorted(os.listdir(folder)):
            if is_image(os.path.join(folder, file), exts):
                scan.rows.append(Row(len(scan.rows), (float(len(scan.classes)),), os.path.join(name, file)))
            else:
                scan.ignored.append(f"{name}/{file}")
        scan.classes.append(name)
    require_images(scan.rows, root, exts, recursive=True)
    return scan


def normal_extensions(exts):
    """Return extensions in lower case with their dot: ``["JPG"]`` becomes ``(".jpg",)``."""
    return tuple("." + ext.lower().lstrip(".") for ext in exts)


def is_image(path, exts):
    """Whether `path` is a file (or a link to one) with one of `exts`; it is not opened."""
    return os.path.splitext(path)[1].lower() in exts and os.path.isfile(path)


def require_root(root):
    """Return `root` if it is a folder; otherwise refuse it."""
    if not os.path.isdir(root):
        raise MissingFileError(f"image folder is missing: expected a folder, received {os.fspath(root)!r}"
                               + "; `labels` takes a table" * os.path.isfile(root))
    return root


def require_images(rows, root, exts, recursive):
    """Refuse a scan without images, saying which files are there instead."""
    if rows:
        return
    names = [name for _, _, files in os.walk(root) for name in files]
    there = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in names)
    listed = ", ".join(f"{count} {ext}" for ext, count in there.most_common(3)) or "no files at all"
    advice = "give their extension with `exts`" if recursive else "add `recursive` to look into its folders, or `exts`"
    raise InputError(f"no images in {root}: expected files ending in {' '.join(exts)}, found {listed}; {advice}")


def _require_all_excluded(exclude, excluded, root):
    for name in exclude:
        if name not in excluded:
            found = [entry for entry in sorted(os.listdir(root)) if os.path.isdir(os.path.join(root, entry))]
            raise InputError(f"nothing to exclude: expected a folder under {root}, received exclude={name!r}; "
                             f"{nearest(name, found)}")


def _posix(path):
    return path.replace(os.sep, "/")
