"""Pictures are told by their first bytes, and a listed one is found under the ways people write paths."""
import io
import sys

import cv2
import numpy as np
import pytest

from mxft.data.images import BadImage, prepare
from mxft.data.picture_files import found_path, is_picture, picture_format
from mxft.network.image_options import ImageOptions
from tests.support.images import encoded, smooth

WRITTEN = {".jpg": "JPEG", ".png": "PNG", ".webp": "WebP", ".bmp": "BMP", ".tif": "TIFF", ".jp2": "JPEG 2000",
           ".pgm": "PGM", ".ppm": "PPM", ".gif": "GIF", ".avif": "AVIF"}


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_format_of_what_opencv_writes(suffix, tmp_path):
    try:
        data = encoded(smooth((64, 80))[..., 0] if suffix == ".pgm" else smooth((64, 80)), suffix)
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")
    assert picture_format(data[:32]) == WRITTEN[suffix]
    (tmp_path / "photo").write_bytes(data)
    assert is_picture(str(tmp_path / "photo"))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (64, 80, 3)


def test_a_telephones_photograph_is_read_or_its_cure_named(monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    picture, written = smooth((64, 80)), io.BytesIO()
    pillow_heif.from_bytes("RGB", picture.shape[1::-1], picture[..., ::-1].tobytes()).save(written, quality=100)
    data = written.getvalue()
    assert picture_format(data[:32]) == "HEIC"
    read = cv2.imdecode(np.frombuffer(prepare(data, ImageOptions(encoding=".png")), np.uint8), cv2.IMREAD_COLOR)
    assert read.shape == (64, 80, 3) and abs(read.astype(int) - picture).mean() < 4
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImage, match=r"HEIC, which OpenCV does not read: pip install pillow-heif, or save it as"):
        prepare(data, ImageOptions())


@pytest.mark.parametrize("flags, shape", [(1, (64, 80, 3)), (0, (64, 80))])
def test_what_opencv_does_not_read_is_read_by_pillow(monkeypatch, flags, shape):
    from PIL import Image

    picture, written = smooth((64, 80)), io.BytesIO()
    Image.fromarray(picture[..., ::-1]).save(written, "GIF")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    options = ImageOptions(encoding=".png", color=flags)
    data = prepare(written.getvalue(), options)
    monkeypatch.undo()
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.shape == shape
    assert flags == 0 or abs(read.astype(int) - picture).mean() < 12, "a palette of 256"
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    with pytest.raises(BadImage, match="GIF, too damaged to decode, or neither OpenCV .* nor Pillow reads it"):
        prepare(written.getvalue()[:40], options)


@pytest.mark.parametrize("data, name", [(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"), (b"RIFFxxxxWAVE", None),
                                        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "HEIC"), (b"P7 is no map", None),
                                        (b"", None), (b"P6\n3 3\n", "PPM"), (b"Photo", None)])
def test_formats_that_are_only_announced(data, name):
    assert picture_format(data) == name


@pytest.mark.parametrize("name, is_one", [("a.JPG", True), ("a.heic", True), ("a", False), (".a.jpg", False),
                                          ("Thumbs.db", False), ("a.csv", False), ("._a.png", False)])
def test_by_name(tmp_path, name, is_one):
    (tmp_path / name).write_bytes(b"\xff\xd8\xff" if name.endswith((".csv", ".db")) else b"x")
    assert is_picture(str(tmp_path / name)) is is_one
    assert not is_picture(str(tmp_path / "gone.jpg"))


@pytest.mark.parametrize("path, found", [("a/b.jpg", "a/b.jpg"), ("a\\b.jpg", "a/b.jpg"), (" a/b.jpg ", "a/b.jpg"),
                                         ("a/b", "a/b.jpg"), (" c.png", " c.png"), ("c.png", None), ("", None),
                                         ("D", "D.JPG")])
def test_paths_as_people_write_them(tmp_path, path, found):
    (tmp_path / "a").mkdir()
    for name in ("a/b.jpg", " c.png", "D.JPG"):
        (tmp_path / name).write_bytes(b"x")
    assert found_path(str(tmp_path), path) == found
