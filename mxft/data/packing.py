"""From an image list and a folder of photographs to ``.rec`` and ``.idx``; follows MXNet's tools/im2rec.py."""
import collections
import concurrent.futures
import contextlib
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import Optional

from mxft.compat import load_cv2
from mxft.data.folders import require_root
from mxft.data.images import BadImage, prepare
from mxft.data.lists import check_list, iter_list
from mxft.data.picture_files import found_path
from mxft.data.progress import progress
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import InputError, MxftError, RunError
from mxft.files.whole import whole_file
from mxft.machine.quiet import quiet_native
from mxft.network.image_options import ImageOptions
from mxft.wording import plural

WINDOW = 8  # images in flight for each thread: enough that none waits, and memory does not grow with the list

BadRow = collections.namedtuple("BadRow", ["row", "reason"])


@dataclass(frozen=True)
class PackResult:
    """What `pack_list` did.

    Attributes
    ----------
    rec, idx : str
        The files written.
    bad_path : str or None
        The list of images left out, where there are any.
    packed, classes, bytes : int
        Records, different (first) labels among them (0 where one is no whole number), and bytes of the ``.rec`` file.
    bad : list of BadRow
        The rows left out, each with its reason.
    seconds : float
    label_width : int
        Numbers packed as the label of each record.
    of_classes : bool or None
        Whether the labels are classes; None where the list does not say.
    listed_width : int
        Numbers of a row in the list, of which `label_width` were packed.
    """

    rec: str
    idx: str
    bad_path: str
    packed: int
    classes: int
    bytes: int
    bad: list
    seconds: float
    label_width: int = 1
    of_classes: Optional[bool] = None
    listed_width: int = 1

    def __str__(self):
        guess = self.classes and (2 * self.classes <= self.packed or self.packed < 20)  # 67 of 72 are ages
        what = (f"{self.label_width} labels each" if self.label_width > 1 else
                plural(self.classes, "class", "classes") if (guess if self.of_classes is None else self.of_classes) else
                "a number each" if self.of_classes is False or not self.classes else
                plural(self.classes, "different label"))
        text = (f"packed {self.packed} images of {what} into {self.rec} "
                f"({self.bytes / 1e6:.1f} MB, {self.packed / max(self.seconds, 1e-9):.0f} images/s)")
        if self.listed_width > self.label_width:
            text += f"; of {self.listed_width} labels a row the first alone, `pack_label` packs all"
        return text + (f"; {len(self.bad)} left out, listed in {self.bad_path}" if self.bad else "")


def pack_list(list_path, root, prefix=None, num_thread=1, pack_label=False, strict=False, show=None, **image_options):
    """Pack the images of a list into ``PREFIX.rec`` and ``PREFIX.idx``.

    Parameters
    ----------
    list_path, root : str
        A ``.lst`` file, and the folder its paths are relative to.
    prefix : str, optional
        Of the files to write; by default the list's own name without ``.lst``.
    num_thread : int
        Images decoded and encoded at a time. The files are the same bytes for any number.
    pack_label : bool
        Pack all labels of a row; otherwise the first.
    strict : bool
        Refuse the whole list for one bad image.
    show : bool, optional
        False: no progress on stderr.
    **image_options
        `resize`, `center_crop`, `quality`, `color`, `encoding`, `pass_through`, `interp`: see ImageOptions.

    Returns
    -------
    PackResult

    Raises
    ------
    InputError
        A bad option or list row, before anything is read; no image that can be packed; with `strict`, any that cannot.
        The ``.rec`` and ``.idx`` that stood there before are then untouched.
    RunError
        The files cannot be written to the end (a full disk).

    Notes
    -----
    Every image is decoded before it is packed, also with `pass_through`. One that is missing, empty, cut short or no
    image is left out and listed with its reason in ``PREFIX.bad.tsv``.

    Examples
    --------
    >>> import cv2, numpy as np
    >>> from mxft.data.lists import Row, write_list
    >>> _ = cv2.imwrite("/tmp/mxft-example.png", np.zeros((40, 60, 3), np.uint8))
    >>> write_list("/tmp/mxft-example.lst", [Row(0, (1.0,), "mxft-example.png")])
    >>> pack_list("/tmp/mxft-example.lst", "/tmp", resize=32, show=False).packed
    1
    """
    began = time.monotonic()
    options = ImageOptions(**image_options)
    if num_thread < 1:
        raise InputError(f"cannot pack: expected `num_thread` of 1 or more, received num_thread={num_thread}")
    total = check_list(list_path)
    require_root(root)
    prefix = os.fspath(prefix or os.path.splitext(list_path)[0])
    rec, idx, bad_path = prefix + ".rec", prefix + ".idx", prefix + ".bad.tsv"
    make = partial(_make_record, root=root, options=options, pack_label=pack_label)
    with stopped_when_full(rec), one_opencv_thread(), quiet_native(), \
            RecordWriter(rec, idx) as writer, progress(total, f"packing {os.path.basename(rec)}", show=show) as advance:
        bad, labels, width = _write_records(writer, ordered_map(make, iter_list(list_path), num_thread), advance)
        write_bad_rows(bad_path, bad)
        require_some(bad, total, strict, list_path, bad_path)
    classes = len(labels) if all(label == int(label) for label in labels) else 0
    return PackResult(rec, idx, bad_path if bad else None, total - len(bad), classes, writer.offset, bad,
                      time.monotonic() - began, width if pack_label else 1, listed_width=width)


