"""From a name a person types to the row of the zoo it means."""
from mxft.errors import InputError, nearest
from mxft.zoo import datasets, detectors, faces, gluon, hub, symbols


def models():
    """Return the rows of all models."""
    return (*symbols.MODELS, *faces.MODELS, *gluon.models(), *hub.MODELS)


def rows():
    """Return every row of the zoo, those of one source together, data sets last."""
    return (*symbols.MODELS, *faces.MODELS, *detectors.DETECTORS, *gluon.models(), *hub.MODELS, *datasets.DATASETS)


def find(name):
    """Return the row for any name or alias; an unknown one is refused with the nearest names."""
    return _find(name, rows(), "name")


def find_model(name):
    """Return the row for a model name or alias; an unknown one is refused with the nearest names."""
    return _find(name, models(), "model")


def find_dataset(name):
    """Return the row for the name of a data set or a detector; an unknown one is refused with the nearest names."""
    return _find(name, (*datasets.DATASETS, *detectors.DETECTORS), "data set")


def is_name(name):
    """Whether the zoo has a row of this name."""
    return _key(name) in _by_name(rows())


def _find(name, candidates, what):
    names = _by_name(candidates)
    if _key(name) not in names:
        raise InputError(f"unknown {what}: expected a name of the zoo, received {name!r}; "
                         f"{nearest(_key(name), names)}; mxft zoo list shows them all")
    return names[_key(name)]


def _by_name(candidates):
    return {_key(key): row for row in candidates for key in (row.name, *row.aliases)}


def _key(name):
    """Names are compared as Gluon compares them, whatever the case of their letters."""
    return name.strip().lower()
