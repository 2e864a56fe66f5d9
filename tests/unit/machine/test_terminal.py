"""Streams that write control characters as their codes, and are themselves otherwise."""
import io
import logging
import sys

from tqdm import tqdm

from mxft.command import run_command
from mxft.machine.quiet import quiet_native
from mxft.machine.terminal import CleanStream, clean_streams


def test_a_stream_writes_codes_and_is_itself_otherwise(tmp_path):
    with open(tmp_path / "out", "w+", encoding="utf-8") as f:
        stream = CleanStream(f)
        print("a\x1bb", "猫", file=stream, flush=True)
        stream.writelines(["c\x07", "d\n"])
        assert stream.encoding == "utf-8" and stream.fileno() == f.fileno() and not stream.isatty()
        stream.seek(0)
        assert f.read() == "a\\u001bb 猫\nc\\u0007d\n"


def test_the_streams_of_a_command_are_clean_and_come_back(capsys):
    def main(argv):
        print(argv[0])
        logging.getLogger("mxft.test").warning("told: %s", argv[0])
        print(argv[0], file=sys.stderr)
        with quiet_native():
            print(argv[0], file=sys.stderr)
        raise KeyboardInterrupt

    before = sys.stdout, sys.stderr
    assert run_command("x", main, ["\x1b[2J"]) == 130
    assert (sys.stdout, sys.stderr) == before
    out, err = capsys.readouterr()
    assert out == "\\u001b[2J\n" and err.count("\\u001b[2J") >= 2 and "\x1b" not in err


def test_a_stream_put_in_its_place_meanwhile_stays():
    mine, before = io.StringIO(), sys.stdout
    try:
        with clean_streams():
            sys.stdout = mine
        assert sys.stdout is mine
    finally:
        sys.stdout = before


def test_a_progress_bar_looks_as_ever():
    plain, behind = io.StringIO(), io.StringIO()
    for file in (plain, CleanStream(behind)):
        for _ in tqdm(range(3), file=file, mininterval=0, ncols=40, bar_format="{desc}{percentage:3.0f}%|{bar}|"):
            pass
    assert behind.getvalue() == plain.getvalue() and "\r" in plain.getvalue()
