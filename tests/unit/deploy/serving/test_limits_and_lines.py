"""The small parts of the service: the line of jobs, who is let in, options, metrics, the access log, limits."""
import json
import os
import subprocess
import sys
import threading

import pytest

for package in ("flask", "waitress", "prometheus_client"):
    pytest.importorskip(package)

from mxft.deploy.serving.access_log import AccessLog  # noqa: E402
from mxft.deploy.serving.admission import MOST_WAITING, Admission  # noqa: E402
from mxft.deploy.serving.jobs import Job, Line, Refused  # noqa: E402
from mxft.deploy.serving.metrics import Metrics  # noqa: E402
from mxft.deploy.serving.options import ServingOptions, cores  # noqa: E402
from mxft.deploy.serving.server import behind_proxies  # noqa: E402
from mxft.errors import InputError  # noqa: E402


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


def test_who_is_let_in():
    admission = Admission(most=2, per_address=1)
    with admission.admitted("a", 10):
        with pytest.raises(Refused, match="There are 1 requests of this address under way already") as refused:
            admission.admitted("a", 10).__enter__()
        assert (refused.value.status, refused.value.reason, refused.value.retry_after) == (429, "address", 2)
        with admission.admitted("b", 10):
            assert admission.full
            with pytest.raises(Refused, match="its queue is full; try again") as refused:
                admission.admitted("c", 10).__enter__()
            assert (refused.value.status, refused.value.reason) == (503, "queue")
    assert not admission.full and not admission._of
    with admission.admitted("a", 2 * MOST_WAITING), pytest.raises(Refused, match="its queue is full"):
        admission.admitted("b", 1).__enter__()


@pytest.mark.parametrize("settings, message", [
    ({"queue": 0}, "`queue`: expected a whole number from 1 to 1000, received `queue=0`"),
    ({"timeout": 0}, "`timeout`: expected a number above 0"), ({"batch_size": 65}, "`batch_size`: expected a whole"),
    ({"proxy": ("proxy.example",)}, "`proxy`: expected an address or a network such as 10.0.0.0/8, received"),
    ({"metrics_from": ("10.0.0.0/99",)}, "`metrics_from`: expected an address or a network")])
def test_options_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError) as refused:
        ServingOptions(**settings)
    assert message in refused.value.message


def test_what_options_say():
    options = ServingOptions(processes=2, batch_size=4, queue=10, metrics_from=["10.1.0.0/16"], proxy=["192.0.2.9"])
    assert options.under_way == 18 and options.max_bytes == 10_000_000
    assert options.may_read_metrics("10.1.2.3") and not options.may_read_metrics("127.0.0.1")
    assert options.is_proxy("192.0.2.9") and options.is_proxy("::ffff:192.0.2.9") and not options.is_proxy("nonsense")
    assert ServingOptions().process_count == min(8, cores())
    assert ServingOptions().may_read_metrics("::1") and not ServingOptions().may_read_metrics("192.0.2.1")


@pytest.mark.parametrize("peer, header, seen", [
    ("198.51.100.7", "192.0.2.1", "198.51.100.7"), ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
    ("10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"), ("10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
    ("10.0.0.1", "", "10.0.0.1"), ("10.0.0.1", "6.6.6.6, <script>", "10.0.0.1"),
    ("10.0.0.1", "2001:db8::1", "2001:db8::1")])
def test_the_clients_address_is_what_a_proxy_of_ours_says(peer, header, seen):
    app = behind_proxies(lambda environ, start: environ["REMOTE_ADDR"], ServingOptions(proxy=("10.0.0.0/24",)))
    assert app({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": header}, None) == seen


def test_metrics_have_few_labels():
    metrics = Metrics()
    metrics.watch(queue=lambda: 3)
    for path in ("/predict", "/v2/models/a/infer", "/v2/models/b/infer", "/etc/passwd", "/x"):
        metrics.count(path, 200, 0.02)
    text = metrics.text().decode()
    assert 'mxft_requests_total{path="infer",status="200"} 2.0' in text and "mxft_queue_depth 3.0" in text
    assert 'mxft_requests_total{path="other",status="200"} 2.0' in text and "passwd" not in text


def test_the_access_log_is_json_and_survives_logrotate(tmp_path, capsys):
    log = AccessLog(str(tmp_path / "log"))
    log.write(path="/a\n", status=200)
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log.write(path="/b", status=404)
    log.close()
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("log.1", "log"))
    assert first["path"] == "/a\n" and second["status"] == 404 and first["time"].endswith("+00:00")
    AccessLog("-").write(status=1)
    AccessLog(None).write(status=2)
    assert json.loads(capsys.readouterr().err)["status"] == 1
    with pytest.raises(InputError, match="access_log: expected a file that can be written, received access_log="):
        AccessLog(str(tmp_path / "no" / "log"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS holds on Linux")
def test_limits_hold_from_where_the_process_stands():
    code = ("from mxft.deploy.serving.limits import *\nimport time\nleave_no_core()\nkept = bytes(300 << 20)\n"
            "limit_memory(200)\nfor _ in range(3):\n    limit_processor_time(0.5, 1)\n"
            "    end = time.process_time() + 1.2\n    while time.process_time() < end: pass\n"
            "try:\n    bytes(300 << 20)\nexcept MemoryError:\n    print('refused', flush=True)\nwhile True: pass")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n" and done.returncode == -24  # SIGXCPU, at last


def test_the_front_needs_no_mxnet():
    code = ("import sys\nimport mxft.cli.serve, mxft.deploy.serving.server, mxft.deploy.serving.pool\n"
            "import mxft.deploy.serving.application, mxft.deploy.bundle.opening, mxft.faces.serving.application\n"
            "print([name for name in ('mxnet', 'cv2', 'numpy', 'PIL') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
