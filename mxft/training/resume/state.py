"""The state of a run between two batches, on disk: all it takes to resume as if nothing had happened.

``state/state.json`` names the arrays it goes with, ``state/N.params``; the one is renamed into place when the other is
whole, so that a process that is killed, at whatever moment, leaves the state before or the state after.
"""
import contextlib
import dataclasses
import json
import os
import re
import time

from mxft.compat import mx
from mxft.errors import InputError, MxftError, RunError, last_line
from mxft.files.checked_json import ChangedContent, read_checked, write_checked
from mxft.files.locks import Lock
from mxft.files.staging import sweep_folder
from mxft.files.whole import require_folder
from mxft.network.array_hashes import ArrayHashes, name_arrays
from mxft.network.checkpoint import save_arrays
from mxft.network.manifest import read_manifest
from mxft.network.params_file import read_arrays
from mxft.options import Keeping  # noqa: F401 (known by this place too)

FORMAT = 1
_FILE = "state.json"
_LOCK = "lock"
_WAIT = "wait until it has ended, or choose another `run`"
_ARRAYS = "hashes"  # of the arrays, beside the checksum of the facts
_EPOCHS = "recipe.fit.epochs"
_FREE = ("recipe.cache.folder", "recipe.cache.budget_bytes",  # they change where numbers lie, not the numbers
         "options.max_steps", "options.end_epoch", "options.verbose", "options.frequent", "options.ckpt")
_RENAMED = {"frozen_trunk": "frozen_backbone", "trunk_lr_mult": "backbone_lr_mult"}  # since 0.1.0, whose runs resume


class FoundState:
    """What a run is resumed from, if anything.

    Parameters
    ----------
    found : dict or None
        The facts to resume from, until `restore` has given them out.

    Attributes
    ----------
    stage : int
        Number of the stage being trained, from 1.
    """

    def __init__(self, found=None):
        self.found, self.stage = found, 0

    @property
    def resumed(self):
        """Whether there is anything to resume: more in `found` than that the run had begun."""
        return bool(self.found and self.found["stage"])

    @property
    def where(self):
        """Return in words where the state was read, for a message."""
        return "the state of the first worker"

    @contextlib.contextmanager
    def restoring(self):
        """Refuse (InputError) the state where what is done with it in this block fails: it is not what mxft wrote."""
        try:
            yield
        except MxftError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, OSError,
                mx.base.MXNetError):
            raise InputError(f"state: expected what mxft writes, received {self.where}, which is damaged; "
                             f"{self._elsewhere()}") from None

    def _elsewhere(self):
        """Return what can be done when the state is lost."""
        return "start again with another `run`"

    def restore(self):
        """Return (facts, arrays) of the stage being trained, the first time it is asked; None where there are none."""
        facts = self.found
        if not facts or facts.get("stage") != self.stage:
            return None
        self.found = None
        return facts, self._arrays_of(facts)


