"""A picture in both parts is found again at another size and quality; alike pictures are not taken for it."""
import cv2
import numpy as np
import pytest

from mxft.data import duplicates
from mxft.data.duplicates import _bits, find_duplicates
from mxft.data.recordio import IRHeader, RecordWriter, pack
from tests.support.images import encoded, smooth


@pytest.fixture
def records(tmp_path):
    def write(name, *payloads):
        path = str(tmp_path / name)
        with RecordWriter(path) as writer:
            for number, payload in enumerate(payloads):
                writer.write(pack(IRHeader(0, 0.0, number, 0), payload))
        return path

    return write


PICTURES = [smooth((120, 160), seed) for seed in range(30)]


@pytest.mark.parametrize("copy", [
    lambda image: encoded(image), lambda image: encoded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 50),
    lambda image: encoded(cv2.resize(image, (96, 80))),
    lambda image: encoded(np.clip(image + 3.0, 0, 255).astype("u1")),
])
def test_a_copy_is_found_and_nothing_else(records, copy):
    train = records("train.rec", *(encoded(image) for image in PICTURES[:20]))
    val = records("val.rec", *(encoded(image) for image in PICTURES[20:]), copy(PICTURES[7]), b"no picture")
    assert find_duplicates(train, val) == [(7, 10)]


def test_of_very_many_equal_hashes_alone_are_looked_at(records, monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 1)
    train = records("train.rec", *(encoded(image) for image in PICTURES[:20]))
    val = records("val.rec", *(encoded(image) for image in PICTURES[20:]), encoded(PICTURES[7]))
    assert find_duplicates(train, val) == [(7, 10)]


def test_plain_pictures_are_not_said_to_be_copies(records):
    grey = [encoded(np.full((40, 40, 3), level, np.uint8)) for level in (90, 91, 92)]
    assert find_duplicates(records("a.rec", *grey[:2]), records("b.rec", grey[2])) == []
    assert find_duplicates(records("c.rec"), records("d.rec", grey[0])) == []


def test_bits_are_counted_with_and_without_numpys_own(monkeypatch):
    values = np.array([[0, 1, 2 ** 64 - 1], [255 << 40, 3, 2 ** 63]], np.uint64)
    expected = [[bin(int(value)).count("1") for value in row] for row in values]
    assert _bits(values).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert _bits(values).tolist() == expected
