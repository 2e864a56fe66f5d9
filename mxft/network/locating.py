"""Where a checkpoint lies: ``"prefix,epoch"`` as people type it, epochs that exist, names that are near."""
import glob
import os
import re

from mxft.errors import InputError, nearest
from mxft.network.packaged import is_packaged, packaged_prefix


def params_path(prefix, epoch):
    """Return ``prefix-0000.params`` for a number, ``prefix-best.params`` for a word."""
    return f"{prefix}-{epoch:04d}.params" if isinstance(epoch, int) else f"{prefix}-{epoch}.params"


def saved_epochs(prefix):
    """Return the epochs that exist for `prefix`, as they are typed: ``["0", "8", "best"]``."""
    found = []
    for path in sorted(glob.glob(glob.escape(prefix) + "-*.params")):
        word = path[len(prefix) + 1:-len(".params")]
        found.append(str(int(word)) if word.isdecimal() else word)
    return found


def parse_model(text):
    """Split ``"prefix,epoch"`` into its parts; blanks after the comma are fine, a run folder means its best epoch.

    Parameters
    ----------
    text : str
        ``"prefix,epoch"`` (``"../model-r100, 287"``, ``"runs/a/model,best"``), the folder of a run, or a folder or an
        archive of one checkpoint, with or without an epoch: its best or last one without. See
        `mxft.network.packaged`.

    Returns
    -------
    prefix : str
    epoch : int or str

    Raises
    ------
    InputError
        There is no epoch; the message lists those that exist.

    Examples
    --------
    >>> parse_model("../model-r100, 287")
    ('../model-r100', 287)
    """
    prefix, comma, word = text.rpartition(",")
    if comma and prefix.strip() and re.fullmatch(r"\w+", word.strip()):
        prefix, word = os.path.expanduser(prefix.strip()), word.strip()
        if not os.path.isfile(prefix + "-symbol.json") and is_packaged(prefix):
            prefix = packaged_prefix(prefix)
        return prefix, int(word) if word.isdecimal() else word
    prefix = os.path.expanduser(text.strip())
    if os.path.isdir(prefix) and os.path.exists(os.path.join(prefix, "model-symbol.json")):
        packed = os.path.join(prefix, "model")
    else:
        packed = packaged_prefix(prefix) if is_packaged(prefix) else None
    epochs = saved_epochs(packed) if packed else []
    if epochs:
        epoch = "best" if "best" in epochs else epochs[-1]
        return packed, int(epoch) if epoch.isdecimal() else epoch
    epochs = saved_epochs(prefix)
    known = f"; epochs there: {', '.join(epochs)}: try {prefix},{epochs[-1]}" if epochs else near_prefixes(prefix)
    raise InputError(f"model: expected 'prefix,epoch', received model={text!r}{known}")


def near_prefixes(prefix):
    """Return, for a message, the checkpoints in the folder of `prefix` whose names are near."""
    folder = os.path.dirname(prefix) or "."
    if not os.path.isdir(folder):
        return f"; folder {folder} does not exist"
    prefixes = [name[:-len("-symbol.json")] for name in sorted(os.listdir(folder)) if name.endswith("-symbol.json")]
    return f"; checkpoints in {folder}: {nearest(os.path.basename(prefix), prefixes)}"
