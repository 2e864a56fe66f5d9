"""Ends a process whose peers are gone: ps-lite notes heartbeats but leaves it to the program to ask for them."""
import ctypes
import logging
import os
import sys
import threading
import time

from mxft.distributed.environment import JOIN_SECONDS, SILENCE_SECONDS, seconds

LOG = logging.getLogger("mxft")

LOST_PEER = 3           # exit status, as of any run that could not continue
_IN_A_ROW = 3           # answers that count: as it starts, ps-lite calls everybody dead for a moment
_EVERYBODY = 7          # ps-lite's scheduler, servers and workers; all but the scheduler know of the scheduler alone


class PeerWatch(threading.Thread):
    """Asks a kvstore every second whether a peer has fallen silent, and then ends this process with status 3.

    Parameters
    ----------
    store : mx.kvstore.KVStore
    name : str
        What this process is called in the message.
    part : Part, optional
        Of a server or the scheduler: the group may still be incomplete, for as long as `JoinLimit` allows.

    Notes
    -----
    The process's main thread most likely waits inside MXNet for the dead peer, where no Python exception reaches it: so
    the process ends at once. What a training run had finished is on disk.
    """

    def __init__(self, store, name, part=None):
        super().__init__(name="peer-watch", daemon=True)
        self._store, self._who, self._stopped = store.handle, name, threading.Event()
        self._seconds, self._part = seconds("PS_HEARTBEAT_TIMEOUT", SILENCE_SECONDS), part

    def run(self):
        """Watch until `stop`."""
        if self._part:
            self._see_complete()
        in_a_row = 0
        while not self._stopped.wait(1):
            dead = self._silent_for(self._seconds)
            in_a_row = in_a_row + 1 if dead else 0
            if in_a_row == _IN_A_ROW:
                end_process(f"{self._who}: a peer is gone: expected a sign of life every {self._seconds} s, received "
                            f"none from {dead} process{'es' * (dead > 1)}; what was saved is on disk")

    def _see_complete(self):
        """Wait until everybody is there: before, ps-lite calls nobody silent, not even by the strictest measure."""
        limit = time.monotonic() + join_seconds()
        while not self._stopped.wait(1) and not self._silent_for(-1):
            if time.monotonic() > limit:
                end_process(_incomplete(self._who, self._part))

    def _silent_for(self, limit):
        """Return how many peers gave no sign of life for so many seconds."""
        from mxnet.base import _LIB

        number = ctypes.c_int(0)
        failed = _LIB.MXKVStoreGetNumDeadNode(self._store, _EVERYBODY, ctypes.byref(number), limit)
        return 0 if failed else number.value

    def stop(self):
        """Stop watching; when this returns, the store may be closed."""
        self._stopped.set()
        self.join()


class JoinLimit:
    """Context manager that ends the process with status 3 where the others do not appear in time.

    Parameters
    ----------
    name : str
    part : Part
    """

    def __init__(self, name, part):
        self._timer = threading.Timer(join_seconds(), end_process, [_incomplete(name, part)])
        self._timer.daemon = True

    def __enter__(self):
        self._timer.start()

    def __exit__(self, *_):
        self._timer.cancel()


def join_seconds():
    """Return how long a process waits for the others to appear."""
    return seconds("MXFT_JOIN_TIMEOUT", JOIN_SECONDS)


def _incomplete(name, part):
    return (f"{name}: the group is not complete: expected {part.workers} workers and {part.servers} servers at the "
            f"scheduler {part.root} within {join_seconds()} s (MXFT_JOIN_TIMEOUT); are all of them started, and does "
            "each reach that address?")


def end_process(message):
    """Say `message` and end the process with status 3, whatever its threads wait for."""
    try:
        sys.stdout.flush()
        LOG.warning(message)
    finally:
        os._exit(LOST_PEER)
