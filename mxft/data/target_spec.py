"""What the labels of a record say: one class of several, several independent labels, or numbers."""
import dataclasses
from typing import Optional

import numpy as np

from mxft.data.labels import LabelScan, check_labels, scan_labels
from mxft.errors import InputError, nearest
from mxft.options import TARGETS

KINDS = CLASSES, MULTI_LABEL, REGRESSION = TARGETS
MOST_OUTPUTS = 1 << 20  # that a manifest may claim
THRESHOLD = 0.5  # of a label's probability, where no other was chosen on validation records


@dataclasses.dataclass(frozen=True)
class TargetSpec:
    """What a network is trained to give.

    Parameters
    ----------
    kind : {"classes", "multi-label", "regression"}
        One of several classes; every one of several labels, yes or no; or one or several numbers.
    size : int
        Outputs: classes, labels or numbers.
    names : tuple of str, optional
        One for each output.
    mean, deviation : tuple of float, optional
        Of regression: each number's mean and standard deviation over the training records, the unit it is trained in.

    Raises
    ------
    InputError
        An unknown kind, fewer outputs than the kind needs, or another number of names than there are outputs.

    Examples
    --------
    >>> TargetSpec("multi-label", 2, ("cat", "dog")).label_width
    2
    """

    kind: str = CLASSES
    size: int = 2
    names: Optional[tuple] = None
    mean: Optional[tuple] = None
    deviation: Optional[tuple] = None

    def __post_init__(self):
        check_kind(self.kind)
        if self.size < self.least:
            raise InputError(f"nothing to learn: expected at least {self.least} output{'s' * (self.least > 1)} of "
                             f"target={self.kind!r}, received {self.size}")
        for what in ("names", "mean", "deviation"):
            values = getattr(self, what)
            if values is not None and len(values) != self.size:
                raise InputError(f"{'class names' if what == 'names' else what}: expected one for each of the "
                                 f"{self.size} outputs, received {len(values)}")

    @property
    def least(self) -> int:
        """The fewest outputs the kind has a meaning with."""
        return 2 if self.kind == CLASSES else 1

    @property
    def label_width(self) -> int:
        """Numbers of a record's label."""
        return 1 if self.kind == CLASSES else self.size

    @property
    def output_names(self) -> list:
        """A name for each output, made up where there are none."""
        if self.names:
            return list(self.names)
        word = {CLASSES: "class", MULTI_LABEL: "label", REGRESSION: "value"}[self.kind]
        return [word] if self.size == 1 else [f"{word} {number}" for number in range(self.size)]

    def describe(self) -> str:
        """Return in words what is trained: ``3 classes``, ``20 labels an image``, ``1 number an image``."""
        if self.kind == CLASSES:
            return f"{self.size} classes"
        noun = "label" if self.kind == MULTI_LABEL else "number"
        return f"{self.size} {noun}{'s' * (self.size > 1)} an image"

    def to_dict(self) -> dict:
        """Return what a manifest says of it: see `manifest_target`."""
        facts = {"kind": self.kind, "size": self.size}
        if self.mean is not None:
            facts.update(mean=list(self.mean), deviation=list(self.deviation))
        return facts


def check_kind(kind):
    """Refuse (InputError) a kind of targets that is unknown."""
    if kind not in KINDS:
        raise InputError(f"targets: expected one of {', '.join(KINDS)}, received target={kind!r}; "
                         f"{nearest(str(kind), KINDS)}")


def manifest_target(manifest):
    """Return the TargetSpec a manifest names, None of a network of one-of-N classes or a manifest that names none.

    Parameters
    ----------
    manifest : dict

    Raises
    ------
    InputError
        Its ``target`` is not what mxft writes.
    """
    facts = manifest.get("target")
    if facts is None:
        return None
    try:
        units = {name: tuple(map(float, facts[name])) for name in ("mean", "deviation") if name in facts}
        if not np.isfinite(sum(units.values(), ())).all() or min(units.get("deviation", (1,))) <= 0:
            raise ValueError("a mean that is not finite, or a deviation that is not above 0")
        if not 0 < int(facts["size"]) <= MOST_OUTPUTS:
            raise ValueError(f"a size that is not from 1 to {MOST_OUTPUTS}")
        return TargetSpec(facts["kind"], int(facts["size"]), tuple(manifest.get("classes") or ()) or None, **units)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"manifest cannot be read: expected kind and size as target, received target={facts!r} "
                         f"({error})") from None


