"""One finding about this machine, and a way to look that always ends in findings."""
from typing import NamedTuple

OK, SKIPPED, WARNING, BROKEN = "ok", "skipped", "warning", "broken"
_ORDER = (OK, SKIPPED, WARNING, BROKEN)


class Check(NamedTuple):
    """What was looked at and found.

    ``status`` is ok, skipped (does not apply here), warning (works, worse than it could) or broken (something that is
    needed does not work). ``cure`` is empty where there is nothing to do; ``facts`` is what ``--json`` gives besides.
    """

    name: str
    status: str
    text: str
    cure: str = ""
    facts: dict = {}  # noqa: RUF012, never changed


class Section(NamedTuple):
    """A heading and the checks below it."""

    name: str
    checks: tuple


def look(section, *looks):
    """Return the findings of some looks as a Section; a look that fails is a finding too.

    Parameters
    ----------
    section : str
        The heading.
    looks : callables
        Each without arguments, returning a Check or a list of them.
    """
    found = []
    for one in looks:
        try:
            answer = one()
        except Exception as error:  # whatever it is, the other checks continue
            name = getattr(one, "__name__", None) or one.func.__name__
            answer = Check(name.replace("_", " "), WARNING, f"could not be looked at: {type(error).__name__}: {error}",
                           "this is a bug of mxft doctor; please report this line")
        found.extend([answer] if isinstance(answer, Check) else answer)
    return Section(section, tuple(found))


def worst(sections):
    """Return the worst status of all: ok, warning or broken."""
    found = [check.status for section in sections for check in section.checks if check.status != SKIPPED]
    return max(found, key=_ORDER.index, default=OK)
