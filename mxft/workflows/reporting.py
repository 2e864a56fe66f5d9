"""Runs of any kind opened by their place, and set side by side."""
from mxft.errors import InputError
from mxft.faces.report.comparison import compare_face_runs
from mxft.faces.report.run_files import FaceRunFiles, face_run_prefix
from mxft.report.comparison import compare_runs, write_comparison_page
from mxft.report.run_files import RunFiles


def open_run(place):
    """Return what lies there.

    Parameters
    ----------
    place : str
        Folder of a run, or folder or prefix of a face run.

    Returns
    -------
    mxft.report.run_files.RunFiles or mxft.faces.report.run_files.FaceRunFiles

    Raises
    ------
    InputError
        There is no log of a run, or several face runs share the folder; their prefixes are named.
    """
    prefix = face_run_prefix(place)
    return RunFiles(place) if prefix is None else FaceRunFiles(prefix)


def write_comparison(places, path):
    """Write a page that sets runs side by side.

    Parameters
    ----------
    places : sequence of str
        Folders of runs of ``mxft finetune``, or folders and prefixes of face runs.
    path : str

    Returns
    -------
    str
        `path`.

    Raises
    ------
    InputError
        There is no run, or they are of both kinds.
    """
    runs = [open_run(place) for place in places]
    _require_one_kind(runs)
    compare = compare_face_runs if runs[0].kind == "face" else compare_runs
    return write_comparison_page(path, runs, compare(runs))


def _require_one_kind(runs):
    by_kind = {run.kind: run.place for run in runs}
    if len(by_kind) > 1:
        raise InputError("comparison: expected runs of one kind, received the face run "
                         f"{by_kind['face']} and the classification run {by_kind['classification']}; mxft report each "
                         "kind by itself")
