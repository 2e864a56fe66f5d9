"""The line of jobs: their order, batches, and those that have ended a process."""
import threading

from mxft.deploy.serving.jobs import Job, Line


def job(name, deaths=0):
    return Job(name, [], 0.0, deaths=deaths)


def taken(line, most=10, wait=0.0):
    return [each.verb for each in line.take(most, wait, 0.0)]


def test_jobs_come_in_order_and_in_batches():
    line = Line()
    for name in "abc":
        line.put(job(name))
    line.put(job("first"), first=True)
    assert len(line) == 4 and taken(line, 3) == ["first", "a", "b"] and taken(line, 1) == ["c"] and taken(line) == []


def test_a_job_that_has_ended_a_process_comes_alone():
    line = Line()
    for each in (job("a"), job("bad", deaths=1), job("c"), job("d")):
        line.put(each)
    assert [taken(line), taken(line), taken(line)] == [["a"], ["bad"], ["c", "d"]]


def test_the_first_waits_for_others():
    line, late = Line(), threading.Timer(0.05, lambda: line.put(job("b")))
    line.put(job("a"))
    late.start()
    assert taken(line, 2, wait=30) == ["a", "b"]


def test_a_closed_line_lets_nobody_wait():
    line, gone = Line(), job("gone")
    line.put(gone)
    assert line.remove(gone) and not line.remove(gone)
    line.put(job("left"))
    assert [each.verb for each in line.close()] == ["left"] and line.take(1, 0, 30) == []
