"""recipes/python.md: the page of the Python API says what the docstrings say, and each name is on it."""
import importlib.util

import pytest

import mxft


@pytest.fixture(scope="module")
def api_page(repository):
    spec = importlib.util.spec_from_file_location("api_page", repository / ".ci" / "api_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(api_page):
    assert api_page.PAGE.read_text(encoding="utf-8") == api_page.page(), "run: make docs"


def test_every_public_name_has_an_entry_with_a_sentence(api_page):
    text = api_page.page()
    for name in mxft.__all__:
        if not name.startswith("__"):
            assert f"\n## {name}\n" in text and f"| [`{name}`](#{name.lower()}) | |" not in text


def test_a_docstring_becomes_markdown(api_page):
    text = """Do it to ``x``.

Parameters
----------
x : int
    At least 1,
    at most 3.

Returns
-------
int

Examples
--------
>>> do(1)  # doctest: +SKIP
2
"""
    assert api_page.as_markdown(text) == ("Do it to `x`.\n\n**Parameters**\n\n- `x` (int): At least 1, at most 3.\n\n"
                                          "**Returns**\n\n- `int`\n\n**Examples**\n\n```python\n>>> do(1)\n2\n```")
