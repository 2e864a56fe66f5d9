"""Bars in a notebook: shown while something is done, and emptied when it is over, so that a saved notebook has none."""
import io
import sys
import types

import pytest

from mxft.data.progress import progress
from mxft.machine import bars
from mxft.machine.notebook import in_notebook, near_path, told_path


@pytest.fixture
def notebook(monkeypatch):
    """This process seems to be the kernel of a notebook; the outputs it displays and updates are given."""
    shown = []

    class Handle:
        def update(self, data, raw):
            shown.append(("update", data, raw))

    def display(value, display_id):
        shown.append(("display", value, display_id))
        return Handle()

    ipython = types.SimpleNamespace(get_ipython=lambda: object())
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return shown


class WidgetBar:
    """What tqdm.notebook's bar has."""

    def __init__(self, display, **options):
        self.container, self.done, self.closed, self.options = object(), 0, 0, {"display": display, **options}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def update(self, count=1):
        self.done += count

    def close(self):
        self.closed += 1


def test_a_bar_of_widgets_is_displayed_and_emptied_once(notebook, monkeypatch):
    monkeypatch.setattr(bars, "_notebook_tqdm", lambda: (WidgetBar, True))
    with bars.open_bar(total=3, desc="packing") as bar:
        bar.update(2)
        assert notebook == [("display", bar.container, True)]
    bar.close()
    assert notebook[1:] == [("update", {"text/plain": ""}, True)] and bar.done == 2 and bar.closed == 2
    assert bar.options == {"display": False, "total": 3, "desc": "packing", "leave": False}


def test_without_widgets_a_bar_of_text_is_wiped_out(notebook, monkeypatch):
    from tqdm import tqdm

    monkeypatch.setattr(bars, "_notebook_tqdm", lambda: (tqdm, False))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress(3, "packing") as advance:
        advance(3)
    said = sys.stderr.getvalue()
    assert "packing" in said and said.rstrip(" \r") != said and notebook == []


def test_paths_are_told_from_the_notebooks_folder(notebook, here):
    assert in_notebook() and told_path(here / "runs" / "a") == "runs/a"
    assert told_path("/elsewhere/a") == near_path("/elsewhere/a") == "/elsewhere/a"


def test_elsewhere_paths_are_told_whole(here):
    assert not in_notebook() and told_path("runs/a") == f"{here}/runs/a" and near_path("runs/a") == "runs/a"
