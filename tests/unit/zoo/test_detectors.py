"""insightface's MTCNN: six files that make one folder, from a mirror or by hand."""
import dataclasses
import hashlib
import json
import os
import struct

import pytest

from mxft import zoo
from mxft.errors import InputError
from mxft.zoo import detectors

NAMES = [f"det{number}{ending}" for number in (1, 2, 3) for ending in ("-symbol.json", "-0001.params")]


def content(name):
    return (json.dumps({"nodes": [], "of": name}).encode() if name.endswith(".json")
            else struct.pack("<QQ", 0x112, 0) + name.encode())


@pytest.fixture
def cascade(mirror, monkeypatch):
    """The row with the sums of made-up files; returns the row as it is published."""
    row, = detectors.DETECTORS
    files = tuple((name, len(content(name)), hashlib.sha256(content(name)).hexdigest()) for name in NAMES)
    monkeypatch.setattr(detectors, "DETECTORS", (dataclasses.replace(row, files=files),))
    return row


def test_a_mirror_gives_the_folder_a_detector_is_made_of(mirror, cascade):
    for name in NAMES:
        mirror.put(f"deploy/mtcnn-model/{name}", content(name))
    folder = zoo.get_dataset("mtcnn-insightface", progress=False)
    assert folder == f"{mirror.cache}/models/mtcnn-insightface" and sorted(os.listdir(folder)) == sorted(NAMES)
    assert zoo.cached("mtcnn-insightface") == folder


def test_the_six_files_are_handed_over_whole_or_not_at_all(mirror, cascade, tmp_path):
    for name in NAMES:
        (tmp_path / name).write_bytes(content(name))
    files = [str(tmp_path / name) for name in reversed(NAMES)]
    with pytest.raises(InputError, match=r"file.?: expected det1-symbol.json and .*det3-0001.params of "
                                         r"mtcnn-insightface, received .*/det3-0001.params"):
        zoo.get_dataset("mtcnn-insightface", files=files[:5])
    (tmp_path / "det1-symbol.json").write_bytes(content("det2-symbol.json"))
    with pytest.raises(InputError, match="local copy of det1-symbol.json: .*: sha256: expected .*it was left as it is"):
        zoo.get_dataset("mtcnn-insightface", files=files)
    assert not list(mirror.cache.rglob("*.*"))
    (tmp_path / "det1-symbol.json").write_bytes(content("det1-symbol.json"))
    assert zoo.get_dataset("mtcnn-insightface", files=files) == f"{mirror.cache}/models/mtcnn-insightface"


def test_it_is_a_detector_and_no_model():
    with pytest.raises(InputError, match="unknown model: expected a name of the zoo, received 'mtcnn-insightface'"):
        zoo.get_model("mtcnn-insightface")


def test_its_sums_are_those_of_the_repository(cascade):
    """`git cat-file` of insightface 40feeba3, deploy/mtcnn-model: bytes of det1, det2, det3."""
    assert [size for _, size, _ in cascade.files] == [5706, 27190, 6833, 401492, 8870, 1557176]
    assert all(len(digest) == 64 for _, _, digest in cascade.files)