class RunState(FoundState):
    """What a run resumes from, and where it writes down how far it is.

    Parameters
    ----------
    folder : str
        ``RUN/state``.
    asked : dict
        What the run was asked, for JSON: a state is only resumed where this is the same.
    every_batches : int
        Between two states, beside those at the end of every epoch; 0 for none.
    every_minutes : float
        The same in minutes.

    Attributes
    ----------
    send : callable or None
        Given the bytes of the arrays `restore` gives out; see `mxft.training.resume.following`.

    Notes
    -----
    Arrays are kept in MXNet's own format, which holds numbers only: nothing is unpickled.
    """

    def __init__(self, folder, asked, every_batches=0, every_minutes=10):
        super().__init__()
        self.folder, self.send = folder, None
        self._every_batches, self._every_seconds, self._saved = every_batches, 60 * every_minutes, time.perf_counter()
        self._asked, self._number, self._about = as_json(asked), 0, dict
        self._lock = _lock_of(folder)

    @property
    def where(self):
        """Return the path of the state's file."""
        return os.path.join(self.folder, _FILE)

    def load(self):
        """Read what stands in the folder into `found`; return whether there is a state.

        Raises
        ------
        InputError
            Another process is writing this run, the state is damaged or of another mxft, or the run was asked
            something else; the differences are listed.

        Notes
        -----
        Where there is a state, the run belongs to this process from here on, until it ends or calls `release`.
        """
        if not os.path.isdir(self.folder):
            return False
        self._lock.take(_WAIT)
        try:
            found = self._read()
        except BaseException:
            self.release()
            raise
        if not found:
            self._clear_begun()
        return found

    def release(self):
        """Leave the run to other processes."""
        self._lock.release()

    def _read(self):
        path = self.where
        if not os.path.isfile(path):
            return False
        try:
            facts = read_checked(path, "state", (_ARRAYS,), self._elsewhere)
        except ChangedContent:
            raise
        except InputError:
            facts = None
        with self.restoring():
            number, asked = facts["number"], facts["asked"]
            if not (_whole(number) and _whole(facts.get("stage", 0)) and isinstance(asked, dict)):
                raise TypeError
        if facts.get("format") != FORMAT:
            raise InputError(f"state: expected format {FORMAT}, received {facts.get('format')!r} in {path}; start "
                             "again with another `run`")
        refuse_differences(asked, self._asked)
        self.found, self._number = facts, number
        return True

    def _clear_begun(self):
        """Remove what a process leaves that is killed before its first state is whole."""
        sweep_folder(self.folder)
        self.release()
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)  # stays where anything else is in it

    def _arrays_of(self, facts):
        """Read the arrays that go with `facts`; InputError where they are missing or damaged."""
        path, saved = os.path.join(self.folder, f"{facts['number']}.params"), facts.get(_ARRAYS)
        try:
            wrong = (ArrayHashes(tuple(saved["names"]), saved["digits"]).differing(ArrayHashes.of_file(path)) if saved
                     else ())
            arrays = None if wrong else read_arrays(path)
            if self.send and not wrong:
                with open(path, "rb") as f:
                    self.send(f.read())
        except (OSError, ValueError, TypeError, LookupError, mx.base.MXNetError):
            raise InputError(f"state: expected the arrays of {_FILE}, received {path}, which is missing or damaged; "
                             f"{self._elsewhere()}") from None
        if wrong:
            raise InputError(f"state: expected the arrays that were saved, received {path} with others, a damaged "
                             f"file: {name_arrays(wrong)}; {self._elsewhere()}")
        return arrays

    def _elsewhere(self):
        """Return what can be done when the state is lost, with the run's checkpoints that are whole."""
        prefix = _run_of(self.folder)
        prefix = os.path.join(prefix, "model") if os.path.basename(self.folder) == "state" else prefix
        with contextlib.suppress(InputError):
            whole = read_manifest(prefix)[1].whole(prefix)
            if whole:
                return f"{super()._elsewhere()}; the checkpoint {whole} is whole"
        return super()._elsewhere()

    def include(self, about):
        """Have ``about()``, a dict, written down with every state."""
        self._about = about

    def begin(self):
        """Write down that the run has begun: from here on it can be resumed, by this process alone until it ends.

        Raises
        ------
        InputError
            There is no room, or another process has begun the same run.
        """
        require_folder(self.folder)
        self._lock.take(_WAIT)
        try:
            write_checked(os.path.join(self.folder, _FILE), {"format": FORMAT, "number": 0, "stage": 0,
                                                             "asked": self._asked, _ARRAYS: None})
        except OSError as error:
            self._clear_begun()
            raise InputError(f"state cannot be written: expected room in {self.folder}, received "
                             f"{(error.strerror or str(error)).lower()}; make room or choose another folder") from None

    def save(self, facts, arrays):
        """Write down a state.

        Parameters
        ----------
        facts : dict
            For JSON.
        arrays : dict of str to mx.nd.NDArray

        Raises
        ------
        RunError
            It cannot be written; the one before is untouched.
        """
        number = self._number + 1
        facts = {"format": FORMAT, "number": number, "stage": self.stage, "asked": self._asked,
                 **self._about(), **facts}
        try:
            hashes = save_arrays(os.path.join(self.folder, f"{number}.params"), arrays)
            write_checked(os.path.join(self.folder, _FILE), {**facts, _ARRAYS: dataclasses.asdict(hashes)})
        except (OSError, mx.base.MXNetError) as error:
            reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else last_line(error)
            raise RunError(f"state is not saved: expected room in {self.folder}, received {reason}") from None
        self._number, self._saved = number, time.perf_counter()
        self._drop_others()

    def is_due(self, batches):
        """Whether it is time to write down a state, so many batches done."""
        return bool(self._every_batches and batches % self._every_batches == 0
                    or self._every_seconds and time.perf_counter() - self._saved > self._every_seconds)

    def _drop_others(self):
        sweep_folder(self.folder)
        for name in os.listdir(self.folder):
            if name != f"{self._number}.params" and re.fullmatch(r"\d+\.params|\..+\.part", name):
                with contextlib.suppress(OSError):  # the lock says that no other process is writing here
                    os.unlink(os.path.join(self.folder, name))


