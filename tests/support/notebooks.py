"""Notebooks without Jupyter: their cells, and running these in order as a kernel would, displayed values included."""
import ast
import json
import pathlib

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "recipes"
NAMES = ("caltech256", "your_own_folder", "faces")


def cells_of(name, kind="code"):
    """Return the cells of a kind of ``recipes/NAME.ipynb``, each as the format has it."""
    notebook = json.loads((RECIPES / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source_of(cell):
    """Return a cell's text."""
    return "".join(cell["source"])


def run_notebook(name):
    """Run every code cell of a notebook in order.

    Returns
    -------
    names : dict
        What the cells have made.
    shown : list
        The values a notebook would display.
    """
    names, shown = {"__name__": "__main__"}, []
    for number, cell in enumerate(cells_of(name)):
        tree = ast.parse(source_of(cell), f"{name}.ipynb, code cell {number}")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{name}.ipynb, code cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"{name}.ipynb, code cell {number}", "eval"), names)
            shown += [] if value is None else [value]
    return names, shown


def html_of(value):
    """Return what a notebook shows of a value, without the alignment of its cells."""
    return value._repr_html_().replace(' style="text-align:left"', "")
