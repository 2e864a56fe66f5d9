"""What an image file says of itself before it is decoded, and the refusal of one that cannot be."""
from collections import namedtuple

MOST_PIXELS = 1 << 28  # a damaged header may announce 65535 x 65535 and 12 GB to decode

ImageFile = namedtuple("ImageFile", ["format", "width", "height", "may_turn"])
ImageFile.__doc__ = """What an image file says of itself; `may_turn`: EXIF data may swap width and height."""


class BadImage(ValueError):
    """An image that cannot be packed; the message is the reason, as it stands in ``PREFIX.bad.tsv``."""


def require_pixels(width, height):
    """Refuse (BadImage) a picture of more than MOST_PIXELS."""
    if width * height > MOST_PIXELS:
        raise BadImage(f"announces {width} x {height} pixels, more than {MOST_PIXELS}")
