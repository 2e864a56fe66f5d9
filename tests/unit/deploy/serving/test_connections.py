"""Connections over a real socket: slow senders, too many of them, refusals, the access log, and a good end."""
import concurrent.futures
import contextlib
import json
import re
import socket
import threading
import time

import pytest

for package in ("flask", "waitress", "prometheus_client"):
    pytest.importorskip(package)
from flask import jsonify, request  # noqa: E402

from mxft.deploy.serving.access_log import AccessLog  # noqa: E402
from mxft.deploy.serving.application import guarded_app  # noqa: E402
from mxft.deploy.serving.front import Front  # noqa: E402
from mxft.deploy.serving.jobs import Job, Refused  # noqa: E402
from mxft.deploy.serving.metrics import Metrics  # noqa: E402
from mxft.deploy.serving.options import ServingOptions  # noqa: E402
from mxft.deploy.serving.server import bind, make_server  # noqa: E402
from tests.support.serving import until  # noqa: E402

ASK = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n"


class SlowPool:
    """Answers a job when it is let go."""

    ready = True

    def __init__(self):
        self.go, self.waiting = threading.Event(), 0
        self.go.set()

    def submit(self, verb, parts):
        self.waiting += 1
        self.go.wait(60)
        if parts == [b"refused"]:
            raise Refused(503, "Busy.", "queue", 2)
        job = Job(verb, [], 0.0)
        job.outcome, job.batch = {"body": parts[0].decode(), "address": request.remote_addr}, 1
        return job


@contextlib.contextmanager
def service(tmp_path, **options):
    """Yield a running server with its `address`, `pool`, `front` and `thread`."""
    pool, options = SlowPool(), ServingOptions(**{"processes": 1, "access_log": str(tmp_path / "log"), **options})
    front, listening = Front(pool, options, Metrics()), bind("127.0.0.1", 0)
    app = guarded_app(__name__, front)
    app.post("/predict")(lambda: jsonify(front.ask("x", lambda: [request.get_data()])))
    with contextlib.closing(AccessLog(options.access_log)) as log:
        server = make_server(app, listening, front, log)
        server.pool, server.address = pool, listening.getsockname()
        server.thread = threading.Thread(target=server.run, daemon=True)
        server.thread.start()
        try:
            yield server
        finally:
            pool.go.set()
            server.end(10)
            server.thread.join(30)
            assert not server.thread.is_alive()
            server.task_dispatcher.shutdown(timeout=1)


def connect(server, source="127.0.0.1"):
    return socket.create_connection(server.address, timeout=30, source_address=(source, 0))


