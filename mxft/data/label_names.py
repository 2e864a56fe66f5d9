"""A column of label names: which labels each cell says, divided by ``|``, ``;``, commas or spaces."""
import unicodedata

from mxft.errors import InputError

MARKS = "|;,"


def one_spelling(name):
    """Return a name with each letter as one character (Unicode's NFC): macOS writes an umlaut as two."""
    return unicodedata.normalize("NFC", name)


def labels_of_cells(path, images, cells):
    """Return the labels that each cell of a column names.

    Parameters
    ----------
    path : str
        For messages.
    images : sequence of str
        Of the same rows.
    cells : sequence of (int, str)
        Line and text.

    Returns
    -------
    list of (int, list of str)
        Line and labels.

    Raises
    ------
    InputError
        Cells that could be read in two ways: two kinds of marks, a list in brackets, or spaces in a table that has a
        line for each label.

    Notes
    -----
    A mark that any cell has divides the labels of all, and names then keep their spaces: ``|``, else ``;``, else the
    comma. Without any, spaces do.

    Examples
    --------
    >>> labels_of_cells("tags.csv", ["a.jpg", "b.jpg"], [(1, "fire truck|cat"), (2, "cat")])
    [(1, ['fire truck', 'cat']), (2, ['cat'])]
    """
    marks = [mark for mark in MARKS if any(mark in cell for _, cell in cells)]
    for line, cell in cells:
        if cell.startswith("[") and cell.endswith("]"):
            raise _ambiguous(path, line, cell, "names of labels, such as cat|dog", "take the brackets and quotes off")
        if marks[:2] == ["|", ";"] and ";" in cell:
            raise _ambiguous(path, line, cell, "one mark between labels, as | in other lines", "write cat|dog")
        if not marks and len(cell.split()) > 1 and _a_line_each(images, cells):
            raise _ambiguous(path, line, cell, "one label, as images stand in several lines", "put | behind a name "
                             f"that holds a space ('{cell}|'), or between several")
    return [(line, _labels(cell, marks[0] if marks else None)) for line, cell in cells]


def _labels(cell, mark):
    return [one_spelling(word.strip()) for word in cell.split(mark) if word.strip()]


def _a_line_each(images, cells):
    """Whether some image has several lines that say different things."""
    return len({(image, cell) for image, (_, cell) in zip(images, cells)}) > len(set(images))


def _ambiguous(path, line, cell, expected, advice):
    return InputError(f"labels of {path}, line {line}: expected {expected}, received {cell!r}; {advice}")
