"""Pictures of a user: what is at a path, which labels it has and how they are read, decided once for every verb.

A folder of class folders, also nested or within one more folder; training and validation folders; a folder of pictures
with a table (CSV, TSV, ``.lst``); such a table itself; a tar or zip of any of these; pictures without labels.
"""
import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

from mxft.data.class_tables import read_class_table
from mxft.data.folders import PARTS
from mxft.data.lists import Row
from mxft.data.picture_advice import ARCHIVES, refuse_file, unlabelled
from mxft.data.picture_files import is_picture
from mxft.data.picture_folders import TABLES, class_folders, entries, is_closed, notes_of, passed_over, require_pictures
from mxft.data.picture_tables import find_listed, folder_of, listed_pictures, table_of, tables_beside
from mxft.data.tables import read_table
from mxft.data.target_spec import CLASSES, TargetSpec
from mxft.errors import InputError, MissingFileError, nearest
from mxft.files.archive import extract_once, only_child
from mxft.files.cache import cache_folder
from mxft.wording import cut_short, plural, some

CLUTTER = "257.clutter"


@dataclasses.dataclass(frozen=True, repr=False)
class Pictures:
    """Pictures and what is known of them.

    Parameters
    ----------
    source : str
        The path that was opened.
    root : str
        The folder the rows' paths begin at.
    layout : str
        How the source was read, in words.
    rows : tuple of Row
        Of all pictures, or of those for training where `val` has the others.
    target : TargetSpec, optional
        Kind and names of the labels; None of pictures without labels, whose rows all have label 0.
    val : tuple of Row, optional
        Of those for validation, where the source says which.
    notes : tuple of str
        What was passed over, and why.
    excluded : tuple of str
        Class folders left out.
    table : str, optional
        The file the labels stand in.
    """

    source: str
    root: str
    layout: str
    rows: tuple
    target: Optional[TargetSpec] = None
    val: Optional[tuple] = None
    notes: tuple = ()
    excluded: tuple = ()
    table: Optional[str] = None

    @property
    def count(self) -> int:
        """Pictures in all."""
        return len(self.rows) + len(self.val or ())

    def samples(self, count: int = 12, seed: int = 0) -> Any:
        """Return some of the pictures, of as many classes as possible, as a `mxft.data.thumbnails.Grid`.

        Parameters
        ----------
        count : int
            So many at most.
        seed : int
            Of the choice.
        """
        from mxft.data.picture_overview import sample_grid

        return sample_grid(self, count, seed)

    def __repr__(self) -> str:
        return f"<Pictures {cut_short(self.describe(), 250)}>"

    def _repr_html_(self) -> str:
        from mxft.data.picture_overview import overview_html

        return overview_html(self)

    def without(self, names: Iterable[str]) -> "Pictures":
        """Return these pictures without some of their classes; the others get the numbers from 0 on.

        Parameters
        ----------
        names : iterable of str
            The same pictures where it is empty.

        Raises
        ------
        InputError
            Labels that are no classes, a name that is none of them, or fewer than two classes left.
        """
        left_out = list(names)
        if not left_out:
            return self
        classes = list(self.target.names or ()) if self.target and self.target.kind == CLASSES else []
        for name in left_out:
            if name not in classes:
                raise InputError(f"nothing to exclude: expected a class of {self.source}, received exclude={name!r}; "
                                 f"{nearest(name, classes) if classes else 'its pictures have no classes'}")
        kept = [name for name in classes if name not in left_out]
        numbers = {classes.index(name): (float(number),) for number, name in enumerate(kept)}
        train, val = (rows and tuple(row._replace(labels=numbers[int(row.labels[0])]) for row in rows
                                     if int(row.labels[0]) in numbers) for rows in (self.rows, self.val))
        return dataclasses.replace(self, rows=train, val=val, target=_target(self.source, kept),
                                   excluded=(*self.excluded, *left_out))

    def require_labels(self) -> None:
        """Refuse (InputError) pictures without labels."""
        if self.target is None:
            raise InputError(f"labels are missing: expected class folders, or a table of pictures and labels, in "
                             f"{self.source}, received {plural(len(self.rows), 'picture')} "
                             f"{unlabelled(self.source, self.root)}")

    def require_every_class(self) -> None:
        """Refuse (InputError) pictures without labels, or a class without a picture for training."""
        self.require_labels()
        if self.target.kind != CLASSES or not self.target.names:
            return
        there = {int(row.labels[0]) for row in self.rows}
        for number, name in enumerate(self.target.names):
            if number not in there:
                folder = os.path.join(self.root, name)
                raise InputError(f"class without pictures: expected at least one of {name} in {self.source}, received "
                                 + ("a folder that cannot be read: permission denied" if is_closed(folder) else
                                    f"none; put some there, or `exclude` {name}"))

    def describe(self) -> str:
        """Return in one line what was found and how it was read."""
        parts = f", {len(self.rows):,} for training and {len(self.val):,} for validation" if self.val else ""
        labels = f", {self.target.describe()}" if self.target else ", no labels"
        if self.target and self.target.kind == CLASSES and self.target.names:
            labels += f" ({some(self.target.names, 3)})"
        return f"{self.source}: {self.layout}; {plural(self.count, 'picture')}{labels}{parts}" + "".join(
            f"; {note}" for note in self.notes)


