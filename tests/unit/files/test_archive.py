"""Archives made here, honest and hostile."""
import gzip
import io
import os
import shutil
import tarfile
import tracemalloc
import zipfile
from collections import namedtuple

import pytest

from mxft.errors import InputError
from mxft.files import archive
from mxft.files.archive import extract_tar, only_child

FILES = {"top/001.ak47/001_0001.jpg": b"one" * 1000, "top/002.flag/002_0001.jpg": b"two" * 2000, "top/empty": b""}


def member(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def make(path, files=FILES, extra=(), mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            tar.addfile(member(name, size=len(data)), io.BytesIO(data))
        for info in extra:
            tar.addfile(info, io.BytesIO(b"\0" * info.size))
    return path


def tree(folder):
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as f:
                found[os.path.relpath(os.path.join(root, name), folder)] = f.read()
    return found


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpacks_whole_and_leaves_the_archive_as_it_was(tmp_path, mode):
    path = make(tmp_path / "a.tar", extra=[member("top/folder", tarfile.DIRTYPE), member("./", tarfile.DIRTYPE)],
                mode=mode)
    before = path.read_bytes()
    folder = extract_tar(path, tmp_path / "new" / "out", progress=False)
    assert folder == str(tmp_path / "new" / "out")
    assert tree(folder) == FILES and os.path.isdir(os.path.join(folder, "top", "folder"))
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path / "new")) == ["out", "out.mxft.json"]
    assert only_child(folder) == os.path.join(folder, "top")
    assert only_child(only_child(folder)) == os.path.join(folder, "top")


@pytest.mark.parametrize("name, headers, message", [
    ("d/" * 3000 + "a", {}, "which lies deeper than 100 folders"),
    ("top/a", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99999999999"},
     "cut short or damaged .*not enough values"),
    ("top/a", {"path": "top/\0b"}, "zero byte in its name|cut short or damaged"),
])
def test_headers_python_stumbles_over_are_refused(tmp_path, name, headers, message):
    info = member(name, size=0)
    info.pax_headers = headers
    path = make(tmp_path / "a.tar", extra=[info])
    with pytest.raises(InputError, match=message):
        extract_tar(path, tmp_path / "out", progress=False)
    assert os.listdir(tmp_path) == ["a.tar"]


def test_the_same_archive_is_not_unpacked_again(tmp_path, monkeypatch):
    path = make(tmp_path / "a.tar")
    folder = extract_tar(path, tmp_path / "out", progress=False)
    monkeypatch.setattr(archive, "_unpack", lambda *args: pytest.fail("unpacked again"))
    assert extract_tar(path, tmp_path / "out", progress=False) == folder
    os.utime(path, (1, 1))
    assert extract_tar(path, tmp_path / "out", progress=False) == folder


def test_what_another_process_unpacked_in_the_meantime_is_taken(tmp_path, monkeypatch):
    path, unpack = make(tmp_path / "a.tar"), archive._unpack

    def overtaken(*arguments):
        monkeypatch.setattr(archive, "_unpack", unpack)
        extract_tar(path, tmp_path / "out", progress=False)
        return unpack(*arguments)

    monkeypatch.setattr(archive, "_unpack", overtaken)
    assert tree(extract_tar(path, tmp_path / "out", progress=False)) == FILES
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "out", "out.mxft.json"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    assert tree(extract_tar(make(tmp_path / "a.tar"), tmp_path / "out", progress=False)) == FILES


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(InputError, match="expected a folder that does not exist yet, received one that mxft did not "
                                         "unpack; name another folder"):
        extract_tar(make(tmp_path / "a.tar"), tmp_path / "out", progress=False)
    assert tree(tmp_path / "out") == {"mine": b"mine"}


def test_a_folder_of_another_archive_is_refused(tmp_path):
    extract_tar(make(tmp_path / "a.tar"), tmp_path / "out", progress=False)
    other = make(tmp_path / "b.tar", {"x": b"y" * 20000})
    with pytest.raises(InputError, match="received one unpacked from another archive, a.tar of 20,480 bytes"):
        extract_tar(other, tmp_path / "out", progress=False)


@pytest.mark.parametrize("info, reason", [
    (member("/etc/passwd"), "has an absolute path"),
    (member("C:\\windows\\x"), "has an absolute path"),
    (member("top/../../outside"), "points out of the folder with '..'"),
    (member("top\\..\\..\\outside"), "points out of the folder with '..'"),
    (member("../link", tarfile.SYMTYPE, "/etc"), "points out of the folder with '..'"),
    (member("/link", tarfile.LNKTYPE, "top/empty"), "has an absolute path"),
])
def test_a_member_that_breaks_the_rules_is_named_and_nothing_is_written(tmp_path, info, reason):
    path = make(tmp_path / "a.tar", extra=[info])
    with pytest.raises(InputError) as caught:
        extract_tar(path, tmp_path / "in" / "out", progress=False)
    assert f"received member {info.name!r}, which {reason}" in str(caught.value)
    assert os.listdir(tmp_path / "in") == [] and sorted(os.listdir(tmp_path)) == ["a.tar", "in"]


