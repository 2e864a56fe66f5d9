"""Files appear whole or not at all, with the permissions any program would give them."""
import hashlib
import json
import os
import stat

import pytest

from mxft.errors import InputError, MissingFileError
from mxft.files.whole import require_file, require_folder, sha256, whole_file, whole_path, write_json


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with whole_file(path, "w") as f:
        f.write("zwölf\n")
        assert not path.exists()
    assert path.read_bytes() == "zwölf\n".encode()
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as f:
        f.write(b"half of the n")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_file_written_by_name_appears_whole_or_not_at_all(tmp_path):
    with whole_path(tmp_path / "a.bin") as temporary:
        with open(temporary, "wb") as f:
            f.write(b"all")
        assert os.path.dirname(temporary) == str(tmp_path) and not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"all"
    with pytest.raises(OSError), whole_path(tmp_path / "b.bin") as temporary:
        os.unlink(temporary)  # a writer that cleans up after itself
        raise OSError("disk full")
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_the_umask_asks_for(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "a.txt", "w") as f:
            f.write("a")
        assert os.umask(umask) == umask  # it was only looked at
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to .*/file/run: expected a folder that can be created, "
                                         "received not a directory"):
        require_folder(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="cannot write to .*/file: expected a folder that can be created, "
                                         "received file exists"), whole_file(tmp_path / "file" / "a.txt"):
        pass


def test_a_folder_that_cannot_be_made_is_refused():
    if not os.path.isdir("/proc/self"):
        pytest.skip("no /proc")
    with pytest.raises(InputError, match="cannot write to /proc/mxft/run: expected a folder that can be created"):
        require_folder("/proc/mxft/run")


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):  # root may always write
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match=f"cannot write to {tmp_path}: expected a writable folder, received one that "
                                         "is read-only"):
        require_folder(tmp_path)
    tmp_path.chmod(0o755)


def test_a_missing_file_is_told_with_the_nearest_neighbour(tmp_path):
    (tmp_path / "train.rec").write_text("")
    assert require_file(tmp_path / "train.rec") == str(tmp_path / "train.rec")
    with pytest.raises(MissingFileError, match="records is missing: expected a file, received '.*trian.rec'; in that "
                                               "folder nearest: train.rec"):
        require_file(tmp_path / "trian.rec", "records")
    with pytest.raises(FileNotFoundError, match="whose folder does not exist"):
        require_file(tmp_path / "no" / "train.rec")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(MissingFileError, match="file is missing: expected a file"):
        require_file(tmp_path)


def test_json_keeps_letters_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"classes": ["Käse", "茶"]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"classes": ["Käse", "茶"]}
    assert "Käse" in text and "茶" in text and text.endswith("}\n")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1} and os.listdir(tmp_path) == ["a.json"]


def test_sha256_is_that_of_the_whole_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert sha256(tmp_path / "a", chunk=7) == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_a_full_disk_is_told_with_the_name_that_was_to_appear(tmp_path):
    with pytest.raises(OSError, match="No space left") as told, whole_file(tmp_path / "page.html"):
        raise OSError(28, "No space left on device")
    assert told.value.filename == str(tmp_path / "page.html") and list(tmp_path.iterdir()) == []
