"""``mxft serve`` beside a hostile neighbour: SIGTERM under load, processes that are killed, bombs."""
import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import socket

import cv2
import numpy as np
import pytest
import requests

for package in ("flask", "waitress", "PIL", "prometheus_client"):
    pytest.importorskip(package)
from tests.support.images import encoded, smooth  # noqa: E402
from tests.support.serving import serving, until  # noqa: E402

NEEDS_PROC = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="expected /proc")
SMALL = encoded(smooth(), ".png")


@pytest.fixture(scope="module")
def net(tmp_path_factory, make_checkpoint):
    """The name of a tiny checkpoint that knows its input."""
    checkpoint = make_checkpoint(7)
    checkpoint.manifest = {"input": {"size": 16, "scale": .01}, "packing": {"resize": 20},
                           "classes": [f"class {number}" for number in range(7)]}
    prefix = str(tmp_path_factory.mktemp("hostile") / "net")
    checkpoint.save(prefix, 0)
    return f"{prefix},0"


def url(process, path):
    return "http://{}:{}".format(*process.address) + path


def post(process, data, path="/predict"):
    return requests.post(url(process, path), data=data, timeout=60)


def metric(process, name):
    text = requests.get(url(process, "/metrics"), timeout=60).text
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def children(process):
    """Return the processes in which the network is bound."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
    own = " ".join((task / "children").read_text() for task in tasks)
    return [int(pid) for pid in own.split() if b"spawn_main" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextlib.contextmanager
def under_way(process, count, threads):
    """Yield the only child, stopped, and as many requests that wait for it; it goes on afterwards."""
    child, = children(process)
    os.kill(child, signal.SIGSTOP)
    try:
        asked = [threads.submit(post, process, SMALL) for _ in range(count)]
        until(lambda: metric(process, "mxft_queue_depth") == count - 1)  # it has one already
        yield child, asked
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)


def refuses(process):
    try:
        socket.create_connection(process.address, timeout=60).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the door closed as it was knocked at
        return False
    return False


@NEEDS_PROC
def test_twelve_requests_under_way_are_answered_after_sigterm(net):
    with serving(net, "--port", 0, "--processes", 1) as process, concurrent.futures.ThreadPoolExecutor(12) as threads:
        with under_way(process, 12, threads) as (_, asked):
            process.send_signal(signal.SIGTERM)
            until(lambda: refuses(process))
        answers = [each.result() for each in asked]
        assert [answer.status_code for answer in answers] == [200] * 12
        assert {answer.headers.get("Connection") for answer in answers} == {"close"}


@NEEDS_PROC
def test_a_process_that_is_killed_is_replaced_and_its_requests_are_answered(net):
    lost = r"(process \d+ was (ended by SIGKILL|lost while it waited); another one is started\n)+"
    with serving(net, "--port", 0, "--processes", 1, ended=None) as process:
        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            with under_way(process, 6, threads) as (first, asked):
                os.kill(first, signal.SIGKILL)
            assert [each.result().status_code for each in asked] == [200] * 6
        assert children(process) != [first] and metric(process, "mxft_process_restarts_total") == 1
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 143 and out == ""
        assert re.fullmatch(lost + "mxft serve: stopped by SIGTERM\n", err)
        process.communicate = lambda timeout: (out, err)


def bomb(scans=5000):
    data = cv2.imencode(".jpg", smooth((64, 64)), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return data[:-2] + data[data.rindex(b"\xff\xda"):-2] * scans + b"\xff\xd9"


@pytest.fixture(scope="module")
def service(net, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "access"
    with serving(net, "--port", 0, "--processes", 2, "--batch-size", 4, "--batch-wait", 20, "--access-log",
                 log) as process:
        process.log = log
        yield process


def test_bombs_are_refused_and_end_no_process(service):
    before = metric(service, "mxft_process_restarts_total")
    for data, sentence in ((bomb(), "scans of 64 x 64 pixels, which would take too long to decode"),
                           (b"\xff\xd8" + b"\xff" * 9_000_000, "truncated JPEG"), (b"\xff" * 9_000_000, "no picture")):
        answer = post(service, data)
        assert answer.status_code in (415, 422) and sentence in answer.json()["error"]
    assert metric(service, "mxft_process_restarts_total") == before


def test_pictures_computed_together_get_what_they_get_alone(service):
    pictures = [encoded(smooth(seed=seed), ".png") for seed in range(16)]
    alone = [post(service, picture).json()["classes"] for picture in pictures]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        together = [answer.json()["classes"] for answer in threads.map(lambda each: post(service, each), pictures)]
    for one, other in zip(alone, together):
        assert [row["name"] for row in one] == [row["name"] for row in other]
        assert [row["probability"] for row in one] == pytest.approx([row["probability"] for row in other], abs=2e-6)
    assert max(json.loads(line)["batch"] for line in service.log.read_text().splitlines()) > 1


def test_the_open_protocol_gives_the_numbers_of_predict(service):
    body = {"id": "7", "inputs": [{"name": "picture", "datatype": "BYTES", "shape": [2],
                                   "data": [base64.b64encode(SMALL).decode()] * 2}]}
    answer = requests.post(url(service, "/v2/models/net/infer"), json=body, timeout=60).json()
    assert answer["id"] == "7" and answer["model_name"] == "net" and answer["outputs"][0]["shape"] == [2, 7]
    rows = np.reshape(answer["outputs"][0]["data"], (2, 7))
    for row in post(service, SMALL).json()["classes"]:
        assert rows[:, int(row["name"].split()[1])] == pytest.approx(row["probability"], abs=2e-6)
    ready = requests.get(url(service, "/v2/models/net/ready"), timeout=60)
    assert ready.status_code == 200 and ready.json() == {"name": "net", "ready": True}


@pytest.mark.parametrize("words, message", [
    (["--queue", "0"], "--queue: expected a whole number from 1 to 1000, received queue='0'"),
    (["--proxy", "somewhere"], "--proxy: expected an address or a network such as 10.0.0.0/8, received "),
    (["--access-log", "no/such/log"], "--access-log: expected a file that can be written, received "),
    (["--timeout", "0"], "--timeout: expected a number above 0 and of at most 3600, received timeout='0'")])
def test_refusals(net, words, message, capsys, here):
    from mxft.cli import main

    assert main(["serve", net, "--port", "0", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
