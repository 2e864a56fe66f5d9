"""Checks a verb makes before it trains or packs: what they refuse costs a second and leaves nothing behind."""
import os
import sys

from mxft.errors import InputError
from mxft.files.whole import check_writable


def join_workers(kvstore):
    """Join the workers of a ``dist_`` kvstore and return them; all but the first fall silent on standard output.

    Every worker has checked by then what it can check by itself; what only one may do, rank 0 does afterwards.
    """
    from mxft.distributed.workers import join

    workers = join(kvstore)
    if not workers.writes:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    return workers


def event_folder(asked, default, resume=""):
    """Return the folder for TensorBoard's event files, None where none were asked for.

    Parameters
    ----------
    asked : str or None
        Of ``--tensorboard``: empty without a folder behind it.
    default : str
    resume : str
        The run resumes: its events continue in another file there.

    Raises
    ------
    InputError
        The package is missing, the folder cannot be written to, or a run wrote there before: TensorBoard draws the
        files of one folder as one run.
    """
    if asked is None:
        return None
    from mxft.machine.packages import require_packages

    require_packages("tensorboardX", what="--tensorboard")
    folder = asked or default
    check_writable(folder, "--tensorboard")
    if not resume and os.path.isdir(folder) and any(".tfevents." in name for name in os.listdir(folder)):
        raise InputError(f"--tensorboard: expected a folder without event files, received {folder!r} with those of "
                         f"another run; try --tensorboard {os.path.join(folder, 'run-2')}")
    return folder


def check_resize(resize, spec):
    """Refuse a short side of packed images that is smaller than the network's input."""
    if resize and resize < max(spec.shape[1:]):
        raise InputError(f"--resize: expected at least {max(spec.shape[1:])}, the network's input, received "
                         f"resize={resize}; choose a larger one or a smaller --image-shape")