def open_pictures(source: Union[str, "os.PathLike[str]"], kind: Optional[str] = None, labels: Optional[str] = None,
                  columns: Optional[Sequence[str]] = None, names: Optional[Sequence[str]] = None,
                  exclude: Iterable[str] = (), keep_clutter: bool = False, cache: Optional[str] = None) -> Pictures:
    """Find out what pictures lie at a path.

    Parameters
    ----------
    source : str
        A folder, a table (``.csv .tsv .lst``), or a tar or zip.
    kind : {"classes", "multi-label", "regression"}, optional
        What the labels of a table say; one class a picture when None.
    labels : str, optional
        The table, where it does not lie in the folder or is not the only one there.
    columns : sequence of str, optional
        The table's columns that are labels.
    names : sequence of str, optional
        Classes, or labels, in the order of their numbers.
    exclude : iterable of str
        Class folders to leave out.
    keep_clutter : bool
        Caltech-256's ``257.clutter``, which is no category, is left out unless this is True.
    cache : str, optional
        Where an archive is unpacked; `mxft.files.cache.cache_folder` when None.

    Returns
    -------
    Pictures

    Raises
    ------
    InputError
        Nothing there, no picture, labels that cannot be told, one class alone.

    Notes
    -----
    No picture is opened but to ask a file without a picture's ending what it is.

    Examples
    --------
    >>> for name in ("photos/cat/1.jpg", "photos/cat/2.jpg", "photos/dog/1.jpg"):
    ...     os.makedirs(os.path.dirname(name), exist_ok=True)
    ...     open(name, "wb").close()
    >>> open_pictures("photos").describe()
    'photos: class folders; 3 pictures, 2 classes (cat, dog)'
    """
    path = os.path.expanduser(os.fspath(source))
    if not os.path.exists(path):
        raise MissingFileError(f"pictures are missing: expected a folder, a table or an archive, received "
                               f"{os.fspath(source)!r}; {_nearby(path)}")
    asked = _Asked(os.fspath(source), kind, columns, names, tuple(exclude), keep_clutter)
    try:
        return _opened(path, labels, asked, cache)
    except PermissionError as error:
        raise InputError(f"pictures cannot be read: expected a folder that may be read, received {error.filename!r} "
                         "(permission denied)") from None


def _opened(path, labels, asked, cache):
    """Return the Pictures at a path that exists."""
    if os.path.isfile(path) and not path.lower().endswith(TABLES):
        path = _unpacked(path, cache)
    if labels:
        folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
        return _of_table(_require_table(labels), folder, asked)
    if os.path.isfile(path):
        return _of_table(path, folder_of(path), asked)
    return _of_folder(path, asked)


def pictures_under(source, cache=None):
    """Return the paths of all pictures under a path, whatever their labels: of a folder, archive, table, or itself.

    Parameters
    ----------
    source : str
        A folder, a tar or zip, a table (``.csv .tsv .lst``), or any other file, which is given back as it is.
    cache : str, optional
        Where an archive is unpacked; see `open_pictures`.

    Returns
    -------
    list of str
        In the order of their names; of a table in its order, one that is missing under the name it would have.

    Raises
    ------
    InputError
        A folder or archive without pictures; a table without a column of them, or none of whose pictures is there.
    """
    path = os.path.expanduser(os.fspath(source))
    if is_archive(path):
        path = _unpacked(path, cache)
    if os.path.isfile(path) and path.lower().endswith(TABLES):
        return listed_pictures(path)
    if not os.path.isdir(path):
        return [os.fspath(source)]
    return [os.path.join(path, name) for name in require_pictures(path)]



