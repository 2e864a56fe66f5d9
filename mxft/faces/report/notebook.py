"""What a notebook shows of faces: a verification with its distances, and a run with its curves."""
import html

from mxft.faces.report.face_curves import face_curves_svg
from mxft.faces.report.run_files import FaceRunFiles
from mxft.faces.report.verification_plots import distances_svg
from mxft.machine.notebook import near_path
from mxft.report.notebook import beside_each_other, page_link
from mxft.wording import html_table, plural


def verification_html(verification):
    """Return a verification as HTML: its numbers, and how the distances of same and different pairs are spread.

    Parameters
    ----------
    verification : mxft.faces.evaluation.verification.Verification

    Returns
    -------
    str
    """
    same = int(verification.issame.sum())
    rows = [("accuracy", f"{verification.accuracy:.5f} ± {verification.std:.5f} over "
             f"{plural(len(verification.thresholds), 'fold')}"),
            ("pairs", f"{same:,} same, {verification.pairs - same:,} different"),
            ("threshold", f"one person from a cosine of {verification.cosine:.3f} on"),
            *((f"TAR at FAR {far:g}", f"{rate:.5f}") for far, rate in verification.tar.items() if rate is not None),
            *((("area under the ROC curve", f"{verification.auc:.5f}"),) if verification.auc is not None else ())]
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in verification.notes)
    return f"{html_table(rows)}{notes}{beside_each_other([distances_svg(verification, 'distances of pairs')])}"


def face_run_html(prefix, model):
    """Return a face run as HTML: what it was verified at, its checkpoint and its page, and its curves.

    Parameters
    ----------
    prefix : str
    model : str or None

    Returns
    -------
    str
    """
    files = FaceRunFiles(prefix)
    rows = [("run", near_path(prefix)), ("trained", plural(files.steps, "step")),
            *((f"accuracy on {name}", progress) for name, progress in verified(files)),
            ("model", near_path(model) if model else None), ("report", page_link(files.file("report.html")))]
    return f"{html_table(rows)}{beside_each_other(face_curves_svg({'': files}))}"


def verified(files):
    """Return (set, accuracy before, best since) as text of every verification set of a run."""
    told = []
    for name in dict.fromkeys(name for row in files.checked for name in row["targets"]):
        rows = [(row["step"], row["targets"][name]["accuracy"]) for row in files.checked if name in row["targets"]]
        best = max(rows[1:], key=lambda row: row[1], default=None)
        since = f", {best[1]:.5f} at step {best[0]}" if best else ""
        told.append((name, f"{rows[0][1]:.5f} before{since}"))
    return told
