"""A folder of photographs to a folder of aligned faces, in the same folders and under the same names.

Follows insightface's src/align/align_lfw.py and its kin, which wrote a crop whether or not there was a face.
"""
import dataclasses
import os
import re
import time
from collections import Counter
from functools import partial
from hashlib import sha256

from mxft.data.images import BadImage
from mxft.data.packing import one_opencv_thread, ordered_map, read_image
from mxft.data.picture_folders import require_pictures
from mxft.data.pictures import is_archive, unpacked_folder
from mxft.data.progress import progress
from mxft.errors import InputError, RunError
from mxft.faces.align.journal import Journal, remove_crops
from mxft.faces.align.picture import AlignedPicture, align_picture, encoded
from mxft.files.whole import require_file, require_folder, whole_file
from mxft.machine.quiet import quiet_native
from mxft.wording import plural

NOTES = "notes.tsv"


@dataclasses.dataclass(frozen=True)
class AlignResult:
    """What `align_folder` did.

    Parameters
    ----------
    folder : str
        Of the crops, with ``aligned.jsonl``: box, score and landmarks of each.
    pictures, faces : int
        Pictures that were looked at, and crops that were written.
    without, unreadable, several : int
        Pictures without a face, that cannot be read, and with more than one face.
    done_before : int
        Of the pictures, those that an earlier call had done.
    notes_path : str or None
        ``notes.tsv``: the pictures without a face, that cannot be read or have several, each with the reason.
    size : (H, W)
    seconds : float
    """

    folder: str
    pictures: int
    faces: int
    without: int
    unreadable: int
    several: int
    done_before: int
    notes_path: str
    size: tuple
    seconds: float

    def __str__(self):
        fresh = self.pictures - self.done_before
        rate = f", {fresh / max(self.seconds, 1e-9):.1f} pictures/s" if fresh else ""
        before = f"; {plural(self.done_before, 'picture')} done before" if self.done_before else ""
        text = (f"aligned {plural(self.faces, 'face')} of {plural(self.pictures, 'picture')} into "
                f"{self.folder} ({self.size[0]} x {self.size[1]}{rate}){before}")
        counted = [f"{number} {what}" for number, what in ((self.without, "without a face"),
                                                           (self.unreadable, "that cannot be read"),
                                                           (self.several, "with several faces")) if number]
        return text + (f"\n{', '.join(counted)}: listed in {self.notes_path}" if counted else "")


def align_folder(source, folder, finder, options, num_thread=None, force=False, show=None):
    """Find and align the faces of pictures.

    Parameters
    ----------
    source : str
        A folder of any depth, a tar or zip of one, or one picture. With a `finder` that knows its pictures (a
        `mxft.faces.align.landmark_list.ListedFaces`), the folder they lie in.
    folder : str
        To write to, new or empty; or one in which an earlier call with the same settings was stopped or to which
        pictures have come: what is done is not done again.
    finder : callable
        See `mxft.faces.align.picture.align_picture`.
    options : mxft.faces.align.options.AlignOptions
    num_thread : int, optional
        Pictures worked on at a time, one a core when None. The files are the same bytes for any number.
    force : bool
        Replace the crops in a folder that is taken.
    show : bool, optional
        False: no progress on stderr.

    Returns
    -------
    AlignResult

    Raises
    ------
    InputError
        No pictures; a folder made with other settings, or one that lies in the source.
    RunError
        No picture has a face, or the crops cannot be written (a full disk). What was written stays.

    Notes
    -----
    ``ann/1.heic`` becomes ``ann/1.jpg``; where two pictures would have one name, ``ann/1.heic.jpg``. Of several faces
    the first is ``ann/1.jpg``, the next ``ann/1-2.jpg``. A picture that has changed is done again, and its old crops
    go; those of a picture that is no longer there stay. Pictures themselves are only read.

    Examples
    --------
    >>> from mxft.faces.align.detection import make_detector
    >>> from mxft.faces.align.options import AlignOptions
    >>> print(align_folder("photos", "aligned", make_detector(), AlignOptions()))              # doctest: +SKIP
    aligned 95 faces of 96 pictures into aligned (112 x 112, 11.3 pictures/s)
    1 without a face, 3 with several faces: listed in aligned/notes.tsv
    """
    began = time.monotonic()
    root, paths = _pictures(source, finder)
    _require_outside(root, folder)
    settings = {**finder.settings, **dataclasses.asdict(options)}
    require_folder(folder)
    journal = Journal(folder, settings, force)
    names = _output_names(paths, options)
    todo = [path for path in paths if not _is_done(journal.rows.get(path), root, path, folder,
                                                   names[path], options.encoding)]
    work = partial(_align, root=root, finder=finder, options=options)
    threads = num_thread or os.cpu_count() or 1
    try:
        with journal, one_opencv_thread(), quiet_native(), \
                progress(len(todo), f"aligning into {folder}", "pictures", show) as advance:
            _remove_stale(folder, journal.rows, todo)
            for path, state, found in ordered_map(work, todo, threads):
                row = {"path": path, **state, "found": found.found, "note": found.note,
                       "faces": _write(folder, names[path], found.faces, options)}
                if row != journal.rows.get(path):
                    journal.add(row)
                advance()
        rows = [journal.rows[path] for path in paths]
        notes = _write_notes(os.path.join(folder, NOTES), rows)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunError(f"aligning stopped: expected room in {folder}, received {reason}; what is there is whole, and "
                       "the same call continues") from None
    return _result(folder, rows, len(paths) - len(todo), notes, options, time.monotonic() - began)


