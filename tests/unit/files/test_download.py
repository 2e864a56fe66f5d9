"""Downloads against a server on this machine that misbehaves on demand, and nothing else."""
import hashlib
import json
import os
import re
import shutil
from collections import namedtuple

import pytest

from mxft.errors import InputError
from mxft.files import download, http_stream
from mxft.files.download import FetchError, fetch
from tests.support.web import PAGE

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(server):
    """The misbehaving server, with one file."""
    server.files["a.tar"] = CONTENT
    return server


def ranges(server):
    return [headers.get("Range") for _, headers in server.seen]


def content(path):
    with open(path, "rb") as f:
        return f.read()


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_is_fetched_verified_and_not_fetched_again(server, tmp_path):
    path = tmp_path / "new" / "a.tar"
    for _ in range(2):
        assert fetch(server.base + "a.tar", path, size=len(CONTENT), sha256=SHA256,
                     sha1=hashlib.sha1(CONTENT).hexdigest(), md5=hashlib.md5(CONTENT).hexdigest().upper(),
                     progress=False) == str(path)
    assert content(path) == CONTENT
    assert len(server.seen) == 1
    assert names(path.parent) == ["a.tar"]


def test_without_a_length_or_a_hash_the_whole_body_is_taken(server, tmp_path):
    server.faults = ["no length"]
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)) == CONTENT


def test_every_dead_address_is_listed_with_its_reason_and_the_hint(server, tmp_path):
    urls = [server.base + "gone.tar", "http://127.0.0.1:9/a.tar", str(tmp_path / "not-there.tar")]
    with pytest.raises(FetchError) as caught:
        fetch(urls, tmp_path / "a.tar", progress=False, hint="give a local copy with CALTECH256=FOLDER-OR-TAR")
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines() == [
        "cannot fetch a.tar: expected one of these addresses to give it, received",
        f"  {urls[0]}: HTTP 404 Not Found",
        "  http://127.0.0.1:9/a.tar: connection refused",
        f"  {urls[2]}: no such file",
        "give a local copy with CALTECH256=FOLDER-OR-TAR",
    ]
    assert names(tmp_path) == []


def test_the_next_mirror_is_taken_after_a_dead_one(server, tmp_path):
    fetch([server.base + "gone.tar", server.base + "a.tar"], tmp_path / "a.tar", sha256=SHA256, progress=False)
    assert [path for path, _ in server.seen] == ["/gone.tar", "/a.tar"]


def test_a_wrong_hash_is_named_and_what_came_is_thrown_away(server, tmp_path):
    with pytest.raises(FetchError, match=f"sha256: expected {'0' * 64}, received {SHA256}; the download was deleted"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", sha256="0" * 64, progress=False)
    assert names(tmp_path) == []


def test_a_wrong_size_is_refused_before_the_body_is_taken(server, tmp_path):
    with pytest.raises(FetchError, match="size: expected 11 bytes, the server has 10,240"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", size=11, progress=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("labelled", [True, False])
def test_a_web_page_is_not_the_file(server, tmp_path, labelled):
    if labelled:
        server.faults = ["page"]
    else:
        server.files["a.tar"] = b"  \n" + PAGE
    with pytest.raises(FetchError, match="a web page titled 'Moved away' came instead of the file"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    assert names(tmp_path) == []


def test_a_check_of_the_kind_of_file_is_applied(server, tmp_path):
    with pytest.raises(FetchError, match="not a tar"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False, check=lambda path: "not a tar")
    assert names(tmp_path) == []


def test_an_empty_file_is_refused(server, tmp_path):
    server.files["a.tar"] = b""
    with pytest.raises(FetchError, match="an empty file came"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)


def test_half_a_file_is_completed_by_asking_for_the_rest(server, tmp_path):
    server.faults = ["half"]
    path = fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    assert content(path) == CONTENT
    assert ranges(server) == [None, "bytes=5120-"]
    assert server.seen[1][1]["If-Range"] == '"one"'


def test_an_interrupted_run_is_gone_on_with_by_the_next(server, tmp_path):
    server.faults = ["half", 503, 503]
    with pytest.raises(FetchError) as caught:
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    assert str(caught.value).endswith(f"HTTP 503 Service Unavailable; 5,120 bytes are kept in {tmp_path}/a.tar.part: "
                                      "the same command continues from there")
    assert names(tmp_path) == ["a.tar.part", "a.tar.part.json"]
    server.seen.clear()
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)) == CONTENT
    assert ranges(server) == ["bytes=5120-"]
    assert names(tmp_path) == ["a.tar"]


def test_half_a_file_each_time_without_etag_or_hash_leaves_nothing(server, tmp_path):
    server.faults, server.etag = ["half"] * 3, None
    with pytest.raises(FetchError, match="the connection broke off$"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    assert names(tmp_path) == []


def test_a_server_that_ignores_range_starts_the_file_again(server, tmp_path):
    server.faults = ["half", "no range"]
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)) == CONTENT
    assert ranges(server) == [None, "bytes=5120-"]


