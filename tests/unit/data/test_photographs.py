"""Photographs straight to a network's input: the pixels of lossless records, whatever kind of picture it is."""
import io

import numpy as np
import pytest

from mxft.data.iterators import RecordIterator
from mxft.data.lists import Row, write_list
from mxft.data.packing import pack_list
from mxft.data.photographs import PhotographList, Photographs, reading, reads_directly
from mxft.errors import InputError
from mxft.network.input_spec import InputSpec
from tests.support.images import encoded, noise, smooth

SPEC = InputSpec((3, 32, 24), (123.68, 116.779, 103.939), (0.017, 0.02, 0.0171))
LOSSLESS = {"resize": 36, "encoding": ".png"}


def pillow(mode, kind, size=(70, 50), **options):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(smooth(size[::-1])).convert(mode).save(file, kind, **options)
    return file.getvalue()


def turned():
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return pillow("RGB", "JPEG", exif=exif)


PICTURES = {
    "wide.png": encoded(noise(0, (40, 90))), "tall.jpg": encoded(smooth((201, 77)), ".jpg"),
    "large.jpg": encoded(smooth((561, 303)), ".jpg"), "small.png": encoded(noise(1, (9, 11))),
    "odd.jpg": encoded(noise(2, (37, 36)), ".jpg"), "grey.jpg": pillow("L", "JPEG"), "alpha.png": pillow("RGBA", "PNG"),
    "cmyk.jpg": pillow("CMYK", "JPEG"), "turned.jpg": turned(), "palette.gif": pillow("P", "GIF"),
    "deep.png": encoded(noise(3, (50, 60)).astype(np.uint16) * 257), "web.webp": pillow("RGB", "WEBP"),
    "bitmap.bmp": encoded(noise(4, (36, 36)), ".bmp"),
}
BROKEN = {"cut.jpg": encoded(smooth((90, 90)), ".jpg")[:-300], "empty.png": b"", "text.jpg": b"no picture at all"}


@pytest.fixture
def rows(tmp_path):
    """Rows of all kinds of pictures below tmp_path, broken ones and a missing one among them."""
    names = [*list(PICTURES)[:4], *BROKEN, "gone.jpg", *list(PICTURES)[4:]]
    for name, data in {**PICTURES, **BROKEN}.items():
        (tmp_path / name).write_bytes(data)
    return [Row(number, (float(number % 3),), name) for number, name in enumerate(names)]


def packed(rows, folder, spec, options):
    """Return pixels and labels as records give them, and the bad rows."""
    write_list(str(folder / "list.lst"), rows)
    result = pack_list(str(folder / "list.lst"), str(folder), show=False, **options)
    batches = list(RecordIterator(result.rec, spec, result.packed, result.packed, threads=1))
    return batches[0].data[0].asnumpy(), batches[0].label[0].asnumpy(), result.bad


def read(photographs):
    with reading():
        batches = list(photographs)
    return (np.concatenate([batch.data[0] for batch in batches]),
            np.concatenate([batch.label[0].asnumpy() for batch in batches]))


@pytest.mark.parametrize("spec, options", [
    (SPEC, LOSSLESS), (InputSpec((3, 32, 24)), {**LOSSLESS, "interp": "linear"}),
    (InputSpec((3, 36, 36)), {**LOSSLESS, "squash": True}), (SPEC, {**LOSSLESS, "center_crop": True}),
    (InputSpec((3, 32, 32), resize=36), LOSSLESS)])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_kind_of_picture_has_the_pixels_of_a_lossless_record(rows, tmp_path, spec, options, threads):
    assert reads_directly(options, spec)
    expected, labels, bad = packed(rows, tmp_path, spec, options)
    photographs = Photographs(rows, str(tmp_path), spec, options, 4, threads)
    found, given = read(photographs)
    assert np.array_equal(found, expected) and np.array_equal(given, labels)
    assert photographs.bad == bad and [bad.row.path for bad in bad] == [*BROKEN, "gone.jpg"]
    assert [row.path for row in photographs.kept] == list(PICTURES)


@pytest.mark.parametrize("options", [{"resize": 36}, {**LOSSLESS, "color": 0}, {"pass_through": True},
                                     {**LOSSLESS, "resize": 30}, {"encoding": ".png"}])
def test_what_a_record_would_change_is_left_to_records(options):
    assert not reads_directly(options, SPEC)
    assert not reads_directly(LOSSLESS, InputSpec((1, 32, 24)))
    assert not reads_directly(LOSSLESS, InputSpec((3, 32, 24), resize=40))


def test_going_through_again_begins_again(rows, tmp_path):
    photographs = Photographs(rows, str(tmp_path), SPEC, LOSSLESS, 5, 2, look=lambda pixels: pixels.shape)
    first, digest = read(photographs)[0], photographs.digest
    photographs.reset()
    assert np.array_equal(read(photographs)[0], first) and photographs.digest == digest
    assert len(photographs.bad) == 4 and len(photographs.looks) == len(PICTURES)
    assert photographs.looks[0] == (36, 81, 3)
    (tmp_path / "odd.jpg").write_bytes(PICTURES["tall.jpg"])
    photographs.reset()
    read(photographs)
    assert photographs.digest != digest


def test_several_labels_are_given_as_they_are(tmp_path):
    (tmp_path / "a.png").write_bytes(PICTURES["wide.png"])
    pictures = PhotographList([Row(0, (1.0, 0.0, 1.0), "a.png")], str(tmp_path), LOSSLESS, several=True)
    assert pictures.scan.labels.tolist() == [[1, 0, 1]]
    assert read(pictures.open(SPEC, 8, 1, label_width=3))[1].tolist() == [[1, 0, 1]]
    assert pictures.paths == (str(tmp_path / "a.png"),)


def test_pictures_none_of_which_can_be_read_are_refused(tmp_path):
    (tmp_path / "text.jpg").write_bytes(BROKEN["text.jpg"])
    rows = [Row(0, (0.0,), "text.jpg"), Row(1, (0.0,), "gone.jpg")]
    with pytest.raises(InputError, match="no image can be read: expected at least one, received text.jpg: not an image"
                                         ".*; gone.jpg: missing"):
        list(Photographs(rows, str(tmp_path), SPEC, LOSSLESS))
    assert list(Photographs(rows, str(tmp_path), SPEC, LOSSLESS, required=False)) == []
