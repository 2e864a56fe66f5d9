"""The examination as text for people and as JSON for programs."""
import shutil
import textwrap

from mxft import __version__
from mxft.doctor.check import BROKEN, OK, SKIPPED, WARNING, worst
from mxft.machine.programs import for_this_python

SCHEMA = 1
_MARKS = {OK: "ok", SKIPPED: "-", WARNING: "warning", BROKEN: "BROKEN"}


def as_text(sections, width=None):
    """Return the report: a line a finding, with its cure below where it is not well, and the sum at the end.

    Parameters
    ----------
    sections : list of mxft.doctor.check.Section
    width : int, optional
        Columns; those of the terminal when None.
    """
    width = width or max(60, min(120, shutil.get_terminal_size((100, 24)).columns))
    names = max((len(check.name) for section in sections for check in section.checks), default=0)
    lines = [f"mxft {__version__}: what is wrong with this machine"]
    for section in sections:
        lines += ["", section.name]
        for check in section.checks:
            lines += _wrapped(f"  {_MARKS[check.status]:<8} {check.name:<{names}}  ", check.text, width)
            if check.cure and check.status != OK:
                lines.append(f"{'':<{names + 13}}cure: {for_this_python(check.cure)}")  # in one piece, to be copied
    return "\n".join([*lines, "", summary(sections)])


def _wrapped(head, text, width):
    rest = max(20, width - len(head))
    rows = textwrap.wrap(" ".join(text.split()), rest, break_long_words=False, break_on_hyphens=False) or [""]
    return [head + rows[0], *(" " * len(head) + row for row in rows[1:])]


def summary(sections):
    """Return the one line at the end."""
    checks = [check for section in sections for check in section.checks]
    broken = [check.name for check in checks if check.status == BROKEN]
    warnings = sum(check.status == WARNING for check in checks)
    told = f"{warnings} warning{'' if warnings == 1 else 's'}" if warnings else "no warnings"
    return f"broken: {', '.join(broken)}; {told}" if broken else f"nothing is broken, {told}"


def as_json(sections):
    """Return the report as a value for JSON: schema 1 keeps these keys."""
    return {"schema": SCHEMA, "mxft": __version__, "status": worst(sections),
            "checks": [{"section": section.name, "name": check.name, "status": check.status, "text": check.text,
                        "cure": for_this_python(check.cure), "facts": check.facts}
                       for section in sections for check in section.checks]}
