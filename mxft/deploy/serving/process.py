"""One process that computes, as the front sees it: started, given a batch, watched, ended."""
import contextlib
import json
import multiprocessing
import signal
import time
from multiprocessing.connection import wait

from mxft import errors
from mxft.deploy.serving.child import run_child
from mxft.deploy.serving.jobs import Refused

_MOST_MESSAGE = 64 << 20  # bytes; an answer of 1,000 pictures and 1,000 classes has 10 MB


class Died(Exception):
    """A process ended, or was ended, before it answered.

    Parameters
    ----------
    why : str
    number : int or None
        Of the job it was at; None where it had begun none.
    late : bool
        It was ended because it took too long.
    """

    def __init__(self, why, number=None, late=False):
        super().__init__(why)
        self.number, self.late = number, late


class ChildProcess:
    """A spawned process with the network in it.

    Parameters
    ----------
    load : callable
        For `mxft.deploy.serving.child.run_child`; pickled, so a function of a module, or a partial of one.
    threads, memory, timeout
        See `run_child`; `timeout` is in seconds of the clock too.
    """

    def __init__(self, load, threads, memory, timeout):
        context = multiprocessing.get_context("spawn")
        self._timeout, (self._pipe, theirs) = timeout, context.Pipe()
        self._process = context.Process(target=run_child, args=(theirs, load, threads, memory, timeout), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self):
        """The number of the process."""
        return self._process.pid

    def ready(self):
        """Wait until the network is loaded; return the worker's facts and what was printed, [stdout, stderr].

        Raises
        ------
        MxftError
            What the worker refused, of its own kind.
        Died
        """
        message = self._message(None, None)
        if "refused" in message:
            kind, text = message["refused"]
            refused = getattr(errors, kind, errors.RunError)(text)
            refused.said = message["said"]
            raise refused
        return message["ready"], message["said"]

    def compute(self, jobs):
        """Have jobs answered, as a batch.

        Parameters
        ----------
        jobs : list of (str, list of bytes)

        Returns
        -------
        list of dict or Refused

        Raises
        ------
        Died
        """
        number, until = None, time.monotonic() + self._timeout
        try:
            self._pipe.send(jobs)
        except OSError:
            raise Died(self._ending()) from None
        while True:
            message = self._message(number, until)
            if "done" in message:
                return [each["answer"] if "answer" in each else
                        Refused(each["status"], each["sentence"], each["reason"]) for each in message["done"]]
            number, until = message["began"], time.monotonic() + self._timeout

    def _message(self, number, until):
        """Return the next message, or end a process that takes longer than `until`."""
        left = None if until is None else max(0.0, until - time.monotonic())
        if not wait([self._pipe, self._process.sentinel], left):
            self.kill()
            raise Died("took too long", number, late=True)
        try:
            return json.loads(self._pipe.recv_bytes(_MOST_MESSAGE))
        except (EOFError, OSError, ValueError):
            raise Died(self._ending(), number) from None

    def is_alive(self):
        """Whether it runs."""
        return self._process.is_alive()

    def _ending(self):
        """Return how it ended, in words."""
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            self.kill()
            return "closed its pipe"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def end(self):
        """Send it SIGKILL; whoever waits for its answer learns it."""
        self._process.kill()

    def kill(self):
        """End it at once, and wait for its end."""
        self._process.kill()
        self._process.join(5)
        self._pipe.close()

    def close(self):
        """Let it end by itself, or end it after a second."""
        self._pipe.close()
        self._process.join(1)
        if self._process.is_alive():
            self.kill()
