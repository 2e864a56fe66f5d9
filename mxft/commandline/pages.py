"""The page a run ends with: written however it ends, and told where it is, or why there is none."""
import os

from mxft.command import status_after
from mxft.errors import RunError


def conclude(result):
    """Write the page of a run and say where it is; return 3 for one without page, 128 + its number after a signal."""
    from mxft.report.page import write_run_page
    from mxft.workflows.told import say_page

    if not result.written:
        return status_after(result.fit.interrupted)
    written = say_page(lambda: write_run_page(result.run, result.score, result.data.judged), result.run)
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
    from mxft.workflows.told import say_page

    try:
        status = train()
    except RunError:
        if os.path.exists(f"{prefix}-log.jsonl"):
            say_page(lambda: write_face_page(prefix), prefix)
        raise
    return status if say_page(lambda: write_face_page(prefix), prefix) else status or 3
