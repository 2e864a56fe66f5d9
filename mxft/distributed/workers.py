"""The workers a run is divided among, of which this process is one: rank, count, and what they have to agree on."""
import atexit
import logging
import os
import sys

from mxft.distributed.environment import prepare_heartbeats, read_part, role
from mxft.distributed.watching import JoinLimit, PeerWatch
from mxft.errors import InputError

LOG = logging.getLogger("mxft")

_JOINED = []


class Workers:
    """One process that trains by itself, or the base of those that train together.

    Attributes
    ----------
    rank, count : int
        This worker's number, from 0, and how many there are.
    kvstore : str
    """

    rank, count = 0, 1

    def __init__(self, kvstore):
        self.kvstore = kvstore

    @property
    def writes(self):
        """Whether this worker is the one that writes files, validates and speaks."""
        return self.rank == 0

    @property
    def updates_a_batch(self):
        """How many updates the parameters see while each worker does one batch: without waiting, one by each."""
        return self.count if self.kvstore == "dist_async" else 1

    @property
    def updates_itself(self):
        """Whether the optimizer, and what it remembers, is this worker's own; without waiting it is the servers'."""
        return self.kvstore != "dist_async"

    @property
    def gradients_an_update(self):
        """How many workers' gradients make one update."""
        return self.count // self.updates_a_batch

    def seed(self, seed):
        """Return the seed of this worker: that of the run for rank 0, another for each other rank."""
        return (seed + 1_000_003 * self.rank) % 2**31

    def describe(self):
        """Return who this is, in words."""
        return f"rank {self.rank} of {self.count} workers, {self.kvstore}"

    def facts(self):
        """Return how many they are, where there are several, for what a run was asked: they divide its records."""
        return {"workers": self.count} if self.count > 1 else {}

    def module_store(self):
        """Return what to give ``Module.init_optimizer`` or ``Module.fit`` as kvstore."""
        return self.kvstore

    def broadcast(self, value):
        """Return the value rank 0 gives, anything JSON can say; a collective: every worker must call it."""
        return value

    def broadcast_bytes(self, data):
        """Return the bytes rank 0 gives, the others None; a collective: every worker must call it."""
        return data

    def begin_alike(self, module):
        """Give a Module whose optimizer has been made the parameters and moving statistics rank 0's has."""

    def wait_for_all(self):
        """Wait until every worker has come to this place."""

    def first_then_others(self, make):
        """Return ``make()``, called by rank 0 first and by the others when that is done: they find what it made."""
        made = make() if self.writes else None
        self.wait_for_all()
        return made if self.writes else make()

    def leave(self):
        """Leave cleanly: wait for the others, let the servers go."""


class _JoinedWorkers(Workers):
    """One worker of several, connected with them."""

    def __init__(self, kvstore, part):
        super().__init__(kvstore)
        from mxft.compat import mx
        from mxft.distributed.store import SharedStore

        prepare_heartbeats()
        with JoinLimit("worker", part):
            store = mx.kv.create(kvstore)
        self.rank, self.count = store.rank, store.num_workers
        self._shared = SharedStore(store)
        self._watch = PeerWatch(store, f"worker {self.rank}")
        self._watch.start()
        LOG.warning(self.describe())  # tools/launch.py reads the rank here

    def module_store(self):
        from mxft.distributed.store import ModuleStore

        return ModuleStore(self._shared)

    def broadcast(self, value):
        return self._shared.broadcast(value)

    def broadcast_bytes(self, data):
        return self._shared.broadcast_bytes(data)

    def begin_alike(self, module):
        """Give a Module whose optimizer has been made the parameters and moving statistics rank 0's has.

        Where the servers update, Module has seen to it itself, as far as parameters go.
        """
        if not self.updates_itself:
            return
        arg_params, aux_params = module.get_params()  # the former are rank 0's since the keys were made
        for name in sorted(aux_params):
            module._kvstore.broadcast(f"aux/{name}", aux_params[name], aux_params[name])
        module.set_params(arg_params, aux_params)

    def wait_for_all(self):
        self._shared.store._barrier()

    def leave(self):
        """Leave cleanly; a second call does nothing."""
        if self._shared.store is None:
            return
        self._watch.stop()
        store, self._shared.store = self._shared.store, None
        store._barrier()
        del store  # the last reference: MXNet closes the connections, and rank 0 shuts the servers down


def join(kvstore):
    """Join the workers of a ``dist_`` kvstore; a process that trains alone gets itself.

    Parameters
    ----------
    kvstore : str
        One of `mxft.devices.KVSTORES`.

    Returns
    -------
    Workers
        The same at every call: ps-lite has one group a process.

    Raises
    ------
    InputError
        A ``dist_`` kvstore without a launcher, or under a launcher another kvstore than the first.

    Notes
    -----
    It waits for the others, 600 s at most (``MXFT_JOIN_TIMEOUT``), and ends the process with status 3 where they do not
    come, or where one of them falls silent later (``PS_HEARTBEAT_TIMEOUT``).
    """
    if not kvstore.startswith("dist"):
        _require_alone(kvstore)
        return Workers(kvstore)
    if not _JOINED:
        _JOINED.append(_JoinedWorkers(kvstore, read_part(f"kvstore {kvstore}")))
        atexit.register(_leave_at_exit)
    workers, = _JOINED
    if workers.kvstore != kvstore:
        raise InputError(f"kvstore: expected {workers.kvstore}, which this process has joined, received "
                         f"kv-store={kvstore!r}")
    return workers


def _require_alone(kvstore):
    """Refuse a kvstore of one process where a launcher has started several workers: each would train all by itself."""
    if role() == "worker" and os.environ.get("DMLC_NUM_WORKER", "1") not in ("", "1"):
        raise InputError(f"kvstore: expected dist_sync, dist_device_sync or dist_async under a launcher with "
                         f"{os.environ['DMLC_NUM_WORKER']} workers, received kv-store={kvstore!r}; give "
                         "`kvstore` dist_sync")


def release(status):
    """Leave what `join` joined, before the process ends with `status`.

    Where that is not 0 the others cannot be waited for: the process ends here.
    """
    if _JOINED and status:
        _end_now(status)
    for workers in _JOINED:
        workers.leave()


def _leave_at_exit():
    """Leave the group, also in a program that does not do so itself; after an exception it never waits."""
    release(1 if getattr(sys, "last_value", None) is not None else 0)


def _end_now(status):
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(status)
