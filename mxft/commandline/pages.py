"""The page a run ends with: written however it ends, and told where it is, or why there is none."""
import os
import shlex
import sys

from mxft.command import status_after
from mxft.errors import MxftError, RunError


def conclude(result):
    """Write the page of a run and say where it is; return 3 for one without page, 128 + its number after a signal."""
    from mxft.report.page import write_run_page

    if not result.written:
        return status_after(result.fit.interrupted)
    written = say_page(lambda: write_run_page(result.run, result.score, result.data.val), result.run)
    return status_after(result.fit.interrupted) or (0 if written else 3)


def with_page(prefix, train):
    """Train a face network, and write the page of the run however it ends.

    Parameters
    ----------
    prefix : str
        Of the run's files.
    train : callable
        Returns an exit status.

    Returns
    -------
    int
        That of `train`; 3 where only the page failed.

    Raises
    ------
    RunError
        Of `train`, once the page shows how far it came.
    """
    from mxft.faces.report.face_page import write_face_page

    try:
        status = train()
    except RunError:
        if os.path.exists(f"{prefix}-log.jsonl"):
            say_page(lambda: write_face_page(prefix), prefix)
        raise
    return status if say_page(lambda: write_face_page(prefix), prefix) else status or 3


def say_page(write, run):
    """Write a run's page and say where it is, or why there is none: a page that fails takes no run with it.

    Parameters
    ----------
    write : callable
        Returns the page's path.
    run : str
        What ``mxft report`` is called with to write it again.

    Returns
    -------
    bool
        Whether there is a page.
    """
    try:
        page = write()
    except Exception as error:  # whatever it is, the checkpoints are on disk and training is over
        reason = str(error) if isinstance(error, MxftError) else f"{type(error).__name__}: {error}"
        print(f"report: not written ({reason}); what was trained is on disk, and mxft report {shlex.quote(run)} writes "
              "the page", file=sys.stderr)
        return False
    print(f"report: {os.path.abspath(page)}", flush=True)
    return True
