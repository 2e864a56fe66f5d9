"""Who is told what a call does: the screen, or the handlers a program has set up."""
import contextlib
import logging
from collections.abc import Iterator

from mxft.command.telling import told


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Tell on the standard streams what is logged within the block, unless somebody else listens already.

    Examples
    --------
    >>> with telling():
    ...     logging.getLogger("mxft").info("told")
    told
    """
    logger = logging.getLogger("mxft")
    if logger.isEnabledFor(logging.INFO) and logger.hasHandlers():  # MXNet gives the root logger one, for warnings
        yield
        return
    with told(flags=False):
        yield
