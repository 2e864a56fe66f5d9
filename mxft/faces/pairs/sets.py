"""Which verification sets a folder holds: ``NAME.bin``, by the names insightface's ``--target`` has."""
import os

from mxft.errors import InputError, MissingFileError, nearest

DEFAULT_SETS = ("lfw", "cfp_fp", "agedb_30")


def find_sets(folder, names=None):
    """Find verification sets by name in a folder.

    Parameters
    ----------
    folder : str
        Holds ``NAME.bin``.
    names : sequence of str, optional
        All of them have to be there. `DEFAULT_SETS` when None, of which those that are there are taken.

    Returns
    -------
    paths : list of str
    absent : list of str
        Of `DEFAULT_SETS`, those that are not there.

    Raises
    ------
    InputError
        No folder, no name, or a named set is missing; the nearest names are given.
    """
    if not os.path.isdir(folder):
        raise MissingFileError(f"verification sets are missing: expected a folder with .bin files, received {folder!r}")
    wanted = list(dict.fromkeys(DEFAULT_SETS if names is None else names))
    if not wanted:
        raise InputError(f"target: expected names of sets such as {','.join(DEFAULT_SETS)}, received none")
    present = sorted(name[:-len(".bin")] for name in os.listdir(folder) if name.endswith(".bin"))
    absent = [name for name in wanted if name not in present]
    if absent and names is not None:
        raise MissingFileError(f"verification set is missing: expected {os.path.join(folder, absent[0] + '.bin')}, "
                               f"received target={absent[0]!r}; {nearest(absent[0], present)}; mxft pairs-pack makes "
                               "one")
    return [os.path.join(folder, name + ".bin") for name in wanted if name in present], absent
