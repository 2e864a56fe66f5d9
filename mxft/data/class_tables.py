"""Tables that give each picture one class: CSV, TSV and ``.lst`` files, with their own division where they have one."""
import dataclasses
import os
from typing import Optional

from mxft.data.label_vectors import sorted_names
from mxft.data.lists import Row, iter_list
from mxft.data.tables import require_plain, table_columns
from mxft.data.target_spec import CLASSES, TargetSpec
from mxft.errors import InputError, nearest

_LABEL_COLUMNS = ("label", "class", "class_name", "classname", "label_name", "category", "category_name", "target",
                  "species", "breed", "y", "name", "labels", "class_id", "category_id", "label_id", "kind", "type")


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """Pictures with one class each.

    Parameters
    ----------
    path : str
    rows : list of Row
        Numbered from 0; the one label is the class's number, `path` is as the table says it.
    target : TargetSpec
    parts : list of str, optional
        For each row ``"train"``, ``"val"`` or ``"test"``, of a table that says so.
    column : str, optional
        The header of the column that was read as the class.
    """

    path: str
    rows: list
    target: TargetSpec
    parts: Optional[list] = None
    column: Optional[str] = None


def read_class_table(path, names=None, columns=None):
    """Read a table of pictures and their classes.

    Parameters
    ----------
    path : str
        As `mxft.data.tables.read_table` takes it. The class is the column whose header says so (``label``, ``class``,
        ``category`` …), or the only one beside the picture's.
    names : sequence of str, optional
        Classes in the order of their numbers. Without: all that occur, sorted; of a ``.lst`` the folders its pictures
        lie in, where each number has one of its own.
    columns : sequence of str, optional
        The one column that is the class.

    Returns
    -------
    ClassTable

    Raises
    ------
    InputError
        A column that cannot be told, several classes a picture, numbers that are no classes, one class alone, a
        picture twice with different classes: with file and line, and the setting that reads it otherwise.

    Examples
    --------
    >>> with open("/tmp/mxft-example.csv", "w") as f:
    ...     _ = f.write("breed,file,split\\npug,a.jpg,train\\nbeagle,b.jpg,val\\n")
    >>> table = read_class_table("/tmp/mxft-example.csv")
    >>> table.target.names, [row.labels for row in table.rows], table.parts
    (('beagle', 'pug'), [(1.0,), (0.0,)], ['train', 'val'])
    """
    if os.fspath(path).lower().endswith(".lst"):
        if columns:
            raise InputError(f"label columns: expected a table with a header, received {path}, a list without one")
        return _of_list(path, names)
    table = table_columns(path)
    part = table.part
    if columns and len(columns) != 1:
        raise InputError(f"label columns: expected the one column that is the class, received {', '.join(columns)}; "
                         "`target='multi-label'` reads several labels")
    column = table.called(columns[0]) if columns else _label_column(table, part)
    cells = [row[column].strip() for _, row in table.lines]
    _refuse_other_kinds(table, column, cells)
    for (number, _), cell in zip(table.lines, cells):
        if not cell:
            raise InputError(f"bad row in {path}, line {number}: expected a class, received none")
    names = list(names) if names else sorted_names(set(cells))
    numbers = {name: number for number, name in enumerate(names)}
    for (number, _), cell in zip(table.lines, cells):
        if cell not in numbers:
            raise InputError(f"unknown class in {path}, line {number}: expected one of the {len(names)} class names, "
                             f"received {cell!r}; {nearest(cell, names)}")
    rows, parts = _merged(table, [float(numbers[cell]) for cell in cells])
    return ClassTable(os.fspath(path), rows, _target(path, names), parts, table.header and table.header[column])


def _target(path, names):
    require_plain(path, names)
    if len(names) < 2:
        raise InputError(f"nothing to tell apart: expected two or more classes in {path}, received "
                         f"{len(names)} ({', '.join(names)})")
    return TargetSpec(CLASSES, len(names), tuple(names))


def _label_column(table, part):
    """Return the one column that is the class."""
    others = [column for column in range(table.width) if column not in (table.image, part)]
    if len(others) == 1:
        return others[0]
    if not others:
        raise InputError(f"no labels in {table.path}: expected a column of them beside the images', received one "
                         "column")
    if table.header:
        named = [column for name in _LABEL_COLUMNS for column in others if table.header[column].lower() == name]
        words = [column for column in named if not _all_numbers(table, column)]
        if named and (len(named) == 1 or len(words) >= 1):
            return (words or named)[0]
        words = [column for column in others if not _all_numbers(table, column)]
        if not named and len(words) == 1 and _repeats(table, words[0]):
            return words[0]
    else:
        words = [column for column in others if not _all_numbers(table, column)]
        if len(words) == 1:
            return words[0]
    names = [table.header[column] for column in others] if table.header else []
    called, cure = (", ".join(names), f"`label_columns` {names[0]} would choose one") if names else (
        f"{len(others)} without header", "a header would name them")
    raise InputError(f"class column: expected one beside the images' in {table.path}, received {called}; {cure}, "
                     "`target='multi-label'` reads several labels an image and `target='regression'` numbers")


