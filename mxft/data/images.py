"""Check, decode, resize and encode one image for a record; follows `image_encode` of MXNet's tools/im2rec.py."""
import functools
import io

import numpy as np

from mxft.compat import load_cv2
from mxft.data.image_file import MOST_PIXELS, BadImage, ImageFile, require_pixels
from mxft.data.jpeg_structure import inspect_jpeg
from mxft.data.picture_files import picture_format
from mxft.data.png_structure import PNG_SIGNATURE, inspect_png
from mxft.network.image_options import ImageOptions as ImageOptions

cv2 = load_cv2()

# upstream's 95 stands for zlib level 9 with PNG
DEFAULT_QUALITY = {".jpg": 95, ".png": 3}
PASSES_THROUGH = ("JPEG", "PNG", "BMP")    # what the OpenCV inside the MXNet wheels is certain to read

_REDUCED = {2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
            4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
            8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8)}
_PILLOW = {"GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "WebP": "WEBP", "AVIF": "AVIF", "JPEG 2000": "JPEG2000",
           "PBM": "PPM", "PGM": "PPM", "PPM": "PPM"}  # formats whose header Pillow reads, by its own names


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
    """Return the ImageFile that `data` holds, refusing one that is cut short or would cost too much to decode.

    OpenCV 4 decodes a cut JPEG or PNG and fills the rest with grey, so the file's own structure is asked: the
    end-of-image marker of a JPEG, the chunks of a PNG with their checksums. Of other formats the size is asked of
    Pillow, which reads no further than the header; what it does not know is left to the decoder, with size 0 x 0.

    Parameters
    ----------
    data : bytes
        A whole image file.

    Returns
    -------
    ImageFile

    Raises
    ------
    BadImage
        Empty, cut short, of more than MOST_PIXELS; see `inspect_jpeg` and `inspect_png` of the modules beside this.

    Examples
    --------
    >>> inspect(b"\\xff\\xd8" + b"\\xff" * 9_000_000)
    Traceback (most recent call last):
    mxft.data.image_file.BadImage: truncated JPEG: it ends before the image data
    """
    if not data:
        raise BadImage("empty file")
    if data.startswith(b"\xff\xd8"):
        return inspect_jpeg(data)
    if data.startswith(PNG_SIGNATURE):
        return inspect_png(data)
    width, height = _announced(data)
    require_pixels(width, height)
    return ImageFile("BMP" if data.startswith(b"BM") else "its format", width, height, False)


def _announced(data):
    """Return (width, height) as the header says it, where Pillow knows the format; else (0, 0)."""
    opener = _opener(_PILLOW.get(picture_format(data[:64])))
    try:
        with opener(io.BytesIO(data), "") as image:
            return image.size
    except Exception:  # Pillow's parsers raise whatever a broken header leads them to; the decoder has its own words
        return 0, 0


@functools.cache
def _opener(kind):
    """Return Pillow's reader of a format's header, without its limit of pixels, which is lower than ours; or None."""
    from PIL import Image  # with matplotlib, always there

    Image.init()
    return Image.OPEN.get(kind, (None,))[0]


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
