"""Turn records and verification sets back into image files: the inverse of face-pack, im2rec and pairs-pack."""
import contextlib
import os
import shlex
from dataclasses import dataclass

import numpy as np

from mxft.data.classes import read_classes, write_classes
from mxft.data.lists import Row, write_list
from mxft.data.progress import progress
from mxft.data.recordio import RecordReader, read_index
from mxft.errors import InputError, MissingFileError, nearest
from mxft.faces.data.sources import NAMES
from mxft.files.staging import whole_folder
from mxft.files.whole import require_file, require_folder, require_space, whole_file

_SIGNATURES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"BM", ".bmp"), (b"RIFF", ".webp"))


@dataclass(frozen=True)
class UnpackResult:
    """What `unpack` wrote.

    Attributes
    ----------
    folder : str
    images, folders : int
        Files, and folders they are in.
    list_path : str
        The list from which they can be packed again.
    again : str
        The command that does so.
    """

    folder: str
    images: int
    folders: int
    list_path: str
    again: str

    def __str__(self):
        return (f"unpacked {self.images} images in {self.folders} folders into {self.folder}, listed in "
                f"{self.list_path}; {self.again} packs them again")


def unpack(path, folder, names_path=None, show=None):
    """Write the images of a record file or a verification set as files, their bytes unchanged.

    Parameters
    ----------
    path : str
        A ``.rec`` file, a folder with ``train.rec``, or a ``.bin`` file.
    folder : str
        Must not exist, or be empty. It appears whole or not at all.
    names_path : str, optional
        Names of the labels, one a line. By default ``identities.txt`` beside ``train.rec``, or the ``.classes.txt``
        beside another ``.rec``, where they are there; a label without a name is its folder's name itself.
    show : bool, optional
        False: no progress on stderr.

    Returns
    -------
    UnpackResult

    Raises
    ------
    InputError
        Nothing to unpack, damage, a folder that is not empty, a name that leads out of the folder.

    Notes
    -----
    Records become ``NAME/KEY.jpg`` (or .png …, by what they hold), with the key padded so that names sort as keys do.
    Beside them stands ``train.lst`` with ``identities.txt``, or an im2rec list for records without a header record.
    A verification set becomes ``images/NUMBER.jpg`` and ``pairs.txt``. The images are not decoded.

    Examples
    --------
    >>> unpack("faces/train.rec", "people").images                                        # doctest: +SKIP
    4800
    """
    path, target = os.fspath(path), os.path.realpath(folder)
    _require_free(folder)
    if os.path.isdir(path):
        path = _train_rec(path)
    path = require_file(path, "file to unpack")
    require_space(os.path.getsize(path), require_folder(os.path.dirname(target)), "to unpack")
    work = _unpack_pairs if path.endswith(".bin") else _unpack_records
    with whole_folder(target) as staging:
        return work(path, staging, os.fspath(folder), names_path, show)


def _require_free(folder):
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise InputError(f"cannot unpack: expected a folder that is new or empty, received {folder}, a file")
    if os.path.isdir(folder) and os.listdir(folder):
        raise InputError(f"cannot unpack: expected a folder that is new or empty, received {folder} with "
                         f"{len(os.listdir(folder))} entries; choose another")


def _train_rec(folder):
    path = os.path.join(folder, "train.rec")
    if not os.path.isfile(path):
        there = sorted(name for name in os.listdir(folder) if name.endswith((".rec", ".bin")))
        raise MissingFileError(f"nothing to unpack in {folder}: expected train.rec, received {len(there)} other .rec "
                               f"and .bin files; {nearest('train.rec', there)}")
    return path


