"""Which records of a file each of several workers reads: each record one worker's, every worker as many batches."""
import dataclasses
import os

import numpy as np

from mxft.errors import InputError

_ALIGNED = 4  # bytes: records begin there


@dataclasses.dataclass(frozen=True)
class Share:
    """One worker's part of a record file.

    Parameters
    ----------
    index, count : int
        Which of how many parts.
    num_records : int
        In this part.
    most_records : int
        In the largest part: what every worker's epoch is as long as.
    """

    index: int
    count: int
    num_records: int
    most_records: int

    def iterator_arguments(self):
        """Return ImageRecordIter's arguments of the part."""
        return {"num_parts": self.count, "part_index": self.index}


def share_records(path, offsets, index, count):
    """Return the Share MXNet gives part `index` of `count`.

    Parameters
    ----------
    path : str
        A ``.rec`` file.
    offsets : int64 array, shape (N,)
        Where its records begin, as `mxft.data.labels.scan_labels` finds them.
    index, count : int

    Returns
    -------
    Share

    Raises
    ------
    InputError
        A part gets no record.

    Notes
    -----
    dmlc-core (src/io/input_split_base.cc, ResetPartition) cuts the file into parts of equal bytes and gives a record to
    the part it begins in; so the parts differ by a few records.

    Examples
    --------
    >>> share_records("train.rec", scan.offsets, 1, 2).num_records     # doctest: +SKIP
    1538
    """
    size = os.path.getsize(path)
    step = -(-size // count)
    step = -(-step // _ALIGNED) * _ALIGNED
    sizes = np.bincount(np.asarray(offsets, np.int64) // step, minlength=count)
    if sizes.min() < 1:
        raise InputError(f"records cannot be shared: expected at least one for each of {count} workers, received "
                         f"{len(offsets)} records in {path}, of which worker {int(sizes.argmin())} gets none; start "
                         "fewer workers")
    return Share(index, count, int(sizes[index]), int(sizes.max()))
