"""Tables of images and their labels: CSV, TSV and ``.lst`` files, read into rows that can be listed and packed.

A table of several labels has one column of label names (``cat dog``, ``cat|dog``, ``cat;dog``, or a line for each
label of an image), or one column of 0 and 1 for each label, as CelebA's attributes; of numbers, one column each.
"""
import contextlib
import csv
import dataclasses
import functools
import io
import os
from typing import Optional

from mxft.data.folders import PARTS
from mxft.data.label_vectors import is_yes_or_no, listed_labels, named_labels, numbers, yes_or_no
from mxft.data.lists import Row, coding_of, iter_list
from mxft.data.picture_files import HEIC_ENDINGS, PICTURE_ENDINGS
from mxft.data.target_spec import MULTI_LABEL, REGRESSION, TargetSpec, check_kind
from mxft.errors import InputError, nearest
from mxft.files.whole import require_file

_UNREADABLE = (".jxl", ".tga", ".svg", ".dng")
_IMAGE_COLUMNS = ("image", "path", "file", "filename", "file_name", "image_path", "image_name", "filepath", "img",
                  "img_path", "picture", "photo", "image_id", "img_id", "id", "name")
_PART_COLUMNS = ("split", "set", "subset", "part", "partition", "usage")
_TRAIN_COLUMNS = ("is_train", "is_training", "is_training_image", "is_training_img")
_OF_TRAINING = {**dict.fromkeys(("1", "true", "yes"), "train"), **dict.fromkeys(("0", "false", "no"), "test")}


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """Images with label vectors.

    Parameters
    ----------
    path : str
    rows : list of Row
        Numbered from 0; `labels` has a number for each output, `path` is as the table says it.
    target : TargetSpec
        Kind and names.
    parts : list of str, optional
        For each row ``"train"``, ``"val"`` or ``"test"``, of a table that says so.
    """

    path: str
    rows: list
    target: TargetSpec
    parts: Optional[list] = None


def read_table(path, kind, names=None, columns=None):
    """Read a table of labels.

    Parameters
    ----------
    path : str
        ``.lst``, or text with tabs, commas or semicolons between columns; with or without a header. UTF-8, or UTF-16
        with its mark.
    kind : {"multi-label", "regression"}
    names : sequence of str, optional
        Labels in the order of the outputs, to which a header's columns are put. Without: the header's, or all that
        occur, sorted.
    columns : sequence of str, optional
        Of a table with a header: the columns that are labels; all but the image's when None.

    Returns
    -------
    LabelTable

    Raises
    ------
    InputError
        No image column, a label that is none of `names`, a cell that is no number, numbers float32 cannot tell apart,
        an image twice with other numbers, names that could be read in two ways: with file and line.

    Examples
    --------
    >>> with open("/tmp/mxft-example.csv", "w") as f:
    ...     _ = f.write("image,labels\\na.jpg,cat|dog\\nb.jpg,dog\\n")
    >>> [row.labels for row in read_table("/tmp/mxft-example.csv", "multi-label").rows]
    [(1.0, 1.0), (0.0, 1.0)]
    """
    check_kind(kind)
    if kind not in (MULTI_LABEL, REGRESSION):
        raise InputError(f"table of labels: expected target multi-label or regression, received target={kind!r}; "
                         "one class an image is a folder of class folders (mxft split FOLDER PREFIX)")
    names = list(names) if names else None
    if os.fspath(path).endswith(".lst"):
        if columns:
            raise InputError(f"label columns: expected a table with a header, received {path}, a list without one")
        images, found = _list_cells(path)
        header = parts = None
    else:
        images, found, header, parts = _table_cells(path, columns)
    if kind == REGRESSION:
        vectors, names = numbers(path, found, header, names)
    elif header is None and os.fspath(path).endswith(".lst"):
        vectors, names = listed_labels(path, found, names)
    elif len(found[0][1]) == 1 and not is_yes_or_no(found, header):
        vectors, names = named_labels(path, images, found, names)
    else:
        vectors, names = yes_or_no(path, found, header, names)
    rows, parts = _merged(path, images, [number for number, _ in found], vectors, kind, parts)
    require_plain(path, names or ())
    return LabelTable(os.fspath(path), rows, TargetSpec(kind, len(rows[0].labels), names and tuple(names)), parts)


