"""What pages show of face verifications: a table with TAR at FAR, ROC curves and distances; the page of mxft verify."""
from mxft.faces.evaluation.verification import FALSE_ACCEPT_RATES
from mxft.faces.report.verification_plots import distances_svg, roc_svg
from mxft.report.template import side_by_side, write_template
from mxft.wording import number, plural

COLUMNS = ("accuracy ± over folds", "XNorm", "AUC", *(f"TAR@FAR {far:g}" for far in FALSE_ACCEPT_RATES))


def verification_block(name, results, shown):
    """Return what a template needs of one set.

    Parameters
    ----------
    name : str
        Of the set.
    results : dict of str to Verification
        By what was verified.
    shown : str
        Which of them the distances are drawn of.

    Returns
    -------
    dict
    """
    result = results[shown]
    same = int(result.issame.sum())
    return {"name": name, "pairs": f"{result.pairs:,} pairs, {same:,} same and {result.pairs - same:,} different",
            "columns": ("", *COLUMNS), "rows": [_row(label, result) for label, result in results.items()],
            "notes": _notes([result]),
            "pictures": side_by_side([roc_svg(results, f"ROC of {name}"),
                                      distances_svg(result, f"distances of {name}", shown)])}


def write_verification_page(path, model, results):
    """Write the page of ``mxft verify``.

    Parameters
    ----------
    path : str
    model : str
        Of the checkpoint.
    results : dict of str to Verification
        By the sets' names.

    Examples
    --------
    >>> write_verification_page("lfw.html", "models,0", {"lfw": verification})       # doctest: +SKIP
    """
    pictures = [roc_svg(results, "ROC"), *(distances_svg(result, f"distances of {name}", name)
                                           for name, result in results.items())]
    write_template(path, "verification.html", title=model, summary=", ".join(
        f"{name}: {plural(result.pairs, 'pair')}" for name, result in results.items()), columns=("set", *COLUMNS),
        rows=[_row(name, result) for name, result in results.items()], notes=_notes(results.values()),
        pictures=side_by_side(pictures))


def _row(label, result):
    return [label, f"{result.accuracy:.5f} ± {result.std:.5f}", number(result.xnorm, 4), number(result.auc, 5),
            *(number(result.tar[far], 5) for far in FALSE_ACCEPT_RATES)]


def _notes(results):
    """Return what the table's dashes mean, and what makes an accuracy doubtful."""
    dashes = dict.fromkeys(f"TAR@FAR {far:g} {result.tar_text(far)}" for result in results
                           for far in FALSE_ACCEPT_RATES if result.tar[far] is None)
    return [*([f"– : {'; '.join(dashes)}."] if dashes else []),
            *dict.fromkeys(note for result in results for note in result.notes)]