@dataclasses.dataclass(frozen=True)
class _Asked:
    """What `open_pictures` was asked, handed on."""

    source: str
    kind: Optional[str]
    columns: Optional[tuple]
    names: Optional[tuple]
    exclude: tuple
    keep_clutter: bool

    @property
    def of_table(self):
        return self.kind not in (None, CLASSES) or self.columns


def _nearby(path):
    folder = os.path.dirname(os.path.abspath(path))
    there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return nearest(os.path.basename(path.rstrip("/")), there)


def is_archive(path):
    """Whether a path is a file that is called as a tar or zip is."""
    return path.lower().endswith(ARCHIVES) and os.path.isfile(path)


def unpacked_folder(path, cache=None):
    """Return the folder of pictures in an archive, which is unpacked once; a folder's path as it is.

    Parameters
    ----------
    path : str
        A folder, a tar or a zip.
    cache : str, optional
        See `open_pictures`.

    Returns
    -------
    str
    """
    path = os.path.expanduser(os.fspath(path))
    return only_child(_unpacked(path, cache)) if is_archive(path) else path


def _unpacked(path, cache):
    """Return the folder an archive was unpacked into, once."""
    if not path.lower().endswith(ARCHIVES):
        refuse_file(path)
    return extract_once(path, os.path.join(cache_folder(cache), "pictures"))


def _require_table(path):
    path = os.path.expanduser(os.fspath(path))
    if not os.path.isfile(path):
        raise MissingFileError(f"table of labels is missing: expected a file, received {path!r}; {_nearby(path)}")
    return path



def _of_folder(folder, asked):
    """Return the Pictures of a folder, by the first reading that fits."""
    names, files = entries(folder)
    tables = [name for name in files if name.lower().endswith(TABLES)]
    parts = {PARTS[name.lower()]: name for name in reversed(names) if name.lower() in PARTS}
    if asked.of_table:
        return _of_table(table_of(folder, tables), folder, asked)
    if "train" in parts and len(parts) > 1 and class_folders(os.path.join(folder, parts["train"])):
        return _of_parts(folder, parts, asked) if "val" in parts or class_folders(
            os.path.join(folder, parts["test"])) else _of_training(folder, parts, asked)
    left_out = _left_out(folder, asked)
    classes = class_folders(folder, left_out)
    if len(classes) > 1 or left_out:
        return _of_classes(folder, classes, files, left_out, asked)
    if tables:
        return _of_table(table_of(folder, tables), folder, asked)
    if len(names) == 1 and not any(is_picture(os.path.join(folder, name)) for name in files):
        return _of_folder(os.path.join(folder, names[0]), asked)
    beside = tables_beside(folder)
    return _of_table(beside[0], folder, asked) if len(beside) == 1 else _without_labels(folder, asked)


def _of_classes(folder, classes, files, left_out, asked):
    """Return the Pictures of class folders."""
    names = _class_names(classes, asked)
    numbers = {name: number for number, name in enumerate(names)}
    rows = [(numbers[name], path) for name, paths in classes.items() for path in paths]
    nested = "class folders within folders" if any("/" in name for name in classes) else "class folders"
    return Pictures(asked.source, folder, _within(nested, folder, asked), _numbered(rows), _target(folder, names),
                    notes=(*_clutter_note(left_out), *notes_of(classes), *passed_over(folder, classes, files)),
                    excluded=left_out)


def _class_names(classes, asked):
    """Return the names of the classes in order, those that were given where they were."""
    if asked.names is None:
        return list(classes)
    for name in classes:
        if name not in asked.names:
            raise InputError(f"class folder is not in the class map: expected one of {len(asked.names)} classes, "
                             f"received {name!r}; {nearest(name, asked.names)}")
    return list(asked.names)


def _left_out(folder, asked):
    """Return the class folders to leave out, which must be there."""
    there = entries(folder)[0]
    for name in asked.exclude:
        if name not in there:
            raise InputError(f"nothing to exclude: expected a class folder in {folder}, received exclude={name!r}; "
                             f"{nearest(name, there)}")
    clutter = (CLUTTER,) if CLUTTER in there and not asked.keep_clutter and CLUTTER not in asked.exclude else ()
    return (*asked.exclude, *clutter)


def _clutter_note(left_out):
    return [f"{CLUTTER} left out, as it is no category (the tutorial trained 256 outputs with 257 labels)"] * (
        CLUTTER in left_out)