def _repeats(table, column):
    """Whether a column has far fewer different cells than rows, as classes have and remarks have not."""
    return 2 * len({row[column] for _, row in table.lines}) <= len(table.lines)


def _all_numbers(table, column):
    try:
        for _, row in table.lines:
            float(row[column])
    except ValueError:
        return False
    return True


def _refuse_other_kinds(table, column, cells):
    """Refuse cells that hold several labels, or numbers that are no classes."""
    words = set(cells)  # "cat dog" beside "cat" and "dog" is two labels, "golden retriever" is one
    several = next(((number, cell) for (number, _), cell in zip(table.lines, cells) if "|" in cell or ";" in cell
                    or len(cell.split()) > 1 and (words.issuperset(cell.split()) or _is_plural(table, column))), None)
    if several:
        raise InputError(f"several labels in {table.path}, line {several[0]}: expected one class, received "
                         f"{several[1]!r}; `target='multi-label'` trains on several labels an image")
    if _all_numbers(table, column) and any(float(cell) != int(float(cell)) for cell in cells):
        cell = next(cell for cell in cells if float(cell) != int(float(cell)))
        raise InputError(f"numbers in {table.path}: expected classes, received {cell}; `target='regression'` trains on "
                         "numbers")


def _is_plural(table, column):
    return bool(table.header) and table.header[column].lower() in ("labels", "tags", "classes", "categories")


def _merged(table, labels):
    """Return a row for each picture and their parts; a picture twice must be of one class."""
    seen, rows, parts = {}, [], []  # ./a.jpg is a.jpg
    for (number, cells), label, where in zip(table.lines, labels, table.parts or [None] * len(labels)):
        image = cells[table.image].strip()
        if not image or "\0" in image:
            raise InputError(f"bad row in {table.path}, line {number}: expected the name of an image, received "
                             f"{image!r}")
        if seen.setdefault(os.path.normpath(image), (label, where)) != (label, where):
            raise InputError(f"image twice in {table.path}, line {number}: expected one class, received {image!r} in "
                             "two; `target='multi-label'` reads several labels an image")
        if len(seen) > len(rows):
            rows.append(Row(len(rows), (label,), image))
            parts.append(where)
    return rows, table.parts and parts


def _of_list(path, names):
    """Return the ClassTable of a ``.lst``."""
    rows = list(iter_list(path))
    if not rows:
        raise InputError(f"image list is empty: expected at least one row, received {path} with none")
    for number, row in enumerate(rows, 1):
        label = row.labels[0]
        if len(row.labels) > 1:
            what = ("the boxes of a detector" if row.labels[0] == int(row.labels[0]) and 2 <= row.labels[0] < 10
                    and len(row.labels) > row.labels[0] and not set(row.labels) <= {0.0, 1.0} else "several labels")
            raise InputError(f"labels of another kind in {path}, row {number}: expected one class, received {what}"
                             + ("; `target='multi-label'` reads several labels an image" if what[0] == "s" else
                                ", which no classifier is trained on"))
        if label != int(label) or label < 0:
            raise InputError(f"label in {path}, row {number}: expected a class number from 0 up, received {label:g}"
                             + ("; `target='regression'` trains on numbers" if label != int(label) else ""))
    size = len(names) if names else int(max(row.labels[0] for row in rows)) + 1
    if max(row.labels[0] for row in rows) >= size:
        raise InputError(f"labels of {path}: expected numbers below {size}, one for each class name, received "
                         f"{max(row.labels[0] for row in rows):g}")
    if size > 2 * len(rows) + 100:
        raise InputError(f"labels of {path}: expected class numbers from 0 up without large gaps, received "
                         f"{size - 1} in a list of {len(rows)}")
    names = list(names or _folder_names(rows, size) or map(str, range(size)))
    rows = [Row(number, row.labels, row.path) for number, row in enumerate(rows)]
    return ClassTable(os.fspath(path), rows, _target(path, names))


def _folder_names(rows, size):
    """Return the folder each class's pictures lie in, where every class has one of its own; else None."""
    folders = {}
    for row in rows:
        folders.setdefault(int(row.labels[0]), set()).add(os.path.dirname(row.path.replace("\\", "/")))
    names = [next(iter(folders[number])) if len(folders.get(number, ())) == 1 else "" for number in range(size)]
    return names if all(names) and len(set(names)) == size else None
