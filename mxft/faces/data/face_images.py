"""Check one aligned face and bring it to size; the passing-through follows ``image_encode`` of face2rec2.py."""
from collections import namedtuple

from mxft.compat import load_cv2
from mxft.data.images import PASSES_THROUGH, BadImage, decode, encode, inspect

STRETCHED = 0.02  # relative difference of the two edges' scales that is more than a rounding

Face = namedtuple("Face", ["identity", "path", "payload", "resized", "reason", "note"], defaults=[""])
Face.__doc__ = """A FaceFile with the bytes to pack and whether they were encoded again, or the reason for none.

`note` is what is to be said of a face that was cut out of a photograph, such as that there were others.
"""


def prepare_face(data, size, options):
    """Return the bytes to pack for the bytes of an image file, and whether they were encoded again.

    Raises
    ------
    BadImage
        Not decodable, or of a shape that resizing to `size` (H, W) would stretch.
    """
    file = inspect(data)
    image, _, have = decode(data, file, options)
    if have == size and file.format in PASSES_THROUGH:
        return data, False
    return encode(resized_face(image, size), options), True


def resized_face(image, size):
    """Return the pixels ``(H, W, 3)`` of an aligned face in `size`: area averaging down, bilinear up.

    Raises
    ------
    BadImage
        Of a shape that resizing would stretch.
    """
    have = image.shape[:2]
    if have == size:
        return image
    down, across = size[0] / have[0], size[1] / have[1]
    if abs(down / across - 1) > STRETCHED:
        raise BadImage(f"is {size_text(have)} pixels high and wide, resizing to {size_text(size)} would stretch the "
                       "face")
    cv2 = load_cv2()
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if down < 1 else cv2.INTER_LINEAR)


def prepare_file(file, read, size, options):
    """Return the Face of one of a FaceSource's `files`, which `read` gives the bytes of: with its payload, or with the
    reason why there is none.
    """
    try:
        payload, resized = prepare_face(read(file), size, options)
    except BadImage as error:
        return Face(file.identity, file.path, None, False, str(error))
    return Face(file.identity, file.path, payload, resized, None)


def size_text(size):
    """Return (H, W) as text."""
    return f"{size[0]} x {size[1]}"
