"""Locks that a process gives up when it ends, however it ends: one writer at a time, leftovers known from work.

A lock is ``flock`` on an open file or folder. Where the platform or the file system has none, nothing is said and
nothing is taken for a leftover.
"""
import contextlib
import json
import os
import socket
import time

from mxft.errors import InputError

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None

_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_POLL_SECONDS = 0.2
_held = {}  # path of a lock file: [its descriptor, how often this process holds it]


def try_lock(handle):
    """Lock an open file or folder without waiting.

    Parameters
    ----------
    handle : int or file object

    Returns
    -------
    bool or None
        Whether it is locked now; False where another process has it, None where there are no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_same(path, handle):
    """Whether `path` is still what was opened as `handle`; a link is not."""
    try:
        there, opened = os.lstat(path), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


class Lock:
    """The right to write something, held by one process at a time.

    Parameters
    ----------
    path : str
        Of the lock file; its folder must exist. It is removed with `release`.
    what : str
        What is locked, for the message: ``"run folder runs/photos"``.

    Examples
    --------
    >>> with Lock("/tmp/mxft-example.lock", "example"):
    ...     pass
    """

    def __init__(self, path, what):
        self.path, self.what, self._is_held = os.path.abspath(path), what, False

    def __enter__(self):
        return self.take()

    def __exit__(self, *_):
        self.release()

    def take(self, advice="wait until it has ended"):
        """Take the lock and return it; within one process it may be taken more than once.

        Raises
        ------
        InputError
            Another process holds it: its number, host and beginning are named. `advice` ends the message.
        """
        if not self._try():
            raise InputError(f"{self.what} is in use by {self.holder()}; {advice}")
        return self

    def wait(self, tell=None):
        """Take the lock as soon as nobody else holds it, and return it; ``tell(holder)`` is called where it waits."""
        told = False
        while not self._try():
            if tell and not told:
                tell(self.holder())
            told = True
            time.sleep(_POLL_SECONDS)
        return self

    def release(self):
        """Give the lock back; nothing happens where it is not held."""
        if not self._is_held:
            return
        self._is_held = False
        entry = _held.get(self.path)
        if entry is None:
            return
        entry[1] -= 1
        if not entry[1]:
            del _held[self.path]
            if is_same(self.path, entry[0]):
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
            os.close(entry[0])

    def clear(self):
        """Remove the lock file where a process that was killed has left it."""
        if os.path.isfile(self.path) and not self._is_held and self._try():
            self.release()

    def holder(self):
        """Return who holds the lock, in words."""
        try:
            with open(os.open(self.path, os.O_RDONLY | _NOT_FOLLOWED), encoding="utf-8") as f:
                known = json.loads(f.read(4096))
            return f"process {int(known['pid'])} on host {known['host']!s:.80} since {known['since']!s:.40}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _try(self):
        if self._is_held:
            return True
        entry = _held.get(self.path)
        if entry is None:
            handle = self._locked_file()
            if handle is None:
                return False
            entry = _held[self.path] = [handle, 0]
        entry[1] += 1
        self._is_held = True
        return True

    def _locked_file(self):
        """Return the descriptor of the lock file, locked and with this process in it; None where another has it."""
        while True:
            handle = self._open()
            if try_lock(handle) is False:
                os.close(handle)
                return None
            if is_same(self.path, handle):
                break
            os.close(handle)  # the one who held it has removed it in the meantime
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):  # another user's file, which may be locked and not written
            os.truncate(handle, 0)
            os.write(handle, json.dumps(facts).encode())
        return handle

    def _open(self):
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | _NOT_FOLLOWED, 0o666)
        except OSError as error:
            if isinstance(error, PermissionError):
                with contextlib.suppress(OSError):
                    return os.open(self.path, os.O_RDONLY | _NOT_FOLLOWED)
            raise InputError(f"{self.what} cannot be locked: expected a plain file that can be written to, received "
                             f"{self.path!r} ({'a link' if os.path.islink(self.path) else error.strerror.lower()})"
                             ) from None


def _forget():
    """Close, in a forked child, what the parent holds: the parent's end is the lock's end."""
    for handle, _ in _held.values():
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


