"""What may be sent as a picture: its format and size are read before anything is decoded."""
import io

from PIL import Image

from mxft.data.images import BadImage, inspect
from mxft.deploy.serving import MOST_PIXELS
from mxft.errors import MxftError

Image.MAX_IMAGE_PIXELS = None  # Pillow reads headers only here, and what they announce is judged below

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp", "BMP": "image/bmp",
           "TIFF": "image/tiff"}


class RefusedPicture(MxftError):
    """A picture that is not answered; `status` is the HTTP status, the message one sentence for a person."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


def check_picture(data):
    """Refuse what is no picture, is cut short, or would fill the memory.

    Parameters
    ----------
    data : bytes
        What was sent.

    Raises
    ------
    RefusedPicture
        415: not one of FORMATS. 422: empty, cut short, damaged, or of more than MOST_PIXELS.

    Notes
    -----
    Damage inside the compressed data shows only when it is decoded.
    """
    try:
        file = inspect(data)
    except BadImage as error:
        raise RefusedPicture(422, f"This picture cannot be read ({error}).") from None
    width, height = (file.width, file.height) if file.format in ("JPEG", "PNG") else _announced(data)
    if width * height > MOST_PIXELS:
        raise RefusedPicture(422, f"This picture is too large: it announces {width} x {height} pixels, and "
                                  f"{MOST_PIXELS / 1e6:.0f} million are the most that is decoded.")


def _announced(data):
    """Return (width, height) as the header of a file says it; Pillow reads no further than that."""
    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
            return image.size
    except Exception:  # Pillow's parsers raise whatever a broken header leads them to
        raise RefusedPicture(415, "This is no picture that can be read here: expected a whole JPEG, PNG, GIF, WebP, "
                                  "BMP or TIFF file.") from None
