"""reproduction.md and .html: published numbers beside measured ones, and what could not be run."""
import os

from mxft.files.whole import whole_file
from mxft.report.template import write_template

HEADINGS = ("run", "published", "expected", "measured", "difference", "spread", "runs", "seconds a run", "images/s")


def write_scorecard(cards, folder, machine):
    """Write the scorecard.

    Parameters
    ----------
    cards : list of dict
        A row of published.yaml each, with ``value``, ``spread``, ``count``, ``seconds``, ``speed`` and ``also_values``
        where it was run, ``runs``, each with its ``folder`` and ``seed``, ``failed`` where that went wrong, and
        ``missing``, pairs of what it needs and how to get it.
    folder : str
    machine : str
        What it was measured on.

    Returns
    -------
    list of str
        Paths of the Markdown and of the HTML file.

    Examples
    --------
    >>> write_scorecard(cards, "runs/reproduction", "2 cores")      # doctest: +SKIP
    ['runs/reproduction/reproduction.md', 'runs/reproduction/reproduction.html']
    """
    rows = [{"deviations": [], "used": {}, "expected": None, **card, "lines": _lines(card),
             "pages": _pages(card, folder)} for card in cards]
    paths = [os.path.join(folder, f"reproduction.{ending}") for ending in ("md", "html")]
    with whole_file(paths[0], "w") as f:
        f.write(_markdown(rows, machine))
    write_template(paths[1], "scorecard.html", title="Reproduction", rows=rows, machine=machine, headings=HEADINGS)
    return paths


def _pages(card, folder):
    """Return (what a run is called, its page or else its folder, from the scorecard on) of each of a card's runs."""
    found = []
    for run in card.get("runs", ()):
        page = os.path.join(run.get("folder") or "", "report.html")
        place = page if os.path.isfile(page) else run.get("folder")
        if place and os.path.exists(place):
            found.append((f"seed {run.get('seed', 0)}", os.path.relpath(place, folder)))
    return found


def verdict(card):
    """Return what a card's number says, in a few words.

    Examples
    --------
    >>> verdict({"published": 0.774, "value": 0.770, "tolerance": 0.01, "missing": []})
    'within 0.01 of the published number'
    >>> verdict({"published": 0.774, "missing": [("resnet-50", "mxft zoo get resnet-50")]})
    'not run: resnet-50 is missing'
    """
    if card.get("missing"):
        names = [name for name, _ in card["missing"]]
        return f"not run: {', '.join(names)} {'is' if len(names) == 1 else 'are'} missing"
    if "value" not in card:
        return f"failed: {card.get('failed')}"
    target, what = (card["expected"], "expected") if "expected" in card else (card.get("published"), "published")
    if target is None:
        return "nothing to compare with"
    near = abs(card["value"] - target) <= card["tolerance"]
    better = card["value"] > target
    return (f"within {card['tolerance']:g} of the {what} number" if near else
            f"{'above' if better else 'below'} the {what} number by {abs(card['value'] - target):.4f}")


def _lines(card):
    """Return a card's lines of the table, (cells, verdict): its own, and one for each number its run gives also."""
    lines = [(_cells(card), verdict(card))]
    values = card.get("also_values") or [None] * len(card.get("also", ()))
    for number, value in zip(card.get("also", ()), values):
        own = {**{key: card[key] for key in ("missing", "failed", "tolerance") if key in card}, **number}
        own.update({} if value is None else {"value": value})
        lines.append((_cells(own), verdict(own)))
    return lines


def _cells(card):
    """Return the cells of `HEADINGS` as text; a dash where nothing was measured."""
    def number(value, text="{:.4f}"):
        return "–" if value is None else text.format(value)

    difference = card["value"] - card["published"] if "value" in card and "published" in card else None
    return [card["what"], number(card.get("published")), number(card.get("expected")), number(card.get("value")),
            number(difference, "{:+.4f}"), number(card.get("spread")), number(card.get("count"), "{}"),
            number(card.get("seconds"), "{:.0f}"), number(card.get("speed"), "{:.1f}")]


def _markdown(rows, machine):
    lines = ["# Reproduction", "", f"Measured on {machine}. Nothing is filled in that was not run.", ""]
    for missing, columns in ((False, (*HEADINGS, "")), (True, ("not run", "published", "expected", ""))):
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join((*cells[:len(columns) - 1], said)) + " |" for row in rows
                  if bool(row["missing"]) == missing for cells, said in row["lines"]]
        lines.append("")
    for row in rows:
        lines += ["", f"## {row['what']}", "", f"- source: {row['source']}", f"- protocol: {row['protocol']}",
                  f"- command: `{row['typed']}`"]
        lines += [f"- expected: {row['expected']}, {row['expected_from']}"] if row["expected"] else []
        lines += [f"- deviates: {deviation}" for deviation in row["deviations"]]
        lines += [f"- used: {what}" for what in row["used"].values()]
        lines += ["- runs: " + ", ".join(f"[{name}](<{place}>)" for name, place in row["pages"])] * bool(row["pages"])
        lines += [f"- missing: {name}; to get it: {how}" for name, how in row["missing"]]
    return "\n".join(lines) + "\n"
