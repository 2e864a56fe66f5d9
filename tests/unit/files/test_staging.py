"""Names of what is not whole yet: leftovers of killed processes go, work of others and links stay."""
import os
import subprocess
import sys

import pytest

from mxft.files import locks
from mxft.files.staging import (
    claim_file,
    claim_folder,
    scratch_folder,
    staging_folder,
    sweep,
    sweep_folder,
    whole_folder,
)
from mxft.files.whole import whole_file, whole_path, write_json

KILLED = """
import os, signal, sys
from mxft.files.staging import scratch_folder, whole_folder
from mxft.files.whole import whole_file
from mxft.files.locks import Lock
target = sys.argv[1]
with whole_file(target, "w") as f, whole_folder(target + "-folder") as folder, scratch_folder("example") as scratch:
    f.write("half")
    open(folder + "/half", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path, repository):
    """The target of a process that was killed while it wrote a file, a folder, and something intermediate."""
    target = tmp_path / "out" / "report.txt"
    target.parent.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(target)],
                   env={**os.environ, "PYTHONPATH": str(repository), "TMPDIR": str(tmp_path)})
    return target


def test_a_killed_process_leaves_nothing_under_the_final_name_and_the_retry_nothing_at_all(killed, tmp_path,
                                                                                           monkeypatch):
    assert sorted(os.listdir(killed.parent)) == [".report.txt-folder.0.part", ".report.txt.0.part"]
    assert any(name.startswith("mxft-scratch-example-") for name in os.listdir(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with whole_file(killed, "w") as f, whole_folder(f"{killed}-folder"), scratch_folder("other"):
        f.write("whole")
    assert killed.read_text() == "whole"
    assert sorted(os.listdir(killed.parent)) == ["report.txt", "report.txt-folder"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_refused_command_removes_what_a_killed_one_left_in_scratch_folders(killed, tmp_path, monkeypatch, capsys):
    from mxft.cli import main

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / "mxft-scratch-of-one-that-works"
    own.mkdir()
    handle = os.open(own, os.O_RDONLY)
    assert locks.try_lock(handle) and len(os.listdir(tmp_path)) == 3
    assert main(["unpack", str(tmp_path / "a.rec"), str(tmp_path / "out")]) == 2
    os.close(handle)
    assert sorted(os.listdir(tmp_path)) == [own.name, "out"]
    assert "expected a folder that is new or empty" in capsys.readouterr().err


def test_no_trial_file_is_written_to_find_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._get_default_tempdir", lambda: pytest.fail("tempfile looked for a folder"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with scratch_folder("example") as folder:
        assert os.path.dirname(folder) == str(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    with scratch_folder("example") as folder:
        assert os.path.dirname(folder) == str(tmp_path)


def test_a_folder_is_swept_of_what_begins_with_a_name(killed):
    write_json(killed.parent / "model.json", {})
    (killed.parent / ".model.json.7.part").write_text("")
    sweep_folder(killed.parent, "model")
    assert ".model.json.7.part" not in os.listdir(killed.parent) and len(os.listdir(killed.parent)) == 3
    sweep_folder(killed.parent)
    assert os.listdir(killed.parent) == ["model.json"]


def test_a_staging_folder_that_was_renamed_is_not_looked_for_under_its_old_name(tmp_path):
    with staging_folder(str(tmp_path / "a")) as staging:
        os.rename(staging, tmp_path / "a")
        os.mkdir(staging)
    assert sorted(os.listdir(tmp_path)) == [os.path.basename(staging), "a"]


def test_what_another_writes_stays(tmp_path):
    path = str(tmp_path / "a")
    with whole_path(path) as first, whole_path(path) as second:
        assert [os.path.basename(name) for name in (first, second)] == [".a.0.part", ".a.1.part"]
        sweep_folder(tmp_path)
        assert not sweep(first) and os.path.exists(first) and os.path.exists(second)
    assert os.listdir(tmp_path) == ["a"]


def test_links_are_neither_followed_nor_removed(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").write_text("precious")
    for name, target in ((".a.0.part", mine / "precious"), (".a.1.part", mine), (".a.2.part", tmp_path / "nowhere")):
        (tmp_path / name).symlink_to(target)
    with whole_file(tmp_path / "a", "w") as f:
        f.write("mine")
    sweep_folder(tmp_path)
    assert (mine / "precious").read_text() == "precious" and (tmp_path / "a").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == [".a.0.part", ".a.1.part", ".a.2.part", "a", "mine"]


def test_a_link_under_the_final_name_is_replaced_and_not_written_through(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "a").symlink_to(tmp_path / "mine")
    with whole_file(tmp_path / "a", "w") as f:
        f.write("new")
    assert (tmp_path / "mine").read_text() == "precious"
    assert (tmp_path / "a").read_text() == "new" and not (tmp_path / "a").is_symlink()


def test_a_link_in_a_leftover_folder_is_removed_and_not_followed(killed, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (killed.parent / ".report.txt-folder.0.part" / "link").symlink_to(tmp_path)
    sweep_folder(killed.parent)
    assert os.listdir(killed.parent) == [] and (tmp_path / "precious").read_text() == "precious"


def test_without_locks_nothing_is_taken_for_a_leftover(killed, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with whole_file(killed, "w") as f:
        f.write("whole")
    assert sorted(os.listdir(killed.parent)) == [".report.txt-folder.0.part", ".report.txt.0.part", "report.txt"]


def test_an_exception_leaves_nothing(tmp_path):
    with pytest.raises(ValueError), whole_folder(str(tmp_path / "a")) as folder:
        open(os.path.join(folder, "half"), "w").close()
        raise ValueError
    for claim in (claim_file, claim_folder):
        _, handle = claim(str(tmp_path / "b"))
        os.close(handle)
    sweep_folder(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_grows_in_place_is_not_written_through_a_link(tmp_path, server):
    from mxft.errors import InputError
    from mxft.faces.evaluation.megaface.feature_file import write_feature
    from mxft.features.file_writer import FeatureWriter
    from mxft.files.download import fetch
    from mxft.training.run import append_log

    (tmp_path / "mine").write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    for name in (".a.npz.part", "a.tar.part", "a.tar.part.json", "a.bin.part", "log.jsonl"):
        (out / name).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"feature file: expected a folder to write '.*a.npz' in, received "
                                         r"'.*\.a.npz.part' there \(too many levels of symbolic links\); remove it"):
        FeatureWriter(str(out / "a.npz"), {})
    server.files["a.tar"] = b"new"
    for write in (lambda: fetch(server.base + "a.tar", out / "a.tar", progress=False),
                  lambda: write_feature(str(out / "a.bin"), [1]), lambda: append_log(str(out / "log.jsonl"), "end")):
        with pytest.raises(OSError):
            write()
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.parametrize("when", ["before it is opened", "before it is locked"])
def test_one_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch, when):
    from mxft.files import staging

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    swept, name = [], "_locked" if when == "before it is opened" else "try_lock"
    original = getattr(staging, name)

    def after_a_sweeper(what):
        if not swept:
            made, = tmp_path.iterdir()
            swept.append(made)
            os.rmdir(made) if made.is_dir() else os.unlink(made)
        return original(what)

    for claim in (lambda: scratch_folder("example"), lambda: whole_file(tmp_path / "a", "w")):
        swept.clear()
        with monkeypatch.context() as patch:
            patch.setattr(staging, name, after_a_sweeper)
            with claim():
                assert len(os.listdir(tmp_path)) == 1 and swept
        for path in tmp_path.iterdir():
            path.unlink()