def test_a_server_that_sends_another_range_is_not_believed(server, tmp_path):
    server.faults = ["half", "wrong range"]
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)) == CONTENT
    assert ranges(server) == [None, "bytes=5120-", None]


def test_a_file_that_changed_between_runs_is_fetched_from_the_start(server, tmp_path):
    server.faults = ["half", 500, 500]
    with pytest.raises(FetchError):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    server.files["a.tar"], server.etag = CONTENT[::-1], '"two"'
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)) == CONTENT[::-1]


def test_a_part_without_etag_or_hash_is_not_gone_on_with(server, tmp_path):
    server.faults, server.etag = ["half"], None
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)) == CONTENT
    assert ranges(server) == [None, None]


def test_a_known_hash_lets_another_mirror_finish_the_part(server, tmp_path):
    server.files["b/a.tar"], server.etag = CONTENT, None
    server.faults = ["half", 500, 500]
    urls = [server.base + "a.tar", server.base + "b/a.tar"]
    assert content(fetch(urls, tmp_path / "a.tar", sha256=SHA256, progress=False)) == CONTENT
    assert server.seen[-1][0] == "/b/a.tar"
    assert ranges(server)[-1] == "bytes=5120-"


def test_a_dead_mirror_does_not_cost_the_part_of_another(server, tmp_path):
    server.files["b/a.tar"] = CONTENT
    server.faults = ["half", 500, 500, 500, 500, 500]
    urls = [server.base + "a.tar", server.base + "b/a.tar"]
    with pytest.raises(FetchError):
        fetch(urls, tmp_path / "a.tar", progress=False)
    server.seen.clear()
    assert content(fetch(urls, tmp_path / "a.tar", progress=False)) == CONTENT
    assert ranges(server) == ["bytes=5120-"]


def test_a_part_that_is_whole_already_is_only_verified(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT)
    note = {"url": server.base + "a.tar", "validator": '"one"', "total": len(CONTENT)}
    (tmp_path / "a.tar.part.json").write_text(json.dumps(note))
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", sha256=SHA256, progress=False)) == CONTENT
    assert server.seen == [] and names(tmp_path) == ["a.tar"]


def test_a_part_of_something_else_is_given_up_once_its_hash_shows_it(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(b"x" * 100)
    note = {"url": server.base + "a.tar", "validator": '"one"', "total": len(CONTENT)}
    (tmp_path / "a.tar.part.json").write_text(json.dumps(note))
    assert content(fetch(server.base + "a.tar", tmp_path / "a.tar", sha256=SHA256, progress=False)) == CONTENT
    assert ranges(server) == ["bytes=100-", None]


def test_a_wrong_file_already_there_is_named_and_left_alone(server, tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"mine")
    with pytest.raises(InputError) as caught:
        fetch(server.base + "a.tar", path, size=len(CONTENT), progress=False)
    assert str(caught.value) == (f"{path} is not the file it should be: size: expected 10,240 bytes, received 4; it "
                                 "was left as it is: move it away or delete it, then run the same command again")
    assert path.read_bytes() == b"mine" and server.seen == []


def test_a_server_that_says_nothing_is_given_up_after_a_bounded_wait(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_stream, "READ_SECONDS", 0.05)
    server.faults = ["hang"] * download.ATTEMPTS
    with pytest.raises(FetchError, match="nothing came for 0.05 seconds$"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    assert len(server.seen) == download.ATTEMPTS


def test_what_is_fetched_is_said_on_stderr_without_a_bar_where_there_is_no_terminal(server, tmp_path, capsys):
    fetch(server.base + "a.tar", tmp_path / "a.tar")
    assert capsys.readouterr() == ("", f"fetching {server.base}a.tar\n")


@pytest.mark.parametrize("as_url", [True, False])
def test_a_local_file_is_copied_and_left_where_it_is(tmp_path, as_url):
    source = tmp_path / "with blank.tar"
    source.write_bytes(CONTENT)
    path = fetch(source.as_uri() if as_url else source, tmp_path / "out" / "a.tar", sha256=SHA256, progress=False)
    assert content(path) == CONTENT and source.read_bytes() == CONTENT


def test_a_local_file_with_the_wrong_hash_is_refused(tmp_path):
    (tmp_path / "b.tar").write_bytes(b"other")
    with pytest.raises(FetchError, match="sha256: expected"):
        fetch(tmp_path / "b.tar", tmp_path / "a.tar", sha256=SHA256, progress=False)


def test_another_scheme_is_refused(tmp_path):
    with pytest.raises(InputError, match=re.escape("expected an http://, https:// or file:// address or a path, "
                                                   "received scheme='ftp'")):
        fetch("ftp://example.org/a.tar", tmp_path / "a.tar")


def test_a_full_disk_is_told_before_the_body_is_taken(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 1, 99))
    with pytest.raises(InputError, match="the disk is too full for a.tar: expected 10,240 free bytes"):
        fetch(server.base + "a.tar", tmp_path / "a.tar", progress=False)
    assert names(tmp_path) == []
