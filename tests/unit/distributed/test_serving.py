"""Servers: what they do where their optimizer fails."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.distributed import serving


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def store(monkeypatch):
    """A local kvstore in a server's place; the process does not end, its message is raised."""
    def end(message):
        raise Ended(message)

    monkeypatch.setattr(serving, "end_process", end)
    store = mx.kv.create("local")
    serving.end_at_the_first_error(store, "server 1")
    store.init("w", mx.nd.ones(2))
    return store


def test_a_server_whose_optimizer_fails_ends_and_says_why(store):
    class Failing(mx.optimizer.Optimizer):
        def create_state(self, index, weight):
            return None

        def update(self, index, weight, grad, state):
            raise ValueError("first line\nexpected a number")

    store.set_optimizer(Failing())
    with pytest.raises(Ended, match="^server 1: the optimizer cannot update key w: ValueError: expected a number$"):
        store.push("w", mx.nd.ones(2))


def test_a_server_whose_optimizer_works_updates(store):
    out = mx.nd.zeros(2)
    store.set_optimizer(mx.optimizer.SGD(learning_rate=np.float64(0.25)))
    store.push("w", mx.nd.ones(2))
    store.pull("w", out)
    assert out.asnumpy().tolist() == [0.75, 0.75]
