"""A request's work on its way to a process and back: what is asked, its outcome, and the line of those that wait."""
import collections
import dataclasses
import threading
import time

from mxft.errors import MxftError

RETRY_AFTER = 2  # seconds


class Refused(MxftError):
    """A request that is not answered as it wished; the message is one sentence for a person.

    Parameters
    ----------
    status : int
        Of HTTP.
    sentence : str
    reason : str
        One word for the metrics.
    retry_after : int, optional
        Seconds after which it may be tried again.
    """

    def __init__(self, status, sentence, reason="input", retry_after=None):
        super().__init__(sentence)
        self.status, self.reason, self.retry_after = status, reason, retry_after


@dataclasses.dataclass(eq=False)
class Job:
    """What one request asks of a process.

    Parameters
    ----------
    verb : str
        What to do, of the worker's own verbs.
    parts : list of bytes
        What to do it with: pictures, or a body.
    deadline : float
        On the monotonic clock: nobody waits longer.
    """

    verb: str
    parts: list
    deadline: float
    arrived: float = dataclasses.field(default_factory=time.monotonic)
    began: float = None
    batch: int = 0
    deaths: int = 0
    tries: int = 0
    outcome: object = None
    done: threading.Event = dataclasses.field(default_factory=threading.Event)

    def finish(self, outcome):
        """Give the outcome, a dict or a Refused, to whoever waits."""
        self.outcome, self.parts = outcome, []
        self.done.set()

    @property
    def queue_ms(self):
        """How long it waited for a process, in milliseconds."""
        return ((self.began or time.monotonic()) - self.arrived) * 1e3


class Line:
    """The jobs that wait, first come, first served; how many there may be is decided before they come here."""

    def __init__(self):
        self._jobs, self._changed, self._closed = collections.deque(), threading.Condition(), False

    def __len__(self):
        return len(self._jobs)

    def put(self, job, first=False):
        """Add a job at the end, or `first`."""
        with self._changed:
            (self._jobs.appendleft if first else self._jobs.append)(job)
            self._changed.notify()

    def remove(self, job):
        """Take a job out again; return whether it was still waiting."""
        with self._changed:
            try:
                self._jobs.remove(job)
            except ValueError:
                return False
            return True

    def take(self, most, wait, patience):
        """Return the next jobs, in a list: none where none comes within `patience` seconds.

        Parameters
        ----------
        most : int
            Jobs together. One that has ended a process comes alone.
        wait : float
            Seconds that the first waits for others.
        patience : float
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._jobs or self._closed, patience) or not self._jobs:
                return []
            if most > 1 and not self._jobs[0].deaths:
                self._changed.wait_for(lambda: len(self._jobs) >= most or self._closed, wait)
            taken = []
            while self._jobs and len(taken) < most and not (taken and self._jobs[0].deaths):
                taken.append(self._jobs.popleft())
                if taken[0].deaths:
                    break
            return taken

    def close(self):
        """Let nobody wait any longer; return the jobs that are left."""
        with self._changed:
            self._closed = True
            left = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
            return left
