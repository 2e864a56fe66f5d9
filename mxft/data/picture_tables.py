"""Tables beside pictures: which one is meant, the folder its paths begin at, and the file each of them stands for."""
import os

from mxft.data.lists import iter_list
from mxft.data.picture_files import found_path, root_of
from mxft.data.picture_folders import TABLES
from mxft.data.tables import table_columns
from mxft.errors import InputError
from mxft.wording import some


def table_of(folder, tables):
    """Return the path of the one table in a folder.

    Parameters
    ----------
    folder : str
    tables : sequence of str
        Names of those there.

    Raises
    ------
    InputError
        None, or several of which no name says that it has the labels.
    """
    if not tables:
        raise InputError(f"labels are missing: expected a table ({', '.join(TABLES)}) in {folder}, received none; "
                         "`labels` TABLE names one that lies elsewhere")
    if len(tables) > 1:
        named = [name for name in tables if os.path.splitext(name)[0].lower() in ("labels", "train", "annotations")]
        if len(named) != 1:
            raise InputError(f"labels: expected one table in {folder}, received {some(tables)}; `labels` "
                             f"{os.path.join(folder, tables[0])} chooses it")
        tables = named
    return os.path.join(folder, tables[0])


def tables_beside(folder):
    """Return the paths of the tables that stand beside a folder and have its name: ``photos.lst`` of ``photos``."""
    return [folder.rstrip(os.sep) + ending for ending in TABLES if os.path.isfile(folder.rstrip(os.sep) + ending)]


def folder_of(table):
    """Return the folder a table's pictures lie in: one of the table's name beside it, or its own."""
    folder = os.path.dirname(table) or "."
    beside = os.path.splitext(table)[0]
    return beside if os.path.isdir(beside) else folder


def listed_pictures(path):
    """Return the paths of the pictures a table names, whatever else it says of them.

    Parameters
    ----------
    path : str
        ``.csv``, ``.tsv`` or ``.lst``.

    Returns
    -------
    list of str
        Each once, in the table's order; one that is missing under the name it would have.

    Raises
    ------
    InputError
        No column of pictures, or none of them is there.
    """
    if path.lower().endswith(".lst"):
        names = [row.path for row in iter_list(path)]
    else:
        table = table_columns(path)
        names = [cells[table.image].strip() for _, cells in table.lines]
    root, paths, _ = find_listed(path, list(dict.fromkeys(names)), folder_of(path))
    return [os.path.join(root, found or name) for name, found in paths.items()]


def find_listed(path, names, folder):
    """Find the pictures a table names.

    Parameters
    ----------
    path : str
        The table.
    names : sequence of str
        As it says them.
    folder : str
        Where they are looked for first.

    Returns
    -------
    root : str
        The folder below which they lie.
    found : dict of str to (str or None)
        For each name the path below `root`; None of one that is missing.
    note : str
        What was left out of the names; empty where nothing was.

    Raises
    ------
    InputError
        Not one of them is there.

    Notes
    -----
    Names that begin with folders of another machine are looked for without those, as long as they stay different.
    """
    places = list(dict.fromkeys((folder, os.path.dirname(path) or ".")))
    for cut, tails in _tails(names):
        for place in places:
            root = root_of(tails, place)
            if root is not None:
                found = {name: found_path(root, tail) for name, tail in zip(names, tails)}
                left_out = "/".join(_parts(names[0])[:cut])
                return root, found, f"its paths are read without {left_out}/" if cut else ""
    cure = ("; addresses are not fetched: download the pictures, and name their files" if "://" in names[0] else
            "; the folder is the one the table's paths begin at")
    raise InputError(f"images are missing: expected those of {path} in {folder}, received none of {len(names)}, the "
                     f"first {names[0]!r}{cure}")


def _tails(names):
    """Yield (0, the names), and then the names without their first 1, 2, … folders, as long as no two are the same."""
    yield 0, names
    split = [_parts(name) for name in names]
    if "://" in names[0]:
        return
    for cut in range(1, min(map(len, split))):
        if len({tuple(parts[:cut]) for parts in split}) > 1:
            return
        yield cut, ["/".join(parts[cut:]) for parts in split]


def _parts(name):
    return name.strip().replace("\\", "/").split("/")
