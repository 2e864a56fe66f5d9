"""A recipe as a command: how it is typed, in its help and its messages, as a script or by the installed command."""
import os
import re
import shlex
import sys

from mxft.commandline.arguments import Parser

VERBS_OF = {"train_softmax": "mxft train-softmax"}  # recipes that are a verb of their own


def recipe_parser(name, page):
    """Return a recipe's parser; the commands on its page are told as this recipe was typed.

    Parameters
    ----------
    name : str
        Of the recipe's file, without ``.py``.
    page : str
        The recipe's docstring, with its commands as ``python recipes/NAME.py``.

    Returns
    -------
    mxft.commandline.arguments.Parser

    Examples
    --------
    >>> print(recipe_parser("digits", "python recipes/digits.py --seeds 3").description)
    mxft recipe digits --seeds 3
    """
    return Parser(prog=typed_command(name), description=as_typed(page))


def typed_command(name):
    """Return what runs a recipe here: the script's own path where a script runs, else ``mxft recipe NAME``.

    Examples
    --------
    >>> typed_command("digits"), typed_command("train_softmax")
    ('mxft recipe digits', 'mxft train-softmax')
    """
    folder = _scripts()
    if folder is None:
        return VERBS_OF.get(name, f"mxft recipe {name}")
    return f"python {shlex.quote(os.path.join(folder, name + '.py'))}"


def as_typed(text):
    """Return a text whose ``python recipes/NAME.py`` are what runs these recipes here."""
    def command(found):
        typed = typed_command(found.group(2))
        return typed.replace("python ", f"python {found.group(1) or ''}", 1)

    return re.sub(r"python (-u )?recipes/([\w-]+)\.py", command, text)


def _scripts():
    """Return the folder of the recipe that runs as a script, as it was typed; None where none does."""
    folder, script = os.path.split(sys.argv[0])
    beside = os.path.join(folder, "published.yaml")  # stands with the recipes, in a checkout and installed
    return folder if script.endswith(".py") and os.path.isfile(beside) else None
