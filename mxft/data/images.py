"""Check, decode, resize and encode one image for a record; follows `image_encode` of MXNet's tools/im2rec.py."""
import io
import struct
import zlib
from collections import namedtuple

import numpy as np

from mxft.compat import load_cv2
from mxft.data.picture_files import picture_format
from mxft.network.image_options import ImageOptions as ImageOptions

cv2 = load_cv2()

# upstream's 95 stands for zlib level 9 with PNG
DEFAULT_QUALITY = {".jpg": 95, ".png": 3}
MOST_PIXELS = 1 << 28                      # a damaged header may announce 65535 x 65535 and 12 GB to decode
PASSES_THROUGH = ("JPEG", "PNG", "BMP")    # what the OpenCV inside the MXNet wheels is certain to read

_REDUCED = {2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
            4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
            8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8)}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)           # among JPEG's markers C0 to CF those that do not begin a frame


ImageFile = namedtuple("ImageFile", ["format", "width", "height", "may_turn"])
ImageFile.__doc__ = """What an image file says of itself; `may_turn`: EXIF data may swap width and height."""


class BadImage(ValueError):
    """An image that cannot be packed; the message is the reason, as it stands in ``PREFIX.bad.tsv``."""


def prepare(data, options):
    """Turn the bytes of an image file into the bytes to pack.

    Parameters
    ----------
    data : bytes
        A whole image file.
    options : ImageOptions

    Returns
    -------
    bytes

    Raises
    ------
    BadImage
        Empty, cut short, not an image, or not decodable.

    Notes
    -----
    Damage inside the compressed data that the decoder survives (a few wrong blocks) is not noticed.
    """
    return prepare_with_size(data, options)[0]


def prepare_with_size(data, options):
    """Do what `prepare` does; return the bytes to pack and the picture's own (width, height), turned upright."""
    file = inspect(data)
    if options.pass_through:
        image = _decode(data, _full_flag(options))
        if file.format not in PASSES_THROUGH:
            raise BadImage(f"{file.format} may be unreadable in training; leave out --pass-through to re-encode it")
        return data, image.shape[1::-1]
    image, size = _shaped(data, file, options)
    return encode(image, options), size


def pixels_with_size(data, options):
    """Return the pixels that `prepare_with_size` encodes, and the picture's own (width, height), turned upright.

    Parameters
    ----------
    data : bytes
    options : ImageOptions
        Without `pass_through`.

    Returns
    -------
    pixels : numpy.ndarray
        ``(H, W)`` or ``(H, W, C)``, in OpenCV's order of colours.
    size : tuple of int

    Raises
    ------
    BadImage
    """
    return _shaped(data, inspect(data), options)


def _shaped(data, file, options):
    image, factor, full = decode(data, file, options)
    return shape(image, factor, full, options), tuple(full[::-1])


def inspect(data):
    """Return the ImageFile that `data` (bytes) holds, refusing one that is cut short.

    OpenCV 4 decodes a cut JPEG or PNG and fills the rest with grey, so the file's own structure is asked: the
    end-of-image marker of a JPEG, the chunks of a PNG with their checksums. Other formats are left to the decoder,
    with size 0 x 0.
    """
    if not data:
        raise BadImage("empty file")
    if data.startswith(b"\xff\xd8"):
        file = _inspect_jpeg(data)
    elif data.startswith(_PNG_SIGNATURE):
        file = _inspect_png(data)
    else:
        file = ImageFile("BMP" if data.startswith(b"BM") else "its format", 0, 0, False)
    if file.width * file.height > MOST_PIXELS:
        raise BadImage(f"announces {file.width} x {file.height} pixels, more than {MOST_PIXELS}")
    return file


