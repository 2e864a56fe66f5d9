"""What a notebook shows of a run: its figures, its curves, and where the page is."""
import html
import os
import urllib.parse

from markupsafe import Markup

from mxft.machine.notebook import near_path
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
    rows = [("run", near_path(result.run)), ("best", result.judged),
            ("model", near_path(result.model) if result.model else None), ("report", page_link(result.report))]
    epochs = [row for row in result.fit.history if row.get("epoch")]
    pictures = beside_each_other(curves_svg({"": epochs})) if len(epochs) > 1 else ""
    stopped = f"<p>{html.escape(result.fit.stopped)}</p>" if result.fit.stopped else ""
    return f"{html_table(rows)}{stopped}{pictures}"


def beside_each_other(pictures):
    """Return SVG elements in one row, or several where it is narrow."""
    cells = "".join(f'<div style="flex:1 1 20em;max-width:30em">{svg}</div>' for svg in pictures)
    return f'<div style="display:flex;flex-wrap:wrap">{cells}</div>'


def page_link(page):
    """Return the way to a page, as a link where the page is there: from a notebook's folder it opens."""
    near = near_path(page)
    if not os.path.isfile(page):
        return near
    return Markup(f'<a href="{html.escape(urllib.parse.quote(near))}">{html.escape(near)}</a>')
