"""Cells of a table of labels as vectors of numbers, or of 0 and 1, one element for each output of a network."""
import math
import re

import numpy as np

from mxft.data.label_names import labels_of_cells, one_spelling
from mxft.errors import InputError, nearest

_SPARSE = 1000  # numbers of labels that a short list may leave out, as COCO's do


def numbers(path, found, header, names):
    """Return vectors of numbers and their names."""
    vectors = [_as_numbers(path, number, cells) for number, cells in found]
    _require_width(path, found, vectors)
    vectors, names = _ordered(path, vectors, header, names)
    _require_float32(path, vectors, names)
    return vectors, names


def _require_float32(path, vectors, names):
    """Refuse numbers whose differences are lost in float32, in which records hold and networks give them."""
    values = np.array(vectors, np.float64)
    with np.errstate(over="ignore"):
        lost = np.abs(values.astype(np.float32) - values).max(axis=0)
    spread = values.std(axis=0)
    for column in np.flatnonzero((lost > 1e-3 * spread) & ((spread > 0) | np.isinf(lost))):
        raise InputError(f"numbers of {path}: expected some that float32 tells apart, received "
                         f"{names[column] if names else f'column {column}'} from {values[:, column].min():.10g} to "
                         f"{values[:, column].max():.10g}, which it rounds by up to {lost[column]:.3g}; subtract their "
                         "least or choose a larger unit")


def _as_numbers(path, number, cells):
    try:
        values = tuple(float(cell) for cell in cells)
        if not all(map(math.isfinite, values)):
            raise ValueError
        return values
    except ValueError:
        comma = any(re.fullmatch(r"[+-]?\d+,\d+", str(cell)) for cell in cells)
        advice = ("decimals follow a point: 0.5" if comma else
                  "`label_columns` NAME,NAME chooses the columns that are labels")
        raise InputError(f"bad row in {path}, line {number}: expected finite numbers, received "
                         f"{'; '.join(map(str, cells))!r}; {advice}") from None


def _require_width(path, found, vectors):
    for (number, _), vector in zip(found, vectors):
        if len(vector) != len(vectors[0]):
            raise InputError(f"bad row in {path}, line {number}: expected {len(vectors[0])} numbers as in the first "
                             f"row, received {len(vector)}")


def _ordered(path, vectors, header, names):
    """Return vectors and names: a header's columns in the order of the `names` that are given, where there are both."""
    if names is not None and len(names) != len(vectors[0]):
        raise InputError(f"class names: expected one for each of the {len(vectors[0])} label columns of {path}, "
                         f"received {len(names)}")
    if names is None or header is None:
        return vectors, names or header
    columns = list(map(one_spelling, header))
    for name in names:
        if one_spelling(name) not in columns:
            raise InputError(f"class names: expected the label columns of {path}, received {name!r}; "
                             f"{nearest(name, header)}")
    order = [columns.index(one_spelling(name)) for name in names]
    return [tuple(vector[column] for column in order) for vector in vectors], names


def is_yes_or_no(found, header):
    """Whether a single column says yes or no of what the header calls it, and names no labels."""
    return header is not None and all(cells[0] in ("0", "1", "-1") for _, cells in found)


def yes_or_no(path, found, header, names):
    """Return vectors of 0 and 1 from a column for each label; -1 is 0, as in CelebA's table."""
    vectors = [_as_numbers(path, number, cells) for number, cells in found]
    for (number, cells), vector in zip(found, vectors):
        if not set(vector) <= {0.0, 1.0, -1.0}:
            raise InputError(f"bad row in {path}, line {number}: expected 0 or 1 for each label, received "
                             f"{', '.join(map(str, cells))!r}; names of labels go into one column")
    _require_width(path, found, vectors)
    return _ordered(path, [tuple(max(0.0, value) for value in vector) for vector in vectors], header, names)


def listed_labels(path, found, names):
    """Return vectors of 0 and 1 from the numbers of a list: as they are, or as numbers of classes."""
    widths, values = {len(cells) for _, cells in found}, {value for _, cells in found for value in cells}
    if len(widths) == 1 and min(widths) > 1 and values <= {0.0, 1.0}:
        return _ordered(path, [tuple(cells) for _, cells in found], None, names)
    for number, cells in found:
        if any(value < 0 or value != int(value) for value in cells):
            raise InputError(f"bad row in {path}, row {number}: expected numbers of labels from 0 up, or 0 and 1 for "
                             f"each label, received {', '.join(f'{value:g}' for value in cells)}")
    size = len(names) if names else int(max(values)) + 1
    if max(values) >= size:
        raise InputError(f"labels of {path}: expected numbers below {size}, one for each class name, received "
                         f"{max(values):g}")
    if size > max(_SPARSE, sum(len(cells) for _, cells in found)) and not names:
        raise InputError(f"labels of {path}: expected numbers of labels, no more than the list has, received a highest "
                         f"one of {max(values):g}; a name for each (`classes`) says that it is meant")
    return [_one_hot({int(value) for value in cells}, size) for _, cells in found], names


def named_labels(path, images, found, names):
    """Return vectors of 0 and 1 from a column of label names."""
    said = labels_of_cells(path, images, [(number, cell) for number, (cell,) in found])
    names = names or sorted_names({name for _, labels in said for name in labels})
    if not names:
        raise InputError(f"no labels in {path}: expected names of labels beside the images, received none")
    outputs = {one_spelling(name): number for number, name in enumerate(names)}
    for number, labels in said:
        for name in labels:
            if name not in outputs:
                raise InputError(f"unknown label in {path}, line {number}: expected one of the {len(names)} class "
                                 f"names, received {name!r}; {nearest(name, names)}")
    return [_one_hot({outputs[name] for name in labels}, len(names)) for _, labels in said], names


def sorted_names(names):
    """Return names in order; numbers by their size."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def _one_hot(numbers, size):
    return tuple(float(number in numbers) for number in range(size))
