"""The processes that compute, kept alive: each has a thread that gives it jobs, and starts the next when it dies."""
import collections
import hashlib
import logging
import os
import threading
import time

from mxft.deploy.serving.jobs import RETRY_AFTER, Job, Line, Refused
from mxft.deploy.serving.options import cores
from mxft.deploy.serving.process import ChildProcess, Died
from mxft.errors import MxftError, RunError
from mxft.machine.threads import computing_threads

LOG = logging.getLogger("mxft")

MOST_DEATHS = 2      # of processes, by one picture
MOST_TRIES = 3       # of a job whose processes died of others
REMEMBERED = 1024    # pictures that ended as many
LOOK = 0.5           # seconds between two looks at an idle process
PATIENCE = 1.5       # seconds for processes to end by themselves
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two starts that fail

_DEADLY = "This picture ended the process that read it, twice; it is not tried again."
_LATE = "This request was not answered within {:g} s; it is not tried again."
_BUSY = "The service is busy: no process was free within {:g} s; try again."
_LOST = "The process that read this picture was lost; try again."
_CLOSED = "The service is being stopped."


class Pool:
    """Processes with the network in them, and the line of jobs that wait for one.

    Parameters
    ----------
    load : callable
        Makes the worker in a process: see `mxft.deploy.serving.child.run_child`.
    options : mxft.deploy.serving.options.ServingOptions
    metrics : mxft.deploy.serving.metrics.Metrics

    Notes
    -----
    A job whose process dies is tried once more, alone; one that two processes died of is refused, and so is whoever
    sends the same bytes again. What takes too long is not tried again.

    Examples
    --------
    >>> pool = Pool(load, ServingOptions(), Metrics())             # doctest: +SKIP
    >>> facts, said = pool.start()                                 # doctest: +SKIP
    >>> pool.submit("classify", [picture]).outcome["classes"]      # doctest: +SKIP
    """

    def __init__(self, load, options, metrics):
        self.options, self.metrics, self.facts = options, metrics, None
        self._load, self._line, self._closing = load, Line(), threading.Event()
        self._threads = threads_of_each(options.process_count)
        self._bound = {}  # seat: its process, while it has the network bound
        self._processes = set()  # all that run
        self._deadly, self._lock = collections.OrderedDict(), threading.Lock()
        self._seats = []
        metrics.watch(queue=lambda: len(self._line), ready=lambda: len(self._bound))

    def start(self):
        """Start the first process, wait until it has the network, and let the others follow.

        Returns
        -------
        facts : dict
            What the worker says of itself.
        said : list of str
            What it printed while it loaded: on stdout, on stderr.

        Raises
        ------
        MxftError
            What the worker refused.
        """
        first = self._process()
        try:
            self.facts, said = first.ready()
        except Died as died:
            raise RunError(f"the process that loads the model {died}; more memory, or a smaller model, may help"
                           ) from None
        finally:
            if self.facts is None:
                self._end(first)
        for number in range(self.options.process_count):
            process = first if number == 0 else None
            self._seats.append(threading.Thread(target=self._keep, args=(number, process), daemon=True,
                                                name=f"process-{number}"))
            self._seats[-1].start()
        return self.facts, said

    @property
    def ready(self):
        """Whether a process has the network bound."""
        return bool(self._bound) and not self._closing.is_set()

    @property
    def pids(self):
        """Numbers of the processes that have the network bound."""
        return [process.pid for process in list(self._bound.values())]

    def submit(self, verb, parts):
        """Have a request answered; wait for it.

        Parameters
        ----------
        verb : str
        parts : list of bytes

        Returns
        -------
        Job
            With its `outcome`, a dict.

        Raises
        ------
        Refused
        """
        if self._is_deadly(parts):
            raise Refused(422, _DEADLY, "deadly")
        timeout = self.options.timeout
        job = Job(verb, parts, time.monotonic() + timeout)
        if self._closing.is_set():
            raise Refused(503, _CLOSED, "stopping", RETRY_AFTER)
        self._line.put(job)
        if not job.done.wait(timeout):
            if self._line.remove(job):
                raise Refused(503, _BUSY.format(timeout), "timeout", RETRY_AFTER)
            job.done.wait(0.05)  # it may be coming this moment
            if not job.done.is_set():
                raise Refused(504, _LATE.format(timeout), "timeout")
        if isinstance(job.outcome, Refused):
            raise job.outcome
        return job

    def close(self):
        """End the processes; jobs that wait are refused."""
        self._closing.set()
        for job in self._line.close():
            job.finish(Refused(503, _CLOSED, "stopping", RETRY_AFTER))
        until = time.monotonic() + PATIENCE
        for seat in self._seats:
            seat.join(max(0.0, until - time.monotonic()))
        for process in list(self._processes):  # what computes or loads still
            process.end()
        for seat in self._seats:
            seat.join(PATIENCE)

    def _keep(self, seat, process):
        """Give a process jobs, one batch after another; where it ends, start the next. Runs in a thread."""
        failures = 0
        while not self._closing.is_set():
            if process is None:
                process = self._started(failures)
                failures = 0 if process else failures + 1
                continue
            self._bound[seat] = process
            try:
                while not self._closing.is_set():
                    self._serve(process)
            except Died as died:
                del self._bound[seat]
                if not self._closing.is_set():
                    self.metrics.restarts.inc()
                    LOG.warning("process %d %s; another one is started", process.pid, died)
                self._end(process)
                process = None
        if process:
            self._bound.pop(seat, None)
            process.close()
            self._processes.discard(process)

    def _process(self):
        options = self.options
        process = ChildProcess(self._load, self._threads, options.memory, options.timeout)
        self._processes.add(process)
        return process

    def _end(self, process):
        process.kill()
        self._processes.discard(process)

    def _started(self, failures):
        """Return a new process that is ready, or None after a pause, which is longer each time."""
        process = self._process()
        try:
            facts, _ = process.ready()
            if facts == self.facts:
                return process
            why = "found another model than the first; start mxft serve again to serve it"
        except (Died, MxftError) as error:
            why = f"did not start: {error}"
        self._end(process)
        if not self._closing.is_set():
            LOG.warning("a process %s", why)
        self._closing.wait(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures))
        return None

    def _serve(self, process):
        """Give a process the next batch, and those who wait their outcomes."""
        jobs = self._line.take(self.options.batch_size, self.options.batch_wait / 1e3, LOOK)
        if not jobs:
            if not process.is_alive():
                raise Died("was lost while it waited")
            return
        began = time.monotonic()
        for job in jobs:
            job.began, job.batch = job.began or began, len(jobs)
        try:
            outcomes = process.compute([(job.verb, job.parts) for job in jobs])
        except Died as died:
            self._bury(jobs, died)
            raise
        self.metrics.batches.observe(len(jobs))
        for job, outcome in zip(jobs, outcomes):
            job.finish(outcome)

    def _bury(self, jobs, died):
        """Decide about the jobs of a batch whose process died: those that cannot be the cause are simply tried again.

        The cause is the job it was at; behind the last of a batch, any.
        """
        suspects = [] if died.number is None else jobs if died.number == len(jobs) - 1 else [jobs[died.number]]
        for job in reversed(jobs):
            job.deaths, job.tries = job.deaths + (job in suspects), job.tries + 1
            if died.late and job in suspects and len(suspects) == 1:
                self._remember(job, late=True)
                job.finish(Refused(504, _LATE.format(self.options.timeout), "timeout"))
            elif job.deaths >= MOST_DEATHS:
                self._remember(job)
                job.finish(Refused(422, _DEADLY, "deadly"))
            elif time.monotonic() > job.deadline or job.tries >= MOST_TRIES or self._closing.is_set():
                job.finish(Refused(503, _LOST, "lost", RETRY_AFTER))
            else:
                self._line.put(job, first=True)

    def _remember(self, job, late=False):
        """Count the deaths by these bytes; one that took too long may have done so for want of a processor, once."""
        with self._lock:
            key = _key(job.parts)
            self._deadly[key] = self._deadly.get(key, 0) + (1 if late else MOST_DEATHS)
            while len(self._deadly) > REMEMBERED:
                self._deadly.popitem(last=False)

    def _is_deadly(self, parts):
        with self._lock:
            return bool(self._deadly) and self._deadly.get(_key(parts), 0) >= MOST_DEATHS


def threads_of_each(processes):
    """Return how many threads each of some processes computes with: what ``OMP_NUM_THREADS`` says, or a fair share."""
    return computing_threads() if os.environ.get("OMP_NUM_THREADS") else max(1, cores() // processes)


def _key(parts):
    """Return what tells one request's bytes from another's."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()
