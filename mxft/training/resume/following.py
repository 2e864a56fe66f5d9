"""The state of a run of several workers: rank 0 keeps it as a single process does, and broadcasts it.

Only rank 0 needs the run folder. What it reads crosses the servers byte by byte, so that every worker resumes from the
same facts and arrays, and none can take another branch than the others.
"""
from mxft.compat import mx
from mxft.errors import InputError
from mxft.training.resume.state import FoundState, as_json, describe_differences


class ReceivedState(FoundState):
    """What a worker that is not the first has in place of a RunState: it resumes from what it receives, and keeps none.

    Parameters
    ----------
    found : dict or None
        The facts rank 0 resumes from.
    receive : callable
        Returns the bytes of the arrays that go with them, a ``.params`` file, when rank 0 gives them out.
    """

    def __init__(self, found, receive):
        super().__init__(found)
        self._receive = receive

    def _arrays_of(self, facts):
        return mx.nd.load_frombuffer(self._receive())

    def is_due(self, batches):
        """Whether it is time to write down a state: never."""
        return False

    def save(self, facts, arrays):
        """Do nothing: rank 0 writes."""


def share_state(workers, asked, open_state):
    """Return the state of a run that `workers` share, when all are found to have been asked the same.

    Parameters
    ----------
    workers : mxft.distributed.workers.Workers
    asked : dict
        What this worker was asked, for JSON; ``"devices"`` may differ, as long as there are as many.
    open_state : callable
        Returns the RunState; called by rank 0 alone.

    Returns
    -------
    RunState, ReceivedState or None
        None where the servers update the parameters, whose momenta no worker has.

    Raises
    ------
    InputError
        This worker was asked something else than rank 0, and would wait for it in vain, or it for this one.

    Notes
    -----
    A collective: every worker must call it. Where rank 0 ends instead, the launcher, or the heartbeats, end the others.
    """
    mine = as_json({**asked, "devices": len(asked["devices"])})
    state = open_state() if workers.writes and workers.updates_itself else None
    told = workers.broadcast({"asked": mine, "found": state and state.found})
    different = describe_differences(told["asked"], mine, "rank 0 has")
    if different:
        raise InputError(f"worker {workers.rank}: expected what rank 0 was asked, received {different}; give every "
                         "worker the same command, data and checkpoint")
    if not workers.updates_itself:
        return None
    if not workers.writes:
        return ReceivedState(told["found"], lambda: workers.broadcast_bytes(None))
    if workers.count > 1:
        state.send = workers.broadcast_bytes
    return state