def require_images(table, root):
    """Refuse (InputError) a table none of whose images is in a folder; the first path looked for is named."""
    if not any(os.path.isfile(os.path.join(root, row.path)) for row in table.rows):
        raise InputError(f"images are missing: expected those of {table.path} in {root}, received none of "
                         f"{len(table.rows)}, the first {os.path.join(root, table.rows[0].path)!r}; the folder is the "
                         "one the table's paths begin at")


def _list_cells(path):
    """Return the images of a ``.lst`` and their labels as (line, cells)."""
    rows = list(iter_list(path))
    if not rows:
        raise InputError(f"image list is empty: expected at least one row, received {path} with none")
    return [row.path for row in rows], [(number, row.labels) for number, row in enumerate(rows, 1)]


@dataclasses.dataclass(frozen=True)
class TableColumns:
    """A table as text: `lines` of (number, cells), `header` or None, `image` the number of the images' column."""

    path: str
    lines: list
    header: list
    image: int

    @property
    def width(self):
        """Columns."""
        return len(self.lines[0][1])

    @functools.cached_property
    def part(self):
        """The number of the column that says which part of the data each image belongs to, or None."""
        return next((column for column in range(self.width) if self._parts_of(column)), None)

    @property
    def parts(self):
        """For each line ``"train"``, ``"val"`` or ``"test"``; None where no column says so."""
        column = self.part
        known = {} if column is None else self._parts_of(column)
        return known and [known[cells[column].strip().lower()] for _, cells in self.lines] or None

    def _parts_of(self, column):
        """Return {cell: part} of a column that is called, and filled, as one of parts is; else nothing."""
        name = self.header[column].lower() if self.header else ""
        known = PARTS if name in _PART_COLUMNS else _OF_TRAINING if name in _TRAIN_COLUMNS else {}
        if not known:
            return {}
        cells = {row[column].strip().lower() for _, row in self.lines}
        return known if cells <= set(known) and "train" in {known[cell] for cell in cells} else {}

    def called(self, name):
        """Return the number of the column of this header."""
        if self.header is None:
            raise InputError(f"label columns: expected a table with a header, received {self.path} without one")
        if name not in self.header:
            raise InputError(f"label columns: expected columns of {self.path}, received {name!r}; "
                             f"{nearest(name, self.header)}")
        if self.header.count(name) > 1:
            raise InputError(f"label columns: expected a name that one column of {self.path} has, received {name!r}, "
                             f"which {self.header.count(name)} have")
        return self.header.index(name)


def table_columns(path):
    """Return the TableColumns of a CSV or TSV.

    Parameters
    ----------
    path : str

    Raises
    ------
    InputError
        No table, rows of different length, no column of images.
    """
    lines = _lines(path)
    header = None if any(map(_is_image, lines[0][1])) else [cell.strip() for cell in lines.pop(0)[1]]
    if not lines:
        raise InputError(f"table is empty: expected at least one image, received {path} with a header alone")
    width = len(lines[0][1]) if header is None else len(header)
    for number, cells in lines:
        if len(cells) != width:
            raise InputError(f"bad row in {path}, line {number}: expected {width} columns, received {len(cells)}: "
                             f"{','.join(cells)!r}; a cell with a comma stands in quotes, and several labels in one "
                             "column are separated by a space, | or ;")
    image = _image_column(path, lines, header)
    if header and header[image].lower().endswith(_UNREADABLE):
        raise InputError(f"first row of {path}: expected a header, or an image in {', '.join(PICTURE_ENDINGS)}, "
                         f"received {header[image]!r}; convert the image, or put a header above it")
    return TableColumns(os.fspath(path), lines, header, image)


def _table_cells(path, columns):
    """Return images, [(line, cells of the label columns)], the label columns' names (None without header) and parts."""
    table = table_columns(path)
    wanted = [column for column in range(table.width) if column not in (table.image, table.part)]
    if columns:
        wanted = [table.called(name) for name in columns]
    if not wanted:
        raise InputError(f"no labels in {path}: expected a column of them beside the images', received one column")
    found = [(number, tuple(cells[column].strip() for column in wanted)) for number, cells in table.lines]
    images = [cells[table.image].strip() for _, cells in table.lines]
    return images, found, table.header and [table.header[column] for column in wanted], table.parts


