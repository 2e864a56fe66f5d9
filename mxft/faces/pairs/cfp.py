"""CFP's protocols: ten folders with ``same.txt`` and ``diff.txt``, which number the images of two index files.

Sengupta et al., "Frontal to Profile Face Verification in the Wild" (WACV 2016), Readme.txt of the data set. FF compares
frontal images, FP frontal with profile ones; in ``1,2`` the first number is always of ``Pair_list_F.txt``.
"""
import os

from mxft.data.text_rows import is_number, text_rows
from mxft.errors import InputError, MissingFileError
from mxft.faces.pairs.lists import PairRow, find_image

INDEX = {"F": "Pair_list_F.txt", "P": "Pair_list_P.txt"}


def read_cfp_ff(path, root):
    """Read the pairs of frontal images; see `read_cfp`."""
    return read_cfp(path, root, "FF")


def read_cfp_fp(path, root):
    """Read the pairs of a frontal and a profile image; see `read_cfp`."""
    return read_cfp(path, root, "FP")


def read_cfp(path, root, kind):
    """Read one of CFP's protocols.

    Parameters
    ----------
    path : str
        ``cfp-dataset``, its ``Protocol``, or ``Protocol/Split/FP``.
    root : str
        The folder of the aligned images, ``001/frontal/01.jpg`` in it or ``Data/Images/001/frontal/01.jpg``.
    kind : {"FF", "FP"}

    Returns
    -------
    list of PairRow
        Fold by fold, in each the same pairs first. A row knows the file and the line it stands in.

    Raises
    ------
    InputError
        A file is missing, a bad row, a number that the index does not have, or a missing image.
    """
    protocol = _protocol_folder(path)
    folder = os.path.join(protocol, "Split", kind)
    if not os.path.isdir(folder):
        raise MissingFileError(f"protocol is missing: expected a folder {folder}, received none")
    frontal = _read_index(protocol, "F")
    second = frontal if kind == "FF" else _read_index(protocol, "P")
    folds = sorted((name for name in os.listdir(folder) if name.isdecimal()), key=int)
    if not folds:
        raise MissingFileError(f"protocol is missing: expected folders 01 to 10 in {folder}, received none")
    return [row for fold in folds for file, same in (("same.txt", True), ("diff.txt", False))
            for row in _read_split(os.path.join(folder, fold, file), same, root, frontal, second)]


def _protocol_folder(path):
    """Return the folder with ``Split`` in it."""
    for folder in (path, os.path.join(path, "Protocol"), os.path.join(path, "..", "..")):
        if os.path.isdir(os.path.join(folder, "Split")):
            return os.path.normpath(folder)
    raise MissingFileError(f"protocol is missing: expected CFP's folder Protocol with Split in it, received {path!r}")


def _read_index(protocol, kind):
    """Return {number: path of the image}."""
    path, images = os.path.join(protocol, INDEX[kind]), {}
    for number, line in text_rows(path, "index of images"):
        words = line.split(None, 1)
        if len(words) != 2 or not is_number(words[0]) or int(words[0]) in images:
            raise InputError(f"bad row in {path}, line {number}: expected a number, once, and a path, received "
                             f"{line!r}")
        images[int(words[0])] = words[1]
    return images


def _read_split(path, same, root, *indices):
    for number, line in text_rows(path, "list of pairs"):
        words = [word.strip() for word in line.split(",")]
        if len(words) != 2 or not all(map(is_number, words)):
            raise InputError(f"bad row in {path}, line {number}: expected number,number, received {line!r}")
        for word, index in zip(words, indices):
            if int(word) not in index:
                raise InputError(f"bad row in {path}, line {number}: expected numbers of the {len(index)} images in "
                                 f"the index, received {word} in {line!r}")
        files = tuple(find_image(path, root, number, line, *_places(index[int(word)]))
                      for word, index in zip(words, indices))
        yield PairRow(number, files, same, path)


def _places(image):
    """Return where ``../Data/Images/001/frontal/01.jpg`` may be: what follows ``Images``, then with more before it."""
    parts = [part for part in image.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    shortest = parts.index("Images") + 1 if "Images" in parts[:-1] else 0
    return [os.path.join(*parts[start:]) for start in range(shortest, -1, -1)]
