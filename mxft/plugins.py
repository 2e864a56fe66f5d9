"""What installed packages add to mxft: heads, face backbones and importers, found by their entry points.

A package names them in its metadata, ``[project.entry-points."mxft.heads"]`` of its pyproject.toml, and mxft finds them
by name beside its own. Nothing of a package is imported before its head, backbone or importer is asked for, so that
one that is broken stands in nobody else's way. CONTRIBUTING.md has an example of each.
"""
import importlib.metadata

from mxft.errors import DependencyError, InputError

HEADS, BACKBONES, IMPORTERS = "mxft.heads", "mxft.backbones", "mxft.importers"


def installed(group):
    """Return the entry points of a group by name, none of them loaded.

    Parameters
    ----------
    group : {"mxft.heads", "mxft.backbones", "mxft.importers"}

    Returns
    -------
    dict of str to list of importlib.metadata.EntryPoint
        Sorted by name; more than one where several packages use the same name.
    """
    found = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points:
            if point.group == group:
                offers = found.setdefault(point.name, [])
                if point not in offers:  # a distribution is seen once for each place on sys.path it lies under
                    offers.append(point)
    return dict(sorted(found.items()))


def load(group, name):
    """Import what a package offers under a name.

    Parameters
    ----------
    group, name : str
        One of `installed`.

    Returns
    -------
    object
        What the entry point names.

    Raises
    ------
    InputError
        Several packages offer that name.
    DependencyError
        It cannot be imported; the entry point and the reason are told.
    """
    offers = installed(group)[name]
    if len(offers) > 1:
        raise InputError(f"{group} {name}: expected one installed package that offers it, received "
                         f"{' and '.join(point.value for point in offers)}; uninstall all but one")
    try:
        return offers[0].load()
    except Exception as error:  # whatever a module of another package does when it is imported
        raise DependencyError(f"{group} {name}: expected {offers[0].value}, which an installed package offers, to be "
                              f"imported, received {type(error).__name__}: {error}; repair or uninstall that "
                              "package") from error
