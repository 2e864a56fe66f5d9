"""Ends a process whose peers are gone: ps-lite notes heartbeats but leaves it to the program to ask for them."""
import ctypes
import os
import sys
import threading

from mxft.distributed.environment import JOIN_SECONDS, SILENCE_SECONDS, seconds

LOST_PEER = 3           # exit status, as of any run that could not go on
_EVERYBODY = 7          # ps-lite's scheduler, servers and workers; all but the scheduler know of the scheduler alone


class PeerWatch(threading.Thread):
    """Asks a kvstore every second whether a peer has fallen silent, and then ends this process with status 3.

    Parameters
    ----------
    store : mx.kvstore.KVStore
    name : str
        What this process is called in the message.

    Notes
    -----
    The process's main thread most likely waits inside MXNet for the dead peer, where no Python exception reaches it: so
    the process ends at once. What a training run had earned is on disk.
    """

    def __init__(self, store, name):
        super().__init__(name="peer-watch", daemon=True)
        self._handle, self._name, self._stopped = store.handle, name, threading.Event()
        self._seconds = seconds("PS_HEARTBEAT_TIMEOUT", SILENCE_SECONDS)

    def run(self):
        """Watch until `stop`."""
        while not self._stopped.wait(1):
            dead = self._dead_peers()
            if dead:
                _end(f"{self._name}: a peer is gone: expected a sign of life every {self._seconds} s, received none "
                     f"from {dead} process{'es' * (dead > 1)}; what was saved is on disk")

    def _dead_peers(self):
        from mxnet.base import _LIB

        number = ctypes.c_int(0)
        failed = _LIB.MXKVStoreGetNumDeadNode(self._handle, _EVERYBODY, ctypes.byref(number), self._seconds)
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
        limit = seconds("MXFT_JOIN_TIMEOUT", JOIN_SECONDS)
        self._timer = threading.Timer(limit, _end, [
            f"{name}: the group is not complete: expected {part.workers} workers and {part.servers} servers at the "
            f"scheduler {part.root} within {limit} s (MXFT_JOIN_TIMEOUT); are all of them started, and does each reach "
            "that address?"])
        self._timer.daemon = True

    def __enter__(self):
        self._timer.start()

    def __exit__(self, *_):
        self._timer.cancel()


def _end(message):
    """Say `message` and end the process, whatever its threads wait for."""
    try:
        sys.stdout.flush()
        print(message, file=sys.stderr, flush=True)
    finally:
        os._exit(LOST_PEER)
