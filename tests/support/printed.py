"""What mxft's messages tell people to type: every place in the sources, and the commands and flags in a message."""
import ast
import functools
import pathlib
import re
import shlex

import mxft
from mxft.cli import VERBS

ROOT = pathlib.Path(mxft.__file__).resolve().parent
FIELD = "\0"  # what an f-string fills in
_VERB = "|".join(VERBS)
COMMAND = re.compile(rf"\bmxft ({_VERB})((?: (?!(?:and|or|of|on|with|in|for|to|by) )[^\s;,()`]+)*)")
ADVICE = re.compile(r"(?:^|[;,:(] |\b(?:or|and) )(?:say|try|use|leave|choose|give|pack with) (?=--|`)")
_NO_MESSAGES = ("help", "epilog", "description", "usage", "prog", "metavar")
_TEXTS = ("EXAMPLES", "VERBS")


def literals(path):
    """Yield (line, text) of a file's strings that may be messages; what is filled in stands as `FIELD`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aside = set()
    for node in ast.walk(tree):
        own = ([node.value] if isinstance(node, ast.Expr) else [node.value] if isinstance(node, ast.keyword)
               and node.arg in _NO_MESSAGES else node.args[2:] if isinstance(node, ast.Call)
               and getattr(node.func, "id", "") == "add_setting" else [node.value] if isinstance(node, ast.Assign)
               and any(getattr(target, "id", "") in _TEXTS for target in node.targets) else [])
        for part in own:
            if not isinstance(node, ast.Expr) or isinstance(part, (ast.Constant, ast.JoinedStr)):
                aside.update(map(id, ast.walk(part)))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            aside.update(id(part) for part in ast.walk(node) if part is not node)
    for node in ast.walk(tree):
        if id(node) in aside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else FIELD for part in node.values)


@functools.cache
def places():
    """Return (file, text) of every message in the sources that tells a command, or flags to add to the one typed."""
    return [(path.relative_to(ROOT).as_posix(), text) for path in sorted(ROOT.rglob("*.py"))
            for _, text in literals(path) if COMMAND.search(text) or ADVICE.search(text)]


def commands(text):
    """Return the commands a text tells, (verb, words behind it), pointers to a verb alone with no words."""
    return [(verb, _words(rest)) for verb, rest in COMMAND.findall(text)]


def _words(rest):
    """Return the words of a command that are its own: up to the first that is neither a flag, its value nor a name."""
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    kept = []
    for word in words:
        if not (word.startswith("-") or kept and kept[-1].startswith("--") or _is_argument(word)):
            break
        kept.append(word)
    return kept


def _is_argument(word):
    """Whether a word is no word of the sentence: a placeholder, a path, a number, or what an f-string fills in."""
    return FIELD in word or word.isupper() or any(mark in word for mark in "/.,:") or any(map(str.isdigit, word))


def matches(text, said):
    """Whether a message that was said is one of a text in the sources, whatever was filled in.

    A setting in backticks was said as a flag, and a ``{name}`` was filled in by ``str.format``.
    """
    form = re.sub(r"`[^`]*`|\{\w*\}", FIELD, text)
    parts = [re.escape(part) for part in form.split(FIELD) if len(part.strip()) > 3]
    return bool(parts) and re.search(".*?".join(parts), said, re.DOTALL) is not None