def _pictures(source, finder):
    """Return the folder of the pictures and their paths below it."""
    source = os.path.expanduser(os.fspath(source))
    if hasattr(finder, "paths"):
        return source, finder.paths
    if is_archive(source):
        source = unpacked_folder(source)
    if os.path.isdir(source):
        return source, require_pictures(source)
    require_file(source, "pictures")
    return os.path.dirname(source), [os.path.basename(source)]


def _require_outside(root, folder):
    """Refuse to write among the pictures: the next call would take the crops for some."""
    path, above = os.path.realpath(folder), os.path.realpath(root or ".")
    if os.path.commonpath([path, above]) == above and root:
        raise InputError(f"cannot align a folder into itself: expected a folder outside of {root}, received {folder}; "
                         "the next call would take the crops for pictures")


def _output_names(paths, options):
    """Return {path: path of its crop without the ending}, no two of which meet, whatever faces the pictures have.

    It is the picture's name without its ending; with it where that is another's too, or one of another's further
    faces (``1-2`` beside ``1``), or a folder's.
    """
    names = {path: _inside(os.path.splitext(path)[0]) for path in paths}
    for longer in (_inside, lambda path: f"{_inside(path)}~{_digest(path)}"):
        clashing = _clashing(names, options)
        while any(names[path] != longer(path) for path in clashing):
            names.update({path: longer(path) for path in clashing})
            clashing = _clashing(names, options)
    return names


def _clashing(names, options):
    """Return the paths whose crops could have the name of another's; large and small letters are one."""
    counted = Counter(name.lower() for name in names.values())
    folders = {os.path.dirname(name).lower() for name in names.values()}
    folders |= {folder[:end] for folder in folders for end in range(len(folder)) if folder[end] == os.sep}

    def clashes(name):
        first = re.fullmatch(r"(.+)-[0-9]+", name, re.DOTALL)
        return (counted[name] > 1 or name + options.encoding in folders
                or (options.every and first is not None and counted[first[1]]))

    return [path for path, name in names.items() if clashes(name.lower())]


def _digest(path):
    return sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _inside(path):
    """Return a path as one below a folder: of a list's path that leads elsewhere the last two parts."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or os.path.isabs(path):
        parts = [part for part in parts if part != ".."][-2:]
    return os.path.join(*parts)


def _is_done(row, root, path, folder, name, encoding):
    """Whether an earlier call did a picture that has not changed since, and its crops are there under these names."""
    if row is None:
        return False
    try:
        return _state(os.path.join(root, path)) == {field: row.get(field) for field in ("bytes", "changed")} and all(
            face["file"] == _file(name, number, encoding) and os.path.isfile(os.path.join(folder, face["file"]))
            for number, face in enumerate(row["faces"], 1))
    except OSError:
        return False


def _remove_stale(folder, rows, todo):
    """Remove the crops of pictures that are to be done again: they may get others, fewer, or other names."""
    again = set(todo)
    remove_crops(folder, [rows[path] for path in todo if path in rows],
                 [row for path, row in rows.items() if path not in again])


def _file(name, number, encoding):
    """Return the path of a picture's face, by its number from 1."""
    return name + (f"-{number}" if number > 1 else "") + encoding


def _state(path):
    status = os.stat(path)
    return {"bytes": status.st_size, "changed": status.st_mtime_ns}


def _align(path, root, finder, options):
    """Return (path, state of its file, AlignedPicture); one that cannot be read has -1 faces."""
    full = os.path.join(root, path)
    try:
        state = _state(full)
        return path, state, align_picture(read_image(full), finder, options, path)
    except (BadImage, OSError) as error:
        reason = (str(error) if isinstance(error, BadImage) else "missing" if isinstance(error, FileNotFoundError)
                  else (error.strerror or str(error)).lower())
        return path, {"bytes": -1, "changed": -1}, AlignedPicture([], -1, reason)


def _write(folder, name, faces, options):
    """Write the crops of a picture; return what the journal says of them."""
    written = []
    for number, face in enumerate(faces, 1):
        file = _file(name, number, options.encoding)
        path = os.path.join(folder, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with whole_file(path) as f:
            f.write(encoded(face, options))
        written.append({"file": file, "box": face.box, "score": face.score, "landmarks": face.landmarks})
    return written


def _write_notes(path, rows):
    """Write the pictures of which something is to be said; return the file's path, None where there are none."""
    noted = [(row["path"], row["note"]) for row in rows if row["note"]]
    if not noted:
        if os.path.exists(path):
            os.unlink(path)
        return None
    with whole_file(path) as f:
        f.write(b"path\tnote\n")
        for row in noted:
            cells = [cell.translate({9: "\\t", 10: "\\n", 13: "\\r"}) for cell in row]  # a file's name may hold them
            f.write("\t".join(cells).encode("utf-8", "surrogateescape") + b"\n")
    return path


def _result(folder, rows, before, notes, options, seconds):
    faces = sum(len(row["faces"]) for row in rows)
    unreadable = sum(row["found"] < 0 for row in rows)
    without = sum(not row["faces"] for row in rows) - unreadable
    if not faces:
        first = next(row for row in rows if not row["faces"])
        raise RunError(f"no face was aligned: expected one in at least one of {plural(len(rows), 'picture')}, received "
                       f"{without} without a face and {unreadable} that cannot be read; {notes} lists them; the "
                       f"first is {first['path']}: {first['note']}")
    return AlignResult(os.fspath(folder), len(rows), faces, without, unreadable,
                       sum(row["found"] > 1 for row in rows), before, notes, options.size, seconds)
