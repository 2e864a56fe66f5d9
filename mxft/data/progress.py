"""A progress bar on a terminal, a plain line now and then elsewhere."""
import contextlib
import logging
import sys
import time

from mxft.machine.bars import is_watched, open_bar

LOG = logging.getLogger("mxft.progress")

PLAIN_SECONDS = 10


@contextlib.contextmanager
def progress(total, label, unit="images", show=None):
    """Give a function to call once for each thing that is done.

    Parameters
    ----------
    total : int
    label, unit : str
    show : bool, optional
        False says nothing. By default a tqdm bar where stderr is a terminal or in a notebook; elsewhere at most one
        line in ten seconds, which a log file can bear.

    Yields
    ------
    callable
        Takes how many things were done, 1 by default.

    Examples
    --------
    >>> with progress(2, "packing", show=False) as advance:
    ...     advance()
    """
    if show is False or sys.stderr is None:
        yield lambda count=1: None
    elif is_watched():
        with open_bar(total=total, desc=label, unit=" " + unit, dynamic_ncols=True) as bar:
            yield bar.update
    else:
        yield _plain(total, label, unit)


def _plain(total, label, unit):
    done, began, said = 0, time.monotonic(), time.monotonic()

    def advance(count=1):
        nonlocal done, said
        done += count
        now = time.monotonic()
        if now - said >= PLAIN_SECONDS:
            said = now
            LOG.info(f"{label}: {done}/{total} {unit}, {done / (now - began):.0f} {unit}/s")

    return advance
