"""The pool: processes that die of a picture, too long a one, or too large a one, and those who wait beside them."""
import concurrent.futures
import contextlib
import functools
import os
import signal
import sys

import pytest

for package in ("flask", "waitress", "prometheus_client"):
    pytest.importorskip(package)

from mxft.deploy.serving.jobs import Refused  # noqa: E402
from mxft.deploy.serving.metrics import Metrics  # noqa: E402
from mxft.deploy.serving.options import ServingOptions  # noqa: E402
from mxft.deploy.serving.pool import Pool  # noqa: E402
from mxft.errors import InputError, RunError  # noqa: E402
from tests.support.serving import load_fake, until  # noqa: E402


@contextlib.contextmanager
def pool_of(load=load_fake, **options):
    pool = Pool(load, ServingOptions(**{"processes": 1, **options}), Metrics())
    with contextlib.closing(pool):
        pool.start()
        yield pool


def asked(pool, *parts):
    return pool.submit("test", [part.encode() for part in parts]).outcome


def refusal(pool, *parts):
    with pytest.raises(Refused) as refused:
        asked(pool, *parts)
    return refused.value.status, str(refused.value), refused.value.reason


def test_what_a_process_says_of_itself_and_printed():
    pool = Pool(functools.partial(load_fake, {"name": "ä"}, "loaded\n"), ServingOptions(processes=1), Metrics())
    with contextlib.closing(pool):
        assert pool.start() == ({"name": "ä"}, ["loaded\n", ""]) and pool.ready
        assert asked(pool, "picture")["word"] == "picture"
        assert asked(pool, "again")["value"] == pool.pids[0] != os.getpid()
    assert not pool.ready


@pytest.mark.parametrize("error, kind, message", [
    (InputError("`host`: expected x"), InputError, "`host`: expected x"), (RunError("stopped"), RunError, "stopped"),
    (ZeroDivisionError("secret"), RunError, "ZeroDivisionError: secret")])
def test_what_refuses_the_model_refuses_the_service(error, kind, message):
    pool = Pool(functools.partial(load_fake, error, "before\n"), ServingOptions(processes=1), Metrics())
    with contextlib.closing(pool), pytest.raises(kind) as refused:
        pool.start()
    assert message in refused.value.message and refused.value.said == ["before\n", ""]


def test_a_picture_that_ends_two_processes_is_refused_and_known_again(capfd):
    with pool_of() as pool:
        first = asked(pool, "picture")["value"]
        sentence = "This picture ended the process that read it, twice; it is not tried again."
        assert refusal(pool, "die") == (422, sentence, "deadly")
        assert pool.metrics.restarts._value.get() == 2
        second = asked(pool, "picture")["value"]
        assert second != first
        assert refusal(pool, "die") == (422, sentence, "deadly") and asked(pool, "picture")["value"] == second
    assert "was ended by SIGKILL; another one is started" in capfd.readouterr().err


def test_a_picture_whose_process_was_killed_once_is_answered_by_another(tmp_path):
    with pool_of() as pool:
        path = str(tmp_path / "died")
        assert refusal(pool, "once", path)[:1] == (500,)  # the second process finds the file: it was tried once more
        assert os.path.exists(path) and pool.metrics.restarts._value.get() == 1


def test_those_beside_it_in_a_batch_are_answered():
    with pool_of(batch_size=4, batch_wait=200) as pool, concurrent.futures.ThreadPoolExecutor(4) as threads:
        deadly = threads.submit(refusal, pool, "die")
        others = [threads.submit(asked, pool, f"picture {number}") for number in range(3)]
        assert [other.result(60)["word"] for other in others] == [f"picture {number}" for number in range(3)]
        assert deadly.result(60)[0] == 422


def test_a_process_that_is_killed_while_it_waits_is_replaced(capfd):
    with pool_of() as pool:
        first = pool.pids[0]
        os.kill(first, signal.SIGKILL)
        until(lambda: pool.pids and pool.pids[0] != first)
        assert asked(pool, "picture")["value"] == pool.pids[0]


def test_what_takes_too_long_is_not_tried_again():
    with pool_of(timeout=0.5) as pool:
        assert refusal(pool, "sleep") == (504, "This request was not answered within 0.5 s; it is not tried again.",
                                          "timeout")
        until(lambda: pool.metrics.restarts._value.get() == 1 and pool.ready)
        assert asked(pool, "picture")["word"] == "picture"


def test_who_waits_too_long_for_a_process_is_told_to_come_again():
    with pool_of(timeout=0.6) as pool, concurrent.futures.ThreadPoolExecutor(1) as threads:
        slow = threads.submit(refusal, pool, "sleep")
        until(lambda: len(pool._line) == 0 and slow.running())
        status, sentence, reason = refusal(pool, "picture")
        assert (status, reason) == (503, "timeout") and sentence.startswith("The service is busy: no process was free")
        assert slow.result()[0] == 504


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS holds on Linux")
def test_a_picture_that_needs_too_much_memory_is_refused_and_the_process_lives():
    with pool_of(memory=200) as pool:
        pid = pool.pids[0]
        assert refusal(pool, "grow") == (
            422, "This picture cannot be read (it needs more memory than a picture is given).", "memory")
        assert asked(pool, "picture")["value"] == pid
    with pool_of(memory=1000) as pool:
        assert asked(pool, "grow")["value"] == 400 << 20


def test_a_defect_costs_its_request_alone(capfd):
    with pool_of() as pool:
        pid = pool.pids[0]
        assert refusal(pool, "fail")[0] == 500 and asked(pool, "picture")["value"] == pid
    assert "ZeroDivisionError: secret" in capfd.readouterr().err


def test_several_processes_compute_at_a_time():
    with pool_of(processes=2) as pool, concurrent.futures.ThreadPoolExecutor(8) as threads:
        until(lambda: len(pool.pids) == 2)
        found = {answer["value"] for answer in threads.map(lambda _: asked(pool, "wait"), range(8))}
        assert found == set(pool.pids)


def test_what_waits_when_it_is_closed_is_told():
    with pool_of() as pool, concurrent.futures.ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(refusal, pool, "sleep") for _ in range(2)]
        until(lambda: len(pool._line) == 1)
        pool.close()
        assert sorted(each.result()[2] for each in waiting) == ["lost", "stopping"]
    assert pool.pids == []
