"""The labels of a record file, scanned without decoding an image and checked against a number of classes.

MXNet itself never looks: SoftmaxOutput takes a label outside [0, N) without a word, and the loss becomes NaN or the
class is never learnt (the fine-tune tutorial trained 256 outputs on 257 labels).
"""
import os
from dataclasses import dataclass

import numpy as np

from mxft.data.recordio import RecordReader
from mxft.errors import InputError
from mxft.wording import BriefRepr


@dataclass(frozen=True, repr=False)
class LabelScan(BriefRepr):
    """What the headers of a record file say.

    Attributes
    ----------
    path : str
    ids : uint64 array, shape (N,)
    labels : float32 array, shape (N,), or (N, L) where each record carries L > 1 labels
    offsets, lengths : int64 arrays, shape (N,)
        Byte offset of each record, and bytes of payload after its header.
    """

    path: str
    ids: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray

    @property
    def first(self):
        """The first label of each record, float32 ``(N,)``: the class."""
        return self.labels.reshape(len(self.ids), -1)[:, 0] if len(self.ids) else np.zeros(0, np.float32)


def scan_labels(path):
    """Read every header of a record file, seeking over the payloads.

    Parameters
    ----------
    path : str
        A ``.rec`` file.

    Returns
    -------
    LabelScan

    Raises
    ------
    InputError
        Damage, or records that carry different numbers of labels.

    Notes
    -----
    It does not look at images. A face record file, whose rows of identities carry other label counts than its
    images, is read with ``RecordReader.headers``.

    Examples
    --------
    >>> from mxft.data.recordio import IRHeader, RecordWriter, pack
    >>> with RecordWriter("/tmp/mxft-example.rec") as writer:
    ...     _ = [writer.write(pack(IRHeader(0, label, label, 0), b"image")) for label in (0, 1, 2)]
    >>> scan_labels("/tmp/mxft-example.rec").labels
    array([0., 1., 2.], dtype=float32)
    """
    ids, labels, offsets, lengths = [], [], [], []
    with RecordReader(path) as reader:
        for number, offset, header, length in reader.headers():
            label = header.label if header.flag > 1 else float(np.squeeze(header.label))
            if labels and np.shape(label) != np.shape(labels[0]):
                raise InputError(f"label counts differ in {path}: expected {np.size(labels[0])} labels as in record 0, "
                                 f"received {np.size(label)} in record {number} (id {header.id}) at byte {offset}")
            ids.append(header.id)
            labels.append(label)
            offsets.append(offset)
            lengths.append(length)
    return LabelScan(os.fspath(path), np.array(ids, np.uint64), np.array(labels, np.float32),
                     np.array(offsets, np.int64), np.array(lengths, np.int64))


def check_labels(scan, num_classes, advice=None):
    """Refuse a record file in which a label is not a whole number in [0, num_classes).

    Parameters
    ----------
    scan : LabelScan or str
        A scan, or the path of a record file to scan. Of several labels the first is checked, the one MXNet's
        iterator takes for a class.
    num_classes : int
        The number of outputs the network has or will have.
    advice : str, optional
        What to do about a label that is too large, where ``--num-classes`` is not to be had.

    Returns
    -------
    LabelScan
        The scan, so that its counts can be used.

    Raises
    ------
    InputError
        No records, or a negative, fractional, non-finite or too large label: the first such record, how many there
        are, and what to do.
    """
    if not isinstance(scan, LabelScan):
        scan = scan_labels(scan)
    if not len(scan.ids):
        raise InputError(f"no records: expected at least one, received {scan.path} with none; "
                         "pack it again with mxft im2rec")
    first = scan.labels.reshape(len(scan.ids), -1)[:, 0]
    whole = np.isfinite(first) & (np.floor(first) == first) & (first >= 0)
    wrong = np.flatnonzero(~(whole & (first < num_classes)))
    if not len(wrong):
        return scan
    at = int(wrong[0])
    raise InputError(
        f"label out of range in {scan.path}: expected whole numbers in [0, {num_classes}), received "
        f"label={first[at]:g} in record {at} (id {scan.ids[at]}); {len(wrong)} of {len(first)} records are outside; "
        f"{advice or _advice(first, whole)}")


def _advice(labels, whole):
    """Return the nearest way out: more classes where the labels are class numbers, a new list where they are not."""
    if whole.all():
        return (f"--num-classes {int(labels.max()) + 1} takes them all, or pack without the surplus class "
                "(mxft im2rec --list --recursive --exclude NAME PREFIX ROOT)")
    return "they are not class numbers: make the list again with mxft im2rec --list --recursive PREFIX ROOT"


def copy_records(scan, numbers, path):
    """Write some of the records of a scanned file to another, as they are.

    Parameters
    ----------
    scan : LabelScan
    numbers : sequence of int
        Of the records, in the order they are to have.
    path : str
    """
    ends = np.append(scan.offsets[1:], os.path.getsize(scan.path))
    with open(scan.path, "rb") as f, open(path, "wb") as out:
        for number in numbers:
            f.seek(int(scan.offsets[number]))
            out.write(f.read(int(ends[number] - scan.offsets[number])))