def _inspect_jpeg(data):
    """Walk the segments of a JPEG to its first scan, past the frame header with its size."""
    size, at = None, 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            raise BadImage("truncated JPEG: it ends before the image data")
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # fill bytes and markers without a segment
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            raise BadImage("damaged JPEG: no image data before the end-of-image marker")
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES and at + 9 <= len(data):
            size = struct.unpack(">HH", data[at + 5:at + 9])[::-1]
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
        if marker == 0xDA:
            break
    if size is None:
        raise BadImage("damaged JPEG: no frame header before the image data")
    # 0xFF inside the image data is always followed by 0x00 or a restart marker, so this can only be the end; a
    # thumbnail's own end stands in a segment before the scan
    if data.rfind(b"\xff\xd9", at) < 0:
        raise BadImage("truncated JPEG: no end-of-image marker")
    return ImageFile("JPEG", *size, may_turn=data.find(b"Exif\0", 0, at) >= 0)


def _inspect_png(data):
    """Walk the chunks of a PNG, checking their checksums."""
    size, at, has_data = None, len(_PNG_SIGNATURE), False
    while True:
        if at + 12 > len(data):
            raise BadImage("truncated PNG: no IEND chunk")
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        end = at + 12 + length
        if end > len(data):
            raise BadImage("truncated PNG: it ends inside a chunk")
        if zlib.crc32(memoryview(data)[at + 4:end - 4]) != int.from_bytes(data[end - 4:end], "big"):
            raise BadImage("damaged PNG: a chunk's checksum does not fit")
        if kind == b"IHDR" and length >= 8:
            size = struct.unpack(">II", data[at + 8:at + 16])
        has_data = has_data or kind == b"IDAT"
        if kind == b"IEND":
            break
        at = end
    if size is None or not has_data:
        raise BadImage("damaged PNG: no header or no image data")
    return ImageFile("PNG", *size, may_turn=True)


def decode(data, file, options):
    """Decode an image; a JPEG at 1/2, 1/4 or 1/8 of its size where at least the wanted size is left.

    libjpeg shrinks within the inverse DCT: that takes little more than half the time, and uses every pixel where
    upstream's bilinear sampling passes some over.

    Parameters
    ----------
    data : bytes
    file : ImageFile
        What `inspect` says of `data`.
    options : ImageOptions

    Returns
    -------
    image : uint8 or uint16 array, shape (h, w) or (h, w, C)
    factor : int
        By which it was decoded smaller.
    full : (H, W)
        The size it would have at full length, turned as `image` is.
    """
    factor = reduction(file, options)
    if factor == 1:
        image = _decode(data, _full_flag(options))
        return image, 1, image.shape[:2]
    image = _decode(data, _REDUCED[factor][options.color])
    full = (factor * image.shape[0], factor * image.shape[1]) if file.may_turn else (file.height, file.width)
    return image, factor, full


def reduction(file, options):
    """Return the largest factor (8, 4, 2 or 1) by which an image can be decoded smaller and still be large enough.

    libjpeg rounds an odd size up. That is put right by `shape`, which must know at which edge the half pixel lies;
    an image that EXIF data may have turned is therefore reduced only where nothing is rounded.
    """
    if file.format != "JPEG" or not options.resize or options.color < 0 or options.interp != "auto":
        return 1
    for factor in (8, 4, 2):
        rounded = file.width % factor or file.height % factor
        if min(file.width, file.height) // factor >= options.resize and not (rounded and file.may_turn):
            return factor
    return 1


def _full_flag(options):
    return cv2.IMREAD_UNCHANGED if options.color < 0 else options.color


def _decode(data, flags):
    name = picture_format(data[:64])
    if name == "HEIC":
        return _decode_heic(data, flags)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadImage(f"cannot be decoded: {' '.join(str(error.err).split())}") from None
    if image is None and name not in (None, "JPEG", "PNG", "BMP"):
        return _decode_with_pillow(data, flags, name)
    if image is None:
        raise BadImage("not an image, or too damaged to decode")
    return image


