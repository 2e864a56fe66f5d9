"""What may be sent as a picture: its format and size are read before anything is decoded."""
from mxft.data.images import BadImage, inspect
from mxft.data.picture_files import picture_format
from mxft.deploy.serving import FORMATS, MOST_PIXELS
from mxft.deploy.serving.jobs import Refused


def check_picture(data):
    """Refuse what is no picture, is cut short, or would fill the memory.

    Parameters
    ----------
    data : bytes
        What was sent.

    Raises
    ------
    Refused
        415: not one of FORMATS. 422: empty, cut short, damaged, of more than MOST_PIXELS, or made to cost time.

    Notes
    -----
    Damage inside the compressed data shows only when it is decoded.
    """
    try:
        file = inspect(data)
    except BadImage as error:
        raise unreadable(error) from None
    if picture_format(data[:64]) not in FORMATS or not file.width:
        raise Refused(415, "This is no picture that can be read here: expected a whole JPEG, PNG, GIF, WebP, BMP or "
                           "TIFF file.")
    if file.width * file.height > MOST_PIXELS:
        raise Refused(422, f"This picture is too large: it announces {file.width} x {file.height} pixels, and "
                           f"{MOST_PIXELS / 1e6:.0f} million are the most that is decoded.")


def unreadable(error):
    """Return the Refused of a picture that cannot be read."""
    return Refused(422, f"This picture cannot be read ({error}).")
