"""The lists of pairs that face data sets come with, each by its name, or recognised by what stands in it."""
import logging
import os
from collections import namedtuple

from mxft.errors import InputError, MissingFileError, nearest
from mxft.faces.pairs.agedb import read_agedb
from mxft.faces.pairs.cfp import read_cfp_ff, read_cfp_fp
from mxft.faces.pairs.lists import read_pair_list
from mxft.faces.pairs.two_lines import is_two_lines, read_two_lines
from mxft.faces.pairs.videos import is_splits, read_video_pairs

LOG = logging.getLogger("mxft.pairs")

Protocol = namedtuple("Protocol", ["read", "shape"])
Protocol.__doc__ = """`read` takes (path, root) and gives rows of PairRow; `shape` says how its list looks."""

PROTOCOLS = {
    "lfw": Protocol(read_pair_list, "rows of name n n, name n name n, or path path 0|1"),
    "cfp-ff": Protocol(read_cfp_ff, "Protocol/Split/FF with same.txt and diff.txt, Pair_list_F.txt"),
    "cfp-fp": Protocol(read_cfp_fp, "Protocol/Split/FP, Pair_list_F.txt and Pair_list_P.txt"),
    "agedb": Protocol(read_agedb, "a .mat file with the pairs of ten splits"),
    "calfw": Protocol(read_two_lines, "two lines a pair, each image and fold, 0 for two persons"),
    "cplfw": Protocol(read_two_lines, "two lines a pair, each image and 1 or 0"),
    "ytf": Protocol(read_video_pairs, "rows of split, pair, video, video, 0|1"),
}


def read_protocol(path, root, protocol="auto", frames=1):
    """Read the pairs of a data set in the order of its folds.

    Parameters
    ----------
    path : str
        The list, or for CFP the folder of the lists.
    root : str
        The folder of the aligned images.
    protocol : str
        A name of PROTOCOLS, or ``auto``: what stands in the list decides, and is logged where it is not LFW's.
    frames : int
        Of each video, for ``ytf``.

    Returns
    -------
    list of mxft.faces.pairs.lists.PairRow

    Raises
    ------
    InputError
        An unknown protocol, `frames` for images, a malformed row or a missing image, with file, line and text.

    Notes
    -----
    AgeDB's pairs as text, as people pass them around (``agedb_30_pair.txt``), are rows of ``path path 0|1``: LFW's.

    Examples
    --------
    >>> for name in ("ann_1.jpg", "ann_2.jpg"):
    ...     open(name, "wb").close()
    >>> with open("pairs_CALFW.txt", "w") as f:
    ...     _ = f.write("ann_1.jpg 3\\nann_2.jpg 3\\n")
    >>> [(row.number, row.same) for row in read_protocol("pairs_CALFW.txt", ".", "calfw")]
    [(1, True)]
    """
    if protocol not in ("auto", *PROTOCOLS):
        raise InputError(f"`protocol`: expected auto or one of {', '.join(PROTOCOLS)}, received protocol={protocol!r}; "
                         f"{nearest(protocol, PROTOCOLS)}")
    if not os.path.isdir(root):
        raise MissingFileError(f"images are missing: expected a folder, received root={root!r}")
    name = recognise(path) if protocol == "auto" else protocol
    if name == "ytf":
        rows = read_video_pairs(path, root, frames)
    elif frames != 1:
        raise InputError(f"`frames`: expected `protocol=ytf` beside it, received frames={frames} with protocol={name}")
    else:
        rows = PROTOCOLS[name].read(path, root)
    if protocol == "auto" and name != "lfw":
        LOG.info(f"protocol {name}: {PROTOCOLS[name].shape} (`protocol` says another)")
    return rows


def recognise(path):
    """Return the name of the protocol that a list is of: ``lfw`` unless it looks like another."""
    if os.path.isdir(path):
        kind = os.path.basename(os.path.abspath(path)).upper()
        if kind in ("FF", "FP"):
            return f"cfp-{kind.lower()}"
        raise InputError(f"protocol is not known: expected a list of pairs, received the folder {path}; CFP's is "
                         "Protocol/Split/FP or Protocol/Split/FF, or name `protocol=cfp-fp` or `protocol=cfp-ff`")
    if path.lower().endswith(".mat"):
        return "agedb"
    try:
        with open(path, encoding="utf-8-sig") as f:
            lines = [line.strip() for line in (f.readline() for _ in range(4)) if line.strip()]
    except (OSError, UnicodeDecodeError):
        return "lfw"  # whose reader says what is wrong with it
    if is_splits(lines):
        return "ytf"
    if is_two_lines(lines):
        return "cplfw" if "cplfw" in os.path.basename(path).lower() else "calfw"
    return "lfw"
