"""Watches the processes of a group: passes on their output line by line, and ends them all when one fails."""
import contextlib
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

from mxft.distributed.tether import GRACE_SECONDS
from mxft.errors import InputError

LOG = logging.getLogger("mxft")

FINISH_SECONDS = 30      # for servers and scheduler, once the workers are done; for workers, once one of those ended
SAVE_SECONDS = 60        # for worker 0 to save after Ctrl-C
_RANK = re.compile(rb"rank (\d+) of \d+ workers, ")


class _Process:
    """A member that runs."""

    def __init__(self, member, command, variables, ended):
        self.member, self.name, self.status, self._ended = member, member.name, None, ended
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE, start_new_session=True,
                                             env={**os.environ, **variables})
        except OSError as error:
            raise InputError(f"cannot start {member.name}: expected a command, received {command[0]!r} "
                             f"({error.strerror.lower()})") from None
        self._readers = [threading.Thread(target=self._pass_on, args=pair, daemon=True)
                         for pair in ((self._process.stdout, sys.stdout), (self._process.stderr, sys.stderr))]
        for thread in (*self._readers, threading.Thread(target=self._wait, daemon=True)):
            thread.start()

    def _wait(self):
        status = self._process.wait()
        for reader in self._readers:  # the last words come before the end
            reader.join(GRACE_SECONDS)
        self.status = 128 - status if status < 0 else status
        self._ended.put(self)

    def _pass_on(self, stream, out):
        for line in stream:
            known = _RANK.match(line)
            if known and self.member.role == "worker":
                self.name = f"worker {int(known.group(1))}"
            with contextlib.suppress(OSError, ValueError):  # a closed pipe behind us ends no training
                out.write(f"{self.name} | {line.decode('utf-8', 'replace').rstrip()}\n")
                out.flush()

    def send(self, number):
        """Have a signal sent to the command."""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(f"{signal.Signals(number).name}\n".encode())
            self._process.stdin.flush()

    def cut(self):
        """Cut the line: the command is asked to end, and ended where it does not."""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()

    def kill(self):
        """End the starter itself, of a command that outlives its line."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


class _Signals:
    """Context manager that counts Ctrl-C, SIGTERM and SIGHUP instead of acting on them."""

    def __init__(self):
        self.number, self.count, self._before = None, 0, {}

    def _note(self, number, _):
        self.number, self.count = self.number or number, self.count + 1

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note)
                            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
                            if signal.getsignal(number) is not signal.SIG_IGN}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def supervise(members, start):
    """Start the members of a group and wait for them.

    Parameters
    ----------
    members : list of Member
    start : callable
        Of a member: ``(command, variables)``, see `start_command`.

    Returns
    -------
    int
        0 where every worker ended with 0; else the exit status of the first that failed, 128 + n where signal n ended
        it; 128 + n also where signal n came to this process.

    Raises
    ------
    InputError
        One of them cannot be started; those that run are ended.

    Notes
    -----
    When it returns, all are gone: within 10 s of a failure. Ctrl-C goes to worker 0 alone, which saves what it has
    (60 s at most) while the others still answer it; a second Ctrl-C ends everything at once.
    """
    group = _Group()
    with _Signals() as signals:
        try:
            for member in members:
                group.start(member, *start(member))
            return group.wait(signals)
        finally:
            group.end()


class _Group:
    """The processes, and what has become of them."""

    def __init__(self):
        self._processes, self._ended = [], queue.Queue()

    def start(self, member, command, variables):
        """Start one more."""
        self._processes.append(_Process(member, command, variables, self._ended))

    def wait(self, signals):
        """Wait for the end; return the status of it all."""
        limit = None
        while True:
            process = self._next()
            if signals.number:
                self._let_save(signals)
                return 128 + signals.number
            if process is not None:
                if process.status:
                    return self._failed(process)
                if self._workers_are_done():
                    self._let_finish()
                    return 0
                if process.member.role != "worker":
                    limit = limit or time.monotonic() + FINISH_SECONDS
            if limit and time.monotonic() > limit:
                return self._left_alone()

    def _let_save(self, signals):
        """Pass a signal on to worker 0, and wait for it to end, or for a second signal."""
        workers = [process for process in self._processes if process.member.role == "worker"]
        first = next((process for process in workers if process.name == "worker 0"), None)
        if first is None:
            return
        first.send(signals.number)
        limit = time.monotonic() + SAVE_SECONDS
        while first.status is None and signals.count < 2 and time.monotonic() < limit:
            self._next()

    def _next(self):
        try:
            return self._ended.get(timeout=0.1)
        except queue.Empty:
            return None

    def _workers_are_done(self):
        return all(process.status == 0 for process in self._processes if process.member.role == "worker")

    def _failed(self, process):
        others = sum(other.status is None for other in self._processes)
        how = f" ({signal.Signals(process.status - 128).name})" if _is_signal(process.status) else ""
        _say(f"{process.name} ended with status {process.status}{how}; ending the other {others} processes")
        return process.status

    def _left_alone(self):
        gone = ", ".join(process.name for process in self._processes
                         if process.member.role != "worker" and process.status is not None)
        _say(f"{gone} ended before the workers were done; ending the others")
        return 3

    def _let_finish(self):
        """Wait a little for servers and scheduler, which end by themselves when the workers have left."""
        limit = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < limit and any(process.status is None for process in self._processes):
            self._next()

    def end(self):
        """End all that still run."""
        for process in self._processes:
            process.cut()
        limit = time.monotonic() + GRACE_SECONDS + 2
        while time.monotonic() < limit and any(process.status is None for process in self._processes):
            self._next()
        for process in self._processes:
            process.kill()


def _is_signal(status):
    return status > 128 and any(status - 128 == number for number in signal.Signals)


def _say(text):
    with contextlib.suppress(OSError, ValueError):
        LOG.warning(f"mxft launch: {text}")
