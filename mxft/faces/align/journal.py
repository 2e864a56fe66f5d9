"""What has been done of a folder of pictures, written line by line, so that a run that was stopped goes on."""
import json
import os

from mxft.errors import InputError
from mxft.files.whole import lock

NAME = "aligned.jsonl"
MOST_LINE = 1 << 20  # bytes; a picture with a thousand faces takes a fifth of it


class Journal:
    """The file ``aligned.jsonl`` in the folder of the crops: settings in its first line, then a line a picture.

    Parameters
    ----------
    folder : str
    settings : dict
        What the crops depend on; JSON.
    force : bool
        Replace whatever stands there.

    Attributes
    ----------
    rows : dict of str to dict
        Of the pictures that are done, by their path: see `add`.

    Raises
    ------
    InputError
        The folder holds crops made with other settings, or something else than crops; or another process writes to it.

    Notes
    -----
    A line that was cut short by a crash is dropped, with the picture it was about. Each line is written in one go and
    reaches the file before the next picture is begun.
    """

    def __init__(self, folder, settings, force=False):
        self._path, self.rows, self._file = os.path.join(folder, NAME), {}, None
        self._settings = json.loads(json.dumps(settings))
        lines, self._end, self._size = _read(self._path) if os.path.isfile(self._path) else ([], 0, 0)
        entries = [name for name in os.listdir(folder) if name != NAME] if os.path.isdir(folder) else []
        if force:
            remove_crops(folder, lines[1:])
            self._end = 0
        elif lines:
            self._require_same(folder, lines)
            self.rows = {row["path"]: row for row in lines[1:]}
        elif entries:
            raise InputError(f"folder is taken: expected one that is new or empty, or that holds aligned faces, "
                             f"received {folder} with {len(entries)} entries and no {NAME} with a whole line; choose "
                             "another, or write into it with `force`")

    def _require_same(self, folder, lines):
        before = lines[0] if lines else {}
        differing = [name for name in self._settings if before.get(name) != self._settings[name]]
        if differing:
            told = ", ".join(f"{name}={_short(before.get(name))} and not {_short(self._settings[name])}"
                             for name in differing)
            raise InputError(f"faces were aligned with other settings there: expected a folder made with these, "
                             f"received {folder} with {told}; choose another folder, or replace it with `force`")

    def __enter__(self):
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        self._file = os.fdopen(handle, "r+b")
        self._require_alone()
        self._file.truncate(self._end)
        self._file.seek(self._end)
        if not self._end:
            self._write(self._settings)
        return self

    def _require_alone(self):
        """Refuse to write what another process writes, or has written since the rows were read."""
        try:
            if lock(self._file) and os.fstat(self._file.fileno()).st_size == self._size:
                return
        except OSError:
            self._file.close()
            raise
        self._file.close()
        raise InputError(f"folder is taken: expected one call at a time, received {os.path.dirname(self._path)}, which "
                         "another process is writing to; the same call continues when that has ended")

    def __exit__(self, *_):
        self._file.close()

    def add(self, row):
        """Write that a picture is done.

        Parameters
        ----------
        row : dict
            ``path``, ``bytes`` and ``changed`` (of the picture's file), ``found``, ``note``, and ``faces``: a list of
            ``{"file", "box", "score", "landmarks"}``.
        """
        self.rows[row["path"]] = row
        self._write(row)

    def _write(self, value):
        self._file.write(json.dumps(value, ensure_ascii=True).encode() + b"\n")
        self._file.flush()


def remove_crops(folder, rows, kept=()):
    """Remove the crops an earlier call wrote: names of the new ones may differ, and nobody would tell them apart.

    Parameters
    ----------
    folder : str
    rows : list of dict
        Of the journal.
    kept : iterable of dict
        Rows whose crops stay.
    """
    above, kept = os.path.realpath(folder), {face["file"] for row in kept for face in row["faces"]}
    for face in (face for row in rows for face in row["faces"] if face["file"] not in kept):
        path = os.path.join(folder, face["file"])
        if os.path.isfile(path) and os.path.commonpath([os.path.realpath(path), above]) == above:
            os.unlink(path)


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:60] + "…"


def _read(path):
    """Return the whole lines of a journal as dicts, where the last of them ends, and its size, in bytes."""
    lines, end = [], 0
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        for line in iter(lambda: f.readline(MOST_LINE), b""):
            value = _parsed(line)
            if value is None or (lines and not _is_row(value)):
                break
            lines.append(value)
            end += len(line)
    return lines, end, size


def _parsed(line):
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_row(value):
    """Whether a line is one that `Journal.add` writes: it is read again, and may have been altered."""
    faces = value.get("faces")
    return (isinstance(value.get("path"), str) and isinstance(value.get("note"), str)
            and isinstance(value.get("found"), int) and isinstance(faces, list)
            and all(isinstance(face, dict) and isinstance(face.get("file"), str) for face in faces))
