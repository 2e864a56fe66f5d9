"""What is done to a picture before it is packed or predicted: im2rec's options, ``packing`` in a manifest."""
from dataclasses import dataclass
from typing import Optional

from mxft.errors import InputError, nearest

QUALITY_RANGE = {".jpg": (1, 100), ".png": (1, 9)}
INTERPOLATIONS = ("auto", "nearest", "linear", "cubic", "area", "lanczos4")


@dataclass(frozen=True)
class ImageOptions:
    """What is done to an image on its way into a record; the names and meanings are im2rec's flags.

    Attributes
    ----------
    resize : int
        New length of the shorter edge in pixels, also where that enlarges; 0 keeps the size.
    center_crop : bool
        Cut out the middle square first.
    quality : int, optional
        JPEG quality 1–100 (default 95), or PNG compression 1–9 (default 3).
    color : {1, 0, -1}
        BGR, grey, or as stored with alpha and depth. EXIF orientation is applied with 1 and 0 and not with -1,
        as ``cv2.imread`` does; it is gone from the packed image in either case.
    encoding : {".jpg", ".png"}
    pass_through : bool
        Pack the file's bytes as they are, once they have been decoded to see that they can be.
    squash : bool
        Resize to `resize` x `resize` whatever the image's proportions, as Keras's ``target_size`` does; im2rec has no
        such flag.
    interp : {"auto", "nearest", "linear", "cubic", "area", "lanczos4"}
        How to resize: ``"auto"`` lets libjpeg shrink a large JPEG and averages areas where much is left; any other is
        OpenCV's filter of that name on the image decoded whole. ``"linear"`` is what MXNet's im2rec.py does, and gives
        its bytes.
    """

    resize: int = 0
    center_crop: bool = False
    quality: Optional[int] = None
    color: int = 1
    encoding: str = ".jpg"
    pass_through: bool = False
    squash: bool = False
    interp: str = "auto"

    def __post_init__(self):
        if self.encoding not in QUALITY_RANGE:
            raise InputError(f"unknown encoding: expected .jpg or .png, received encoding={self.encoding!r}")
        if self.color not in (-1, 0, 1):
            raise InputError(f"unknown color mode: expected 1 (color), 0 (grey) or -1 (as stored), received "
                             f"color={self.color}")
        if self.resize < 0:
            raise InputError(f"cannot resize: expected a length in pixels, or 0 to keep the size, received "
                             f"resize={self.resize}")
        if self.squash and (not self.resize or self.pass_through):
            raise InputError(f"cannot squash: expected a length in pixels to resize to, and no pass-through, received "
                             f"resize={self.resize} and pass_through={self.pass_through}")
        if self.interp not in INTERPOLATIONS:
            raise InputError(f"unknown interpolation: expected one of {', '.join(INTERPOLATIONS)}, received "
                             f"interp={self.interp!r}; {nearest(str(self.interp), INTERPOLATIONS)}")
        if self.interp != "auto" and (not self.resize or self.pass_through):
            raise InputError(f"cannot choose how to resize: expected a length in pixels to resize to, and no "
                             f"pass-through, received interp={self.interp!r} with resize={self.resize} and "
                             f"pass_through={self.pass_through}")
        least, most = QUALITY_RANGE[self.encoding]
        if self.quality is not None and not least <= self.quality <= most:
            raise InputError(f"quality out of range: expected {least} to {most} for {self.encoding}, received "
                             f"quality={self.quality}")
