"""How this Python's ``pip`` and ``mxft`` are typed in the shell that runs it, whatever its PATH finds first."""
import importlib.metadata
import os
import re
import shlex
import shutil
import sys


def for_this_python(text):
    """Return a text whose ``pip`` commands install into the Python that runs, whatever ``pip`` the PATH finds first.

    Parameters
    ----------
    text : str
        A message, or the cure of a finding.

    Returns
    -------
    str
        Unchanged where ``pip`` on the PATH lies beside this interpreter, as in a virtual environment that is active.

    Examples
    --------
    >>> for_this_python("read no pip here")
    'read no pip here'
    """
    return re.sub(r"\bpip (?=(install|uninstall) )", lambda _: pip_command() + " ", text)


def pip_command():
    """Return how pip of this Python is typed: ``pip``, or with the interpreter's path where that is another's."""
    if _is_ours(shutil.which("pip")):
        return "pip"
    python = shlex.quote(sys.executable)
    try:
        importlib.metadata.distribution("pip")  # find_spec would wake setuptools, which warns
    except importlib.metadata.PackageNotFoundError:  # an environment of uv's has none
        return f"{python} -m ensurepip && {python} -m pip"
    return f"{python} -m pip"


def mxft_command():
    """Return how ``mxft`` of this Python is typed: the bare name, its path, or ``python -m mxft`` where it has none."""
    if _is_ours(shutil.which("mxft")):
        return "mxft"
    beside = os.path.join(os.path.dirname(sys.executable), "mxft")
    if os.path.isfile(beside):
        below = os.path.relpath(beside)
        return shlex.quote(beside if below.startswith(os.pardir) else below)
    return f"{shlex.quote(sys.executable)} -m mxft"


def _is_ours(program):
    """Whether a program's path lies beside this interpreter; not for None."""
    return bool(program) and (os.path.dirname(os.path.abspath(program))
                              == os.path.dirname(os.path.abspath(sys.executable)))