def _target(folder, names):
    if len(names) < 2:
        raise InputError(f"nothing to tell apart: expected two or more class folders in {folder}, received "
                         f"{len(names)} ({', '.join(names)})")
    return TargetSpec(CLASSES, len(names), tuple(names))


def _within(layout, folder, asked):
    """Return how a source was read, with the folder inside it where that is not the source itself."""
    inner = os.path.relpath(folder, os.path.expanduser(asked.source)) if os.path.isdir(
        os.path.expanduser(asked.source)) else "."
    return layout if inner == "." else f"{layout} in {inner}"


def _numbered(rows, begin=0):
    return tuple(Row(number, (float(label),), path) for number, (label, path) in enumerate(rows, begin))


def _of_parts(folder, parts, asked):
    """Return the Pictures of training and validation folders."""
    held_out = parts.get("val") or parts["test"]
    left_out = _left_out(os.path.join(folder, parts["train"]), asked)
    train, val = (class_folders(os.path.join(folder, part), left_out) for part in (parts["train"], held_out))
    names = _class_names(train, asked)
    unknown = [name for name in val if name not in names]
    if unknown:
        raise InputError(f"classes for validation alone: expected those of {os.path.join(folder, parts['train'])}, "
                         f"received {some(unknown)} in {os.path.join(folder, held_out)}; {nearest(unknown[0], names)}")
    numbers = {name: number for number, name in enumerate(names)}
    pairs = [[(numbers[name], os.path.join(part, path)) for name, paths in found.items() if name in numbers
              for path in paths] for part, found in ((parts["train"], train), (held_out, val))]
    if not pairs[1]:
        raise InputError(f"no pictures for validation: expected class folders in {os.path.join(folder, held_out)}, "
                         f"received none with pictures; give {os.path.join(folder, parts['train'])} alone and a part "
                         "of it is held out")
    notes = _clutter_note(left_out)
    if "val" in parts and "test" in parts:
        notes.append(f"{parts['test']} is left for mxft score")
    return Pictures(asked.source, folder, _within(f"class folders for training in {parts['train']} and for validation "
                                                  f"in {held_out}", folder, asked),
                    _numbered(pairs[0]), _target(folder, names), _numbered(pairs[1], len(pairs[0])), tuple(notes),
                    left_out)


def _of_training(folder, parts, asked):
    """Return the Pictures of a training folder beside a test folder whose pictures have no labels."""
    pictures = _of_folder(os.path.join(folder, parts["train"]), asked)
    note = f"{parts['test']} passed over, as it has no class folders: mxft predict names its pictures"
    return dataclasses.replace(pictures, notes=(*pictures.notes, note))


def _without_labels(folder, asked):
    """Return the Pictures of a folder in which nothing says what they show."""
    found = require_pictures(folder, asked.source)
    return Pictures(asked.source, folder, _within("pictures", folder, asked), _numbered((0, path) for path in found))




def _of_table(path, folder, asked):
    """Return the Pictures that a table names."""
    if asked.exclude:
        raise InputError(f"`exclude`: expected class folders, received the table {path}; take its rows out of it")
    table = (read_class_table(path, asked.names, asked.columns) if asked.kind in (None, CLASSES)
             else read_table(path, asked.kind, asked.names, asked.columns))
    root, found, note = find_listed(path, [row.path for row in table.rows], folder)
    missing = [name for name in found if found[name] is None]
    rows = [row._replace(path=found[row.path] or row.path) for row in table.rows]
    parts = getattr(table, "parts", None)
    notes = [note] * bool(note) + [f"{plural(len(missing), 'picture')} of the table missing ({some(missing)})"] * bool(
        missing)
    train, val, left = rows, None, 0
    if parts:
        held_out = "val" if "val" in parts else "test"
        train = [row for row, part in zip(rows, parts) if part == "train"]
        val = tuple(row for row, part in zip(rows, parts) if part == held_out) or None
        left = len(rows) - len(train) - len(val or ())
    if left:
        notes.append(f"{plural(left, 'picture')} for test left for mxft score")
    column = getattr(table, "column", None)
    layout = f"{'list' if path.lower().endswith('.lst') else 'table'} {os.path.basename(path)}" + (
        f", class in column {column}" if column else "")
    return Pictures(asked.source, root, layout, tuple(train), table.target, val, tuple(notes), table=path)
