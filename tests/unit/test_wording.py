"""Text for a terminal: what would move its cursor, retitle it or turn it around becomes its code."""
import json

import pytest

from mxft.errors import InputError
from mxft.wording import cleaned, is_plain


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
