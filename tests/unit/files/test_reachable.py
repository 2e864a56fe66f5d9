"""Whether any of some addresses can be reached: told in seconds, whatever the network does."""
import socket
import time

import pytest

from mxft.files.reachable import any_reachable
from tests.conftest import DEAD, PROXIES


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listening():
    """The address of a server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file"


def test_one_host_that_answers_among_dead_ones_will_do(listening):
    assert any_reachable([DEAD, listening]) and not any_reachable([DEAD]) and not any_reachable([])


def test_a_local_copy_needs_no_network(tmp_path):
    assert any_reachable([DEAD, str(tmp_path)]) and any_reachable([tmp_path.as_uri()])
    assert not any_reachable([str(tmp_path / "gone")])


def test_where_a_proxy_stands_between_the_proxy_is_asked(listening, monkeypatch):
    monkeypatch.setenv("http_proxy", DEAD)
    assert not any_reachable(["http://host.example/a"])
    monkeypatch.setenv("http_proxy", listening)
    assert any_reachable(["http://host.example/a"])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert not any_reachable([DEAD])


def test_a_network_that_says_nothing_is_given_up(monkeypatch):
    """Neither the name server nor the host answers: what takes for ever is not waited for."""
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: time.sleep(30))
    began = time.monotonic()
    assert not any_reachable(["http://silent.example/a"], seconds=0.1)
    assert time.monotonic() - began < 10
