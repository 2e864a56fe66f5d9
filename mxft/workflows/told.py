"""What is told around a training: what was packed and what was left out, and where the page is."""
import logging
import shlex

from mxft.errors import MxftError
from mxft.machine.notebook import told_path
from mxft.wording import plural, some

LOG = logging.getLogger("mxft")


def say_split(split, records):
    """Log what was split and packed, or that an earlier split still stands.

    Parameters
    ----------
    split : mxft.data.splits.SplitResult or None
    records : mxft.data.datasets.Records
    """
    if split is None:
        LOG.info(f"records are up to date: {records.train}, {records.val}")
        return
    if split.without_validation:
        LOG.info(f"{plural(len(split.without_validation), 'class has', 'classes have')} no validation images: "
                 f"{some(split.without_validation)}")
    if split.duplicates:
        shown = [f"{val} as {train}" for train, val in split.duplicates]
        LOG.info(f"{plural(len(shown), 'picture')} for validation also in training, so that the score is too good: "
                 f"{some(shown, 3)}; all in {split.val.rec[:-len('-val.rec')]}-duplicates.tsv")
    what = {"multi-label": "label{}, line number (from 0) is output",
            "regression": "number{}, line for line the outputs"}
    told = what.get(records.target, "classes, line number (from 0) is label").format("s" * (len(split.classes) != 1))
    names = f": {some(split.classes)}" if records.target in what else ""
    LOG.info(f"wrote {split.classes_path}: {len(split.classes)} {told}{names}")
    LOG.info(f"train: {split.train}\nval: {split.val}")


def say_page(write, run):
    """Write a run's page and log where it is, or why there is none: a failing report does not fail the run.

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
        LOG.warning(f"report: not written ({reason}); what was trained is on disk, and mxft report {shlex.quote(run)} "
                    "writes the page")
        return False
    LOG.info(f"report: {told_path(page)}")
    return True
