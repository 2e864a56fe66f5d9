"""Progress is plain lines where there is no terminal, and nothing when it is not wanted."""
from mxft.data import progress as module
from mxft.data.progress import progress


def test_plain_lines_where_stderr_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0)
    with progress(2, "packing a.rec") as advance:
        advance()
        advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" images,")[0] for line in lines] == ["packing a.rec: 1/2", "packing a.rec: 2/2"]
    assert lines[0].endswith(" images/s")


def test_quick_work_prints_no_plain_lines(capsys):
    with progress(2, "packing a.rec") as advance:
        advance()
    assert capsys.readouterr().err == ""


def test_silence_when_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0)
    with progress(1, "packing a.rec", show=False) as advance:
        advance()
    assert capsys.readouterr().err == ""