def target_of(scan, kind=CLASSES, names=None, size=None):
    """Return the TargetSpec of training records.

    Parameters
    ----------
    scan : mxft.data.labels.LabelScan or str
        Of the training records.
    kind : {"multi-label", "regression"}
    names : sequence of str, optional
    size : int, optional
        Outputs; as many as a record has numbers when None.

    Returns
    -------
    TargetSpec
        Of regression with the numbers' mean and standard deviation.

    Raises
    ------
    InputError
        Labels that are not of this kind, not of this size, or the same in all records.

    Notes
    -----
    It is for labels and numbers; classes are counted by `mxft.training.preparation`.
    """
    scan = scan if isinstance(scan, LabelScan) else scan_labels(scan)
    labels = label_matrix(scan)
    names = tuple(names) if names else None
    target = TargetSpec(kind, size or (len(names) if names else labels.shape[1]), names)
    check_target(scan, target)
    constant = np.flatnonzero(labels.min(axis=0) == labels.max(axis=0))
    if kind == REGRESSION and len(constant) or len(constant) == labels.shape[1]:
        which = target.output_names[int(constant[0])]
        raise InputError(f"nothing to learn: expected labels that differ in {scan.path}, received {which}="
                         f"{labels[0, int(constant[0])]:g} in every record")
    if kind != REGRESSION:
        return target
    values = labels.astype(np.float64)
    return dataclasses.replace(target, mean=tuple(map(float, values.mean(axis=0))),
                               deviation=tuple(map(float, values.std(axis=0))))


def check_target(scan, target):
    """Refuse records whose labels are not what a target takes.

    Parameters
    ----------
    scan : mxft.data.labels.LabelScan or str
    target : TargetSpec

    Returns
    -------
    LabelScan

    Raises
    ------
    InputError
        Another number of labels a record, labels that are not 0 or 1 (multi-label), numbers that are not finite
        (regression), class numbers out of range (classes): the first such record, and what to do.
    """
    scan = scan if isinstance(scan, LabelScan) else scan_labels(scan)
    if target.kind == CLASSES:
        return check_labels(scan, target.size)
    if not len(scan.ids):
        raise InputError(f"no records: expected at least one, received {scan.path} with none; "
                         "pack it again with mxft im2rec")
    labels = label_matrix(scan)
    if labels.shape[1] != target.size:
        raise InputError(f"labels of another kind in {scan.path}: expected {target.describe()}, received "
                         f"{labels.shape[1]} in each record; mxft split --labels TABLE --{target.kind} PICTURES "
                         "PREFIX makes such records, and mxft im2rec --pack-label PREFIX ROOT packs all labels of a "
                         "list")
    good = np.isin(labels, (0, 1)) if target.kind == MULTI_LABEL else np.isfinite(labels)
    wrong = np.argwhere(~good)
    if len(wrong):
        row, column = map(int, wrong[0])
        expected = "0 or 1 for each label" if target.kind == MULTI_LABEL else "finite numbers"
        cure = ("; they look like one class each, which is trained without `multi_label`"
                if target.kind == MULTI_LABEL and labels.shape[1] == 1 else "")
        raise InputError(f"bad label in {scan.path}: expected {expected}, received "
                         f"{target.output_names[column]}={labels[row, column]:g} in record {row} (id {scan.ids[row]}); "
                         f"{len(np.unique(wrong[:, 0]))} of {len(labels)} records have such{cure}")
    return scan


def label_matrix(scan):
    """Return the labels of a scan, float32 ``(N, L)``."""
    return scan.labels.reshape(len(scan.ids), -1) if len(scan.ids) else np.zeros((0, 1), np.float32)
