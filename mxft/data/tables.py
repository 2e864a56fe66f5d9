"""Tables of images and their labels: CSV, TSV and ``.lst`` files, read into rows that can be listed and packed.

A table of several labels has one column of label names (``cat dog``, ``cat|dog``, ``cat;dog``, or a line for each
label of an image), or one column of 0 and 1 for each label, as CelebA's attributes; of numbers, one column each.
"""
import csv
import dataclasses
import io
import math
import os
import re

from mxft.data.lists import Row, iter_list
from mxft.data.picture_files import HEIC_ENDINGS, PICTURE_ENDINGS
from mxft.data.target_spec import MULTI_LABEL, REGRESSION, TargetSpec, check_kind
from mxft.errors import InputError, nearest
from mxft.files.whole import require_file

_IMAGE_COLUMNS = ("image", "path", "file", "filename", "file_name", "image_path", "image_name", "filepath", "img",
                  "img_path", "picture", "photo", "image_id", "img_id", "id", "name")
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


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
    """

    path: str
    rows: list
    target: TargetSpec


def read_table(path, kind, names=None, columns=None):
    """Read a table of labels.

    Parameters
    ----------
    path : str
        ``.lst``, or text with tabs, commas or semicolons between columns; with or without a header. UTF-8, or UTF-16
        with its mark.
    kind : {"multi-label", "regression"}
    names : sequence of str, optional
        Labels in the order of the outputs. Without: the header's, or all that occur, sorted.
    columns : sequence of str, optional
        Of a table with a header: the columns that are labels; all but the image's when None.

    Returns
    -------
    LabelTable

    Raises
    ------
    InputError
        No image column, a label that is none of `names`, a cell that is no number, an image twice with other numbers:
        with file and line.

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
        header = None
    else:
        images, found, header = _table_cells(path, columns)
    if kind == REGRESSION:
        vectors, names = _numbers(path, found, header, names)
    elif header is None and os.fspath(path).endswith(".lst"):
        vectors, names = _listed_labels(path, found, names)
    elif len(found[0][1]) == 1 and not _is_yes_or_no(found, header):
        vectors, names = _named_labels(path, found, names)
    else:
        vectors, names = _yes_or_no(path, found, header, names)
    rows = _merged(path, images, [number for number, _ in found], vectors, kind)
    return LabelTable(os.fspath(path), rows, TargetSpec(kind, len(rows[0].labels), names and tuple(names)))


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

    def called(self, name):
        """Return the number of the column of this header."""
        if self.header is None:
            raise InputError(f"label columns: expected a table with a header, received {self.path} without one")
        if name not in self.header:
            raise InputError(f"label columns: expected columns of {self.path}, received {name!r}; "
                             f"{nearest(name, self.header)}")
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
                             f"{','.join(cells)!r}; labels of one column are separated by a space, | or ;")
    return TableColumns(os.fspath(path), lines, header, _image_column(path, lines, header))


def _table_cells(path, columns):
    """Return images, [(line, cells of the label columns)] and the label columns' names (None without header)."""
    table = table_columns(path)
    wanted = [column for column in range(table.width) if column != table.image]
    if columns:
        wanted = [table.called(name) for name in columns]
    if not wanted:
        raise InputError(f"no labels in {path}: expected a column of them beside the images', received one column")
    found = [(number, tuple(cells[column].strip() for column in wanted)) for number, cells in table.lines]
    images = [cells[table.image].strip() for _, cells in table.lines]
    return images, found, table.header and [table.header[column] for column in wanted]


def _lines(path):
    """Return [(line number, cells)] of a table that are not empty."""
    with open(require_file(path, "table of labels"), "rb") as f:
        content = f.read()
    coding = next((coding for mark, coding in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(coding)
    except UnicodeDecodeError:
        raise InputError(f"table cannot be read: expected UTF-8 text, received {path}; save it as UTF-8") from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in "\t,;" if mark in first), ",")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        found = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(f"table cannot be read: expected columns separated by {delimiter!r}, received {path} "
                         f"({error})") from None
    if not found:
        raise InputError(f"table is empty: expected at least one image, received {path} with none")
    return found


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
    raise InputError(f"no images in {path}: expected a column of file names that end in .jpg, .png, .webp …, or one "
                     f"called {', '.join(_IMAGE_COLUMNS[:4])}, received line {lines[0][0]}: "
                     f"{','.join(lines[0][1])!r}")


def _numbers(path, found, header, names):
    """Return vectors of numbers and their names."""
    vectors = [_as_numbers(path, number, cells) for number, cells in found]
    _require_width(path, found, vectors)
    return vectors, _own_names(path, names, header, len(vectors[0]))


