"""What is pushed is called by the worker of its context, in order, once what it reads is there."""
import threading

import pytest

from mxft.compat import mx
from mxft.inference.engine import push


def test_functions_of_one_context_are_called_in_order_in_one_thread():
    called = []
    events = [push(lambda number=number: called.append((number, threading.get_ident())), mx.cpu(3))
              for number in range(20)]
    assert all(event.wait(20) for event in events)
    assert [number for number, _ in called] == list(range(20))
    assert len({thread for _, thread in called}) == 1 and called[0][1] != threading.get_ident()


def test_contexts_do_not_wait_for_each_other():
    held = threading.Event()
    waiting = push(held.wait, mx.cpu(3))
    assert push(lambda: None, mx.cpu(4)).wait(20) and not waiting.is_set()
    held.set()
    assert waiting.wait(20)


def test_it_waits_for_what_it_reads():
    held, called = threading.Event(), []
    waiting = push(held.wait, mx.cpu(3))
    late = mx.nd.ones((2,), ctx=mx.cpu(3)) + 1
    over = push(lambda: called.append(1), mx.cpu(4), [late])
    assert not over.wait(0.2) and not called
    held.set()
    assert over.wait(20) and waiting.is_set() and called


def test_after_an_operator_that_failed_it_is_not_called_and_no_one_waits_for_ever():
    called = []
    failed = mx.nd.random.normal(0, -1, (2,))
    assert push(lambda: called.append(1), mx.cpu(3), [failed]).wait(20) and not called
    with pytest.raises(mx.base.MXNetError):
        failed.wait_to_read()
