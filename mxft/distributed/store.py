"""The one kvstore of a worker, lent to one Module after another.

ps-lite knows one store a process and never forgets a key: a second Module's ``init`` of ``fc1_weight`` would be taken
for a gradient, and its optimizer would be told indices that belong to the first. So every Module gets keys of its own.
"""
import copy

from mxft.compat import mx


class LentStore(mx.kvstore.KVStoreBase):
    """What a Module is given in place of an ``mx.kv.create("dist_…")``; a new one for each Module.

    Parameters
    ----------
    owner : SharedStore
    """

    def __init__(self, owner):
        self._owner, self._prefix = owner, f"{owner.lent()}/"

    @property
    def type(self):
        """As of the kvstore: ``dist_sync`` …"""
        return self._owner.store.type

    @property
    def rank(self):
        """Of this worker."""
        return self._owner.store.rank

    @property
    def num_workers(self):
        """In the group."""
        return self._owner.store.num_workers

    @staticmethod
    def is_capable(capability):
        """Whether the servers can run an optimizer: they can."""
        return capability.lower() == mx.kvstore.KVStoreBase.OPTIMIZER

    def set_optimizer(self, optimizer):
        """Send the optimizer to the servers, its indices those the next keys will have."""
        sent, first = copy.copy(optimizer), self._owner.keys
        sent.idx2name = {first + index: name for index, name in optimizer.idx2name.items()}
        self._owner.store.set_optimizer(sent)

    def broadcast(self, key, value, out, priority=0):
        """Give every worker the value rank 0 has."""
        self._owner.keys += 1
        self._owner.store.broadcast(self._prefix + key, value, out, priority)

    def init(self, key, value):
        """Make a key with the value rank 0 has."""
        self._owner.keys += 1
        self._owner.store.init(self._prefix + key, value)

    def push(self, key, value, priority=0):
        """Send gradients."""
        self._owner.store.push(self._prefix + key, value, priority)

    def pull(self, key, out=None, priority=0, ignore_sparse=True):
        """Fetch a parameter."""
        self._owner.store.pull(self._prefix + key, out, priority, ignore_sparse)

    def pushpull(self, key, value, out=None, priority=0):
        """Send gradients and fetch the parameter they make."""
        self._owner.store.pushpull(self._prefix + key, value, out, priority)


class SharedStore:
    """The kvstore of this process, and how many keys it has.

    Parameters
    ----------
    store : mx.kvstore.KVStore

    Attributes
    ----------
    keys : int
        The servers number keys in the order they were made; this is the next one's number.
    """

    def __init__(self, store):
        self.store, self.keys, self._lent = store, 0, 0

    def lent(self):
        """Count one more Module; return its number."""
        self._lent += 1
        return self._lent

    def from_first(self, number):
        """Return the number rank 0 gives; every worker has to ask."""
        name, answer = f"agreed/{self.keys}", mx.nd.zeros((1,))
        self.keys += 1
        self.store.broadcast(name, mx.nd.array([number]), answer)
        return answer.asscalar().item()
