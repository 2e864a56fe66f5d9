"""The pictures behind a score: which files or records they are, and how the worst judged of them are shown."""
import os

from mxft.data.labels import scan_labels
from mxft.data.lists import iter_list
from mxft.data.picture_files import found_path
from mxft.data.thumbnails import Grid, Shown, thumbnail_of_picture, thumbnails_of_records
from mxft.errors import MxftError

GRID_SIDE, GRID_QUALITY = 112, 75  # of thumbnails in a notebook: small enough to be kept in its file


def pictures_behind(records, root=""):
    """Return the paths of the pictures a record file was packed from, in the order of its records.

    Parameters
    ----------
    records : str
        A ``.rec`` file with its ``.lst`` beside it.
    root : str
        What the list's paths are relative to.

    Returns
    -------
    tuple of str or None
        None where no list is there, or it is not that of the records.
    """
    try:
        listed = {row.index: row.path for row in iter_list(os.path.splitext(records)[0] + ".lst")}
        paths = [listed[int(number)] for number in scan_labels(records).ids]
    except (MxftError, KeyError):
        return None
    return tuple(os.path.join(root, found_path(root, path) or path) for path in paths)


def grid_of(source, numbers, captions, what):
    """Return judged pictures as a Grid.

    Parameters
    ----------
    source : str, sequence of str or None
        The record file, or the paths of the pictures, in the order they were judged in.
    numbers : sequence of int
        Which of them.
    captions : sequence of str
    what : str
        See `mxft.data.thumbnails.Grid`.

    Returns
    -------
    Grid
        Without images where there are none any more.
    """
    names, images = _names_and_images(source, numbers)
    return Grid([Shown(name, f"{caption}\n{os.path.basename(str(name))}", image)
                 for name, caption, image in zip(names, captions, images)], what)


def _names_and_images(source, numbers):
    if source is None or isinstance(source, str) and not os.path.isfile(source):
        return [f"record {number}" for number in numbers], [None] * len(numbers)
    if isinstance(source, str):
        images, paths = thumbnails_of_records(source, numbers, GRID_SIDE, GRID_QUALITY), pictures_behind(source)
        names = [paths[number] if paths else f"record {number}" for number in numbers]
        return names, [images.get(number) for number in numbers]
    paths = [source[number] for number in numbers]
    return paths, [thumbnail_of_picture(path, GRID_SIDE, GRID_QUALITY) for path in paths]
