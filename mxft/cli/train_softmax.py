"""``mxft train-softmax``: insightface's train_softmax.py, the recipe of that name as a verb."""
import sys

from mxft.cli.recipe import load_recipe, run_recipe

RECIPE = "train_softmax"


def parser():
    """Return the recipe's argument parser."""
    return load_recipe(RECIPE).parser()


def main(argv=None):
    """Run ``mxft train-softmax``."""
    return run_recipe(RECIPE, list(sys.argv[1:] if argv is None else argv))
