"""The examples of docstrings: run, or, where they need data (``doctest: +SKIP``), checked against signatures."""
import ast
import doctest
import importlib
import importlib.util
import inspect
import pathlib

import pytest

import mxft

ROOT = pathlib.Path(mxft.__file__).parent
MODULES = sorted(".".join(("mxft", *path.relative_to(ROOT).with_suffix("").parts)).replace(".__init__", "")
                 for path in ROOT.rglob("*.py") if ">>>" in path.read_text(encoding="utf-8")
                 and (ROOT / "torch" not in path.parents or importlib.util.find_spec("torch")))


def examples_of(module):
    """Return the doctests of a module that have examples."""
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring_give_what_they_show(name, here, capsys):
    module = importlib.import_module(name)
    tests = examples_of(module)
    assert tests, f"no docstring of {name} has the example that its file shows"
    failed = sum(doctest.DocTestRunner().run(test).failed for test in tests)
    assert not failed, capsys.readouterr().out


def skipped_calls():
    """Return [(where, function, call)] of the calls to mxft in examples that are not run."""
    found = []
    for name in MODULES:
        module = importlib.import_module(name)
        for test in examples_of(module):
            for example in test.examples:
                if example.options.get(doctest.SKIP):
                    found += [(test.name, getattr(module, node.func.id), node) for node in ast.walk(
                        ast.parse(example.source)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                        and callable(getattr(module, node.func.id, None))]
    return found


def test_an_example_that_is_not_run_calls_what_there_is():
    calls = skipped_calls()
    assert len(calls) > 30
    for where, function, call in calls:
        try:
            inspect.signature(function).bind(*call.args, **{keyword.arg: keyword.value for keyword in call.keywords})
        except TypeError as error:
            raise AssertionError(f"{where}: {ast.unparse(call)}: {error}") from None
