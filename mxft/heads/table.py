"""The loss types: number or name to head, and the published margins under their papers' names.

The numbers are those of ``--loss-type`` in insightface's ``train_softmax.py``; 3 and 8 to 11 are not among them.
Sub-center ArcFace, which upstream keeps in a script of its own, has a name alone.
"""
import dataclasses
import importlib

from mxft.errors import InputError, nearest
from mxft.heads.options import HeadOptions
from mxft.plugins import HEADS, installed, load


@dataclasses.dataclass(frozen=True)
class LossType:
    """One row of the table.

    Parameters
    ----------
    number : int or None
        ``--loss-type``; None where upstream has none, as of a head that an installed package adds.
    name : str
    module, head : str
        Where the head is and what its class is called; imported when it is made.
    aliases : tuple of str
    """

    number: object
    name: str
    module: str
    head: str
    aliases: tuple = ()


LOSS_TYPES = (
    LossType(0, "softmax", "mxft.heads.softmax", "Softmax"),
    LossType(1, "sphereface", "mxft.heads.sphereface", "SphereFace", ("sphere", "a-softmax", "asoftmax")),
    LossType(2, "cosface", "mxft.heads.cosface", "CosFace", ("cos", "am-softmax", "amsoftmax", "lmcl")),
    LossType(4, "arcface", "mxft.heads.arcface", "ArcFace", ("arc", "aaml")),
    LossType(5, "combined", "mxft.heads.combined", "Combined", ("combine",)),
    LossType(6, "arcface-intra", "mxft.heads.arcface_intra", "ArcFaceIntra", ("intra",)),
    LossType(7, "arcface-inter", "mxft.heads.arcface_inter", "ArcFaceInter", ("inter",)),
    LossType(12, "triplet", "mxft.heads.triplet", "Triplet"),
    LossType(13, "triplet-angular", "mxft.heads.triplet", "AngularTriplet", ("atriplet",)),
    LossType(None, "subcenter-arcface", "mxft.heads.subcenter_arcface", "SubcenterArcFace",
             ("subcenter", "sub-center-arcface", "arcface-subcenter")),
)

# Name: (loss type, options that differ from the defaults). The rows of arXiv:1801.07698, Table 2; then Sub-center
# ArcFace (ECCV 2020, section 4.1) and FaceNet (arXiv:1503.03832, section 3.1).
PRESETS = {
    "softmax": (0, {}),
    "norm-softmax": (4, {"margin_m": 0.0}),
    "sphereface": (1, {"margin": 4}),
    "sphereface-1.35": (5, {"margin_a": 1.35, "margin_m": 0.0, "margin_b": 0.0}),
    "cosface": (2, {"margin_m": 0.35}),
    "arcface": (4, {"margin_m": 0.5}),
    "cm1": (5, {"margin_a": 1.0, "margin_m": 0.3, "margin_b": 0.2}),
    "cm2": (5, {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15}),
    "subcenter-arcface": ("subcenter-arcface", {"margin_m": 0.5, "subcenters": 3}),
    "facenet": (12, {"triplet_alpha": 0.2}),
}


def loss_types():
    """Return the rows of the table, and one for each head an installed package adds (see `mxft.plugins`).

    A name the table has stays the table's.
    """
    taken = {name for row in LOSS_TYPES for name in _names(row)}
    added = (LossType(None, name.lower(), offers[0].module, offers[0].attr)
             for name, offers in installed(HEADS).items() if name.lower() not in taken)
    return (*LOSS_TYPES, *added)


def find_loss_type(loss_type):
    """Return the row of the table for a number or a name.

    Parameters
    ----------
    loss_type : int or str
        ``4``, ``"4"``, ``"arcface"``, an alias; capitals and underscores do not matter.

    Returns
    -------
    LossType

    Raises
    ------
    InputError
        There is none; the message lists numbers and names, those of installed packages among them.

    Examples
    --------
    >>> find_loss_type("AM-Softmax").name
    'cosface'
    """
    wanted = "" if isinstance(loss_type, bool) else str(loss_type).strip().lower().replace("_", "-")
    for row in LOSS_TYPES:
        if wanted in _names(row):
            return row
    rows = loss_types()
    for row in rows[len(LOSS_TYPES):]:
        if wanted == row.name:
            return row
    names = [name for row in rows for name in (row.name, *row.aliases)]
    rows = ", ".join(row.name if row.number is None else f"{row.number} {row.name}" for row in rows)
    near = nearest(wanted, names)
    raise InputError(f"loss type: expected one of {rows}, received loss_type={loss_type!r}"
                     f"{'; ' + near if near.startswith('nearest') else ''}")


def _names(row):
    return (row.name, *row.aliases) if row.number is None else (str(row.number), row.name, *row.aliases)


def make_head(loss_type, num_classes, emb_size, options=HeadOptions()):  # noqa: B008  frozen
    """Make a head.

    Parameters
    ----------
    loss_type : int or str
        See find_loss_type.
    num_classes : int
        C.
    emb_size : int
        E, length of the embedding.
    options : HeadOptions

    Returns
    -------
    mxft.heads.head.Head

    Raises
    ------
    InputError
        No such loss type, or options its formula does not allow.
    DependencyError
        The head of an installed package cannot be imported.

    Examples
    --------
    >>> make_head(4, num_classes=85742, emb_size=512).describe()
    'arcface (loss type 4): (m1, m2, m3, s) = (1, 0.5, 0, 64); target logit s·cos(θ + m2)'
    """
    row = find_loss_type(loss_type)
    if row in LOSS_TYPES:
        return getattr(importlib.import_module(row.module), row.head)(num_classes, emb_size, options)
    from mxft.heads.head import Head

    kind = load(HEADS, next(name for name in installed(HEADS) if name.lower() == row.name))
    if not (isinstance(kind, type) and issubclass(kind, Head)):
        raise InputError(f"{HEADS} {row.name}: expected a class derived from mxft.heads.Head, received "
                         f"{row.module}:{row.head}")
    return kind(num_classes, emb_size, options)


def preset(name, **overrides):
    """Return the loss type and options of a published head.

    Parameters
    ----------
    name : str
        A key of ``PRESETS``.
    **overrides
        Further HeadOptions, such as ``margin_s=32.0``.

    Returns
    -------
    (int or str, HeadOptions)

    Raises
    ------
    InputError
        Unknown name.

    Examples
    --------
    >>> loss_type, options = preset("cm1")
    >>> make_head(loss_type, 10, 4, options).margins
    (1.0, 0.3, 0.2, 64.0)
    """
    if name not in PRESETS:
        raise InputError(f"margin preset: expected one of {', '.join(PRESETS)}, received preset={name!r}; "
                         f"{nearest(str(name), PRESETS)}")
    loss_type, options = PRESETS[name]
    return loss_type, HeadOptions(**{**options, **overrides})
