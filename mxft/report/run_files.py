"""What a run left on disk: the folder of ``mxft finetune``, or the files under the prefix of a face run."""
import glob
import os

from mxft.errors import InputError, MissingFileError
from mxft.faces.evaluation.verification_file import read_verifications
from mxft.files.whole import read_object, require_file
from mxft.training.run import read_log

LOG = "log.jsonl"


def open_run(place):
    """Return what lies there.

    Parameters
    ----------
    place : str
        Folder of a run, or the prefix of a face run.

    Returns
    -------
    RunFiles or FaceRunFiles

    Raises
    ------
    InputError
        There is no log of a run, or several face runs share the folder; their prefixes are named.
    """
    place = os.fspath(place)
    if os.path.isfile(f"{place}-{LOG}"):
        return FaceRunFiles(place)
    if not os.path.isdir(place) or os.path.isfile(os.path.join(place, LOG)):
        return RunFiles(place)
    prefixes = sorted(path[:-len(LOG) - 1] for path in glob.glob(os.path.join(glob.escape(place), f"*-{LOG}")))
    if len(prefixes) > 1:
        raise InputError(f"run: expected one run in the folder, received {place} with {len(prefixes)} face runs; name "
                         f"one of {', '.join(prefixes[:5])}{' …' if len(prefixes) > 5 else ''}")
    return FaceRunFiles(prefixes[0]) if prefixes else RunFiles(place)


class _Logged:
    """The log of a run, and the JSON files beside it."""

    def _read(self, log):
        try:
            rows = read_log(require_file(log, "log of a run"))
        except (UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"log of a run cannot be read: expected lines of JSON, received {log} ({error})") from None
        rows = [row for row in rows if isinstance(row, dict) and "event" in row]
        begun = [number for number, row in enumerate(rows) if row["event"] == "start"]
        self.rows = rows[begun[-1]:] if begun else rows  # before it: a run of this name that saved nothing
        self.start = self._first("start")
        self.manifest = self._json("manifest.json")
        self.transfer = self._json("transfer.json")

    def _first(self, event):
        return next((row for row in self.rows if row["event"] == event), {})

    def _events(self, event):
        return [row for row in self.rows if row["event"] == event]

    def _json(self, name):
        path = self.file(name)
        return read_object(path, "file of a run") if os.path.exists(path) else {}

    @property
    def best(self):
        """Metrics of the best checkpoint, ``{}`` where nothing was saved."""
        metrics = self.manifest.get("metrics", {})
        return metrics.get("best") or (list(metrics.values()) or [{}])[-1]


class RunFiles(_Logged):
    """What lies in the folder of a classification run.

    Parameters
    ----------
    folder : str

    Raises
    ------
    InputError
        It is no run folder of ``mxft finetune``.
    """

    kind = "classification"

    def __init__(self, folder):
        self.folder = os.fspath(folder)
        self._read(os.path.join(self.folder, LOG))
        if "recipe" not in self.start:
            raise InputError(f"run folder: expected the log of mxft finetune, received {self.folder} with "
                             f"{len(self.rows)} line{'s' * (len(self.rows) != 1)} and no recipe in them")
        self.epochs, self.solved = self._events("epoch"), self._events("solved")
        self.freeze = self._json("freeze.json")

    def file(self, name):
        """Return the path of one of the run's files."""
        return os.path.join(self.folder, f"model-{name}" if name == "manifest.json" else name)

    @property
    def place(self):
        """What ``mxft report`` is called with."""
        return self.folder

    @property
    def name(self):
        """The folder's name."""
        return os.path.basename(os.path.abspath(self.folder))

    @property
    def seconds(self):
        """Wall time of all epochs."""
        return sum(row.get("seconds", 0) for row in self.epochs)


class FaceRunFiles(_Logged):
    """What lies under the prefix of a face run.

    Parameters
    ----------
    prefix : str

    Raises
    ------
    InputError
        There is no log, or it is not that of a face run.
    """

    kind = "face"

    def __init__(self, prefix):
        self.prefix = os.fspath(prefix)
        self._read(self.file(LOG))
        if "options" not in self.start:
            raise InputError(f"face run: expected the log of a face recipe, received {self.file(LOG)} with "
                             f"{len(self.rows)} line{'s' * (len(self.rows) != 1)} and no options in them")
        self.intervals, self.checked = self._events("interval"), self._events("verification")
        self.measured, self.end = self._events("measured"), self._first("end")
        self.failed = self._first("failed").get("reason")

    def file(self, name):
        """Return the path of one of the run's files."""
        return f"{self.prefix}-{name}"

    @property
    def place(self):
        """What ``mxft report`` is called with."""
        return self.prefix

    @property
    def name(self):
        """Folder and beginning of the files' names: the latter is ``model`` in most runs."""
        return os.path.join(*os.path.abspath(self.prefix).split(os.sep)[-2:])

    @property
    def steps(self):
        """Steps that were trained, as far as the log knows."""
        return max([row["step"] for row in self.intervals] + [self.end.get("steps") or 0])

    @property
    def seconds(self):
        """Wall time of all steps, verification and saving left out; None where the log has no seconds."""
        known = [row["seconds"] for row in self.intervals if "seconds" in row]
        return sum(known) if known else None

    @property
    def images_per_second(self):
        """Over all steps, None where the log has none."""
        batch = self.start.get("data", {}).get("batch_size")
        return self.intervals[-1]["step"] * batch / self.seconds if self.seconds and batch else None

    def verifications(self):
        """Return ``{step: {set: Verification}}`` of the steps whose distances were kept."""
        try:
            return read_verifications(self.file("verification.json"))
        except MissingFileError:
            return {}

    def checked_at(self, step):
        """Return what the log says of every set at a step, ``{}`` where it was not verified then."""
        return next((row["targets"] for row in self.checked if row["step"] == step), {})

    def left(self):
        """Return (name, bytes) of the files under the prefix, pages left out."""
        paths = sorted(path for path in glob.glob(glob.escape(self.prefix) + "-*")
                       if os.path.isfile(path) and not path.endswith(".html"))
        return [(os.path.basename(path), os.path.getsize(path)) for path in paths]
