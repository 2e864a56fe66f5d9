"""From a name a person types to the row of the zoo it means."""
from mxft.errors import InputError, nearest
from mxft.zoo import datasets, gluon, hub, symbols


def models():
    """Return the rows of all models."""
    return (*symbols.MODELS, *gluon.MODELS, *hub.MODELS)


def find(name):
    """Return the row for any name or alias; an unknown one is refused with the nearest names."""
    return _find(name, (*models(), *datasets.DATASETS), "name")


def find_model(name):
    """Return the row for a model name or alias; an unknown one is refused with the nearest names."""
    return _find(name, models(), "model")


def find_dataset(name):
    """Return the row for a data set name; an unknown one is refused with the nearest names."""
    return _find(name, datasets.DATASETS, "data set")


def _find(name, rows, what):
    names = {key: row for row in rows for key in (row.name, *getattr(row, "aliases", ()))}
    if name not in names:
        raise InputError(f"unknown {what}: expected a name of the zoo, received {name!r}; {nearest(name, names)}; "
                         "mxft fetch --list shows them all")
    return names[name]
