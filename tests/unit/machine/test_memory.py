"""What is given back between two networks."""
import ctypes
import weakref

from mxft.machine.memory import give_back


class Knot:
    """Holds itself, as a Module does."""

    def __init__(self):
        self.itself = self


def test_a_cycle_is_freed():
    seen = weakref.ref(Knot())
    assert seen() is not None
    give_back()
    assert seen() is None


def test_a_system_without_glibc_is_no_trouble(monkeypatch):
    def no_library(name):
        raise OSError("no such library")

    seen = weakref.ref(Knot())
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    give_back()
    assert seen() is None
