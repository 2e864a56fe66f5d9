"""MegaFace's lists: aligned images of FaceScrub and of the million, and which of them are noise."""
import os

from mxft.data.text_rows import text_rows
from mxft.errors import InputError, MissingFileError, nearest

DEPTHS = {"facescrub": 2, "megaface": 3}  # person/file, and group/account/file: what a feature's path keeps


def read_images(path, kind, root=None):
    """Read a list of images.

    Parameters
    ----------
    path : str
        A path a line. The last two parts (FaceScrub) or three (MegaFace) name the image.
    kind : {"facescrub", "megaface"}
    root : str, optional
        The folder of the images, to see that all are there.

    Returns
    -------
    dict of str to str
        ``person/file`` or ``group/account/file`` to the path as the list has it, in its order.

    Raises
    ------
    InputError
        A path too short, or one image twice (its feature would be written twice), or a missing image, with file and
        line; no images.

    Examples
    --------
    >>> with open("lst", "w") as f:
    ...     _ = f.write("./images/Ann_Li/Ann_Li_1.png\\n")
    >>> read_images("lst", "facescrub")
    {'Ann_Li/Ann_Li_1.png': './images/Ann_Li/Ann_Li_1.png'}
    """
    if root is not None and not os.path.isdir(root):
        raise MissingFileError(f"images are missing: expected a folder, received {kind}_root={root!r}")
    depth, images, lines, missing = DEPTHS[kind], {}, {}, []
    for number, line in text_rows(path, f"list of {kind} images"):
        parts = line.split("/")[-depth:]
        if len(parts) < depth or not all(parts) or {".", ".."} & set(parts):
            raise InputError(f"bad row in {path}, line {number}: expected a path of at least {depth} parts, received "
                             f"{line!r}")
        name = "/".join(parts)
        if name in images:
            raise InputError(f"image twice in {path}: expected {name} once, received it on lines {lines[name]} and "
                             f"{number}")
        images[name], lines[name] = line, number
        if root is not None and not os.path.isfile(os.path.join(root, line)):
            missing.append(name)
    if missing:
        file = os.path.join(root, images[missing[0]])
        folder = os.path.dirname(file)
        near = nearest(os.path.basename(file), sorted(os.listdir(folder)) if os.path.isdir(folder) else [])
        more = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
        raise MissingFileError(f"image is missing: expected {file}, which line {lines[missing[0]]} of {path} names, "
                               f"received none{more}; in that folder: {near}")
    if not images:
        raise InputError(f"list of {kind} images is empty: expected at least one path, received {path} with none")
    return images


def read_noises(path):
    """Read a list of noises: file names of FaceScrub, or ``group/account/file`` of MegaFace.

    Parameters
    ----------
    path : str
        Lines beginning ``#`` are passed over; of a line with a tab the second part counts.

    Returns
    -------
    set of str

    Examples
    --------
    >>> with open("noises.txt", "w") as f:
    ...     _ = f.write("# of insightface\\nAnn_Li_1.png\\n3\\t375/3@N00/4_0.jpg\\n")
    >>> sorted(read_noises("noises.txt"))
    ['375/3@N00/4_0.jpg', 'Ann_Li_1.png']
    """
    rows = (line.split("\t") for _, line in text_rows(path, "list of noises") if not line.startswith("#"))
    return {row[1 if len(row) > 1 else 0].strip() for row in rows}
