"""Tables of images and people as tab-separated text, a header line first, and images found again by such a table."""
from mxft.errors import InputError, nearest
from mxft.files.whole import require_file, whole_file

IMAGE_COLUMNS = ("identity", "image")  # name an image of a set


def write_table(path, columns, rows):
    """Write rows as tab-separated text, whole or not at all; floats with four digits.

    Examples
    --------
    >>> write_table("/tmp/mxft-example.tsv", ("identity", "cosine"), [("Ada", 0.25)])
    >>> read_table("/tmp/mxft-example.tsv", ("cosine",))
    [('0.2500',)]
    """
    with whole_file(path) as f:
        for row in (columns, *rows):
            text = "\t".join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row)
            f.write((text + "\n").encode("utf-8", "surrogateescape"))


def read_table(path, columns):
    """Return the cells of some columns of a table, a tuple a row.

    Parameters
    ----------
    path : str
        Tab-separated; the first line names the columns, of which there may be others.
    columns : sequence of str

    Raises
    ------
    InputError
        A column is missing, or a row has fewer cells than the header.
    """
    with open(require_file(path, "list"), encoding="utf-8", errors="surrogateescape") as f:
        lines = [line.rstrip("\r\n").split("\t") for line in f if line.strip()]
    header = lines[0] if lines else []
    for column in columns:
        if column not in header:
            raise InputError(f"list does not fit: expected columns {', '.join(columns)} in the first line of {path}, "
                             f"received {' '.join(header)[:80]!r}")
    places = [header.index(column) for column in columns]
    for number, row in enumerate(lines, 1):
        if len(row) <= max(places):
            raise InputError(f"bad row in {path}, line {number}: expected {len(header)} cells separated by tabs, "
                             f"received {len(row)}")
    return [tuple(row[place] for place in places) for row in lines[1:]]


def find_images(faces, path):
    """Return which images of a set a table names, by its columns ``identity`` and ``image``.

    Parameters
    ----------
    faces : SetImages
    path : str

    Returns
    -------
    list of int

    Raises
    ------
    InputError
        See `read_table`; an image that the set does not have.
    """
    places = {(faces.names[label], name): at
              for at, (label, name) in enumerate(zip(faces.labels.tolist(), faces.paths))}
    found = []
    for identity, image in read_table(path, IMAGE_COLUMNS):
        if (identity, image) not in places:
            near = nearest(image, [name for person, name in places if person == identity] or faces.names)
            raise InputError(f"image is not in the set: expected one of {faces.path}, received identity={identity!r} "
                             f"image={image!r} in {path}; {near}")
        found.append(places[identity, image])
    return found
