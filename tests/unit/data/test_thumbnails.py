"""Thumbnails: small whatever they are made of, upright, and shown beside each other with their captions escaped."""
import base64

import cv2
import numpy as np
import pytest

from mxft.data.thumbnails import Grid, Shown, thumbnail, thumbnail_of_picture, thumbnails_of_records
from tests.support.images import encoded, noise, smooth, write_image


def decoded(address):
    kind, content = address.split(";base64,")
    assert kind == "data:image/jpeg"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("image, size", [(np.zeros((500, 900), np.uint8), (128, 230)),
                                         (np.zeros((2, 3, 3), np.uint8), (2, 3))])
def test_a_thumbnail_is_small_and_a_grey_or_tiny_image_is_no_trouble(image, size):
    address = thumbnail(encoded(image))
    assert len(address) < 3000 and decoded(address).shape[:2] == size


def test_pictures_are_shown_whatever_they_come_as(tmp_path):
    path = str(tmp_path / "a.bmp")
    write_image(path, smooth())
    of_file, of_array = (decoded(thumbnail_of_picture(one, 24)) for one in (path, smooth()[:, :, ::-1]))
    assert of_file.shape == of_array.shape == (24, 32, 3) and np.abs(of_file.astype(int) - of_array).mean() < 4
    assert decoded(thumbnail_of_picture(noise(0)[:, :, 0], 10)).shape[0] == 12
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    assert [thumbnail_of_picture(one) for one in (None, str(tmp_path / "gone.jpg"), str(tmp_path / "broken.jpg"))] == [
        None] * 3


def test_records_are_found_by_their_number(make_records):
    path = make_records("some.rec", [10, 200, 90, 40])
    found = thumbnails_of_records(path, [2, 0])
    assert sorted(found) == [0, 2] and abs(decoded(found[2]).mean() - 90) < 2 and thumbnails_of_records(path, []) == {}


def test_a_grid_tells_itself_in_a_line_and_escapes_what_it_shows():
    caption = f"said <b>cat</b>\nis {'dog' * 200}"
    grid = Grid([Shown(f"{number}.jpg", caption, None) for number in range(60)], "mistakes")
    page = grid._repr_html_()
    assert repr(grid).startswith("<Grid of 60 mistakes: 0.jpg (said <b>cat</b>, is dog") and len(repr(grid)) < 300
    assert page.count("<figure") == 48 and "and 12 more" in page and "<b>cat" not in page and "<br>is dog" in page
    assert len(grid[:2]) == 2 and grid[1].name == "1.jpg" and Grid([], "mistakes")._repr_html_() == "<p>no mistakes</p>"
