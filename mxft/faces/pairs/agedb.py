"""AgeDB's protocols: a ``.mat`` file with ten splits of pairs of image names.

Moschoglou et al., "AgeDB: the first manually collected, in-the-wild age database" (CVPRW 2017);
``04_FINAL_protocol_30_years.mat`` as insightface's old ``src/data/agedb2pack.py`` reads it.
"""
import numpy as np

from mxft.errors import InputError
from mxft.faces.pairs.lists import PairRow, find_image
from mxft.files.whole import require_file


def read_agedb(path, root):
    """Read the pairs of one of AgeDB's protocols.

    Parameters
    ----------
    path : str
        ``04_FINAL_protocol_30_years.mat`` and kin, of MATLAB 5 to 7.2. A list of ``path path 0|1`` is LFW's.
    root : str
        The folder of the aligned images, ``NAME.jpg`` (or .png, .jpeg).

    Returns
    -------
    list of PairRow
        Split by split; the number of a row is that of the pair in the file, from 1.

    Raises
    ------
    InputError
        Not such a file, or a missing image.

    Notes
    -----
    A pair is same where both names begin with the same person, before the first ``_``: so was ``agedb_30.bin`` made.
    Where the file has labels too (1 and -1), they have to agree. Nothing in the file is executed.
    """
    rows = []
    for pairs, labels in _splits(path):
        for column in range(pairs.shape[1]):
            names = [_name(pairs[row, column], path) for row in (0, 1)]
            same = names[0].split("_")[0] == names[1].split("_")[0]
            number = len(rows) + 1
            if labels is not None and (labels[column] > 0) != same:
                raise InputError(f"{path} contradicts itself: expected label {1 if same else -1} for {names[0]} and "
                                 f"{names[1]}, received {labels[column]} for pair {number}; a list of path path 0|1 "
                                 "says which it is")
            files = tuple(find_image(path, root, number, name, name + ".jpg") for name in names)
            rows.append(PairRow(number, files, same))
    if not rows:
        raise InputError(f"list of pairs is empty: expected at least one pair, received {path} with none")
    return rows


def _splits(path):
    """Return [(names (2, P), labels (P,) or None)] of the file."""
    from scipy.io import loadmat

    require_file(path, "list of pairs")
    try:
        cells = loadmat(path)["splits"].ravel()
        return [_split(_unwrapped(cell)) for cell in cells]
    except Exception as error:  # whatever SciPy raises on a damaged file: zlib's, its own, and a dozen others
        raise InputError(f"{path} cannot be read: expected a MATLAB file with splits of 2 x P image names, received "
                         f"{type(error).__name__}: {error}") from None


def _unwrapped(cell):
    """Return what a cell or a struct of one element holds, down to a struct with fields."""
    while isinstance(cell, np.ndarray) and cell.dtype.names is None and cell.size == 1:
        cell = cell.ravel()[0]
    return cell.ravel()[0] if isinstance(cell, np.ndarray) and cell.size == 1 else cell


def _split(struct):
    pairs = struct[0]
    if pairs.ndim != 2 or pairs.shape[0] != 2:
        raise ValueError(f"names of shape {pairs.shape}")
    labels = np.asarray(struct[1]).ravel() if len(struct) > 1 else np.empty(0)
    return pairs, labels if labels.size == pairs.shape[1] and labels.dtype.kind in "iuf" else None


def _name(cell, path):
    """Return the image's name, the first field of a struct, or the cell itself."""
    value = _unwrapped(cell)
    value = _unwrapped(value[0]) if isinstance(value, np.void) else value
    if not isinstance(value, str):
        raise InputError(f"{path} cannot be read: expected image names, received {type(value).__name__}")
    return str(value)
