"""Mirrors that do harm: each is left after a bounded number of bytes and seconds, and the next one is asked."""
import contextlib
import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mxft.files import download, http_stream, slow_server
from mxft.files.download import FetchError, fetch
from tests.conftest import PROXIES
from tests.support.hostile_web import hostile

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def web(tmp_path, monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "RETRY_SECONDS", 0)
    monkeypatch.setattr(slow_server, "SECONDS", 0.3)
    monkeypatch.setattr(slow_server, "LEAST_BYTES_A_SECOND", 1_000_000)
    (tmp_path / "secret").write_text("secret")
    with hostile(CONTENT, tmp_path / "secret") as server:
        yield server


@pytest.mark.parametrize("kind, reason", [
    ("endless", "size: expected at most 10,240 bytes, the server sent more; what came was deleted"),
    ("long", "size: expected 10,240 bytes, the server has 10,241"),
    ("short", "the connection broke off"),
    ("circle", "Exceeded 30 redirects."),
    ("file", "No connection adapters were found for 'file://"),
    ("page", "size: expected 10,240 bytes, the server has 82"),
    ("bomb", "size: expected at most 10,240 bytes, the server sent more; what came was deleted"),
    ("drip", "less than 1,000,000 bytes a second came over 0.3 seconds"),
])
def test_each_is_refused_with_its_reason_and_the_next_mirror_gives_the_file(web, tmp_path, kind, reason):
    out = tmp_path / "out"
    with pytest.raises(FetchError) as refused:
        fetch(f"{web.base}{kind}/a.tar", out / "a.tar", size=len(CONTENT), progress=False)
    assert f"  {web.base}{kind}/a.tar: {reason}" in str(refused.value)
    assert os.listdir(out) == []
    fetch([f"{web.base}{kind}/a.tar", web.base + "good/a.tar"], out / "a.tar", size=len(CONTENT), sha256=SHA256,
          progress=False)
    assert (out / "a.tar").read_bytes() == CONTENT and os.listdir(out) == ["a.tar"]


def test_an_endless_body_of_unknown_size_ends_at_the_cap(web, tmp_path, monkeypatch):
    monkeypatch.setattr(http_stream, "MOST_BYTES", 1 << 20)
    with pytest.raises(FetchError, match="size: expected at most 1,048,576 bytes, the server sent more"):
        fetch(web.base + "endless/a.tar", tmp_path / "out" / "a.tar", progress=False)
    assert web.sent < 64 << 20 and os.listdir(tmp_path / "out") == []


def test_headers_without_end_are_refused(web, tmp_path):
    with pytest.raises(FetchError):
        fetch(web.base + "lines/a.tar", tmp_path / "a.tar", progress=False)


@pytest.mark.parametrize("hashes, refused", [({}, True), ({"sha256": SHA256}, False)])
def test_a_redirect_from_https_to_http_needs_a_hash(hashes, refused):
    response = SimpleNamespace(url="http://b/a.tar?x=1", history=[SimpleNamespace(url="https://a/a.tar")])
    wanted = http_stream.Wanted("a.tar", None, hashes)
    told = pytest.raises(http_stream.Refused, match="^redirected from https to http://b/a.tar, which anybody on the "
                                                    "way can answer, and no hash of the file is known$")
    with told if refused else contextlib.nullcontext():
        http_stream._refuse_open_redirect(response, wanted)


FETCHER = """
import sys
from mxft.command.telling import told
from mxft.files import download, slow_server
from mxft.files.download import fetch
with told():
    print(fetch(sys.argv[1], sys.argv[2], progress=False))
"""


def test_of_two_processes_one_fetches_and_both_have_the_file(web, tmp_path, repository):
    command = [sys.executable, "-c", FETCHER, web.base + "good/a.tar", str(tmp_path / "out" / "a.tar")]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {process.communicate()[0].strip() for process in both} == {str(tmp_path / "out" / "a.tar")}
    assert web.requests == ["/good/a.tar"] and os.listdir(tmp_path / "out") == ["a.tar"]
