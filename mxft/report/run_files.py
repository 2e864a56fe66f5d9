"""What a run left on disk: its log, and the other files in the folder of ``mxft finetune``."""
import os

from mxft.errors import InputError
from mxft.files.checked_json import read_checked
from mxft.files.whole import require_file
from mxft.network.saved_hashes import advice_to_accept
from mxft.training.run import read_log

LOG = "log.jsonl"


class LoggedRun:
    """The log of a run, and the JSON files beside it; what kinds of runs have in common."""

    def read(self, log):
        """Read the log of the last run that began in it, manifest and transfer report."""
        try:
            rows = read_log(require_file(log, "log of a run"))
        except (UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"log of a run cannot be read: expected lines of JSON, received {log} ({error})") from None
        rows = [row for row in rows if isinstance(row, dict) and "event" in row]
        begun = [number for number, row in enumerate(rows) if row["event"] == "start"]
        self.rows = rows[begun[-1]:] if begun else rows  # before it: a run of this name that saved nothing
        self.start = self.first("start")
        self.manifest = self.json_file("manifest.json")
        self.transfer = self.json_file("transfer.json")

    def first(self, event):
        """Return the first line of a kind, ``{}`` where there is none."""
        return next((row for row in self.rows if row["event"] == event), {})

    def events(self, event):
        """Return all lines of a kind."""
        return [row for row in self.rows if row["event"] == event]

    def json_file(self, name):
        """Return what one of the run's JSON files holds, ``{}`` where there is none."""
        path = self.file(name)
        if not os.path.exists(path):
            return {}
        prefix = path.removesuffix("-manifest.json")
        return read_checked(path, "file of a run", advice=lambda: "restore it from a copy" + (
            advice_to_accept(prefix) if prefix != path else ""))

    @property
    def best(self):
        """Metrics of the best checkpoint, ``{}`` where nothing was saved."""
        metrics = self.manifest.get("metrics", {})
        return metrics.get("best") or (list(metrics.values()) or [{}])[-1]


class RunFiles(LoggedRun):
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
        self.read(os.path.join(self.folder, LOG))
        if "recipe" not in self.start:
            raise InputError(f"run folder: expected the log of mxft finetune, received {self.folder} with "
                             f"{len(self.rows)} line{'s' * (len(self.rows) != 1)} and no recipe in them")
        self.epochs, self.solved = self.events("epoch"), self.events("solved")
        self.freeze = self.json_file("freeze.json")

    @property
    def curve(self):
        """The epochs where there are any but a fitted head's, which is one point and no curve."""
        return self.epochs if any(row.get("epoch") for row in self.epochs) else []

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
    def parent(self):
        """Name of the folder the run's own lies in."""
        return os.path.basename(os.path.dirname(os.path.abspath(self.folder)))

    @property
    def seconds(self):
        """Wall time of all epochs."""
        return sum(row.get("seconds", 0) for row in self.epochs)
