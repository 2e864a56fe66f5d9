"""Whether this process serves a notebook, and how paths are told there."""
import os
import sys


def in_notebook():
    """Whether this process is the kernel of a notebook, which shows HTML."""
    kernel = sys.modules.get("ipykernel")
    return kernel is not None and "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None


def told_path(path):
    """Return a path as a log tells it: absolute, but in a notebook as `near_path`.

    A notebook is passed on with what it printed, and opens its links from its own folder.
    """
    return near_path(path) if in_notebook() else os.path.abspath(path)


def near_path(path):
    """Return a path relative to the working directory where it lies below it, else as it is.

    Examples
    --------
    >>> near_path(os.path.abspath("runs/photos")), near_path("/")
    ('runs/photos', '/')
    """
    relative = os.path.relpath(path)
    return os.fspath(path) if relative.startswith(os.pardir) else relative
