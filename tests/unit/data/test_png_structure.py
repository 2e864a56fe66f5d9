"""What a PNG may cost: one that inflates to more than its pixels is refused, photographs and profiles are kept."""
import struct
import zlib

import cv2
import numpy as np
import pytest

from mxft.data.images import BadImage, inspect, prepare
from mxft.data.png_structure import MOST_CHUNKS, PNG_SIGNATURE
from mxft.network.image_options import ImageOptions
from tests.support.images import smooth


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(data, side=10, interlaced=0, before=b""):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, interlaced)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + before + data + chunk(b"IEND", b"")


def zeros(megabytes):
    stream, piece = zlib.compressobj(9), bytes(1 << 20)
    return b"".join([*(stream.compress(piece) for _ in range(megabytes)), stream.flush()])


ROWS = chunk(b"IDAT", zlib.compress(bytes(10 * 31)))


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("split", [False, True])
def test_image_data_that_inflates_to_more_than_its_pixels_is_refused(interlaced, split):
    data = zeros(200)
    pieces = [data[at:at + 999] for at in range(0, len(data), 999)] if split else [data]
    with pytest.raises(BadImage, match="damaged PNG: its image data inflates to more than 10 x 10 pixels"):
        inspect(png(b"".join(chunk(b"IDAT", piece) for piece in pieces), interlaced=interlaced))


@pytest.mark.parametrize("kind, head", [(b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0en\0b\0"), (b"iCCP", b"a\0\0")])
def test_texts_that_inflate_to_gigabytes_are_refused(kind, head):
    text = chunk(kind, head + zeros(7))
    assert inspect(png(ROWS, before=text * 9)).width == 10
    with pytest.raises(BadImage, match="damaged PNG: its texts inflate to more than 64 MB"):
        inspect(png(ROWS, before=text * 200))


def test_chunks_are_counted():
    with pytest.raises(BadImage, match=f"damaged PNG: more than {MOST_CHUNKS} chunks"):
        inspect(png(ROWS, before=chunk(b"tEXt", b"") * (MOST_CHUNKS + 1)))
    assert inspect(png(ROWS, before=chunk(b"tEXt", b"a\0b") * 1000)).width == 10


@pytest.mark.parametrize("shape", [(1500, 1200, 3), (1500, 1200), (1500, 1201, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_with_all_their_rows_are_kept(shape, dtype):
    """Of so many bytes that they are inflated to be measured."""
    image = np.random.RandomState(0).randint(0, np.iinfo(dtype).max, shape).astype(dtype)
    data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    assert inspect(data)[:3] == ("PNG", shape[1], shape[0])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("size", [(7, 5), (1, 1), (600, 401)])
def test_the_bytes_of_rows_are_exact(mode, size):
    """What Pillow writes inflates to just so many bytes."""
    import io

    from PIL import Image

    from mxft.data.png_structure import _bytes_of_rows

    stream = io.BytesIO()
    Image.fromarray(smooth(size[::-1])).convert(mode).save(stream, "PNG")
    data = stream.getvalue()
    at, body = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body += data[at + 8:at + 8 + length] * (kind == b"IDAT")
        at += 12 + length
    assert len(zlib.decompress(body)) == _bytes_of_rows(*struct.unpack(">IIBBBBB", data[16:29]))


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 8), (33, 17)])
def test_the_bytes_of_interlaced_rows_are_those_of_the_seven_passes(size):
    from mxft.data.png_structure import _bytes_of_rows

    passes = np.array([[1, 6, 4, 6, 2, 6, 4, 6], [7] * 8, [5, 6, 5, 6, 5, 6, 5, 6], [7] * 8,
                       [3, 6, 4, 6, 3, 6, 4, 6], [7] * 8, [5, 6, 5, 6, 5, 6, 5, 6], [7] * 8])
    width, height = size
    tiled = np.tile(passes, (height // 8 + 1, width // 8 + 1))[:height, :width]
    expected = sum(1 + 3 * count for number in range(1, 8) for count in (tiled == number).sum(1) if count)
    assert _bytes_of_rows(width, height, 8, 2, 0, 0, 1) == expected


def test_damaged_image_data_is_left_to_the_decoder():
    data = bytearray(zeros(200))
    data[40:60] = b"\xff" * 20
    with pytest.raises(BadImage, match="not an image, or too damaged to decode|damaged PNG"):
        prepare(png(chunk(b"IDAT", bytes(data)), side=100), ImageOptions())
