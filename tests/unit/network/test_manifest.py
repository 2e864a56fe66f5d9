"""Manifests of another form than mxft writes are refused by name of the entry."""
import json

import pytest

from mxft.errors import InputError
from mxft.network.manifest import load_manifest

GOOD = {"format": 1, "classes": ["a", "b"], "packing": {"resize": 256, "center_crop": False, "quality": 90, "color": 1,
                                                        "encoding": ".jpg", "pass_through": False},
        "metrics": {"best": {"val_top1": 1}}, "head": None, "data": {"train": {"file": "x"}, "val": None},
        "source": "text"}


def write(folder, manifest):
    (folder / "net-manifest.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return str(folder / "net")


@pytest.mark.parametrize("manifest", [{}, GOOD, {"classes": None, "packing": None}])
def test_what_mxft_writes_is_read(tmp_path, manifest):
    assert load_manifest(write(tmp_path, manifest)) == manifest


@pytest.mark.parametrize("changed, message", [
    ({"classes": "ab"}, 'expected a list of names as classes, received .*net-manifest.json with classes="ab"'),
    ({"classes": ["a", 1]}, "expected a list of names as classes"),
    ({"metrics": 3.5}, "expected an object as metrics, received .* with metrics=3.5"),
    ({"metrics": {"best": 1}}, "expected an object of metrics for each epoch as metrics"),
    ({"data": {"val": "x"}}, "expected an object of facts for each record file as data"),
    ({"input": [1]}, "expected an object as input"), ({"head": "x"}, "expected an object as head"),
    ({"packing": 1}, "expected an object as packing"),
    ({"packing": {"resize": "256"}}, "expected im2rec's options as packing"),
    ({"packing": {"resize": 10**40}}, "expected im2rec's options as packing"),
    ({"packing": {"resize": float("nan")}}, "expected im2rec's options as packing"),
    ({"packing": {"quality": "high"}}, "expected im2rec's options as packing"),
    ({"packing": {"encoding": [".jpg"]}}, "expected im2rec's options as packing"),
    ({"packing": {"strange": 1}}, "expected im2rec's options as packing"),
])
def test_another_form_is_refused_with_the_entry(tmp_path, changed, message):
    with pytest.raises(InputError, match=f"manifest cannot be read: {message}"):
        load_manifest(write(tmp_path, {**GOOD, **changed}))


def test_depth_without_end_is_refused(tmp_path):
    with pytest.raises(InputError, match="manifest cannot be read: expected JSON, .*; restore it from a copy, or move "
                                         "it away and give its facts by flags$"):
        load_manifest(write(tmp_path, "[" * 100_000))


@pytest.mark.parametrize("changed", [
    {"classes": ["a", "b\nmxft: done"]}, {"source": "a\r\nb"}, {"parent": {"model": "a\rb"}}, {"data": {"a\nb": {}}},
    {"head": {"names": [["a", {"b": "c\n"}]]}},
])
def test_text_of_several_lines_is_refused(tmp_path, changed):
    with pytest.raises(InputError, match=f"text of one line each as {next(iter(changed))}, received .*net-man"):
        load_manifest(write(tmp_path, {**GOOD, **changed}))
