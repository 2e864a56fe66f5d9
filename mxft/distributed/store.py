"""The one kvstore of a worker, used by one Module after another.

ps-lite knows one store a process and never forgets a key: a second Module's ``init`` of ``fc1_weight`` would be taken
for a gradient, and its optimizer would be told indices that belong to the first. So every Module gets keys of its own.

Workers that wait for each other have the servers sum their gradients and update by themselves, each with the same
optimizer: then every one of them has the momenta, and a run resumes from what one has written down. Without waiting
(``dist_async``) only the servers can update.
"""
import copy
import json

import numpy as np

from mxft.compat import mx

_PIECE = 1 << 20  # numbers of two bytes each that cross the servers at a time


class ModuleStore(mx.kvstore.KVStoreBase):
    """What a Module is given in place of an ``mx.kv.create("dist_…")``; a new one for each Module.

    Parameters
    ----------
    owner : SharedStore
    """

    def __init__(self, owner):
        self._owner, self._prefix = owner, f"{owner.next_module()}/"

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

    def is_capable(self, capability):
        """Whether the servers run the optimizer: where nobody waits for anybody."""
        return capability.lower() == mx.kvstore.KVStoreBase.OPTIMIZER and "async" in self.type

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
        """Make a key, and give `value` what rank 0 has."""
        self.broadcast(key, value, value)

    def push(self, key, value, priority=0):
        """Send gradients."""
        self._owner.store.push(self._prefix + key, value, priority)

    def pull(self, key, out=None, priority=0, ignore_sparse=True):
        """Fetch the sum of what was pushed, or the parameter the servers made of it."""
        self._owner.store.pull(self._prefix + key, out, priority, ignore_sparse)

    def pushpull(self, key, value, out=None, priority=0):
        """Send gradients and fetch their sum, or the parameter the servers made of it."""
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
        self.store, self.keys, self._modules, self._pieces = store, 0, 0, False

    def next_module(self):
        """Count one more Module; return its number."""
        self._modules += 1
        return self._modules

    def broadcast(self, value):
        """Return the value rank 0 gives, anything JSON can say; every worker has to ask."""
        words = _words(json.dumps(value).encode())
        pieces, rest = map(int, self._agreed(divmod(len(words), _PIECE)))
        return json.loads(_bytes(self._agreed(np.resize(words, pieces * _PIECE + rest))).decode())

    def _agreed(self, numbers):
        """Return rank 0's array of as many numbers, under a key of its own."""
        name, answer = f"agreed/{self.keys}", mx.nd.zeros((len(numbers),))
        self.keys += 1
        self.store.broadcast(name, mx.nd.array(numbers), answer)
        return answer.asnumpy()

    def broadcast_bytes(self, data):
        """Return the bytes rank 0 gives, however many; every worker has to ask, the others with None.

        They cross the servers in pieces under one key, as a sum to which the others add zeros: nothing of them stays
        there. Not with ``dist_async``, whose servers do not sum.
        """
        if not self._pieces:
            self.keys, self._pieces = self.keys + 1, True
            self.store.init("pieces", mx.nd.zeros((_PIECE,)))
        size, given = self.broadcast(len(data) if data is not None else 0), _words(data or b"")
        received = np.empty(-(-size // 2), np.float32)
        for start in range(0, len(received), _PIECE):
            piece = mx.nd.zeros((_PIECE,))
            own = given[start:start + _PIECE]
            piece[:len(own)] = own
            self.store.pushpull("pieces", piece, piece)
            received[start:start + _PIECE] = piece.asnumpy()[:len(received) - start]
        return _bytes(received)[:size]


def _words(data):
    """Return bytes as numbers float32 holds exactly, two bytes each; an odd one is followed by a blank."""
    return np.frombuffer(data + b" " * (len(data) % 2), "<u2").astype(np.float32)


def _bytes(words):
    return words.astype("<u2").tobytes()
