"""Single images: what is cut short is caught, sizes are upstream's, and scaled decoding does no harm."""
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from mxft.data.images import MOST_PIXELS, BadImage, ImageFile, inspect, prepare, reduction
from mxft.errors import InputError
from mxft.machine.quiet import quiet_native
from mxft.network.image_options import ImageOptions


def scene(height, width, seed=0):
    """A smooth colour picture with edges, so that a codec behaves as on a photograph."""
    rng = np.random.default_rng(seed)
    cell = max(8, min(height, width) // 32)  # as fine in a large picture as in a small one
    coarse = rng.integers(0, 256, (height // cell + 2, width // cell + 2, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.circle(image, (width // 2, height // 2), min(height, width) // 3, (20, 200, 90), -1)
    return image


def coded(image, ext=".jpg", *params):
    return cv2.imencode(ext, image, list(params))[1].tobytes()


def pixels(data, flag=cv2.IMREAD_UNCHANGED):
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag)


def upstream(data, resize=0, center_crop=False, color=1, quality=95):
    """`image_encode` of MXNet 1.9.1's im2rec.py, to compare with: full decoding, bilinear, sizes rounded down."""
    image = pixels(data, color)
    if center_crop:
        rows, columns = image.shape[:2]
        margin = abs(rows - columns) // 2
        image = image[margin:margin + columns] if rows > columns else image[:, margin:margin + rows]
    if resize:
        rows, columns = image.shape[:2]
        size = (resize, rows * resize // columns) if rows > columns else (columns * resize // rows, resize)
        image = cv2.resize(image, size)
    return coded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def psnr(a, b):
    return 10 * np.log10(255 ** 2 / np.mean((a.astype(float) - b) ** 2))


def with_orientation(jpeg, orientation):
    """Insert an EXIF segment whose only entry is the orientation (1 to 8)."""
    entry = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + b"II*\0\x08\0\0\0" + entry
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize("size", [(300, 400), (511, 300), (100, 90), (256, 256), (257, 511)])
@pytest.mark.parametrize("options", [{"resize": 256}, {"resize": 256, "center_crop": True}, {}, {"color": 0}])
def test_without_scaled_decoding_the_bytes_are_upstreams(size, options):
    data = coded(scene(*size))
    assert prepare(data, ImageOptions(quality=90, **options)) == upstream(data, quality=90, **options)


@pytest.mark.parametrize("size", [(512, 640), (1025, 513), (601, 1500), (90, 100)])
@pytest.mark.parametrize("options", [{}, {"center_crop": True}, {"color": 0}])
@pytest.mark.parametrize("orientation", [0, 6])
def test_linear_gives_upstreams_bytes_for_images_of_any_size(size, options, orientation):
    data = coded(scene(*size))
    data = with_orientation(data, orientation) if orientation else data
    expected = upstream(data, resize=128, **options)
    assert prepare(data, ImageOptions(resize=128, interp="linear", **options)) == expected
    if min(size) > 256:
        assert prepare(data, ImageOptions(resize=128, **options)) != expected, "the images are too small to tell"


@pytest.mark.parametrize("name, flag", [("nearest", cv2.INTER_NEAREST), ("cubic", cv2.INTER_CUBIC),
                                        ("area", cv2.INTER_AREA), ("lanczos4", cv2.INTER_LANCZOS4)])
def test_a_filter_is_opencvs_of_that_name_on_the_whole_image(name, flag):
    data = coded(scene(301, 420))
    expected = cv2.resize(pixels(data), (89, 64), interpolation=flag)
    np.testing.assert_array_equal(pixels(prepare(data, ImageOptions(64, interp=name, encoding=".png"))), expected)
    squashed = pixels(prepare(data, ImageOptions(64, interp=name, encoding=".png", squash=True)))
    np.testing.assert_array_equal(squashed, cv2.resize(pixels(data), (64, 64), interpolation=flag))


@pytest.mark.parametrize("size", [(512, 640), (1025, 513), (1000, 999), (999, 1000), (2048, 2311), (1024, 1024),
                                  (601, 5000)])
@pytest.mark.parametrize("center_crop", [False, True])
@pytest.mark.parametrize("orientation", [0, 1, 6])
def test_with_scaled_decoding_the_size_is_upstreams(size, center_crop, orientation):
    data = coded(scene(*size))
    data = with_orientation(data, orientation) if orientation else data
    ours = pixels(prepare(data, ImageOptions(resize=128, center_crop=center_crop)))
    assert ours.shape == pixels(upstream(data, resize=128, center_crop=center_crop)).shape


@pytest.mark.parametrize("size", [(560, 700), (561, 701), (1101, 1303),
                                  pytest.param((4400, 4200), marks=pytest.mark.long)])
@pytest.mark.parametrize("center_crop", [False, True])
def test_scaled_decoding_is_nearer_to_the_area_average_than_upstream(size, center_crop):
    """Odd sizes too: libjpeg rounds them up, and an image stretched by that half pixel would fail here."""
    grain = np.random.default_rng(1).normal(0, 12, (*size, 3))
    data = coded(np.clip(scene(*size) + grain, 0, 255).astype(np.uint8), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
    options = {"resize": 256, "center_crop": center_crop, "quality": 100}
    ours, theirs = pixels(prepare(data, ImageOptions(**options))), pixels(upstream(data, **options))
    ideal = pixels(data)
    if center_crop:
        side, margin = min(size), abs(size[0] - size[1]) // 2
        ideal = ideal[margin:margin + side, :side] if size[0] > size[1] else ideal[:side, margin:margin + side]
    ideal = cv2.resize(ideal, ours.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert psnr(ours, ideal) > psnr(theirs, ideal) + 1


def test_the_reduction_never_goes_below_the_wanted_size():
    want = ImageOptions(resize=256)

    def factor(width, height, options=want, kind="JPEG", may_turn=False):
        return reduction(ImageFile(kind, width, height, may_turn), options)

    assert [factor(edge, 3000) for edge in (255, 511, 512, 1023, 1024, 2047, 2048)] == [1, 1, 2, 2, 4, 4, 8]
    assert [factor(1026, height, may_turn=True) for height in (1026, 1027)] == [2, 1]
    assert factor(4096, 4096, kind="PNG") == factor(4096, 4096, ImageOptions()) == 1
    assert factor(4096, 4096, ImageOptions(resize=256, color=-1)) == 1


def test_a_large_png_is_shrunk_over_all_its_pixels():
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255  # bilinear sampling of every fourth pixel would see one colour of the two
    packed = pixels(prepare(coded(stripes, ".png"), ImageOptions(resize=256, encoding=".png")))
    assert packed.shape == (256, 256, 3) and np.all(np.abs(packed.astype(int) - 128) <= 1)


@pytest.mark.parametrize("resize", [0, 64, 128])
def test_exif_orientation_is_applied_alike_with_and_without_scaled_decoding(resize):
    image = np.zeros((256, 512, 3), np.uint8)
    image[:, :256] = 255  # the left half is white; orientation 6 turns it to the top
    packed = pixels(prepare(with_orientation(coded(image), 6), ImageOptions(resize=resize)))
    rows, columns = packed.shape[:2]
    assert rows == 2 * columns
    assert packed[:rows // 3].mean() > 250 and packed[-(rows // 3):].mean() < 5


def test_color_modes():
    transparent = np.dstack([scene(40, 50), np.full((40, 50), 7, np.uint8)])
    data = coded(transparent, ".png")
    shapes = {color: pixels(prepare(data, ImageOptions(color=color, encoding=".png"))).shape for color in (1, 0, -1)}
    assert shapes == {1: (40, 50, 3), 0: (40, 50), -1: (40, 50, 4)}


def test_png_packing_loses_nothing():
    image = scene(40, 50)
    np.testing.assert_array_equal(pixels(prepare(coded(image, ".png"), ImageOptions(encoding=".png"))), image)


@pytest.mark.parametrize("ext", [".jpg", ".png", ".bmp"])
def test_pass_through_keeps_the_bytes(ext):
    data = coded(scene(30, 40), ext)
    assert prepare(data, ImageOptions(pass_through=True, resize=16)) == data


def test_pass_through_refuses_a_format_training_may_not_read():
    data = coded(scene(30, 40), ".webp")
    with pytest.raises(BadImage, match="leave out --pass-through"):
        prepare(data, ImageOptions(pass_through=True))
    assert pixels(prepare(data, ImageOptions())).shape == (30, 40, 3)


@pytest.mark.parametrize("pass_through", [False, True])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_cut_anywhere_is_caught(pass_through, progressive):
    data = coded(scene(96, 80), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    prepare(data, ImageOptions())
    with quiet_native():
        for cut in range(0, len(data) - 1, 7):
            with pytest.raises(BadImage, match="truncated|not an image|empty"):
                prepare(data[:cut], ImageOptions(pass_through=pass_through))


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image():
    thumbnail = coded(scene(16, 16))
    data = coded(scene(96, 80))
    data = data[:2] + b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    assert prepare(data, ImageOptions(pass_through=True)) == data
    with pytest.raises(BadImage, match="truncated JPEG: no end-of-image marker"):
        prepare(data[:-10], ImageOptions(pass_through=True))


@pytest.mark.parametrize("pass_through", [False, True])
def test_a_png_cut_anywhere_or_with_a_wrong_bit_is_caught(pass_through):
    data = coded(scene(48, 40), ".png")
    options = ImageOptions(pass_through=pass_through)
    for cut in range(0, len(data), 11):
        with quiet_native(), pytest.raises(BadImage, match="truncated PNG|not an image|empty"):
            prepare(data[:cut], options)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    with pytest.raises(BadImage, match="checksum"):
        prepare(bytes(damaged), options)


@pytest.mark.parametrize("data, reason", [
    (b"", "empty file"), (b"<html>404 Not Found</html>", "not an image"), (bytes(1000), "not an image"),
    (b"\xff\xd8\xff\xd9", "truncated JPEG: it ends before the image data"),
    (b"\xff\xd8\xff\xd9\0\0\0\0", "damaged JPEG: no image data")])
def test_what_is_no_image_is_told(data, reason):
    with quiet_native(), pytest.raises(BadImage, match=reason):
        prepare(data, ImageOptions())


def test_a_header_that_announces_gigabytes_is_not_believed():
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = coded(scene(10, 10), ".png")
    with pytest.raises(BadImage, match=f"announces 60000 x 60000 pixels, more than {MOST_PIXELS}"):
        prepare(data[:8] + chunk + data[33:], ImageOptions())


def test_a_line_is_not_blown_up_to_gigabytes():
    with pytest.raises(BadImage, match="would be resized to 2560000 x 256 pixels"):
        prepare(coded(np.zeros((1, 10000, 3), np.uint8)), ImageOptions(resize=256))


def test_sizes_are_read_from_the_file():
    assert inspect(coded(scene(30, 40))) == ("JPEG", 40, 30, False)
    assert inspect(with_orientation(coded(scene(30, 40)), 1)) == ("JPEG", 40, 30, True)
    assert inspect(coded(scene(30, 40), ".png"))[:3] == ("PNG", 40, 30)


@pytest.mark.parametrize("options, message", [
    ({"quality": 101}, r"expected 1 to 100 for \.jpg, received quality=101"),
    ({"quality": 95, "encoding": ".png"}, r"expected 1 to 9 for \.png, received quality=95"),
    ({"resize": -1}, "received resize=-1"), ({"color": 2}, "received color=2"),
    ({"encoding": ".gif"}, "received encoding='.gif'"),
    ({"interp": "bilinear", "resize": 8}, "expected one of auto, .*, received interp='bilinear'; nearest: linear"),
    ({"interp": "linear"}, "expected a length in pixels .* received interp='linear' with resize=0"),
    ({"interp": "area", "resize": 8, "pass_through": True}, "no pass-through, .* and pass_through=True")])
def test_options_outside_their_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ImageOptions(**options)


def test_native_warnings_stay_off_the_terminal_and_python_still_speaks(capfd):
    import sys
    data = coded(scene(96, 80))
    data = data[:-2] + bytes(60) + data[-2:]  # bytes between the last block and the end-of-image marker
    pixels(data)
    assert "Corrupt JPEG data" in capfd.readouterr().err  # it does speak when it is let
    with quiet_native():
        pixels(data)
        print("said by Python", file=sys.stderr)
    assert capfd.readouterr().err == "said by Python\n"


@pytest.mark.parametrize("data", [b"P6\n20000 20000\n255\n", b"BM" + bytes(12) + struct.pack("<Iii", 40, 20000, 20000) +
                                  struct.pack("<HHIIIIII", 1, 24, *[0] * 6),
                                  b"GIF89a" + struct.pack("<HH", 20000, 20000) + bytes(3) +
                                  b"," + struct.pack("<HHHH", 0, 0, 20000, 20000) + bytes(1) + b"\x02\x02\x4c\x01\0;"],
                         ids=["PPM", "BMP", "GIF"])
def test_a_bomb_of_another_format_is_stopped_by_its_header(data):
    with pytest.raises(BadImage, match="announces 20000 x 20000 pixels, more than 268435456"):
        inspect(data)


@pytest.mark.parametrize("data", [b"P7\nWIDTH 20000\nHEIGHT 20000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n"])
def test_a_bomb_of_a_format_without_own_inspection_is_stopped_by_opencv(data):
    """OpenCV reads its bound once, when it is loaded: hence a process of its own."""
    code = ("import sys\nfrom mxft.data.images import BadImage, prepare\n"
            "from mxft.network.image_options import ImageOptions\n"
            f"try:\n    prepare({data!r} + bytes(100), ImageOptions(resize=16))\n"
            "except BadImage as error:\n    print(error)")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "CV_IO_MAX_IMAGE_PIXELS" in said
