"""``mxft serve`` under load and beside hostile neighbours: requests a second, latencies, statuses, memory.

    python tests/bench/bench_serving.py [--model PREFIX,EPOCH] [--seconds 60] [--requests 10000] [--serve "FLAGS"]

One client, then 64 for --seconds; 64 again for a third of that beside each of: 200 connections that send a byte a
second, a scan bomb every second, 9 MB of 0xFF every second, ``kill -9`` of a process; SIGTERM under load; and the
memory of all processes before and after --requests. Clients and service share the machine's cores. The neighbours have
an address of their own, 127.0.0.2, so Linux is expected. Photographs are those of ../shared or $MXFT_TESTDATA.
"""
import argparse
import collections
import contextlib
import http.client
import os
import pathlib
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from turns import ROOT, shared, show, unpack

CLIENTS, SLOW = 64, 200
NEIGHBOUR = ("127.0.0.2", 0)


class Service:
    """A running ``mxft serve``."""

    def __init__(self, model, flags):
        words = ["serve", model, "--image-shape", "3,224,224", "--resize", "256", "--port", "0", *shlex.split(flags)]
        told = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen([sys.executable, "-m", "mxft", *words], stdout=subprocess.PIPE, stderr=told,
                                        text=True, env={**os.environ, "PYTHONPATH": ROOT})
        line = self.process.stdout.readline()
        if not line.startswith("serving "):
            told.seek(0)
            raise SystemExit(f"the service did not start: {line}{told.read()}(status {self.process.wait()})")
        self.port = int(re.search(r":(\d+)/", line).group(1))

    def pids(self):
        """Return the numbers of the front and of all it started."""
        found = [self.process.pid]
        for pid in found:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def memory(self):
        """Return the resident megabytes of all processes."""
        return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))
                   for pid in self.pids()) / 1024


def load(port, pictures, clients, seconds=None, requests=None):
    """Post pictures from so many clients; return (seconds, latencies, statuses)."""
    latencies, statuses, lock = [], collections.Counter(), threading.Lock()
    began = time.perf_counter()
    left = iter(range(requests)) if requests else None

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for turn in range(1 << 30):
            with lock:
                if (left and next(left, None) is None) or (seconds and time.perf_counter() - began > seconds):
                    break
            start = time.perf_counter()
            try:
                connection.request("POST", "/predict", pictures[(number + turn) % len(pictures)])
                answer = connection.getresponse()
                answer.read()
                status = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                connection.close()
            with lock:
                statuses[status] += 1
                latencies.append(time.perf_counter() - start)
            if status == "ConnectionRefusedError":
                break
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, latencies, statuses


@contextlib.contextmanager
def beside(work, pause):
    """Call a neighbour's work, again and again, for as long as the block lasts."""
    over = threading.Event()

    def again():
        while not over.wait(pause):
            with contextlib.suppress(OSError, http.client.HTTPException):
                work()
    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class SlowSenders:
    """Connections that send a byte a second, and come again when they are closed."""

    def __init__(self, port):
        self._port, self._connections = port, []

    def __call__(self):
        """Send each connection's next byte."""
        for connection in list(self._connections):
            try:
                connection.send(b"x")
            except OSError:
                self._connections.remove(connection)
                connection.close()
        while len(self._connections) < SLOW:
            connection = socket.create_connection(("127.0.0.1", self._port), 5, NEIGHBOUR)
            connection.setblocking(False)
            self._connections.append(connection)
            with contextlib.suppress(OSError):
                connection.send(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")

    def close(self):
        """Close them all."""
        for connection in self._connections:
            connection.close()


def poster(port, data):
    """Return a function that posts a body from the neighbour's address."""
    def post():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=NEIGHBOUR)
        with contextlib.closing(connection):
            connection.request("POST", "/predict", data)
            connection.getresponse().read()
    return post


def scan_bomb(picture, scans=20_000, side=6000):
    """Return a progressive JPEG of so many scans that announces side x side pixels."""
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(picture, np.uint8), 1)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    at = data.index(b"\xff\xc2") + 5
    data = data[:at] + side.to_bytes(2, "big") * 2 + data[at + 4:]
    return data[:-2] + (data[data.rindex(b"\xff\xda"):-2][:200]) * scans + b"\xff\xd9"


def row(what, seconds, latencies, statuses):
    """Print one line of the table, and return the requests a second that were answered."""
    answered = sum(count for status, count in statuses.items() if status == "200") / seconds
    p50, p95, p99 = (1e3 * statistics.quantiles(latencies, n=100)[at - 1] for at in (50, 95, 99))
    told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    print(f"| {what} | {answered:.0f} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {told} |", flush=True)
    return answered


def neighbours(service, pictures):
    """Yield (what, context manager) of each hostile neighbour."""
    slow = SlowSenders(service.port)
    with contextlib.closing(slow):
        yield f"{SLOW} connections, a byte a second", beside(slow, 1)
    yield "a scan bomb every second", beside(poster(service.port, scan_bomb(pictures[0])), 1)
    yield "9 MB of 0xFF every second", beside(poster(service.port, b"\xff\xd8" + b"\xff" * 9_000_000), 1)
    yield "kill -9 of a process, twice", beside(Killer(service), 3)


class Killer:
    """Kills one of the processes that compute, twice at most."""

    def __init__(self, service):
        self._service, self._left = service, 2

    def __call__(self):
        """Kill the last one started."""
        if self._left:
            self._left -= 1
            os.kill(max(pid for pid in self._service.pids()[1:] if b"spawn_main" in pathlib.Path(
                f"/proc/{pid}/cmdline").read_bytes()), signal.SIGKILL)


def under_sigterm(service, pictures):
    """Print the line of SIGTERM under load, and the exit status."""
    timer = threading.Timer(2, lambda: service.process.send_signal(signal.SIGTERM))
    timer.start()
    row("SIGTERM after 2 s", *load(service.port, pictures, CLIENTS, seconds=6))
    print(f"exit status {service.process.wait(60)}")


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PREFIX,EPOCH")
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--requests", type=int, default=10_000)
    p.add_argument("--serve", default="", help="further flags of mxft serve")
    args = p.parse_args()
    model = args.model or shared("models", "mobilenet-v2-1.0,0")
    with tempfile.TemporaryDirectory() as scratch:
        photographs = sorted(pathlib.Path(unpack("caltech256-subset.tar", scratch)).rglob("*.jpg"))[::40]
        pictures = [path.read_bytes() for path in photographs]
    service = Service(model, args.serve)
    time.sleep(5)
    print("| 64 clients, beside | requests/s | p50 ms | p95 ms | p99 ms | statuses |\n|---|---|---|---|---|---|")
    one = row("one client alone", *load(service.port, pictures, 1, args.seconds / 3))
    many = row("nobody", *load(service.port, pictures, CLIENTS, args.seconds))
    before = service.memory()
    load(service.port, pictures, CLIENTS, requests=args.requests)
    after = service.memory()
    for what, neighbour in neighbours(service, pictures):
        with neighbour:
            row(what, *load(service.port, pictures, CLIENTS, args.seconds / 3))
    under_sigterm(service, pictures)
    print(f"memory of all processes: {before:.0f} MB, after {args.requests} requests {after:.0f} MB")
    show("serving MobileNetV2", "requests/s", {"64 clients": [many], "one client": [one]}, "64 clients")


if __name__ == "__main__":
    main()
