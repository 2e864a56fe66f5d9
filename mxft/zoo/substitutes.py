"""What stands in for a symbol ResNet that no mirror has: a Gluon network of its depth, or torchvision's; it is told."""
import json
import os

from mxft.errors import MxftError
from mxft.files.download import FetchError
from mxft.files.whole import write_json
from mxft.zoo.cache import say
from mxft.zoo.names import find_model


def earlier_substitute(row, folder):
    """Return the substitute an earlier call settled for, if it is still there, and say that it is used."""
    try:
        with open(_note(row, folder), encoding="utf-8") as f:
            other = find_model(json.load(f)["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    model = other.cached(folder)
    if model:
        say(_message(row, other) + f" (as on an earlier run; mxft zoo get {row.name} --no-fallback asks for the "
                                   "original again)")
    return model


def get_substitute(row, folder, progress, error):
    """Return the first of a row's substitutes that can be had.

    Parameters
    ----------
    row : SymbolModel
    folder : str
        The cache.
    progress : bool
    error : FetchError
        Why the original could not be had; its addresses are listed with the substitutes' where those fail too.
    """
    tried = list(error.tried)
    for name in row.substitutes:
        try:
            other = find_model(name)
            model = other.get(folder, progress)
        except FetchError as refused:
            tried += refused.tried
        except MxftError as refused:
            tried.append((name, str(refused)))
        else:
            write_json(_note(row, folder), {"name": name})
            say(_message(row, other))
            return model
    raise FetchError(f"{row.name}, nor {' or '.join(row.substitutes)} in its place", tried, error.hint)


def _note(row, folder):
    return os.path.join(folder, "models", row.name, "substitute.json")


def _message(row, other):
    def score(model):
        return f"top-1 {model.top1:.4f}" if model.top1 else "top-1 unpublished"
    classes = f" on {row.classes:,} classes" if row.classes != 1000 else ""
    return (f"{row.name}: no mirror gave it; using other weights instead: {other.name} of the {other.origin} "
            f"({score(other)}, the original {score(row)}{classes}), input (RGB - 123.675, 116.28, 103.53) / 58.395, "
            "57.12, 57.375")
