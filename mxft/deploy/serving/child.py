"""A process that computes: it loads the network, answers batch after batch over a pipe, and may die of any of them.

To it goes what is pickled; from it comes JSON, for what has read a hostile picture is not trusted with more.
"""
import contextlib
import io
import json
import os
import signal
import sys
import traceback

from mxft.deploy.serving.jobs import Refused
from mxft.deploy.serving.limits import leave_no_core, limit_memory, limit_processor_time


def run_child(pipe, load, threads, memory, timeout):
    """Serve a pipe until it is closed; the entry of a spawned process.

    Parameters
    ----------
    pipe : multiprocessing.connection.Connection
        Gets ``[verb, parts]`` lists. Sends JSON: first ``{"ready": facts, "said": [stdout, stderr]}`` or ``{"refused":
        [kind, message], "said": …}``, then for each batch ``{"began": n}`` before its n-th job is read, and
        ``{"done": outcomes}``.
    load : callable
        Without arguments; returns a worker with ``facts``, a dict for JSON, and ``answer_all(jobs, began)``.
    threads : int
        For MXNet.
    memory : int
        Megabytes beside the network.
    timeout : float
        Seconds of processor time for a picture.
    """
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None:  # they come to the whole group: the front answers what is under way, and closes the pipe
            signal.signal(number, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    leave_no_core()
    worker = _loaded(pipe, load)
    if worker is None:
        return
    limit_memory(memory)
    with contextlib.suppress(EOFError, OSError):  # the front is gone, or has closed the pipe
        while True:
            jobs = pipe.recv()
            limit_processor_time(timeout * len(jobs), threads)
            outcomes = worker.answer_all(jobs, lambda number: _send(pipe, began=number))
            _send(pipe, done=[_told(outcome) for outcome in outcomes])


def _loaded(pipe, load):
    """Return the worker, after telling the front of it; None where it is refused."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            worker = load()
    except Exception as error:  # each is raised again by the front, or told there
        from mxft.errors import MxftError, describe_failure

        if isinstance(error, MxftError):
            refused = [type(error).__name__, error.message]
        else:
            refused = ["RunError", describe_failure(error) or traceback.format_exc()]
        _send(pipe, refused=refused, said=[out.getvalue(), err.getvalue()])
        return None
    _send(pipe, ready=worker.facts, said=[out.getvalue(), err.getvalue()])
    return worker


def answer_each(jobs, began, answer):
    """Return the outcomes of jobs that are answered one by one: what ``answer(verb, parts)`` gives or raises.

    Parameters
    ----------
    jobs : list of (str, list of bytes)
    began : callable of int
    answer : callable

    Returns
    -------
    list of dict or Refused
    """
    outcomes = []
    for number, job in enumerate(jobs):
        began(number)
        outcomes.append(outcome_of(answer, *job))
    return outcomes


def outcome_of(work, *given):
    """Return what a piece of work gives, or the Refused it raises or that stands for its failure, which is printed."""
    try:
        return work(*given)
    except Refused as refused:
        return refused
    except MemoryError:
        return Refused(422, "This picture cannot be read (it needs more memory than a picture is given).", "memory")
    except Exception:  # a defect: it is told in the terminal, and costs this request only
        traceback.print_exc(file=sys.stderr)
        return Refused(500, "The service failed at this request; what happened stands in its terminal.", "failed")


def _told(outcome):
    if isinstance(outcome, Refused):
        return {"status": outcome.status, "sentence": str(outcome), "reason": outcome.reason}
    return {"answer": outcome}


def _send(pipe, **message):
    pipe.send_bytes(json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass"))
