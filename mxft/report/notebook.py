"""What a notebook shows of a run: its figures, its curves, and where the page is."""
import html

from mxft.report.curves import curves_svg
from mxft.wording import html_table


def result_html(result):
    """Return a finished run as HTML.

    Parameters
    ----------
    result : mxft.workflows.finetune.FinetuneResult

    Returns
    -------
    str
        Without scripts; the curves are SVG, readable on light and dark.
    """
    judged = str(result.score) if result.score is not None else "not validated"
    rows = [("run", result.run), ("best", f"{judged}, at epoch {result.fit.best_epoch}"), ("model", result.model),
            ("report", result.report)]
    epochs = [row for row in result.fit.history if row.get("epoch")]
    pictures = "".join(f'<div style="flex:1 1 20em;max-width:30em">{svg}</div>'
                       for svg in curves_svg({"": epochs})) if len(epochs) > 1 else ""
    stopped = f"<p>{html.escape(result.fit.stopped)}</p>" if result.fit.stopped else ""
    return f'{html_table(rows)}{stopped}<div style="display:flex;flex-wrap:wrap">{pictures}</div>'
