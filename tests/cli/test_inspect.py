"""``mxft inspect`` as a user runs it: the explanation on stdout, the count of contradictions in the exit status."""
import json
import os
import subprocess
import sys

import pytest

from mxft.cli import main


@pytest.fixture
def records(make_records, here):
    make_records("good.rec", [0, 1, 1])
    make_records("bad.rec", [0, 1.5, -1], lambda number, label: b"text")
    return here


def test_consistent_is_0_and_says_so(records, capsys):
    assert main(["inspect", "good.rec"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("good.rec: plain record file") and out.endswith("  consistent\n") and err == ""


def test_contradictions_are_explained_first_and_counted_last(records, capsys):
    assert main(["inspect", "good.rec", "bad.rec"]) == 2
    out, err = capsys.readouterr()
    assert out.index("good.rec: ") < out.index("bad.rec: ") and out.count("  WRONG: ") == 2
    assert "  WRONG: 2 of 3 labels are not whole numbers from 0, the first 1.5 of the image with key 1\n" in out
    assert err == "mxft inspect: inconsistent: expected files that agree, received 2 contradictions in bad.rec\n"


def test_json(records, capsys):
    assert main(["inspect", "--json", "--decode", "--num-thread", "2", "."]) == 2
    bad, good = json.loads(capsys.readouterr().out)
    assert good["path"] == os.path.join(".", "good.rec") and good["problems"] == []
    assert good["numbers"]["images"] == good["numbers"]["decoded"] == 3 and len(bad["problems"]) == 2


def test_nothing_to_explain_is_one_line(records, capsys):
    assert main(["inspect", "gone.rec"]) == 2
    assert "file to explain is missing" in capsys.readouterr().err


def test_it_needs_no_mxnet(records, repository):
    (records / "mxnet.py").write_text("raise ImportError('inspect must not import mxnet')\n")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(records), str(repository)]))
    for words in (["inspect", "good.rec"], ["unpack", "good.rec", "out"]):
        done = subprocess.run([sys.executable, "-m", "mxft", *words], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
