"""Write recipes/python.md, the page of the public Python API, from the docstrings: `make docs`.

    python .ci/api_page.py [FILE]

Every name of ``mxft.__all__`` is on the page, in that order. tests/unit/test_api_page.py holds the page up to date.
"""
import dataclasses
import inspect
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mxft  # noqa: E402

PAGE = ROOT / "recipes" / "python.md"
INTRODUCTION = """\
# The Python API

Written from the docstrings by `make docs`: edit those, not this page. All names are attributes of `mxft`. `import mxft`
does not import mxnet; that happens when a name is used that needs it.

```python
import mxft

result = mxft.finetune("resnet-50", "photos", "runs/photos")    # a checkpoint and pictures in, a run folder out
print(mxft.score(result.model, "more-photos"))
print(mxft.predict(result.model, ["cat.jpg", "dog.jpg"]).labels)
```

The calls log to the logger `mxft`. If your program has set up logging, that decides what is shown; if not, they print
the same lines as the commands. In the examples, names are imported from `mxft`, and `mx` is
`from mxft.compat import mx`.

Errors derive from `mxft.MxftError`: `mxft.errors.InputError` when an input is refused, `mxft.errors.RunError` when work
had to stop. Modules that are not on this page have docstrings too, with examples: `help(mxft.training.recipe)`. How to
extend mxft from a package of your own: [CONTRIBUTING.md](../CONTRIBUTING.md).
"""
_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
_LISTS = ("Parameters", "Returns", "Yields", "Raises", "Attributes")


def page():
    """Return the text of the page."""
    names = [name for name in mxft.__all__ if not name.startswith("__")]
    rows = "\n".join(f"| [`{name}`](#{name.lower()}) | {_first_line(getattr(mxft, name))} |" for name in names)
    return "\n\n".join([INTRODUCTION + f"\n| name | |\n|---|---|\n{rows}", *map(entry, names)]) + "\n"


def entry(name):
    """Return the part of the page on one public name."""
    value = getattr(mxft, name)
    parts = [f"## {name}", f"`{value.__module__}`" if hasattr(value, "__module__") else ""]
    if callable(value):
        parts.append(f"```python\n{_signature(value, 'mxft.' + name)}\n```")
    parts.append(as_markdown(inspect.getdoc(value) or ""))
    if inspect.isclass(value):
        parts += [f"### {name}.{member}\n\n{_of_member(name, member, found)}" for member, found in _members(value)]
    return "\n\n".join(part for part in parts if part)


def _of_member(owner, name, found):
    """Return the text on a method or property of a class."""
    if isinstance(found, property):
        return as_markdown(inspect.getdoc(found))
    return f"```python\n{_signature(found, f'{owner}.{name}')}\n```\n\n{as_markdown(inspect.getdoc(found))}"


def _members(value):
    """Return (name, function or property) of what a class defines in public with a docstring."""
    found = []
    for name, member in vars(value).items():
        function = getattr(member, "__func__", member)  # of a class method
        written = getattr(member, "fget", function)     # an old name of a field has no function of its own
        if not name.startswith("_") and inspect.isfunction(written) and inspect.getdoc(function):
            found.append((name, function))
    return found


def _signature(function, name):
    """Return the signature as a call with the defaults, on one line where it fits into 100 characters."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return f"{name}(...)"
    words, star = [], False
    for one in parameters:
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            words.append("*")
        star = star or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        marks = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        words.append(marks + one.name + ("" if one.default is one.empty else f"={_default(one.default)}"))
    line = f"{name}({', '.join(words)})"
    return line if len(line) <= 100 else f"{name}(\n    " + ",\n    ".join(words) + ",\n)"


def _default(value):
    """Return a default as it is typed."""
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}()"
    text = repr(value)
    return "..." if text.startswith("<") else text  # a default factory


def _first_line(value):
    return _inline((inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|"))


def as_markdown(text):
    """Return a docstring in NumPy's style as Markdown."""
    pieces = _SECTION.split(text)
    parts = [_prose(pieces[0])]
    for title, body in zip(pieces[1::2], pieces[2::2]):
        parts.append(f"**{title}**\n\n{_listed(body) if title in _LISTS else _prose(body)}")
    return "\n\n".join(part for part in parts if part.strip())


def _listed(body):
    """Return the entries of a section as a list; an entry without text has its type alone."""
    items = re.split(r"\n(?=\S)", body.strip("\n"))
    lines = []
    for item in items:
        head, _, rest = item.partition("\n")
        name, colon, kind = head.partition(" : ")
        told = " ".join(line.strip() for line in rest.splitlines() if line.strip())
        lines.append(f"- `{name}`" + (f" ({_inline(kind)})" if colon else "") + (f": {_inline(told)}" if told else ""))
    return "\n".join(lines)


def _prose(text):
    """Return paragraphs, with examples as code."""
    parts = []
    for paragraph in text.strip("\n").split("\n\n"):
        is_code = paragraph.lstrip().startswith(">>>")
        parts.append(f"```python\n{re.sub(r'  +# doctest:.*', '', paragraph)}\n```" if is_code else _inline(paragraph))
    return "\n\n".join(parts)


def _inline(text):
    """Return text with reStructuredText's double backticks as Markdown's single ones."""
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def main(argv):
    """Write the page."""
    path = pathlib.Path(argv[0]) if argv else PAGE
    path.write_text(page(), encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
