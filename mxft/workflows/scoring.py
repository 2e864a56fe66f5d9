"""What a checkpoint is scored on, as records: a record file, a face set, or pictures packed as its training ones."""
import collections
import contextlib
import logging
import os

from mxft.data.lists import write_list
from mxft.data.packing import pack_list
from mxft.data.photographs import PhotographList, reads_directly
from mxft.data.picture_files import found_path
from mxft.data.pictures import open_pictures
from mxft.data.target_spec import manifest_target
from mxft.errors import InputError
from mxft.evaluation.packing import folder_packing
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.plain_records import is_face_set, write_plain_records
from mxft.files.staging import scratch_folder

LOG = logging.getLogger("mxft")


@contextlib.contextmanager
def scored_records(source, checkpoint, spec, labels=None, resize=None, threads=None):
    """Give a record file with one label a record of what is to be scored.

    Parameters
    ----------
    source : str
        A ``.rec`` file, a face set, or pictures as `mxft.data.pictures.open_pictures` takes them: those for validation
        where they are divided. Their class is found by its name.
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    labels : str, optional
        Of pictures: the table of their labels.
    resize : int, optional
        Short side pictures are packed at; as those of training when None.
    threads : int, optional

    Yields
    ------
    str or mxft.data.photographs.PhotographList
        The path: of a ``.rec`` file its own, else of a temporary one, of pictures with a list of their paths beside it.
        Pictures that lose nothing in packing are not packed.

    Raises
    ------
    InputError
        Pictures for a checkpoint that names no classes, or labels beside records.
    """
    path = os.path.expanduser(os.fspath(source))
    face_set = is_face_set(path)
    if labels and (path.endswith(".rec") or face_set):
        raise InputError(f"`labels`: expected pictures, received the records {source}")
    if path.endswith(".rec") and not face_set:
        yield path
        return
    found = None if face_set else _pictures(path, checkpoint, spec, labels, resize)
    if found and reads_directly(found.packing, spec):
        photographs = PhotographList(found.rows, found.root, found.packing, found.several)
        yield photographs
        _say_bad(photographs.opened.bad if photographs.opened else (), found.root)
        return
    with scratch_folder("score") as scratch:
        prefix = os.path.join(scratch, "images")
        if face_set:
            write_plain_records(read_face_set(path), prefix + ".rec")
        else:
            write_list(prefix + ".lst", found.rows)
            packed = pack_list(prefix + ".lst", found.root, num_thread=threads or os.cpu_count() or 1,
                               pack_label=found.several, **found.packing)
            _say_bad(packed.bad, found.root)
        yield prefix + ".rec"


_Found = collections.namedtuple("_Found", ["rows", "root", "packing", "several"])


def _say_bad(rows, root):
    for bad in rows:
        LOG.warning(f"left out {os.path.relpath(bad.row.path, root)}: {bad.reason}")


def _pictures(path, checkpoint, spec, labels, resize):
    """Return the pictures under a path, labels by the checkpoint's class names, and what they go through."""
    if not checkpoint.classes:
        raise InputError(f"classes are not known: expected a manifest that names them, to score pictures by, received "
                         f"{checkpoint.name} without; score a .rec, whose labels are numbers (mxft split makes one)")
    target = manifest_target(checkpoint.manifest)
    pictures = open_pictures(path, target and target.kind, labels, names=checkpoint.classes)
    pictures.require_labels()
    LOG.warning(pictures.describe() + ("; those for validation are scored" if pictures.val else ""))
    packing = {**folder_packing(checkpoint, spec), **({"resize": resize} if resize else {})}
    root = os.path.abspath(pictures.root)
    rows = [row._replace(path=os.path.join(root, found_path(root, row.path) or row.path))
            for row in pictures.val or pictures.rows]
    return _Found(rows, root, packing, bool(target))