def _whole(number):
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _run_of(folder):
    """Return what people call the run whose state is in `folder`: its folder or its prefix."""
    beside, name = os.path.split(folder)
    return beside if name == "state" else folder.removesuffix("-state")


def _lock_of(folder):
    what = "run folder" if os.path.basename(folder) == "state" else "run"
    return Lock(os.path.join(folder, _LOCK), f"{what} {_run_of(folder)}")


def require_unused(folder):
    """Refuse (InputError) a run, by the folder of its state, that another process is writing."""
    if os.path.isdir(folder):
        _lock_of(folder).take(_WAIT).release()


def open_state(folder, asked, keeping, where):
    """Return the RunState of a run, read where it is resumed.

    Parameters
    ----------
    folder : str
    asked : dict
        See `RunState`.
    keeping : Keeping
    where : str
        The flag and its value that name the run, for the message.

    Raises
    ------
    InputError
        There is nothing to resume where there must be, or what `RunState.load` refuses.
    """
    state = RunState(folder, asked, keeping.state_batches, keeping.state_minutes)
    if keeping.resume and not state.load() and keeping.resume == "must":
        raise InputError(f"resume: expected a run to resume, received {where} without "
                         f"{os.path.basename(folder)}/{_FILE}; `resume` auto starts one where there is none")
    return state


def require_resumable(kvstore, keeping):
    """Refuse (InputError) to resume with a kvstore whose servers have the momenta: no state was kept."""
    if keeping.resume and kvstore == "dist_async":
        raise InputError("resume: expected dist_sync or dist_device_sync, received kv-store='dist_async', whose "
                         "momenta are on the servers; leave `resume` out and start from the best checkpoint, with "
                         "`model` or `pretrained` and another `run` or `prefix`")


def as_json(asked):
    """Return what a run was asked the way JSON gives it back."""
    return json.loads(json.dumps(asked, default=lambda value: value.dumps() if hasattr(value, "dumps") else str(value)))


def refuse_differences(before, now):
    """Refuse (InputError) to resume with other settings than those the run was started with.

    More epochs are no difference, unless the learning rate falls by a cosine of their number.
    """
    told = describe_differences(before, now, "it was", _FREE + (_EPOCHS,) * _grows(_flat(before), _flat(now)))
    if told:
        raise InputError(f"resume: expected what the run was started with, received {told}; give the "
                         "same, or start again with another `run`")


def _grows(before, now):
    """Whether there are more epochs now, and the epochs before are what they would have been."""
    asked = before.get(_EPOCHS), now.get(_EPOCHS)
    return all(isinstance(number, int) for number in asked) and asked[1] > asked[0] and \
        before.get("recipe.schedule") != "cosine"


def describe_differences(before, now, was, free=()):
    """Return in words which names of two nested dicts differ, `free` ones apart; empty where none do.

    Examples
    --------
    >>> describe_differences({"fit": {"wd": 0.1}}, {"fit": {"wd": 0.2}}, "it was")
    'fit.wd=0.2 (it was 0.1)'
    """
    before, now = _flat(before), _flat(now)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name) and name not in free]
    told = ", ".join(f"{_told(name, now.get(name))} ({was} {_before(name, before.get(name))})" for name in names[:5])
    return told + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _told(name, value):
    """Return a name and its value; that of a recipe as the setting it is."""
    setting = name.removeprefix("recipe.")
    return f"{name}={value!r}" if setting == name else f"`{setting.removeprefix('fit.')}={value!r}`"


def _before(name, value):
    """Return the value there was; of a switch with its name, for it may be the flag `--no-…` that said so."""
    return _told(name, value) if isinstance(value, bool) else repr(value)


def _flat(value, name=""):
    """Return nested dicts as one, ``{"recipe.fit.epochs": 8}``."""
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for inner, part in value.items() for key, leaf in _flat(
        part, f"{name}.{_RENAMED.get(inner, inner)}" if name else str(inner)).items()}
