"""Explain a .rec, .idx, .bin or property, or a folder of them, and say in plain sentences what contradicts what."""
import os

from mxft.data.recordio import read_index
from mxft.errors import InputError, MissingFileError, nearest
from mxft.faces.data.set_files import read_property
from mxft.faces.inspection.facts import Inspection
from mxft.faces.inspection.pairs import inspect_pairs
from mxft.faces.inspection.sets import inspect_set
from mxft.files.whole import require_file


def inspect_path(path, decode_all=False, num_thread=1, show=None):
    """Explain one file, or every record file and verification set in a folder.

    Parameters
    ----------
    path : str
        A ``.rec``, ``.idx``, ``.bin`` or ``property`` file, or a folder with such files. A ``.rec`` is explained
        together with the ``.idx`` beside it, ``train.rec`` also with ``property`` and ``identities.txt``.
    decode_all : bool
        Decode every image; by default a sample. The structure of JPEG and PNG files is looked at in any case.
    num_thread : int
        Images decoded at a time.
    show : bool, optional
        False: no progress on stderr.

    Returns
    -------
    list of Inspection

    Raises
    ------
    InputError
        Nothing there that can be explained. What is damaged is no error: it is explained.

    Examples
    --------
    >>> from mxft.data.recordio import IRHeader, RecordWriter, pack
    >>> with RecordWriter("/tmp/mxft-example.rec", "/tmp/mxft-example.idx") as writer:
    ...     _ = writer.write(pack(IRHeader(0, 1.0, 7, 0), b"text"), key=7)
    >>> found, = inspect_path("/tmp/mxft-example.rec", show=False)
    >>> found.problems  # doctest: +NORMALIZE_WHITESPACE
    ['1 of 1 images cannot be decoded, the first with key 7 (record 0 at byte 0):
      not an image, or too damaged to decode']
    """
    path = os.fspath(path)
    if not os.path.isdir(path):
        return [_inspect_file(require_file(path, "file to explain"), decode_all, num_thread, show)]
    names = sorted(os.listdir(path))
    stems = {os.path.splitext(name)[0] for name in names if name.endswith(".rec")}
    wanted = [name for name in names if name.endswith((".rec", ".bin"))
              or (name.endswith(".idx") and name[:-4] not in stems)
              or (name == "property" and "train" not in stems)]
    if not wanted:
        raise MissingFileError(f"nothing to explain in {path}: expected .rec, .idx, .bin or property in it, received "
                               f"{len(names)} other entries; {nearest('train.rec', names)}")
    return [_inspect_file(os.path.join(path, name), decode_all, num_thread, show) for name in wanted]


def _inspect_file(path, decode_all, num_thread, show):
    stem, extension = os.path.splitext(path)
    if os.path.basename(path) == "property":
        return _inspect_property(path, decode_all, num_thread, show)
    if extension == ".bin":
        return inspect_pairs(path)
    if extension == ".idx":
        return _inspect_index(path, decode_all, num_thread, show)
    if extension == ".rec":
        return inspect_set(path, decode_all, num_thread, show)
    raise InputError(f"cannot explain {path}: expected a .rec, .idx, .bin or property file, or a folder of them, "
                     f"received {os.path.basename(path)!r}")


def _inspect_property(path, decode_all, num_thread, show):
    rec = os.path.join(os.path.dirname(path), "train.rec")
    if os.path.isfile(rec):
        return _inspect_file(rec, decode_all, num_thread, show)
    found = Inspection(path, "property of a training set", problems=[f"{rec} is missing: property describes it"])
    try:
        classes, height, width = read_property(path)
        found.facts.append(("property", f"{classes} classes, images of {height} x {width} pixels"))
        found.numbers.update(num_classes=classes, image_size=[height, width])
    except InputError as error:
        found.problems.append(str(error))
    return found


def _inspect_index(path, decode_all, num_thread, show):
    rec = os.path.splitext(path)[0] + ".rec"
    if os.path.isfile(rec):
        return _inspect_file(rec, decode_all, num_thread, show)
    found = Inspection(path, "index of a record file", problems=[f"{rec} is missing: its records are what is indexed"])
    try:
        index = read_index(path)
        found.facts.append(("records", f"{len(index)} keys" + (f" from {min(index)} to {max(index)}" if index else "")))
        found.numbers["keys"] = len(index)
    except InputError as error:
        found.problems.append(str(error))
    return found
