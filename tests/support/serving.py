"""The service without processes and without a port, and a process of ``mxft serve`` with its port."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from mxft.deploy.serving.child import answer_each
from mxft.deploy.serving.front import Front
from mxft.deploy.serving.jobs import Job, Refused
from mxft.deploy.serving.metrics import Metrics
from mxft.deploy.serving.options import ServingOptions


class InlinePool:
    """Stands for a Pool: the worker answers in the caller's own thread, its words through JSON as from a process."""

    ready = True

    def __init__(self, worker):
        self._worker = worker

    def submit(self, verb, parts):
        """Return the Job of a request, or raise its Refused."""
        job = Job(verb, parts, time.monotonic() + 60)
        outcome, = self._worker.answer_all([(verb, parts)], lambda number: None)
        if isinstance(outcome, Refused):
            raise outcome
        job.outcome = json.loads(json.dumps(outcome))
        return job


def front_of(worker, hosts=("localhost",), **options):
    """Return a Front with the worker in this process."""
    return Front(InlinePool(worker), ServingOptions(**options), Metrics(), hosts)


@contextlib.contextmanager
def serving(*words, ended=(143, "mxft serve: stopped by SIGTERM\n")):
    """Yield a running ``mxft serve`` with its ``address``, (host, port); SIGTERM ends it, with that status and stderr.

    `ended` None asks nothing of its end.
    """
    process = start(*words)
    try:
        lines = []
        while not (lines and "serving " in lines[-1]):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.said = lines
        process.address = "127.0.0.1", int(re.search(r":(\d+)/", lines[-1]).group(1))
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    if ended:
        err = "".join(line for line in err.splitlines(True) if not line.startswith("libpng"))
        assert (process.returncode, out, err) == (ended[0], "", ended[1])


def start(*words):
    """Return the process of a ``mxft serve`` with these arguments."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-m", "mxft", "serve", *map(str, words)], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition, seconds=60):
    """Wait until a condition holds, and return what it gives."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.02)
    return condition()


class FakeWorker:
    """Does to its process what its part says: ``die``, ``sleep``, ``grow``, ``fail``, ``wait`` a tenth, or answers."""

    def __init__(self, facts):
        self.facts = facts

    def answer_all(self, jobs, began):
        """Return the outcomes of jobs."""
        return answer_each(jobs, began, self._answer)

    def _answer(self, verb, parts):
        word, value = parts[0].decode(), os.getpid()
        if word.startswith("die"):
            os.kill(value, signal.SIGKILL)
        elif word == "sleep":
            time.sleep(600)
        elif word == "wait":
            time.sleep(0.1)
        elif word == "grow":
            value = len(bytes(400 << 20))
        elif word == "fail":
            raise ZeroDivisionError("secret")
        elif word == "once":
            with open(parts[1].decode(), "x") as f:  # refuses the second time
                f.write("died")
            os.kill(value, signal.SIGKILL)
        return {"verb": verb, "word": word, "value": value}


def load_fake(facts=None, said=""):
    """Return a FakeWorker; a worker that is refused where the facts are an exception."""
    print(said, end="")
    if isinstance(facts, Exception):
        raise facts
    return FakeWorker(facts or {"name": "fake"})
