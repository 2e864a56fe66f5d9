"""The run folder: everything a person asks for the day after, each file whole at every moment."""
import contextlib
import json
import os

from mxft.errors import InputError
from mxft.evaluation.novelty_file import novelty_path
from mxft.files.staging import no_link, sweep_folder
from mxft.files.whole import check_writable, require_folder, write_json
from mxft.network.checkpoint import Checkpoint, params_path
from mxft.network.manifest import write_manifest
from mxft.training.resume.state import require_unused


def free_folder(path):
    """Return `path`, or ``path-2``, ``path-3`` … where earlier runs stand already."""
    number, candidate = 1, path
    while os.path.lexists(candidate) and (not os.path.isdir(candidate) or os.listdir(candidate)):
        number += 1
        candidate = f"{path}-{number}"
    return candidate


def require_free(path):
    """Refuse (InputError) a run folder that is a file or holds files; the message names one that is free."""
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InputError(f"run folder: expected a new or empty folder, received run={path!r}, which is a file")
    free = free_folder(path)
    if free != path:
        raise InputError(f"run folder: expected a new or empty folder, received run={path!r} with "
                         f"{len(os.listdir(path))} files; try `run={free!r}`")


class Run:
    """Checkpoints and log of a run, under one prefix.

    Parameters
    ----------
    prefix : str
        Path without ``-symbol.json``; the other files' names begin with it too.
    symbol : mx.sym.Symbol
        What is saved as ``prefix-symbol.json``: the user's graph with its new head.
    manifest : dict
        Saved beside every checkpoint; `metrics` is filled in as they come.
    """

    def __init__(self, prefix, symbol, manifest):
        self.prefix = prefix
        self.manifest = {**manifest, "metrics": {}}
        self._symbol, self._listeners, self.state = symbol, [], None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def release(self):
        """Leave the run to other processes; until then `keep_state` keeps them off."""
        if self.state:
            self.state.release()

    def keep_state(self, state):
        """Write down in `state`, a RunState or None, how far the run is, and resume from what it `found`."""
        self.state = state
        if not state:
            return
        state.include(self.facts)
        if state.found:
            with state.restoring():
                self.resume_from(state.found)
            sweep_folder(os.path.dirname(self.file("")) or ".", os.path.basename(self.file("")))
        else:
            state.begin()

    def facts(self):
        """Return how far the run's files are, for the state."""
        log = self.file("log.jsonl")
        return {"metrics": self.manifest["metrics"], "log_bytes": os.path.getsize(log) if os.path.exists(log) else 0}

    def resume_from(self, facts):
        """Put the run's files back to where a state was written: what was done after it is done again."""
        metrics, log, length = facts.get("metrics", {}), self.file("log.jsonl"), facts.get("log_bytes", 0)
        self.manifest["metrics"] = {epoch: dict(metrics[epoch]) for epoch in metrics}
        if os.path.exists(log):
            with open(log, "r+b", opener=no_link) as f:
                f.truncate(min(length, os.path.getsize(log)))

    def file(self, name):
        """Return the path of one of the run's files."""
        return f"{self.prefix}-{name}"

    def name(self, epoch):
        """Return what a checkpoint of the run is called, ``"prefix,epoch"``."""
        return f"{self.prefix},{epoch}"

    def write_json(self, name, value):
        """Write a JSON file of the run."""
        write_json(self.file(name), value)

    def log(self, event, **facts):
        """Append one line to ``log.jsonl``, and tell those who `listen`."""
        append_log(self.file("log.jsonl"), event, **facts)
        for listener in self._listeners:
            listener(event, facts)

    def listen(self, listener):
        """Have ``listener(event, facts)`` called with every line of the log from now on."""
        self._listeners.append(listener)

    def save(self, epoch, arg_params, aux_params, metrics):
        """Save a checkpoint and its metrics.

        Parameters
        ----------
        epoch : int or str
            Number of finished epochs (of the save, in a face run), or ``"best"``, ``"last"``, ``"interrupted"``.
        arg_params, aux_params : dict of str to mx.nd.NDArray
        metrics : dict of str to float

        Returns
        -------
        str
            ``"prefix,epoch"``.

        Raises
        ------
        RunError
            A parameter is not finite: nothing is written.
        """
        manifest = {**self.manifest, "metrics": {**self.manifest["metrics"], str(epoch): metrics}}
        name = Checkpoint(self._symbol, arg_params, aux_params, manifest).save(self.prefix, epoch)
        self.manifest = manifest
        return name