def _unpack_records(path, staging, folder, names_path, show):
    with RecordReader(path) as reader:
        keys, bounds = _scan(reader)
        if bounds.all():
            raise InputError(f"nothing to unpack: expected images, received {path} with {len(keys)} records and none")
        names = _names(path, names_path)
        width, rows, folders = len(str(keys[~bounds].max())), [], set()
        with progress(int((~bounds).sum()), f"unpacking {os.path.basename(path)}", show=show) as advance:
            for record, key in ((r, int(keys[r.number])) for r in reader if not bounds[r.number]):
                labels = tuple(np.atleast_1d(record.header.label).tolist())
                name = f"{_folder_name(labels[0], names)}/{key:0{width}d}{_extension(record.payload)}"
                folders.add(_write(staging, name, record.payload))
                rows.append(Row(key, labels, name))
                advance()
    if bounds.any():
        list_name, again = "train.lst", _command("face-pack", f"{folder}/train.lst", "OUT_DIR", "--root", folder)
        _write_aligned_list(os.path.join(staging, list_name), rows)
        if names:
            write_classes(os.path.join(staging, NAMES), names)
    else:
        stem = os.path.splitext(os.path.basename(path))[0]
        list_name, again = stem + ".lst", _command("im2rec", "--pass-through", f"{folder}/{stem}", folder)
        write_list(os.path.join(staging, list_name), rows)
    return UnpackResult(folder, len(rows), len(folders), os.path.join(folder, list_name), again)


def _scan(reader):
    """Return the key of each record, and whether it is a header or identity record, as arrays of shape (N,).

    The key is that of the index; without one, or with one of another file, the id in the record's header; and its
    number where ids stand twice.
    """
    headers = [(offset, header.id, header.flag == 2 and not length) for _, offset, header, length in reader.headers()]
    bounds = np.array([bound for _, _, bound in headers], bool)
    index = {}
    with contextlib.suppress(InputError):
        index = {offset: key for key, offset in read_index(reader.idx_path).items()}
    for keys in ([index.get(offset, -1) for offset, _, _ in headers], [key for _, key, _ in headers]):
        if len(set(keys)) == len(keys) and min(keys, default=-1) >= 0:
            return np.array(keys, np.uint64), bounds
    return np.arange(len(headers), dtype=np.uint64), bounds


def _names(path, names_path):
    """Return the names of the labels, refusing one that is no path into a folder; None where there are none."""
    stem, given = os.path.splitext(path)[0], names_path is not None
    if not given:
        names_path = (os.path.join(os.path.dirname(path), NAMES) if os.path.basename(path) == "train.rec"
                      else stem + ".classes.txt")
    if not given and not os.path.isfile(names_path):
        return None
    names = read_classes(names_path)
    for number, name in enumerate(names, 1):
        parts = name.split("/")
        if any(part.strip() in ("", ".", "..") for part in parts) or any(mark in name for mark in "\0\t\\") or (
                parts[0].endswith((".lst", ".txt"))):
            raise InputError(f"name is no folder to unpack into: expected one inside the folder in {names_path}, line "
                             f"{number}, received {name!r}; correct it, or give other names with `names`")
    return names


def _folder_name(label, names):
    if not float(label).is_integer():
        return f"{label:g}"
    return names[int(label)] if names and 0 <= label < len(names) else str(int(label))


def _extension(payload):
    return next((extension for signature, extension in _SIGNATURES if payload.startswith(signature)), ".dat")


def _write(staging, name, payload):
    """Write one file below `staging` and return its folder; a file that is there already is not written again."""
    path = os.path.join(staging, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as f:
        f.write(payload)
    return os.path.dirname(path)


def _write_aligned_list(path, rows):
    with whole_file(path) as f:
        for row in rows:
            f.write(f"1\t{row.path}\t{row.labels[0]:.15g}\n".encode("utf-8", "surrogateescape"))


def _unpack_pairs(path, staging, folder, names_path, show):
    from mxft.faces.pairs.bin_file import load_pairs

    if names_path is not None:
        raise InputError(f"no labels to name: expected a .rec with `names`, received {path}")
    pairs = load_pairs(path)
    width, names = len(str(len(pairs.images) - 1)), []
    with progress(len(pairs.images), f"unpacking {os.path.basename(path)}", show=show) as advance:
        for number, image in enumerate(pairs.images):
            names.append(f"images/{number:0{width}d}{_extension(image)}")
            _write(staging, names[-1], image)
            advance()
    with whole_file(os.path.join(staging, "pairs.txt"), "w") as f:
        for number, same in enumerate(pairs.issame):
            f.write(f"{names[2 * number]}\t{names[2 * number + 1]}\t{int(same)}\n")
    return UnpackResult(folder, len(names), 1, os.path.join(folder, "pairs.txt"),
                        _command("pairs-pack", f"{folder}/pairs.txt", folder, "OUT.bin"))


def _command(*words):
    return "mxft " + shlex.join(words)
