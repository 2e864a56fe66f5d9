"""What a JPEG may cost: scan bombs and files of markers are refused, progressive photographs are kept."""
import struct

import cv2
import numpy as np
import pytest

from mxft.data.images import BadImage, inspect
from mxft.data.jpeg_structure import MOST_SCANS, MOST_SEGMENTS
from tests.support.images import smooth

MEGABYTES = 9_000_000


def progressive(scans, side=64):
    """A progressive JPEG of so many scans; its frame header announces a side of its own."""
    data = cv2.imencode(".jpg", smooth((64, 64)), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    at = data.index(b"\xff\xc2") + 5
    data = data[:at] + struct.pack(">HH", side, side) + data[at + 4:]
    own, last = data.count(b"\xff\xda"), data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (scans - own) + b"\xff\xd9"


@pytest.mark.parametrize("scans, side", [(10, 64), (100, 64), (MOST_SCANS, 64), (100, 6500), (16, 16_000)])
def test_progressive_photographs_are_kept(scans, side):
    assert inspect(progressive(scans, side)) == ("JPEG", side, side, False)


@pytest.mark.parametrize("scans, side", [(MOST_SCANS + 1, 64), (5000, 64), (120, 6500), (17, 16_384)])
def test_a_scan_bomb_is_refused(scans, side):
    with pytest.raises(BadImage, match=rf"a JPEG of more than \d+ scans of {side} x {side} pixels, which would take"):
        inspect(progressive(scans, side))


def test_an_end_within_a_segment_hides_no_scans():
    data = progressive(10)
    last = data.rindex(b"\xff\xda")
    hidden = data[:-2] + b"\xff\xfe" + struct.pack(">H", 4) + b"\xff\xd9" + data[last:-2] * 500 + b"\xff\xd9"
    with pytest.raises(BadImage, match="scans of 64 x 64 pixels"):
        inspect(hidden)


def test_images_behind_the_end_are_not_counted():
    data = progressive(100)
    assert inspect(data + data + b"\xff\xda" * 1000)[:3] == ("JPEG", 64, 64)


@pytest.mark.parametrize("body, message", [
    (b"\xff" * MEGABYTES, "truncated JPEG: it ends before"), (b"\xff\0" * (MEGABYTES // 2), "truncated JPEG"),
    (b"\xff\xd0" * (MEGABYTES // 2), "truncated JPEG"), (bytes(MEGABYTES), "truncated JPEG: it ends before"),
    (b"\xff\xe0\0\2" * (MEGABYTES // 4), f"damaged JPEG: more than {MOST_SEGMENTS} segments")])
def test_megabytes_of_markers_are_searched_by_the_library_and_segments_are_counted(body, message, monkeypatch):
    """Not timed: what Python walks over is counted instead."""
    searches = []
    marker = __import__("mxft.data.jpeg_structure", fromlist=["_MARKER"])._MARKER

    class Counted:
        def search(self, *given):
            searches.append(given[1])
            return marker.search(*given)

    monkeypatch.setattr("mxft.data.jpeg_structure._MARKER", Counted())
    with pytest.raises(BadImage, match=message):
        inspect(b"\xff\xd8" + body)
    assert len(searches) <= MOST_SEGMENTS


def test_photographs_with_many_segments_are_kept():
    data = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"\xff\xd9\xff\xda" + bytes(65_529)
    assert inspect(data[:2] + segment * 160 + data[2:])[:3] == ("JPEG", 16, 16)


@pytest.mark.data
def test_real_photographs_are_kept(testdata):
    import tarfile

    with tarfile.open(testdata / "data" / "caltech256-subset.tar") as tar:
        members = [member for member in tar if member.isfile() and member.name.endswith(".jpg")][::40]
        for member in members:
            assert inspect(tar.extractfile(member).read()).format == "JPEG", member.name