def _decode_heic(data, flags):
    """Decode a photograph of a telephone, upright."""
    try:
        import pillow_heif
    except ImportError:
        raise BadImage("HEIC, which OpenCV does not read: pip install pillow-heif, or save it as JPEG") from None
    pillow_heif.register_heif_opener()
    return _decode_with_pillow(data, flags, "HEIC")


def _decode_with_pillow(data, flags, name):
    """Decode what this OpenCV does not (4.11 reads no GIF), upright, the first picture of several; as OpenCV, BGR."""
    try:
        from PIL import Image, ImageOps  # with matplotlib, always there

        file = Image.open(io.BytesIO(data))
        if file.width * file.height > MOST_PIXELS:
            raise BadImage(f"announces {file.width} x {file.height} pixels, more than {MOST_PIXELS}")
        image = np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(file).convert("RGB"))[..., ::-1])
    except BadImage:
        raise
    except Exception as error:  # Pillow's plugins have kinds of their own
        raise BadImage(f"{name}, too damaged to decode, or neither OpenCV {cv2.__version__} nor Pillow reads it "
                       f"({' '.join(str(error).split())[:80]})") from None
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if flags == cv2.IMREAD_GRAYSCALE else image


def shape(image, factor, full, options):
    """Crop and resize a decoded image to the size upstream gives it.

    Parameters
    ----------
    image, factor, full
        From `decode`.
    options : ImageOptions

    Returns
    -------
    array
        With shorter edge `options.resize` and the longer one rounded down; with `options.squash`, both that long.
    """
    rows, columns = full
    top = left = 0
    if options.center_crop:
        side = min(full)
        top, left, rows, columns = (rows - side) // 2, (columns - side) // 2, side, side
    if not options.resize:
        return image[top:top + rows, left:left + columns]
    longer = options.resize if options.squash else max(rows, columns) * options.resize // min(rows, columns)
    if longer * options.resize > MOST_PIXELS:
        raise BadImage(f"would be resized to {longer} x {options.resize} pixels, more than {MOST_PIXELS}")
    size = (options.resize, longer) if rows > columns else (longer, options.resize)
    # a reduced image is cut at whole pixels of its own: that moves the square by less than one of them
    part = image[top // factor:-(-(top + rows) // factor), left // factor:-(-(left + columns) // factor)]
    if options.interp != "auto":
        return cv2.resize(part, size, interpolation=getattr(cv2, f"INTER_{options.interp.upper()}"))
    return _resample(part, (rows / factor, columns / factor), size, smooth=factor > 1)


def _resample(image, extent, size, smooth):
    """Resize an image to size (W, H), counting only its first `extent` (rows, columns), which may be fractions.

    The filters of ``interp="auto"``: bilinear where upstream's full-size image is at hand, which gives upstream's
    bytes; bicubic where libjpeg has shrunk it (`smooth`), as bilinear would blur it a second time; and area averaging
    where more than a factor of 2 is left, which the other two would fill with aliases.
    """
    if image.shape[1::-1] == size:
        return image
    if min(extent) > 2 * min(size):
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # libjpeg rounds 561 / 2 up to 281 columns, of which the picture fills 280.5: resize by the exact ratio, not by
    # the sizes, or the picture is stretched; the surplus falls off at the end
    resized = cv2.resize(image, None, fx=size[0] / extent[1], fy=size[1] / extent[0],
                         interpolation=cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR)
    return resized[:size[1], :size[0]]


def encode(image, options):
    """Encode an image to JPEG or PNG bytes."""
    quality = DEFAULT_QUALITY[options.encoding] if options.quality is None else options.quality
    name = cv2.IMWRITE_JPEG_QUALITY if options.encoding == ".jpg" else cv2.IMWRITE_PNG_COMPRESSION
    try:
        done, buffer = cv2.imencode(options.encoding, image, [name, quality])
    except cv2.error as error:
        raise BadImage(f"cannot be encoded as {options.encoding}: {' '.join(str(error.err).split())}") from None
    if not done:
        raise BadImage(f"cannot be encoded as {options.encoding}")
    return buffer.tobytes()