def _lines(path):
    """Return [(line number, cells)] of a table that are not empty."""
    with open(require_file(path, "table of labels"), "rb") as f:
        content = f.read()
    try:
        text = content.decode(coding_of(content))
    except UnicodeDecodeError:
        raise InputError(f"table cannot be read: expected UTF-8 text, received {path}; save it as UTF-8 (in a "
                         "spreadsheet: CSV UTF-8)") from None
    found = _divided(path, text)
    if not found:
        raise InputError(f"table is empty: expected at least one image, received {path} with none")
    return found


def _divided(path, text):
    """Return [(line number, cells)] of text: by the mark that divides all rows alike and sets images apart.

    A file of semicolons may well have commas in its names and numbers. Where no mark divides all rows it is that of
    the first row, whose faults are then told.
    """
    marks, first = [mark for mark in "\t,;" if mark in text], next(filter(str.strip, text.splitlines()), "")
    for mark in marks:
        with contextlib.suppress(csv.Error):
            rows = _rows(text, mark)
            if len({len(cells) for _, cells in rows}) == 1 and any(map(_is_image, rows[-1][1])):
                return rows
    mark = next((mark for mark in marks if mark in first), ",")
    try:
        return _rows(text, mark)
    except csv.Error as error:
        cure = "; a quote that is opened has to be closed in its cell" if '"' in text else ""
        raise InputError(f"table cannot be read: expected columns separated by {mark!r}, received {path} "
                         f"({error}){cure}") from None


def _rows(text, mark):
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]


def _is_image(cell):
    return cell.strip().lower().endswith(PICTURE_ENDINGS + HEIC_ENDINGS)


def _image_column(path, lines, header):
    """Return the column of file names: the one whose first cell ends as an image does, or whose header says so."""
    for column, cell in enumerate(lines[0][1]):
        if _is_image(cell):
            return column
    lowered = [name.lower() for name in header or ()]
    for name in _IMAGE_COLUMNS:
        if name in lowered:
            return lowered.index(name)
    one = len(lines[0][1]) == 1
    raise InputError(f"no images in {path}: expected a column of file names that end in .jpg, .png, .webp …, or one "
                     f"called {', '.join(_IMAGE_COLUMNS[:4])}, received line {lines[0][0]}: "
                     f"{','.join(lines[0][1])!r}" + "; columns are separated by a tab, a comma or a semicolon" * one)


def _merged(path, images, lines, vectors, kind, parts):
    """Return a row for each image and their parts; an image's labels in several lines are put together."""
    merged, spelled, of = {}, {}, {}
    for image, line, vector, part in zip(images, lines, vectors, parts or [None] * len(images)):
        if not image or "\0" in image:
            raise InputError(f"bad row in {path}, line {line}: expected the name of an image, received "
                             + (repr(image) if image else "none"))
        image = spelled.setdefault(os.path.normpath(image), image)  # ./a.jpg is a.jpg
        before = merged.get(image)
        if before is not None and before != vector and kind == REGRESSION:
            raise InputError(f"image twice in {path}, line {line}: expected the same numbers, received {image!r} with "
                             f"{vector} after {before}")
        if of.setdefault(image, part) != part:
            raise InputError(f"image twice in {path}, line {line}: expected it in one part of the data, received "
                             f"{image!r} in {part} after {of[image]}")
        merged[image] = vector if before is None or kind == REGRESSION else tuple(map(max, before, vector))
    rows = [Row(number, vector, image) for number, (image, vector) in enumerate(merged.items())]
    return rows, parts and list(of.values())


def require_plain(path, names, folders=False):
    """Refuse names that a file with one name a line cannot hold, or that stand twice; `folders` says they are those."""
    cure = ("rename the folder" if folders else
            "`label_columns` NAME,NAME chooses columns of a table, and a header names them")
    for name in names:
        if not name.strip() or len(name.splitlines()) != 1 or names.count(name) > 1:
            raise InputError(f"{'class' if folders else 'label'} names of {path}: expected each once, on one line, "
                             f"received {name!r}; {cure}")
