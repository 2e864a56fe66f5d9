"""The tutorial's photographs and its model, before anything is loaded or fetched: here, to be had, or told how."""
import os
import shlex

from mxft.api.models import is_local
from mxft.commandline.recipes import typed_command
from mxft.errors import InputError
from mxft.machine.programs import mxft_command


def require_sources(photographs, model, argv):
    """Refuse photographs or a model that are neither here nor to be had over a network.

    Parameters
    ----------
    photographs : str
        A path or an address; empty for the zoo's.
    model : str
        As ``--model`` takes it.
    argv : list of str
        The recipe's arguments: the message ends with them and what is missing, as the one line to type.

    Raises
    ------
    InputError
        A path that does not exist; or something of the zoo's that is not cached, and no host that has it answers.
    """
    from mxft import zoo
    from mxft.files.reachable import any_reachable

    if photographs and "://" not in photographs and not os.path.exists(os.path.expanduser(photographs)):
        raise InputError(f"photographs are missing: expected a folder, a .tar or a URL, received {photographs!r}")
    wanted = {} if photographs or zoo.cached("caltech256") else {"photographs": zoo.find("caltech256")}
    if not is_local(model) and zoo.is_name(model) and not zoo.cached_model(model):
        wanted["model"] = zoo.find(model)
    folder = zoo.cache_folder()
    if all(any_reachable(_addresses(row, folder)) for row in wanted.values()):
        return
    have = " and ".join(f"the {what} ({', '.join(part.name for part in row.parts(folder))})"
                        for what, row in wanted.items())
    where = " and ".join(f"{mxft_command()} zoo where {row.name}" for row in wanted.values())
    raise InputError(f"no network: expected {have} here, or a host that has them, received no answer from any; {where} "
                     "tells the addresses; with the files in this folder, type\n" + _line_to_type(wanted, folder, argv))


def _addresses(row, folder):
    """Return the addresses of a zoo row's files, and of those that are taken in its place."""
    from mxft import zoo

    rows = [row, *(zoo.find(name) for name in getattr(row, "substitutes", ()))]
    return [url for one in rows for part in one.parts(folder) for url in part.urls]


def _line_to_type(wanted, folder, argv):
    """Return this command as it was typed, with where photographs and model lie.

    Parameters
    ----------
    wanted : dict
        The zoo's row of the ``photographs``, the ``model`` or both: their files lie in the working folder.
    folder : str
        The zoo's cache.
    argv : list of str
    """
    names = {"photographs": ("CALTECH256", "--caltech256"), "model": ("MODEL", "--model")}
    before, given = "", []
    for what, row in wanted.items():
        files = [part.name for part in row.parts(folder)]
        prefix = files[0].removesuffix("-symbol.json")
        own = what == "photographs" or prefix != files[0]  # of a Gluon model's file the zoo makes a checkpoint
        place = files[0] if what == "photographs" else f"{prefix},{row.epoch}" if own else row.name
        before += "" if own else f"{mxft_command()} zoo get {row.name} --file {' '.join(files)} && "
        given.append((*names[what], place))
    if os.environ.get("MXFT_TYPED") == "make caltech256":
        taken = [variable for variable, _, _ in given]
        others = [word for word in os.environ.get("MAKEFLAGS", "").partition("-- ")[2].split()
                  if word.partition("=")[0] not in taken]
        return before + " ".join(["make caltech256", *(f"{variable}={place}" for variable, _, place in given), *others])
    others = _without(argv, [flag for _, flag, _ in given])
    words = [word for _, flag, place in given for word in (flag, place)]
    return f"{before}{typed_command('caltech256')} {shlex.join([*words, *others])}"


def _without(argv, flags):
    """Return arguments without some flags and their values."""
    kept, words = [], iter(argv)
    for word in words:
        if word in flags:
            next(words, None)
        elif word.partition("=")[0] not in flags:
            kept.append(word)
    return kept