def _write_records(writer, made, advance):
    """Write what `_make_record` made; return the bad rows, the set of first labels written and labels a row."""
    bad, labels, width = [], set(), 1
    for row, data, reason in made:
        if data is None:
            bad.append(BadRow(row, reason))
        else:
            writer.write(data, key=row.index)
            labels.add(row.labels[0])
            width = max(width, len(row.labels))
        advance()
    return bad, labels, width


def _make_record(row, root, options, pack_label):
    """Return (row, record bytes, None), or (row, None, reason) for an image that cannot be packed."""
    try:
        payload = prepare(read_image(os.path.join(root, found_path(root, row.path) or row.path)), options)
    except BadImage as error:
        return row, None, str(error)
    label = row.labels if pack_label and len(row.labels) > 1 else row.labels[0]
    return row, pack(IRHeader(0, label, row.index, 0), payload), None


def read_image(path):
    """Return the bytes of an image file; a BadImage says in what way there are none."""
    try:
        if not os.path.isfile(path):
            raise BadImage("not a file" if os.path.exists(path) else "missing")
        with open(path, "rb") as f:
            return f.read()
    except OSError as error:
        raise BadImage(f"cannot be read: {(error.strerror or str(error)).lower()}") from None


def ordered_map(function, items, num_thread, ahead=0):
    """Map `function` over `items` on threads, yielding results in order with a bounded number in flight.

    So many are `WINDOW` for each thread, or `ahead` where that is more: of a reader that stops now and then.

    Threads and not processes: OpenCV lets go of the interpreter lock while it decodes, resizes and encodes, and no
    image is copied from one process to another. Fewer threads than one are refused (InputError).
    """
    if num_thread < 1:
        raise InputError(f"threads: expected a number from 1 on, received {num_thread}")
    if num_thread == 1:
        yield from map(function, items)
        return
    with concurrent.futures.ThreadPoolExecutor(num_thread) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= max(ahead, WINDOW * num_thread):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def one_opencv_thread():
    """Run OpenCV without its own threads, so that `--num-thread` alone says how many cores are busy."""
    cv2 = load_cv2()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextlib.contextmanager
def stopped_when_full(rec):
    """Turn an OSError while the record files are written into a RunError; images report their own."""
    try:
        yield
    except MxftError:
        raise
    except OSError as error:
        raise RunError(f"packing stopped: expected room for {rec}, received {(error.strerror or str(error)).lower()}; "
                       "no part of it was left behind") from None


def write_bad_rows(path, bad):
    """Write the rows left out, a list of BadRow, or remove the list of an earlier run where there are none."""
    if not bad:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    with whole_file(path) as f:
        f.write(b"index\tlabel\tpath\treason\n")
        for row, reason in bad:
            label = ",".join(f"{label:g}" for label in row.labels)
            f.write(f"{row.index}\t{label}\t{row.path}\t{reason}\n".encode("utf-8", "surrogateescape"))


def require_some(bad, total, strict, list_path, bad_path):
    """Refuse (InputError) a list none of whose pictures can be read or, with `strict`, one that cannot.

    Parameters
    ----------
    bad : list of BadRow
    total : int
        Rows of the list.
    strict : bool
    list_path, bad_path : str
        The list, and where its bad rows are listed.
    """
    if not bad or not (strict or len(bad) == total):
        return
    row, reason = bad[0]
    expected = "every image to be whole (`strict`)" if strict else "at least one image that can be packed"
    advice = "repair or remove them" if len(bad) < total else "is the image folder the one the list was made from?"
    raise InputError(f"nothing packed from {list_path}: expected {expected}, received {len(bad)} bad of {total}, the "
                     f"first index={row.index} path={row.path!r}: {reason}; all are in {bad_path}; {advice}")