class RunFolder(Run):
    """A run that has a folder to itself, with short names in it: ``model-symbol.json``, ``log.jsonl`` …

    Parameters
    ----------
    path : str
        A folder that is new or empty, or of the run that `state` resumes.
    symbol, manifest
        See `Run`.
    keep_every : int
        Keep the checkpoint of every n-th epoch too.
    state : mxft.training.resume.state.RunState, optional
        Where the run writes down how far it is; what it `found` is resumed from.
    keep_last : int
        Keep the checkpoints of so many epochs, beside the best.

    Raises
    ------
    InputError
        The folder holds files already and there is nothing to resume, or it cannot be written to.
    """

    def __init__(self, path, symbol, manifest, keep_every=0, state=None, keep_last=1):
        if not (state and state.found):
            require_free(path)
        self.path = require_folder(path)
        super().__init__(os.path.join(path, "model"), symbol, manifest)
        self._keep_every, self._keep_last, self._kept = keep_every, keep_last, []
        self.keep_state(state)

    def facts(self):
        """Return how far the folder is, for the state."""
        return {**super().facts(), "kept": self._kept}

    def resume_from(self, facts):
        """Put the folder back to where a state was written."""
        kept = facts.get("kept", [])
        if not all(type(epoch) is int for epoch in kept):  # they become the names of files that are removed
            raise TypeError(kept)
        super().resume_from(facts)
        self._kept = list(kept)

    def file(self, name):
        """Return the path of a file in the folder."""
        return os.path.join(self.path, name)

    def save(self, epoch, arg_params, aux_params, metrics):
        """Save a checkpoint (see `Run.save`); an earlier epoch's file goes once the new one stands."""
        if epoch == "best":
            old = novelty_path(self.prefix, epoch)  # of the parameters that are replaced
            if os.path.lexists(old):
                os.unlink(old)
        name = super().save(epoch, arg_params, aux_params, metrics)
        if isinstance(epoch, int):
            self._kept = [*(number for number in self._kept if number != epoch), epoch]
            while len(self._kept) > self._keep_last:
                self._drop(self._kept.pop(0))
        return name

    def _drop(self, epoch):
        if self._keep_every and epoch % self._keep_every == 0:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(params_path(self.prefix, epoch))
        self.manifest["metrics"].pop(str(epoch), None)
        write_manifest(self.prefix, self.manifest)


class SilentRun:
    """The run of a worker that is not the first: it has the names of a `RunFolder`, and writes nothing.

    Parameters
    ----------
    path : str
    state : mxft.training.resume.following.ReceivedState, optional
        Where the run resumes, as the first worker says.
    """

    best = last = None

    def __init__(self, path, state=None):
        self.path, self.prefix, self.state = path, path, state

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Do nothing: the first worker holds the run."""

    def file(self, name):
        """Return where the first worker has a file of the run."""
        return os.path.join(self.path, name)

    def name(self, epoch):
        """Return None: the checkpoints are the first worker's."""

    def write_json(self, name, value):
        """Do nothing."""

    def log(self, event, **facts):
        """Do nothing."""

    def listen(self, listener):
        """Do nothing."""

    def save(self, epoch, arg_params, aux_params, metrics):
        """Do nothing; there is no checkpoint to name."""

    def keep_beginning(self, score, arg_params, aux_params, metrics):
        """Do nothing."""

    def keep(self, score, arg_params, aux_params, metrics, same_embedding=False):
        """Do nothing; there is no checkpoint to name."""
        return []


def append_log(path, event, **facts):
    """Append one line to a ``log.jsonl``; what the log of a finished run did not know yet goes in the same way."""
    try:
        with open(path, "a", encoding="utf-8", opener=no_link) as f:
            f.write(json.dumps({"event": event, **facts}, ensure_ascii=False, default=str) + "\n")
    except OSError as error:
        error.filename = path  # a full disk does not say where
        raise


def read_log(path):
    """Return the rows of a ``log.jsonl`` as dicts; a half-written last line is left out."""
    rows = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return rows


def check_run_folder(run, resume=""):
    """Refuse a run folder that is used, in use or no folder, or cannot be written to; nothing is left of the attempt.

    Parameters
    ----------
    run : str
    resume : {"", "auto", "must"}
        With one of the latter, a folder that has a state to resume is accepted.

    Raises
    ------
    InputError
        The message names a folder that is free.
    """
    state = os.path.join(run, "state")
    if resume and os.path.exists(state):
        require_unused(state)
    else:
        require_free(run)
    check_writable(run, "run folder")
