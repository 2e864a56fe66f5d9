"""Where the list files of a data set are: the names they have in insightface's archives of IJB-B and IJB-C."""
import dataclasses
import os

from mxft.errors import MissingFileError, nearest

MEDIA, POINTS, PAIRS = "_face_tid_mid.txt", "_name_5pts_score.txt", "_template_pair_label.txt"
GALLERIES = {"G1": ("_1N_gallery_G1.csv", "_1N_gallery_S1.csv"), "G2": ("_1N_gallery_G2.csv", "_1N_gallery_S2.csv")}
PROBES = "_1N_probe_mixed.csv"
IMAGES = "loose_crop"


@dataclasses.dataclass(frozen=True)
class IjbLists:
    """Where the lists of one data set are; None where there is none.

    Parameters
    ----------
    name : str
        What their names begin with: ``ijbb``, ``ijbc``, or your own.
    media, points, pairs, probes : str or None
    galleries : dict of str to str
        ``G1`` and ``G2``, those that are there.
    images : str
        The folder ``loose_crop`` beside the folder of the lists.
    """

    name: str
    media: str
    points: str
    pairs: str
    probes: str
    galleries: dict
    images: str


def find_lists(folder):
    """Find the lists of a data set by the names they have in insightface's archives.

    Parameters
    ----------
    folder : str
        ``IJBC/meta``, or ``IJBC`` with ``meta`` in it. Large and small letters are one.

    Returns
    -------
    IjbLists

    Raises
    ------
    InputError
        No such folder, no ``NAME_face_tid_mid.txt`` in it, or the lists of two data sets.

    Examples
    --------
    >>> os.makedirs("IJBC/meta")
    >>> for end in ("_face_tid_mid.txt", "_name_5pts_score.txt", "_1N_gallery_G1.csv"):
    ...     open("IJBC/meta/ijbc" + end, "w").close()
    >>> lists = find_lists("IJBC")
    >>> lists.name, lists.points, lists.pairs, lists.galleries, lists.images
    ('ijbc', 'IJBC/meta/ijbc_name_5pts_score.txt', None, {'G1': 'IJBC/meta/ijbc_1N_gallery_G1.csv'}, 'IJBC/loose_crop')
    """
    if not os.path.isdir(folder):
        raise MissingFileError(f"lists are missing: expected a folder such as IJBC/meta, received {folder!r}")
    inner = os.path.join(folder, "meta")
    names = sorted(os.listdir(folder))
    if os.path.isdir(inner) and not any(name.lower().endswith(MEDIA) for name in names):
        folder, names = inner, sorted(os.listdir(inner))
    sets = [name[:-len(MEDIA)] for name in names if name.lower().endswith(MEDIA)]
    if len(sets) != 1:
        raise MissingFileError(f"lists are not found: expected NAME{MEDIA} of one data set in {folder}, received "
                               + (" and ".join(sets) if sets else f"none; {nearest('ijbc' + MEDIA, names)}"))
    known = {name.lower(): os.path.join(folder, name) for name in names}

    def find(*ends):
        return next((known[(sets[0] + end).lower()] for end in ends if (sets[0] + end).lower() in known), None)

    galleries = {name: find(*ends) for name, ends in GALLERIES.items() if find(*ends)}
    return IjbLists(sets[0], find(MEDIA), find(POINTS), find(PAIRS), find(PROBES), galleries,
                    os.path.normpath(os.path.join(folder, "..", IMAGES)))
