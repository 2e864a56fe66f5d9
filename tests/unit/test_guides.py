"""README and guides: links lead somewhere, commands and flags exist and parse, and the README stays short."""
import importlib.util
import pathlib
import re
import shlex
import sys

import pytest

import mxft
from mxft.cli import VERBS, module_name
from mxft.errors import MxftError

REPOSITORY = pathlib.Path(mxft.__file__).resolve().parent.parent
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("recipes/*.md")])
MOST_LINES = 170
FOREIGN = ("--no-deps", "--flags")  # of pip, and none in particular
_PARSERS = {}


def parser_of(program, name):
    """Return the argument parser of a verb or a recipe, None where there is no such."""
    key = program, name
    if key not in _PARSERS:
        if program == "mxft":
            found = importlib.import_module("mxft.cli." + module_name(name)) if name in VERBS else None
        else:
            path = REPOSITORY / "recipes" / f"{name}.py"
            found = None
            if path.exists():
                spec = importlib.util.spec_from_file_location(f"recipe_{name}", path)
                found = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(found)
        _PARSERS[key] = found and found.parser()
    return _PARSERS[key]


def flags_of(parser):
    """Return the option strings of a parser and of its subcommands."""
    found = set()
    for action in parser._actions:
        found.update(action.option_strings)
        for child in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            found |= flags_of(child)
    return found


def verb_of(tool):
    """Return the verb that ``tools/TOOL.py`` is."""
    text = (REPOSITORY / "tools" / f"{tool}.py").read_text(encoding="utf-8")
    return re.search(r'run_verb\("([\w-]+)"\)', text).group(1)


def told_apart(words):
    """Return (program, name, arguments) of a command line, None where it is none of ours."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["mxft"] and len(words) > 1 and not words[1].startswith("-"):
        return "mxft", words[1], words[2:]
    if words[:1] == ["python"]:
        words = [word for word in words[1:] if word != "-u"]
        script = re.fullmatch(r"(?:\.\./)*(recipes|tools)/(\w+)\.py", words[0]) if words else None
        if script:
            folder, name = script.groups()
            return ("mxft", verb_of(name), words[1:]) if folder == "tools" else ("recipe", name, words[1:])
    return None


def check(words):
    """Parse a command line; of one with an ellipsis, or with placeholders, only look for its flags."""
    told = told_apart(words)
    if told is None:
        return
    program, name, arguments = told
    parser = parser_of(program, name)
    assert parser is not None, f"no {program} {name}"
    if name == "launch" and "python" in arguments:
        at = arguments.index("python")
        check(arguments[at:])
        arguments = [*arguments[:at], "true"] if "…" not in arguments[:at] else arguments[:at]
    if any("…" in word for word in arguments):
        unknown = {word.split("=")[0] for word in arguments if word.startswith("--")} - flags_of(parser)
        assert not unknown, f"{name}: {unknown}"
        return
    if name == "im2rec":
        arguments = sys.modules["mxft.cli.im2rec"].plain_booleans(arguments)
    try:
        parser.parse_args(arguments)
    except (MxftError, SystemExit) as error:
        raise AssertionError(f"{shlex.join(words)}: {error}") from None


def blocks(text):
    """Yield the lines of the shell blocks, continued lines joined and comments gone."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from re.sub(r"(^|\s)#.*", "", line).split("&&")


def inline(text):
    """Return the code within sentences and tables."""
    return [found.replace("\\|", "|") for found in
            re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))]


def anchors_of(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    text, wrong = page.read_text(encoding="utf-8"), []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or anchor and anchor not in anchors_of(file.read_text(encoding="utf-8")):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page):
    for line in blocks(page.read_text(encoding="utf-8")):
        check(shlex.split(line.strip()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_within_sentences_exist(page):
    if page.name == "CHANGELOG.md":  # names what was, too
        return
    text = page.read_text(encoding="utf-8")
    known = set(FOREIGN)
    for program, names in (("mxft", VERBS), ("recipe", [path.stem for path in REPOSITORY.glob("recipes/[a-z]*.py")])):
        for name in names:
            known |= flags_of(parser_of(program, name))
    for code in inline(text):
        told = told_apart(code.split())
        if told and re.fullmatch(r"[a-z][\w-]*", told[1]):
            parser = parser_of(*told[:2])
            assert parser is not None, code
            assert {word.split("=")[0] for word in told[2] if word.startswith("--")} <= flags_of(parser), code
        elif code.startswith("--"):
            assert {word.split("=")[0] for word in re.findall(r"--[\w-]+", code)} <= known, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_and_variables_exist(page):
    text, makefile = page.read_text(encoding="utf-8"), (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    lines = [line.strip() for line in blocks(text) if line.strip().startswith("make ")]
    for line in [*lines, *(code for code in inline(text) if code.startswith("make "))]:
        for word in shlex.split(line)[1:]:
            name, equals, _ = word.partition("=")
            assert re.search(rf"^{name} \??[:?]?= ?" if equals else rf"^{name}:", makefile, re.MULTILINE), line


def test_the_readme_is_short_and_the_chinese_one_has_its_commands():
    english, chinese = ((REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    assert len(english.splitlines()) <= MOST_LINES >= len(chinese.splitlines())
    assert [line.split() for line in blocks(english) if line.split()] == [
        line.split() for line in blocks(chinese) if line.split()]


def test_every_guide_and_recipe_is_in_the_index():
    index = (REPOSITORY / "recipes" / "README.md").read_text(encoding="utf-8")
    guides = {path.name for path in REPOSITORY.glob("recipes/*.md")} - {"README.md"}
    assert guides == set(re.findall(r"^\| \[(\w+\.md)\]\(\1\) \|", index, re.MULTILINE))
    recipes = {path.name for path in REPOSITORY.glob("recipes/[a-z]*.py")}
    assert [name for name in recipes if f"`{name}`" not in index] == []
