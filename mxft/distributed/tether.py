"""Runs one command, connected to its parent by a pipe: when the pipe closes, the command and its children end.

``python -m mxft.distributed.tether COMMAND …`` holds on to its standard input, a pipe from the launcher or an ssh
connection: whatever becomes of the other end, no orphan stays behind. A line of text on it is the name of a signal for
the command. Exit status: the command's, 128 + n where signal n ended it.
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 3   # between asking a command to end and ending it
NOT_STARTED = 127   # exit status, as of a shell


def run(command, line):
    """Run `command` until it ends or the line is cut; return its exit status.

    Parameters
    ----------
    command : list of str
    line : int
        File descriptor of what comes from the launcher.
    """
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent)
    except OSError as error:
        print(f"cannot start {command[0]!r}: {error.strerror.lower()}", file=sys.stderr, flush=True)
        return NOT_STARTED
    threading.Thread(target=_follow, args=(line, child), daemon=True).start()
    status = child.wait()
    _signal_group(child, signal.SIGKILL)  # what it may have left running
    return 128 - status if status < 0 else status


def _follow(line, child):
    """Pass on what the launcher says; at the end of the line end the command."""
    while True:
        heard = os.read(line, 256)  # not a Python file, whose lock would be held when the interpreter ends
        if not heard:
            break
        for word in heard.decode("ascii", "replace").split():
            number = getattr(signal, word, None)
            if isinstance(number, signal.Signals) and child.poll() is None:
                child.send_signal(number)
    _signal_group(child, signal.SIGTERM)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(child, signal.SIGKILL)


def _signal_group(child, number):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _die_with_parent():
    """Have Linux end the command where this very process is killed, which no line can tell."""
    if sys.platform.startswith("linux"):
        death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(death_signal, int(signal.SIGKILL))


if __name__ == "__main__":
    for ours in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ours, lambda *_: None)  # the launcher decides; the command starts with the defaults
    sys.exit(run(sys.argv[1:], sys.stdin.fileno()))
