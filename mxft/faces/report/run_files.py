"""What a face run left on disk: the files under its prefix."""
import glob
import os

from mxft.errors import InputError, MissingFileError
from mxft.faces.evaluation.verification_file import read_verifications
from mxft.report.run_files import LOG, LoggedRun


def face_run_prefix(place):
    """Return the prefix of the face run that lies there, None where none does.

    Parameters
    ----------
    place : str
        Prefix of its files, or their folder.

    Returns
    -------
    str or None

    Raises
    ------
    InputError
        Several face runs share the folder; their prefixes are named.
    """
    place = os.fspath(place)
    if os.path.isfile(f"{place}-{LOG}"):
        return place
    if not os.path.isdir(place) or os.path.isfile(os.path.join(place, LOG)):
        return None
    prefixes = sorted(path[:-len(LOG) - 1] for path in glob.glob(os.path.join(glob.escape(place), f"*-{LOG}")))
    if len(prefixes) > 1:
        raise InputError(f"run: expected one run in the folder, received {place} with {len(prefixes)} face runs; name "
                         f"one of {', '.join(prefixes[:5])}{' …' if len(prefixes) > 5 else ''}")
    return prefixes[0] if prefixes else None


class FaceRunFiles(LoggedRun):
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
        self.read(self.file(LOG))
        if "options" not in self.start:
            raise InputError(f"face run: expected the log of a face recipe, received {self.file(LOG)} with "
                             f"{len(self.rows)} line{'s' * (len(self.rows) != 1)} and no options in them")
        self.intervals, self.checked = self.events("interval"), self.events("verification")
        self.measured, self.end = self.events("measured"), self.first("end")
        self.failed = self.first("failed").get("reason")

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
    def parent(self):
        """Name of the folder above that of the run's files."""
        return os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(self.prefix))))

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
