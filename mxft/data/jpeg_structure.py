"""Whether a JPEG is whole, how large it is, and that decoding it takes bounded time.

A file of 1 MB can hold thousands of scans of a picture of 60 megapixels, each of which libjpeg carries out. Runs of
bytes are searched by the library, in time linear in the size; what Python walks over, the segments, is counted.
"""
import re
import struct

from mxft.data.image_file import BadImage, ImageFile, require_pixels

MOST_SCANS = 128               # cameras and optimisers write up to about 100
MOST_SCANNED_PIXELS = 1 << 32  # scans x pixels: 100 scans of 40 megapixels, 16 of the largest picture
MOST_SEGMENTS = 10_000         # a telephone's 10 MB of depth map in APP1 are 160

_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")  # one that has a segment, or ends the image
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
_WITH_LENGTH = _FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}  # as libjpeg reads them


def inspect_jpeg(data):
    """Walk the segments of a JPEG to its end, past the frame header with its size and all its scans.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    ImageFile

    Raises
    ------
    BadImage
        Cut short, or of more than MOST_PIXELS, MOST_SCANS, MOST_SCANNED_PIXELS or MOST_SEGMENTS.

    Notes
    -----
    Other images behind the end of the first, as telephones write them, are not looked at.
    """
    size, first_scan, scans, at = None, None, 0, 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if not found:
            break
        marker, at = data[found.start() + 1], found.end()
        if at + 2 > len(data) or (marker == _END and first_scan is not None):
            break
        if marker == _END:
            raise BadImage("damaged JPEG: no image data before the end-of-image marker")
        if marker in _FRAMES and first_scan is None and at + 7 <= len(data):
            size = struct.unpack(">HH", data[at + 3:at + 7])[::-1]
        if marker == _SCAN:
            first_scan = found.start() if first_scan is None else first_scan
            scans += 1
            _require_scans(size, scans)
        if first_scan is None or marker in _WITH_LENGTH:
            at += int.from_bytes(data[at:at + 2], "big")
    else:
        raise BadImage(f"damaged JPEG: more than {MOST_SEGMENTS} segments")
    if first_scan is None:
        raise BadImage("truncated JPEG: it ends before the image data")
    if data.rfind(b"\xff\xd9", first_scan) < 0:  # a marker in damaged image data may have led past the end
        raise BadImage("truncated JPEG: no end-of-image marker")
    return ImageFile("JPEG", *size, may_turn=data.find(b"Exif\0", 0, first_scan) >= 0)


def _require_scans(size, scans):
    """Refuse a JPEG without a frame before its first scan, too large, or of too many scans for its size."""
    if size is None:
        raise BadImage("damaged JPEG: no frame header before the image data")
    require_pixels(*size)
    if scans > MOST_SCANS or scans > max(10, MOST_SCANNED_PIXELS // max(1, size[0] * size[1])):
        raise BadImage(f"a JPEG of more than {scans - 1} scans of {size[0]} x {size[1]} pixels, which would take too "
                       "long to decode")
