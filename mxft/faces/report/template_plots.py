"""Pictures of IJB's protocols: the ROC curve of 1:1, and TPIR over FPIR of 1:N."""
from mxft.report.figures import finish, new_figure, plain, save_png


def draw_template_roc(name, verification, path):
    """Draw the ROC curve of pairs of templates, the false accept rate on a logarithmic axis.

    Parameters
    ----------
    name : str
        Of the data set.
    verification : mxft.faces.evaluation.ijb.verification.TemplateVerification
        Without pairs of both kinds there is no curve, and the picture says so.
    path : str
        PNG to write, whole or not at all.
    """
    label = "pairs of one kind only" if verification.auc is None else f"area {verification.auc:.5f}"
    _draw({f"{name}, {label}": (verification.false_accepts, verification.true_accepts)}, "false accept rate",
          "true accept rate", path)


def draw_identification(name, found, path):
    """Draw TPIR over FPIR, a curve a gallery.

    Parameters
    ----------
    name : str
        Of the data set.
    found : dict of str to mxft.faces.evaluation.ijb.identification.Identification
        By gallery; the mean has no curve and is left out, a gallery without one is named so.
    path : str
        PNG to write, whole or not at all.
    """
    _draw({f"{name}, {gallery}" + ("" if len(result.curve[0]) else ": probes of one kind only"): result.curve
           for gallery, result in found.items() if gallery != "mean"},
          "false positive identification rate", "true positive identification rate", path)


def _draw(curves, across, up, path):
    figure = new_figure(5.4, 4.2)
    axes = figure.subplots()
    least = min((false[0] for false, _ in curves.values() if len(false)), default=0.1)
    for label, (false, true) in curves.items():
        axes.step(false, true, where="post", label=plain(label))
    lowest = min((true.min() for _, true in curves.values() if len(true)), default=0)
    axes.set(xlabel=across, ylabel=up, xscale="log", xlim=(least, 1), ylim=(max(0.0, lowest - 0.05), 1.005))
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    finish(axes)
    save_png(figure, path)
