"""The recipe a test file is named after, ``test_NAME.py`` of ``recipes/NAME.py``, as a module and as a command."""
import pytest

from mxft.command import run_command


@pytest.fixture(scope="module")
def recipe(request, load_recipe):
    """The recipe as a module."""
    return load_recipe(request.path.stem[len("test_"):])


@pytest.fixture
def run(request, recipe):
    """A function ``(*flags) -> exit status``: the recipe's command, behind the TINY flags of the test file."""
    tiny = getattr(request.module, "TINY", ())

    def command(*flags):
        return run_command(recipe.__name__, recipe.main, [*tiny, *flags])
    return command