@pytest.mark.parametrize("kind, link", [
    (tarfile.SYMTYPE, "/etc"), (tarfile.SYMTYPE, "../../outside"), (tarfile.LNKTYPE, "top/empty"),
    (tarfile.LNKTYPE, "/etc/passwd"), (tarfile.FIFOTYPE, ""), (tarfile.BLKTYPE, ""), (tarfile.CHRTYPE, "")])
def test_links_and_devices_are_left_out_and_told(tmp_path, capsys, kind, link):
    path = make(tmp_path / "a.tar", extra=[member("top/stray", kind, link), member("top/second", kind, link)])
    folder = extract_tar(path, tmp_path / "out", progress=False)
    assert tree(folder) == FILES and not os.path.lexists(os.path.join(folder, "top", "stray"))
    assert capsys.readouterr().err == (
        f"skipped 2 links or special files of {path}, which are never created: the first is 'top/stray'\n")


def test_nothing_is_written_through_a_link_that_was_left_out(tmp_path):
    """A link to a folder outside, then a file 'below' it: the file lands in a plain folder of that name."""
    (tmp_path / "outside").mkdir()
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(member("top/link", tarfile.SYMTYPE, str(tmp_path / "outside")))
        tar.addfile(member("top/link/file", size=3), io.BytesIO(b"abc"))
    assert tree(extract_tar(path, tmp_path / "out", progress=False)) == {"top/link/file": b"abc"}
    assert os.listdir(tmp_path / "outside") == []


def test_a_bomb_is_refused_by_its_size(tmp_path):
    path = make(tmp_path / "a.tar.gz", {"zeros": b"\0" * (16 << 20)}, mode="w:gz")
    with pytest.raises(InputError, match=r"\(100 times the archive\), received more at member 'zeros'"):
        extract_tar(path, tmp_path / "out", progress=False)
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
                                  b"Z"])
def test_a_header_that_unpacks_into_all_memory_is_refused(tmp_path, kind):
    """tarfile reads a long name in one piece, and passes over what it does not know, however long."""
    path = tmp_path / "a.tar"
    with gzip.open(path, "wb") as f:
        f.write(member("top/a", kind, size=48 << 20).tobuf(tarfile.GNU_FORMAT) + bytes(48 << 20) + bytes(1024))
    tracemalloc.start()
    with pytest.raises(InputError, match="cut short or damaged|expected at most 1.,... members and"):
        extract_tar(path, tmp_path / "out", progress=False)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    with pytest.raises(InputError, match="expected at most 2 members"):
        extract_tar(make(tmp_path / "a.tar"), tmp_path / "out", progress=False)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kept", ["in a file", "in a header", "between files", "nothing"])
def test_a_truncated_archive_is_refused_and_leaves_nothing(tmp_path, mode, kept):
    path = make(tmp_path / "a.tar", mode=mode)
    whole = path.read_bytes()
    cut = {"in a file": 2000, "in a header": 3584 + 100, "between files": 3584, "nothing": 0}[kept]
    path.write_bytes(whole[:min(cut, len(whole) - 20) if cut else 0])
    with pytest.raises(InputError) as caught:
        extract_tar(path, tmp_path / "out", progress=False)
    assert f"cannot unpack {path}: expected a whole tar or zip archive, received one that is cut " in str(caught.value)
    assert "delete it and fetch it again" in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["a.tar"]


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(InputError, match="archive is missing"):
        extract_tar(tmp_path / "a.tar", tmp_path / "out")


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 1, 99))
    with pytest.raises(InputError, match="the disk is too full to unpack .*: expected 9,000 free bytes"):
        extract_tar(make(tmp_path / "a.tar"), tmp_path / "out", progress=False)
    assert sorted(os.listdir(tmp_path)) == ["a.tar"]


@pytest.mark.data
def test_photographs_of_caltech256(testdata, tmp_path):
    folder = extract_tar(testdata / "data" / "caltech256-subset.tar", tmp_path / "out", progress=False)
    top = only_child(folder)
    assert os.path.basename(top) == "256_ObjectCategories"
    assert len(os.listdir(top)) == 257 and sum(len(names) for _, _, names in os.walk(top)) == 4626


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_zip_is_unpacked_like_a_tar(tmp_path):
    path = zipped(tmp_path / "photos.anything", FILES)
    assert tree(extract_tar(path, tmp_path / "out")) == FILES
    assert extract_tar(path, tmp_path / "out") == str(tmp_path / "out")


@pytest.mark.parametrize("name, reason", [
    ("../evil", "points out of the folder"), ("/etc/evil", "has an absolute path"),
    ("a/../../evil", "points out of the folder"), ("C:\\evil", "has an absolute path")])
def test_a_zips_member_that_breaks_the_rules_is_named(name, reason, tmp_path):
    path = zipped(tmp_path / "a.zip", {"fine": b"1", name: b"2"})
    with pytest.raises(InputError, match=reason):
        extract_tar(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_zip_that_grows_or_is_cut_short_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {f"bomb{number}": bytes(4 << 20) for number in range(5)})
    with pytest.raises(InputError, match="100 times the archive"):
        extract_tar(path, tmp_path / "out")
    whole = zipped(tmp_path / "b.zip", {"noise": os.urandom(5000)}).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[:2000] + bytes(100) + whole[2100:])
    with pytest.raises(InputError, match="cut short or damaged"):
        extract_tar(tmp_path / "b.zip", tmp_path / "out")
    assert not os.path.exists(tmp_path / "out")
