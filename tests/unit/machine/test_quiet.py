"""What C libraries write to descriptor 2 goes nowhere; what Python writes arrives."""
import os
import sys

import pytest

from mxft.machine.quiet import native_log_wanted, quiet_native


def native(text):
    """Write as a C library does."""
    os.write(2, text.encode())


def test_native_lines_vanish_inside_the_block_only(capfd):
    native("before ")
    with quiet_native():
        native("hidden")
    native("after")
    assert capfd.readouterr().err == "before after"


def test_pythons_own_stderr_still_arrives(capfd, monkeypatch):
    original = os.fdopen(2, "w", closefd=False)
    monkeypatch.setattr(sys, "stderr", original)
    with quiet_native():
        print("said by Python", file=sys.stderr)
        native("hidden")
    assert sys.stderr is original
    assert capfd.readouterr().err == "said by Python\n"


def test_both_streams_are_put_back_after_an_exception(capfd):
    before = sys.stderr
    with pytest.raises(KeyError), quiet_native():
        raise KeyError
    native("after")
    assert sys.stderr is before and capfd.readouterr().err == "after"


def test_no_descriptor_is_lost():
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open descriptors cannot be counted here")
    before = open_files()
    for _ in range(5):
        with quiet_native():
            pass
    assert open_files() == before


@pytest.mark.parametrize("value, wanted", [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_switch_shows_everything(monkeypatch, capfd, value, wanted):
    monkeypatch.setenv("MXFT_MXNET_LOG", value)
    assert native_log_wanted() is wanted
    with quiet_native():
        native("said")
    assert capfd.readouterr().err == ("said" if wanted else "")


def test_a_closed_stderr_is_no_obstacle(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with quiet_native():
        pass
    assert sys.stderr is None
