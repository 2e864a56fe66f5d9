"""Names under which files and folders are made before they are whole, and what a killed process leaves of them.

Such a name is ``.NAME.N.part`` beside the final one, N from 0, and it is locked while its process runs. Whoever writes
NAME next finds the leftover under the same name, sees that nobody holds it, and removes it. Links are never followed.
"""
import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile

from mxft.files.locks import _NOT_FOLLOWED, is_same, try_lock

_MOST = 1000
_SCRATCH = "mxft-scratch-"
_PART = r"\.(.+)\.(\d+|[0-9a-f]{12})\.part"


def claim_file(path):
    """Make an empty, locked file beside `path`.

    Parameters
    ----------
    path : str
        Final, absolute name; its folder must exist.

    Returns
    -------
    temporary : str
        Readable by its owner alone.
    handle : int
        Close it when the file is in its place: until then nobody takes it for a leftover.
    """
    return _claim(path, lambda name: os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)))


def no_link(path, flags):
    """Open as ``open(…, opener=no_link)`` does: OSError where `path` is a link, whose target would be written."""
    return os.open(path, flags | _NOT_FOLLOWED, 0o666)


def claim_folder(path):
    """Make an empty, locked folder beside `path`; see `claim_file`."""
    return _claim(path, lambda name: os.mkdir(name, 0o700))


def _claim(path, make):
    folder, name = os.path.split(path)
    for number in range(_MOST):
        temporary = os.path.join(folder, f".{name}.{number}.part")
        try:
            make(temporary)
        except FileExistsError:
            if not sweep(temporary):
                continue
            try:
                make(temporary)
            except FileExistsError:
                continue
        handle = _locked(temporary)
        if handle is not None:
            return temporary, handle
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.part")
    make(temporary)
    return temporary, os.open(temporary, os.O_RDONLY | _NOT_FOLLOWED)


def _locked(path):
    """Lock what was just made and return its descriptor; None where a sweeper was there first, and removes it."""
    try:
        handle = os.open(path, os.O_RDONLY | _NOT_FOLLOWED)
    except OSError:
        return None
    if try_lock(handle) is not False and is_same(path, handle):
        return handle
    os.close(handle)
    return None


def sweep(path):
    """Remove a file or folder that its process has left; return whether it is gone.

    One that is locked, a link, or on a file system without locks stays.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _NOT_FOLLOWED)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not try_lock(handle) or not is_same(path, handle):
            return False
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            shutil.rmtree(path, ignore_errors=True)
        elif stat.S_ISREG(mode):
            with contextlib.suppress(OSError):
                os.unlink(path)
        return not os.path.lexists(path)
    finally:
        os.close(handle)


def sweep_folder(folder, beginning=""):
    """Remove what killed processes have left in `folder` of files whose names begin with `beginning`."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = re.fullmatch(_PART, name)
            if match and match.group(1).startswith(beginning):
                sweep(os.path.join(folder, name))


@contextlib.contextmanager
def staging_folder(path):
    """Yield an empty folder beside `path` to make it in, removed afterwards; by the next call if this one is killed."""
    temporary, handle = claim_folder(os.path.abspath(path))
    try:
        yield temporary
    finally:
        if is_same(temporary, handle):  # it may have been renamed, and another process have made one of that name
            shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def whole_folder(path):
    """Yield a temporary neighbour of `path` to be filled; rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : str
        Final name: no folder yet, or an empty one. Its parent must exist.

    Yields
    ------
    str
        An empty folder. On an exception it is removed.
    """
    with staging_folder(path) as temporary:
        yield temporary
        os.chmod(temporary, 0o755)
        os.replace(temporary, path)


@contextlib.contextmanager
def scratch_folder(purpose):
    """Yield an empty folder for intermediate files, removed afterwards; by the next call if this process is killed.

    The next command removes it too, whatever it does: see `sweep_scratch`.

    Parameters
    ----------
    purpose : str
        Part of its name, ``mxft-scratch-PURPOSE-…`` where Python keeps temporary files (``$TMPDIR``).

    Examples
    --------
    >>> with scratch_folder("example") as folder:
    ...     os.listdir(folder)
    []
    """
    sweep_scratch()
    handle = None
    while handle is None:
        folder = tempfile.mkdtemp(prefix=f"{_SCRATCH}{purpose}-", dir=_place())
        handle = _locked(folder)
    try:
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch():
    """Remove this user's scratch folders whose processes were killed."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(_place()):
            if entry.name.startswith(_SCRATCH) and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                sweep(entry.path)


def _place():
    """Return where Python keeps temporary files, without the trial file by which `tempfile` finds it.

    A process that is killed at that moment would leave the file, under a name that nobody can know again.
    """
    named = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    good = (place for place in (*named, "/tmp", "/var/tmp")
            if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK))
    return tempfile.tempdir or next(map(os.path.abspath, good), None) or tempfile.gettempdir()
