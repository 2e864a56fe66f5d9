"""Where a checkpoint lies: ``"prefix,epoch"`` as people type it, epochs that exist, names that are near."""
import glob
import os
import re

from mxft.errors import InputError, nearest


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
        ``"prefix,epoch"`` (``"../model-r100, 287"``, ``"runs/a/model,best"``), or the folder of a run.

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
        word = word.strip()
        return os.path.expanduser(prefix.strip()), int(word) if word.isdecimal() else word
    prefix = os.path.expanduser(text.strip())
    if os.path.isdir(prefix) and os.path.exists(os.path.join(prefix, "model-symbol.json")):
        prefix = os.path.join(prefix, "model")
        epochs = saved_epochs(prefix)
        if epochs:
            epoch = "best" if "best" in epochs else epochs[-1]
            return prefix, int(epoch) if epoch.isdecimal() else epoch
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
