"""The hashes a manifest keeps of the files beside it: of the graph, and of every array of every epoch that is saved.

A ``.params`` file and the manifest cannot be replaced in the same moment. So the manifest is written twice: before the
file is replaced it knows the hashes of the old file and of the new one, afterwards of the new one alone.
"""
import contextlib
import dataclasses
import os
import shlex

from mxft.errors import InputError
from mxft.files.checked_json import content_hash
from mxft.network.array_hashes import ArrayHashes, name_arrays
from mxft.network.locating import params_path, saved_epochs
from mxft.network.params_file import DamagedFile

ENTRY = "hashes"
_CUT = "(its lengths do not add up)"


@dataclasses.dataclass(frozen=True)
class Saved:
    """One saved epoch: the hash of the graph it was saved with, and the hashes of its arrays."""

    symbol: str
    arrays: ArrayHashes


class SavedHashes:
    """What is known of the files of a prefix.

    Parameters
    ----------
    epochs : dict of str to tuple of Saved
        More than one of an epoch while it is being replaced.
    """

    def __init__(self, epochs=None):
        self.epochs = dict(epochs or {})

    @classmethod
    def from_entry(cls, entry):
        """Return what `to_entry` gave; ValueError where it is something else."""
        epochs = {}
        for group in entry if isinstance(entry, list) else [None]:
            if not (isinstance(group, dict) and isinstance(group.get("symbol"), str)
                    and isinstance(group.get("arrays"), list) and isinstance(group.get("epochs"), dict)):
                raise ValueError("no list of networks with their epochs")
            for epoch, versions in group["epochs"].items():
                for digits in versions if isinstance(versions, list) else [None]:
                    saved = Saved(group["symbol"], ArrayHashes(tuple(group["arrays"]), digits))
                    if not saved.arrays.is_sound:
                        raise ValueError("hashes of another length")
                    epochs[epoch] = (*epochs.get(epoch, ()), saved)
        return cls(epochs)

    def to_entry(self):
        """Return the manifest's ``hashes``: a list of networks, each with the hashes of its epochs."""
        groups = {}
        for epoch, versions in self.epochs.items():
            for saved in versions:
                group = groups.setdefault((saved.symbol, saved.arrays.names), {})
                group.setdefault(epoch, []).append(saved.arrays.digits)
        return [{"symbol": symbol, "arrays": list(names), "epochs": epochs}
                for (symbol, names), epochs in groups.items()]

    def still_there(self, prefix, coming=None):
        """Return the hashes without those of epochs whose files were removed; one that is `coming` counts as there."""
        return SavedHashes({epoch: versions for epoch, versions in self.epochs.items()
                            if epoch == str(coming) or os.path.exists(params_path(prefix, _typed(epoch)))})

    def including(self, epoch, saved, replace=False):
        """Return the hashes with those of one more file; with `replace` they are the only ones of that epoch."""
        before = () if replace else self.epochs.get(str(epoch), ())
        return SavedHashes({**self.epochs, str(epoch): (*(one for one in before if one != saved), saved)})

    def check_symbol(self, prefix, epoch):
        """Refuse (InputError) the graph of a checkpoint where it is not one of those that were saved.

        A run that is resumed may write the same graph with other names in it, so that of any epoch is right.
        """
        path, known = prefix + "-symbol.json", {saved.symbol for all_of in self.epochs.values() for saved in all_of}
        if known and symbol_hash(path) not in known:
            raise InputError(f"symbol is damaged or was replaced: expected the graph that was saved, received another "
                             f"content in {path}; restore it from a copy{advice_to_accept(prefix, epoch)}")

    def check_arrays(self, prefix, epoch):
        """Refuse (InputError) the parameters of a checkpoint where they are not those that were saved.

        An epoch of which nothing is known, because another program saved it, is accepted.
        """
        names = self._wrong_arrays(prefix, epoch)
        if names and names != [_CUT]:  # that is said by who reads it
            raise InputError(f"parameters are damaged or were replaced: expected the arrays that were saved, received "
                             f"others in {params_path(prefix, epoch)}: {name_arrays(names)}; "
                             f"{self.advice(prefix, epoch)}{advice_to_accept(prefix, epoch)}")

    def advice(self, prefix, epoch):
        """Return which other checkpoint of the prefix is whole, or else to restore a copy."""
        other = self.whole(prefix, epoch)
        return f"{other} is whole; or copy the file again" if other else "copy or download it again"

    def whole(self, prefix, but=None):
        """Return ``"prefix,epoch"`` of the best or last checkpoint whose arrays are those that were saved, or None.

        Parameters
        ----------
        prefix : str
        but : int or str, optional
            An epoch that is not asked about.
        """
        others = [other for other in saved_epochs(prefix) if other in self.epochs and other != str(but)]
        others.sort(key=lambda name: (name == "best", int(name) if name.isdecimal() else -1), reverse=True)
        return next((f"{prefix},{other}" for other in others if not self._wrong_arrays(prefix, _typed(other))), None)

    def _wrong_arrays(self, prefix, epoch):
        versions = self.epochs.get(str(epoch), ())
        if not versions:
            return []
        try:
            found = ArrayHashes.of_file(params_path(prefix, epoch))
        except (OSError, DamagedFile):
            return [_CUT]
        return min((saved.arrays.differing(found) for saved in versions), key=len)


def symbol_hash(path):
    """Return the hash of a graph's JSON; that of nothing where it is no JSON."""
    try:
        with open(path, encoding="utf-8") as f:
            return content_hash(f.read())
    except (OSError, ValueError, RecursionError):
        return ""


def advice_to_accept(prefix, epoch=None):
    """Return, for a message, the command that records a checkpoint's files as they are."""
    if epoch is None:
        with contextlib.suppress(OSError):
            epochs = saved_epochs(prefix)
            epoch = "best" if "best" in epochs else (epochs or [None])[-1]
    return ("" if epoch is None else
            f"; if the change is meant, mxft accept {shlex.quote(f'{prefix},{epoch}')} records the files as they are")


def _typed(epoch):
    """Return an epoch as `params_path` has it."""
    return int(epoch) if epoch.isdecimal() else epoch
