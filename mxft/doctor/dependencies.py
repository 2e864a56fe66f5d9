"""The packages beside mxnet: those everything needs, and those of each extra, with the verbs that need them."""
import shlex

from mxft.doctor.check import BROKEN, OK, SKIPPED, WARNING, Check
from mxft.doctor.child import ask
from mxft.machine.packages import BASE, EXTRAS, KNOWN, pip_install

_LIMIT = 180


def import_all():
    """Import every package mxft may ask for, in a process of its own; where that crashes, each in one of its own.

    Returns
    -------
    dict
        ``{module: {"version": text}}``, ``{"missing": True}`` for one that is not installed, ``{"error": text}`` for
        one that is and does not load.
    """
    answer = ask("imports", _LIMIT, modules=list(KNOWN))
    if answer.value:
        return answer.value
    found = {}
    for module in KNOWN:
        alone = ask("imports", _LIMIT, modules=[module])
        found.update(alone.value or {module: {"error": alone.failure}})
    return found


def base(found):
    """Look at what everything needs.

    Parameters
    ----------
    found : dict
        Of `import_all`.
    """
    versions = {package.name: found[package.module].get("version") for package in BASE}
    checks = [Check("NumPy", OK, versions["numpy"])] if versions["numpy"] else []
    scipy = versions["scipy"] or ""
    if scipy.startswith("2."):
        checks.append(Check("SciPy", BROKEN, f"{scipy}: mx.nd.array asks for scipy.sparse.csr, which SciPy 2 has "
                                             "dropped", "pip install 'scipy<2'"))
    return [*checks, _packages("packages", BASE, found, BROKEN, "everything", versions)]


def extras(found):
    """Look at the extras, a finding each; one that is not installed is no fault: most people need few of them."""
    return [_packages(extra.name, extra.packages, found, SKIPPED, extra.needed_by,
                      {package.name: found[package.module].get("version") for package in extra.packages})
            for extra in EXTRAS]


def _packages(name, packages, found, without, needed_by, versions):
    """Return the finding about some packages; `without` is its status where one is missing."""
    facts = {"versions": versions, "needed_by": needed_by}
    broken = [package for package in packages if "error" in found[package.module]]
    missing = [package for package in packages if "missing" in found[package.module]]
    there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if broken:
        told = "; ".join(f"{package.name} does not load: {found[package.module]['error']}" for package in broken)
        return Check(name, BROKEN if without == BROKEN else WARNING, f"{told} (for {needed_by})",
                     "pip install --force-reinstall " + " ".join(shlex.quote(one.requirement) for one in broken), facts)
    if missing:
        names = ", ".join(package.name for package in missing)
        told = "; ".join(f"{package.name} for {package.needed_for}" for package in missing)
        return Check(name, without, f"missing: {names}; " + (told if without == BROKEN else f"for {needed_by}")
                     + (f" (there: {there})" if there and without != BROKEN else ""), pip_install(missing), facts)
    return Check(name, OK, there + ("" if without == BROKEN else f": {needed_by}"), facts=facts)
