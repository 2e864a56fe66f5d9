"""Text for a terminal is cleaned of what would move its cursor; words are those of the field, not of this project."""
import json
import pathlib
import re

import pytest

import mxft
from mxft.errors import InputError
from mxft.wording import cleaned, is_plain

ROOT = pathlib.Path(mxft.__file__).resolve().parent.parent
AVOIDED = {  # what is not to be written, and the word of the field for it
    r"trunk": "backbone", r"\banew\b": "again", r"\bails\b": "is wrong with", r"\blest\b": "so that … not",
    r"\bheeds?\b": "use", r"\bmend(s|ed|ing)?\b": "repair, fix", r"\bby heart\b": "overfit",
    r"\b(gone|go|goes|going) on (with|from)\b": "resume, continue", r"\b(was|is|had|be) earned\b": "finished",
    r"\bsolved heads?\b": "linear head, fitted head", r"right way round": "a fixed left and right",
    r"process apart": "separate process", r"\bforet(ell|old)": "predict", r"\b[Ss]eed 00\d": "the paper itself",
    r"from_first": "broadcast", r"has to come to": "collective", r"\bpart_with\b": "release",
    r"LentStore": "ModuleStore", r"servers home": "shut down", r"ToldState": "ReceivedState",
    r"_ended_well": "guard", r"_settled_after": "synchronise",
    r"in_(its|our)(_own)?_words": "message", r"[Jj]udgement": "per-image results",
    r"\bsoundness\b": "validation",
    r"takes no run": "does not fail the run", r"everything is taken but": "loads every parameter except",
}
OLD_NAMES = re.compile(r"0\.1\.0|_OLD_NAMES|--trunk-lr-mult|--no-frozen-trunk")  # lines that keep them working
PATTERNS = ("mxft/**/*.py", "mxft/**/*.html", "recipes/*.py", "recipes/*.md", "tools/*.py", ".ci/*.py", "README.md",
            "CONTRIBUTING.md", "Makefile", "setup.py")
PAGES_AND_CODE = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern) if path.name != "moved.py")


@pytest.mark.parametrize("pattern", AVOIDED)
def test_words_are_those_of_the_field(pattern, texts):
    avoided = re.compile(pattern)
    found = [f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
             for path, text in texts.items() if avoided.search(text)
             for number, line in enumerate(text.splitlines(), 1) if avoided.search(line) and not OLD_NAMES.search(line)]
    assert found == [], f"say: {AVOIDED[pattern]}"


@pytest.fixture(scope="module")
def texts():
    """{path: text} of the pages and the code."""
    return {path: path.read_text(encoding="utf-8") for path in PAGES_AND_CODE}


@pytest.mark.parametrize("text, shown", [
    ("cat\x1b[31m", r"cat\u001b[31m"), ("\x1b]0;title\x07", r"\u001b]0;title\u0007"), ("a\bb", r"a\u0008b"),
    ("\x9b2J", r"\u009b2J"), ("\x7f", r"\u007f"), ("\0", r"\u0000"), ("a\u202etxt.exe", r"a\u202etxt.exe"),
    ("a\u2067b", r"a\u2067b"), ("a\u2028b", r"a\u2028b"), ("good\rbad", r"good\u000dbad"), ("\r 5%|", "\r 5%|"),
    ("a\r\nb\n", "a\r\nb\n"), ("a\tb", "a\tb"), ("猫é א 🐈 a\u200db", "猫é א 🐈 a\u200db"), ("\udcff", "\udcff"),
])
def test_control_characters_become_their_codes_and_letters_stay(text, shown):
    assert cleaned(text) == shown and cleaned(shown) == shown


def test_json_stays_json():
    text = json.dumps({"name": "a\x9b\u202e\x7f\x1b"}, ensure_ascii=False)
    assert json.loads(cleaned(text)) == json.loads(text)


def test_names_are_of_one_line():
    assert is_plain("conv0 ä/猫:0") and is_plain("")
    assert not any(map(is_plain, ("a\nb", "a\tb", "\ra", "a\x1bb", "a\0", "a\u202e")))


def test_messages_are_clean_wherever_they_are_shown():
    assert str(InputError("expected a, received b='\x1b[2J'")) == r"expected a, received b='\u001b[2J'"
