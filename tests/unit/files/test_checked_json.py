"""JSON with a checksum: a new layout of the same content is accepted, another content is not."""
import json
import random

import pytest

from mxft.errors import InputError
from mxft.files.checked_json import ChangedContent, content_hash, read_checked, write_checked
from tests.support.flipping import flip_bit

VALUE = {"temperature": 1.25, "classes": ["Käse", "tea"], "metrics": {"best": {"top1": 0.5, "tiny": 1e-05}},
         "hashes": [], "whole": 3, "switch": True, "nothing": None}


@pytest.fixture
def path(tmp_path):
    write_checked(tmp_path / "facts.json", VALUE)
    return tmp_path / "facts.json"


def test_what_was_written_comes_back_without_its_checksum(path):
    assert read_checked(path, "facts") == VALUE
    assert list(json.loads(path.read_text(encoding="utf-8")))[-1] == "checksum"


def test_another_layout_is_the_same_content(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(found.items()))).replace("\n", "\r\n"))
    assert read_checked(path, "facts") == VALUE


@pytest.mark.parametrize("before, after", [("1.25", "1.26"), ("1.25", "1.250"), ("tea", "tee"), ("true", "false"),
                                           ("null", "0"), ("top1", "top2"), ("1e-05", "1e-06"), ("3", "3.0")])
def test_another_content_is_refused_by_name(path, before, after):
    path.write_text(path.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")
    with pytest.raises(ChangedContent, match="^facts is damaged or was edited: expected the content that its checksum "
                                             "was made of, received another one in .*facts.json; do this$"):
        read_checked(path, "facts", advice=lambda: "do this")


def test_flipped_bits_are_noticed(path):
    whole = path.read_bytes()
    for bit in range(0, 8 * (len(whole) - 1), 3):  # the last byte ends the line
        flip_bit(path, bit)
        with pytest.raises(InputError):
            read_checked(path, "facts", ("hashes",))
        path.write_bytes(whole)


def test_an_object_without_a_checksum_is_an_older_programs(tmp_path):
    (tmp_path / "old.json").write_text('{"a": 1}')
    assert read_checked(tmp_path / "old.json", "facts") == {"a": 1}
    with pytest.raises(ChangedContent):
        read_checked(tmp_path / "old.json", "facts", ("a",))


def test_random_objects_hash_alike_in_any_order():
    rng = random.Random(0)
    for _ in range(20):
        value = {str(rng.random()): rng.random() for _ in range(5)}
        shuffled = dict(rng.sample(sorted(value.items()), 5))
        assert content_hash(json.dumps(value)) == content_hash(json.dumps(shuffled, indent=3))
