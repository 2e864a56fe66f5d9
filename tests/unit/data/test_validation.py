"""Record files whose images MXNet cannot decode are refused before its C++ iterator would end the process."""
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from mxft.data import validation
from mxft.data.iterators import RecordIterator
from mxft.data.labels import scan_labels
from mxft.data.recordio import MAGIC_BYTES
from mxft.data.validation import check_records
from mxft.errors import InputError, RunError
from mxft.network.input_spec import InputSpec
from tests.support.images import encoded, noise


def picture(extension=".jpg", size=(24, 20), *options):
    """Return an encoded image of a soft pattern."""
    return encoded(cv2.resize(noise(0, (6, 5)), size), extension, *options)


def jpeg_of(width, height):
    data = bytearray(picture())
    at = data.find(b"\xff\xc0")
    data[at + 5:at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png_of(width, height):
    data = picture(".png")
    chunk = struct.pack(">II", width, height) + data[24:29]
    return data[:16] + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + chunk)) + data[33:]


def png_with_wrong_deflate():
    """A PNG whose checksums fit and whose compressed data is none."""
    data = picture(".png")
    at = data.find(b"IDAT")
    length, = struct.unpack(">I", data[at - 4:at])
    chunk = b"IDAT" + b"\xff" * length
    return data[:at] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[at + 8 + length:]


def broken_table():
    """A JPEG whose first Huffman table announces more codes than there can be."""
    data = bytearray(picture())
    at = data.find(b"\xff\xc4")
    data[at + 5:at + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def table_behind_the_scan():
    """A JPEG with a broken segment between its image data and its end: OpenCV has the picture by then."""
    return picture()[:-2] + b"\xff\xc4\x00\x14" + b"\xff" * 18 + b"\xff\xd9"


BAD = {"empty": b"", "text": b"this is no image at all", "cut JPEG": picture()[:200], "cut PNG": picture(".png")[:90],
       "JPEG of no height": jpeg_of(24, 0),
       "JPEG bomb": jpeg_of(65535, 65535), "PNG bomb": png_of(60000, 60000), "deflate": png_with_wrong_deflate(),
       "Huffman table": broken_table()}
GOOD = {"JPEG": picture(), "PNG": picture(".png"), "BMP": picture(".bmp"), "grey": picture(".jpg", (5, 1)),
        "progressive": picture(".jpg", (40, 40), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restarts": picture(".jpg", (90, 90), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        "a broken segment behind the scan": table_behind_the_scan(),
        "bytes behind the end": picture() + b"tail" + MAGIC_BYTES + b"x"}


@pytest.mark.parametrize("level", ["fast", "full"])
@pytest.mark.parametrize("kind", BAD)
def test_what_mxnet_cannot_decode_is_refused_with_its_place(kind, level, make_records):
    path = make_records("bad.rec", [0, 1, 0, 1], lambda number, label: BAD[kind] if number > 1 else picture())
    scan = scan_labels(path)
    with pytest.raises(InputError) as caught:
        check_records(scan, level, show=False)
    assert f"in record 2 (id 2) at byte {scan.offsets[2]}; 2 of 4 records are damaged" in str(caught.value)
    assert "check='off'" in str(caught.value)
    check_records(scan, "off")


@pytest.mark.parametrize("level", ["fast", "full"])
def test_what_mxnet_can_decode_passes(level, make_records):
    pictures = list(GOOD.values())
    check_records(scan_labels(make_records("good.rec", range(len(pictures)), lambda number, _: pictures[number])),
                  level, threads=2)


def test_ordinary_jpegs_are_not_decoded(make_records, monkeypatch):
    asked = []
    monkeypatch.setattr(validation, "_decoded", lambda data: asked.append(data))
    sizes = [(17 + number, 30) for number in range(50)]
    check_records(scan_labels(make_records("many.rec", [0] * 50, lambda number, _: picture(".jpg", sizes[number]))))
    assert len(asked) == 1 and len(asked[0]) < 700  # one header for all, without a scan


def can_be_read(path):
    try:
        return bool(list(RecordIterator(path, InputSpec((3, 8, 8)), 1, 1, threads=1)))
    except RunError:
        return False


@pytest.mark.parametrize("seed", range(2))
def test_fast_refuses_whatever_mxnet_cannot_decode(seed, make_records):
    """Without ``resize`` MXNet throws for an image that would otherwise end the process."""
    rng, bad, judge = np.random.RandomState(seed), 0, validation._Decoder()
    for _ in range(20):
        data = bytearray(picture(".jpg", (40, 40), *[cv2.IMWRITE_JPEG_PROGRESSIVE, 1] * (seed % 2)))
        for _ in range(rng.randint(1, 12)):
            data[rng.randint(2, len(data))] = rng.choice([0xFF, 0xC4, 0xC0, 0xDA, 0xD9, rng.randint(256)])
        fails = not can_be_read(make_records("damaged.rec", [0], lambda *_, data=data: bytes(data)))
        assert not fails or judge.reason(bytes(data))
        bad += fails
    assert bad > 3


def test_an_unknown_level_is_refused(make_records):
    with pytest.raises(InputError, match="check: expected one of fast, full, off, received check='ful'; nearest: full"):
        check_records(scan_labels(make_records("one.rec", [0])), "ful")


def test_a_file_cut_while_it_is_checked_is_a_run_error(make_records):
    path = make_records("cut.rec", [0, 1, 2])
    scan = scan_labels(path)
    with open(path, "r+b") as f:
        f.truncate(int(scan.offsets[1]) + 40)
    with pytest.raises(RunError, match=r"checking .*cut.rec stopped: expected .* received .*; was the file changed\?"):
        check_records(scan)


@pytest.mark.long
def test_without_the_check_an_undecodable_image_ends_the_process(make_records):
    """Why the check is there: where this fails MXNet has mended its division by zero."""
    path = make_records("fatal.rec", [0, 1], lambda number, label: b"no image" if number else picture())
    code = ("import dataclasses, sys\nfrom mxft.data.iterators import RecordIterator\n"
            "from mxft.network.input_spec import InputSpec\n"
            f"list(RecordIterator({path!r}, InputSpec((3, 8, 8), resize=16), 2, 2))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -8