def _as_numbers(path, number, cells):
    try:
        values = tuple(float(cell) for cell in cells)
        if not all(map(math.isfinite, values)):
            raise ValueError
        return values
    except ValueError:
        raise InputError(f"bad row in {path}, line {number}: expected finite numbers, received "
                         f"{', '.join(map(str, cells))!r}; `label_columns` NAME,NAME chooses the columns that are "
                         "labels") from None


def _require_width(path, found, vectors):
    for (number, _), vector in zip(found, vectors):
        if len(vector) != len(vectors[0]):
            raise InputError(f"bad row in {path}, line {number}: expected {len(vectors[0])} numbers as in the first "
                             f"row, received {len(vector)}")


def _own_names(path, names, header, width):
    """Return the names that were given, or the header's, where there is one for each column."""
    if names is not None and len(names) != width:
        raise InputError(f"class names: expected one for each of the {width} label columns of {path}, received "
                         f"{len(names)}")
    return names or header


def _is_yes_or_no(found, header):
    """Whether a single column says yes or no of what the header calls it, and names no labels."""
    return header is not None and all(cells[0] in ("0", "1", "-1") for _, cells in found)


def _yes_or_no(path, found, header, names):
    """Return vectors of 0 and 1 from a column for each label; -1 is 0, as in CelebA's table."""
    vectors = [_as_numbers(path, number, cells) for number, cells in found]
    for (number, cells), vector in zip(found, vectors):
        if not set(vector) <= {0.0, 1.0, -1.0}:
            raise InputError(f"bad row in {path}, line {number}: expected 0 or 1 for each label, received "
                             f"{', '.join(map(str, cells))!r}; names of labels go into one column")
    _require_width(path, found, vectors)
    return ([tuple(max(0.0, value) for value in vector) for vector in vectors],
            _own_names(path, names, header, len(vectors[0])))


def _listed_labels(path, found, names):
    """Return vectors of 0 and 1 from the numbers of a list: as they are, or as numbers of classes."""
    widths, values = {len(cells) for _, cells in found}, {value for _, cells in found for value in cells}
    if len(widths) == 1 and min(widths) > 1 and values <= {0.0, 1.0}:
        return [tuple(cells) for _, cells in found], _own_names(path, names, None, min(widths))
    for number, cells in found:
        if any(value < 0 or value != int(value) for value in cells):
            raise InputError(f"bad row in {path}, row {number}: expected numbers of labels from 0 up, or 0 and 1 for "
                             f"each label, received {', '.join(f'{value:g}' for value in cells)}")
    size = len(names) if names else int(max(values)) + 1
    if max(values) >= size:
        raise InputError(f"labels of {path}: expected numbers below {size}, one for each class name, received "
                         f"{max(values):g}")
    return [_one_hot({int(value) for value in cells}, size) for _, cells in found], names


def _named_labels(path, found, names):
    """Return vectors of 0 and 1 from a column of label names."""
    cells = [(number, cell) for number, (cell,) in found]
    separator = next((mark for mark in "|;" if any(mark in cell for _, cell in cells)), None)
    said = [(number, [word.strip() for word in (cell.split(separator) if separator else re.split(r"[\s,]+", cell))
                      if word.strip()]) for number, cell in cells]
    names = names or sorted_names({name for _, labels in said for name in labels})
    if not names:
        raise InputError(f"no labels in {path}: expected names of labels beside the images, received none")
    numbers = {name: number for number, name in enumerate(names)}
    for number, labels in said:
        for name in labels:
            if name not in numbers:
                raise InputError(f"unknown label in {path}, line {number}: expected one of the {len(names)} class "
                                 f"names, received {name!r}; {nearest(name, names)}")
    return [_one_hot({numbers[name] for name in labels}, len(names)) for _, labels in said], names


def sorted_names(names):
    """Return names in order; numbers by their size."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def _one_hot(numbers, size):
    return tuple(float(number in numbers) for number in range(size))


def _merged(path, images, lines, vectors, kind):
    """Return a row for each image; an image's labels in several lines are put together."""
    merged = {}
    for image, line, vector in zip(images, lines, vectors):
        if not image:
            raise InputError(f"bad row in {path}, line {line}: expected the name of an image, received none")
        before = merged.get(image)
        if before is not None and before != vector and kind == REGRESSION:
            raise InputError(f"image twice in {path}, line {line}: expected the same numbers, received {image!r} with "
                             f"{vector} after {before}")
        merged[image] = vector if before is None or kind == REGRESSION else tuple(map(max, before, vector))
    return [Row(number, vector, image) for number, (image, vector) in enumerate(merged.items())]
