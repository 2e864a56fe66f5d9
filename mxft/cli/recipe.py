"""``mxft recipe``: the pages of recipes/, each a workflow with its paper, settings and numbers, by name."""
import ast
import importlib.util
import os
import pathlib
import shutil
import sys

from mxft.command import run_command
from mxft.commandline.arguments import Parser
from mxft.commandline.recipes import typed_command
from mxft.errors import InputError, nearest

EXAMPLES = """\
examples:
  mxft recipe --list
  mxft recipe digits
  mxft recipe caltech256 --help
  mxft recipe faces.ipynb

A recipe is one page: paper, command, settings with their arithmetic, and what
should come out. It takes the flags its --help shows. In a checkout the same
runs as python recipes/NAME.py, from any folder. A notebook, NAME.ipynb, is
copied into the working directory.
"""
NOTEBOOK = ".ipynb"
INSTALLED = "mxft_recipes"  # what setup.py calls the folder recipes/ in a wheel


def parser():
    """Return the argument parser; what stands behind NAME goes to the recipe."""
    usage = ("mxft recipe NAME [flags]   (mxft recipe NAME --help)\n       mxft recipe NAME.ipynb\n"
             "       mxft recipe --list")
    p = Parser(prog="mxft recipe", usage=usage, description="Run a recipe by its name.", epilog=EXAMPLES)
    p.add_argument("name", nargs="?", metavar="NAME", help="of a recipe, or of a notebook")
    p.add_argument("--list", action="store_true", help="print names and what each is")
    return p


def main(argv=None):
    """Run ``mxft recipe``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0].endswith(NOTEBOOK):
        copy_notebook(parser().parse_args(argv).name)
        return 0
    if argv and not argv[0].startswith("-"):
        return run_recipe(argv[0], argv[1:])
    if parser().parse_args(argv).list:
        print_list()
        return 0
    raise InputError("name: expected that of a recipe, received none; mxft recipe --list shows them")


def run_recipe(name, argv):
    """Run a recipe's ``main`` as a command and return its exit status."""
    module = load_recipe(name)
    return run_command(typed_command(module.__name__), module.main, argv, getattr(module, "FLAGS", None))


def load_recipe(name):
    """Return a recipe as a module; recipes are scripts, so each is loaded from its file.

    Raises
    ------
    InputError
        There is none of that name.
    """
    recipes = find_recipes()
    known = name.removesuffix(".py")
    path = recipes.get(known) or recipes.get(known.replace("-", "_"))
    if path is None:
        raise InputError(f"no such recipe: expected one of those mxft recipe --list shows, received {name!r}; "
                         f"{nearest(name, recipes)}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_notebook(name):
    """Write a notebook of the recipes into the working directory.

    Raises
    ------
    InputError
        There is none of that name; a file of that name is there.
    """
    notebooks = find_notebooks()
    if name not in notebooks:
        raise InputError(f"no such notebook: expected one of {', '.join(notebooks)}, received {name!r}; "
                         f"{nearest(name, notebooks)}")
    if os.path.lexists(name):
        raise InputError(f"notebook: expected no file called {name} in {os.getcwd()}, received one; move it away, or "
                         "change to another folder")
    shutil.copyfile(notebooks[name], name)
    print(f"wrote {name}; jupyter notebook {name} opens it (pip install notebook)")


def find_recipes():
    """Return ``{name: path}`` of the recipes: those of the checkout mxft runs from, or of the installed package."""
    return {path.stem: path for path in sorted(_folder().glob("*.py")) if path.stem != "__init__"}


def find_notebooks():
    """Return ``{name: path}`` of the notebooks among the recipes."""
    return {path.name: path for path in sorted(_folder().glob(f"*{NOTEBOOK}"))}


def _folder():
    """Return the folder of the recipes."""
    beside = pathlib.Path(__file__).resolve().parents[2] / "recipes"
    if not (beside / "published.yaml").is_file():
        spec = importlib.util.find_spec(INSTALLED)
        if spec is None:
            raise InputError(f"recipes are missing: expected the package {INSTALLED} beside mxft, received none; "
                             "install mxft again, from its wheel or its sdist")
        beside = pathlib.Path(spec.origin).parent
    return beside


def print_list():
    """Print the name of each recipe and the first line of its page."""
    pages = {name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
             for name, path in find_recipes().items()}
    width = max(map(len, pages))
    for name, page in pages.items():
        print(f"{name:<{width}}  {page.splitlines()[0].rstrip('.')}")
    print("\nmxft recipe NAME --help prints the page of one\n\nnotebooks, which mxft recipe NAME.ipynb copies here: "
          f"{', '.join(find_notebooks())}")