def received(connection):
    """Return (status, JSON) of one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(1 << 16)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(body) < length:
        body += connection.recv(1 << 16)
    return int(head.split()[1]), json.loads(body)


def nonsense(server):
    """Return the status of what is no request."""
    with connect(server) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        return received(connection)[0]


def ask(server, body=b"picture", source="127.0.0.1"):
    with connect(server, source) as connection:
        connection.sendall(ASK + body)
        return received(connection)


def refused(server, reason):
    return server.front.metrics.refused.labels(reason)._value.get()


def test_a_request_that_does_not_come_whole_in_time_is_closed_though_it_is_never_silent(tmp_path):
    with service(tmp_path, read_timeout=1) as server, connect(server) as slow:
        began, closed = time.monotonic(), None
        for byte in ASK + b"pic":
            try:
                slow.sendall(bytes([byte]))
                time.sleep(0.05)
            except OSError:
                closed = time.monotonic()
                break
        with contextlib.suppress(OSError):
            status, answer = received(slow)
            assert status == 408 and answer == {"error": "The request did not come whole in time."}
        until(lambda: refused(server, "deadline") == 1)
        assert closed is None or closed - began < 30
        assert ask(server)[0] == 200


def test_who_is_slow_makes_room_for_who_is_new_of_his_address(tmp_path):
    with service(tmp_path, per_address=5) as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(5)]
        for connection in slow:
            connection.sendall(ASK[:20])
        until(lambda: len(server.active_channels) == 5)
        assert ask(server, source="127.0.0.2")[0] == 200  # another address is not concerned
        status, answer = ask(server)  # nobody has been waited for long: this one is turned away
        assert status == 503 and answer == {"error": "There are too many connections; try again."}
        until(lambda: all(channel.waited > 1 for channel in server.active_channels.values()))
        for number in range(8):
            assert ask(server, b"new   %d" % number)[0] == 200
        assert refused(server, "address") >= 2


def test_who_has_gone_takes_no_place(tmp_path):
    with service(tmp_path, per_address=3) as server:
        for _ in range(5):
            for connection in [connect(server) for _ in range(3)]:
                connection.close()
            assert ask(server)[0] == 200
        assert refused(server, "address") == 0


def test_two_hundred_slow_senders_keep_nobody_out(tmp_path):
    with service(tmp_path, per_address=50, connections=60) as server, contextlib.ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(connect(server, f"127.0.0.{2 + number % 20}"))
            with contextlib.suppress(OSError):
                connection.sendall(ASK[:20])
        until(lambda: all(channel.waited > 1 for channel in list(server.active_channels.values())))
        assert len(server.active_channels) <= 60
        assert [ask(server)[0] for _ in range(20)] == [200] * 20


def test_a_proxy_is_not_limited_and_those_behind_it_are(tmp_path):
    with service(tmp_path, per_address=2, proxy=("127.0.0.1",)) as server, contextlib.ExitStack() as stack:
        server.pool.go.clear()
        lines = []
        for number in range(4):
            connection = stack.enter_context(connect(server))
            connection.sendall(ASK.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n" % (number // 2))
                               + b"picture")
            lines.append(connection)
            until(lambda: server.pool.waiting == len(lines))
        late = stack.enter_context(connect(server))
        late.sendall(ASK.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.0\r\n\r\n") + b"picture")
        assert received(late)[0] == 429
        server.pool.go.set()
        assert [received(line)[1]["address"] for line in lines] == ["192.0.2.0"] * 2 + ["192.0.2.1"] * 2


def test_a_full_queue_is_told_and_probes_are_still_answered(tmp_path):
    with service(tmp_path, queue=2) as server, concurrent.futures.ThreadPoolExecutor(8) as threads:
        server.pool.go.clear()
        waiting = [threads.submit(ask, server) for _ in range(3)]  # one computed, two wait
        until(lambda: server.pool.waiting == 3)
        with connect(server) as connection:
            connection.sendall(ASK + b"picture")
            assert b"\r\nRetry-After: 2\r\n" in connection.recv(1 << 16)
        assert ask(server) == (503, {"error": "The service is busy: its queue is full; try again."})
        assert get(server, "/v2/health/ready") == (503, {"ready": False})
        assert get(server, "/healthz") == (200, {"live": True})
        server.pool.go.set()
        assert [each.result()[0] for each in waiting] == [200] * 3
        assert get(server, "/v2/health/ready") == (200, {"ready": True}) and refused(server, "queue") == 2


def get(server, path, source="127.0.0.1"):
    with connect(server, source) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        return received(connection)


def test_metrics_are_for_whom_they_are_meant(tmp_path):
    with service(tmp_path, metrics_from=("127.0.0.9",)) as server:
        assert get(server, "/metrics") == (403, {"error": "The metrics are not for 127.0.0.1; --metrics-from names who "
                                                          "may read them."})
        with connect(server, "127.0.0.9") as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
            data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert b"text/plain; version=" in data
        assert re.search(rb"mxft_connections [12]\.0", data)  # the one before may still be closing


def test_a_refusal_is_read_by_who_is_still_sending(tmp_path):
    with service(tmp_path, max_megabytes=1) as server, connect(server) as connection:
        body = bytes(30 << 20)  # more than the system holds for a connection
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.sendall(body)
        assert received(connection) == (413, {"error": "This file is too large: 1 MB are the most that is taken."})
        assert connection.recv(1) == b""
        connection.close()
        until(lambda: not server.active_channels)


def test_after_the_last_answer_nobody_keeps_his_place(tmp_path):
    with service(tmp_path, read_timeout=1) as server, connect(server) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert received(connection)[0] == 400
        until(lambda: not server.active_channels)
        assert refused(server, "deadline") == 0  # it was answered


def test_each_request_is_a_line_of_the_access_log(tmp_path):
    with service(tmp_path) as server:
        assert ask(server)[0] == 200 and get(server, "/nothing\x41")[0] == 404
        assert nonsense(server) == 400
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {(line["method"], line["path"], line["status"]) for line in lines} == {
        ("POST", "/predict", 200), ("GET", "/nothingA", 404), ("", "", 400)}  # a line follows its answer, in any order
    predict = next(line for line in lines if line["path"] == "/predict")
    assert predict["received"] == 7 and predict["bytes"] > 20 and predict["batch"] == 1
    assert predict["address"] == "127.0.0.1" and predict["ms"] >= 0


def test_at_the_end_all_under_way_are_answered_and_nobody_new_is_let_in(tmp_path):
    with service(tmp_path) as server, contextlib.ExitStack() as stack:
        server.pool.go.clear()
        silent, half = (stack.enter_context(connect(server)) for _ in range(2))
        half.sendall(ASK)
        asked = [stack.enter_context(connect(server)) for _ in range(12)]
        for connection in asked:
            connection.sendall(ASK + b"picture")
        until(lambda: server.pool.waiting == 12)
        server.end(60)
        until(lambda: refuses(server))
        assert silent.recv(1) == b"" and server.thread.is_alive() and not server.front.ready
        half.sendall(b"picture")  # the rest of a request that had begun
        until(lambda: server.pool.waiting == 13)
        server.pool.go.set()
        assert [received(connection)[0] for connection in (*asked, half)] == [200] * 13
        server.thread.join(30)
        assert not server.thread.is_alive()


def refuses(server):
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the door closed as it was knocked at
        return False
    return False


def test_the_end_is_not_put_off_for_ever(tmp_path):
    with service(tmp_path) as server, connect(server) as never:
        never.sendall(ASK)
        until(lambda: len(server.active_channels) == 1)
        server.end(0.3)
        server.thread.join(30)
        assert not server.thread.is_alive()
