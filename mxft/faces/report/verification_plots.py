"""Pictures of a face verification: ROC curves, and the distances of same and of different pairs."""
import numpy as np

from mxft.report.figures import FIRST as SAME
from mxft.report.figures import QUIET as THRESHOLD
from mxft.report.figures import SECOND as DIFFERENT
from mxft.report.figures import draw_svg, finish, legend_below, new_figure, plain, save_png


def draw_roc(verifications, path):
    """Draw the ROC curves of several sets, the false accept rate on a logarithmic axis.

    Parameters
    ----------
    verifications : dict of str to mxft.faces.evaluation.verification.Verification
        Name to result; one without pairs of both kinds has no curve and is named so.
    path : str
        PNG to write, whole or not at all.

    Examples
    --------
    >>> draw_roc({"lfw": verification}, "lfw-roc.png")      # doctest: +SKIP
    """
    figure = new_figure(5.4, 4.2)
    _roc(figure.subplots(), verifications)
    save_png(figure, path)


def roc_svg(verifications, name):
    """Return the same curves as SVG for a page.

    Parameters
    ----------
    verifications : dict of str to Verification
        A label that begins with ``step 0`` is drawn as what was there before.
    name : str
        Of the picture; different for every picture of a page.
    """
    return draw_svg(name, lambda axes: _roc(axes, verifications))


def _roc(axes, verifications):
    finest = 1.0
    for label, verification in verifications.items():
        false_accepts, true_accepts = verification.roc()
        if verification.auc is None:
            axes.plot([], [], " ", label=f"{plain(label)}: pairs of one kind only")
            continue
        one_pair = 1 / int((~verification.issame).sum())
        finest = min(finest, one_pair)
        before = {"color": THRESHOLD, "linestyle": "--"} if label.startswith("step 0") else {}
        # a rate of 0 has no place on the axis: it is drawn where less than one different pair would be
        axes.step(np.maximum(false_accepts, one_pair / 2), true_accepts, where="post",
                  label=f"{plain(label)}, area {verification.auc:.5f}", **before)
    axes.set(xlabel="false accept rate", ylabel="true accept rate", xscale="log", xlim=(finest / 2, 1),
             ylim=(_lowest(verifications), 1.005))
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    finish(axes)


def _lowest(verifications):
    """Return where the true accept axis begins: below what is reached at a false accept rate of 0.1 %, in tenths."""
    reached = [1.0]
    for verification in verifications.values():
        false_accepts, true_accepts = verification.roc()
        if verification.auc is not None:
            reached.append(true_accepts[np.searchsorted(false_accepts, 1e-3, side="right") - 1])
    return max(0.0, np.floor(min(reached) * 10 - 0.5) / 10)


def draw_distances(verification, name, path):
    """Draw how the squared distances of same and different pairs are spread, and the thresholds of the folds.

    Parameters
    ----------
    verification : mxft.faces.evaluation.verification.Verification
    name : str
        For the title.
    path : str
        PNG to write, whole or not at all.
    """
    figure = new_figure(5.4, 3.6)
    axes = figure.subplots()
    _distances(axes, verification)
    axes.set_title(f"{plain(name)}: accuracy {verification.accuracy:.5f} ± {verification.std:.5f}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=8, ncols=3)
    save_png(figure, path)


def distances_svg(verification, name, title=""):
    """Return the same picture as SVG for a page; `name` as of `roc_svg`."""
    def draw(axes):
        _distances(axes, verification)
        axes.set_title(plain(title), fontsize=11)
        legend_below(axes)

    return draw_svg(name, draw)


def _distances(axes, verification):
    bins = np.linspace(0, max(2.0, float(verification.distances.max())), 81 if verification.pairs >= 2000 else 41)
    for kind, color, label in ((verification.issame, SAME, "same"), (~verification.issame, DIFFERENT, "different")):
        axes.hist(verification.distances[kind], bins, color=color, alpha=0.65, label=f"{label} ({int(kind.sum())})")
    low, high = verification.thresholds.min(), verification.thresholds.max()
    text = f"{low:.2f}" if low == high else f"{low:.2f}–{high:.2f}"
    axes.axvspan(low - 0.005, high + 0.005, color=THRESHOLD, alpha=0.7, lw=0, label=f"threshold {text}")
    axes.set(xlabel="squared distance of normalised embeddings", ylabel="pairs", xlim=(0, bins[-1]))
    finish(axes)
