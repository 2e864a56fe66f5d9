"""What happens to a training image at random, and the four levels of MXNet's image-classification example.

Reproduces ``example/image-classification/common/data.py`` (``set_data_aug_level``) and names the arguments of
``mx.io.ImageRecordIter``'s default augmenter (``src/io/image_aug_default.cc``) it is carried out by.
"""
import dataclasses
import numbers

from mxft.errors import InputError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes to a training image; without any, the centre crop.

    Parameters
    ----------
    rand_crop : bool
        Crop anywhere instead of in the middle.
    rand_mirror : bool
        Mirror left to right, half of the times.
    resized_crop : (float, float) or None
        Crop a part whose share of the image's area lies in ``(least, most)``, and resize it to the input size:
        torchvision's RandomResizedCrop, in place of `rand_crop`.
    aspect : (float, float) or None
        Width : height, ``(least, most)``: of the part `resized_crop` takes (None: square), or else by how much the
        image is stretched (None: not at all).
    rotate : int
        Degrees, either way; whole ones are drawn.
    shear : float
        Pixels a row moves sideways for each row of height, either way: the tangent of the shear angle.
    hue, saturation, lightness : int
        Added to the channels of HLS, either way, of 180, 255 and 255.
    fill : int
        Value 0-255 of the corners that rotation and shear leave open; white is MXNet's choice.

    Raises
    ------
    InputError
        A value out of its range, or `rand_crop` beside `resized_crop`.

    Notes
    -----
    Two differences from torchvision: the aspect ratio is drawn uniformly and not its logarithm, and where ten parts
    drawn do not fit the image, the centre crop of the input's size is taken and not the largest part that fits.

    Examples
    --------
    >>> Augmentation(rand_mirror=True, resized_crop=(0.6, 1.0), aspect=(3 / 4, 4 / 3)).describe()
    'mirror, resized crop 0.6-1, aspect 0.75-1.33333'
    >>> Augmentation(rotate=30).iterator_arguments()
    {'max_rotate_angle': 30}
    """

    rand_crop: bool = False
    rand_mirror: bool = False
    resized_crop: tuple = None
    aspect: tuple = None
    rotate: int = 0
    shear: float = 0.0
    hue: int = 0
    saturation: int = 0
    lightness: int = 0
    fill: int = 255

    def __post_init__(self):
        if self.resized_crop is not None:
            _require_range("resized_crop", self.resized_crop, 1)
            if self.rand_crop:
                raise InputError("augmentation: expected rand_crop or resized_crop, received both, rand_crop=True and "
                                 f"resized_crop={self.resized_crop}")
        if self.aspect is not None:
            _require_range("aspect", self.aspect, 100)
        for name, most in (("rotate", 180), ("hue", 180), ("saturation", 255), ("lightness", 255), ("fill", 255)):
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or not 0 <= value <= most:
                raise InputError(f"augmentation: expected a whole number from 0 to {most}, received {name}={value!r}")
        if not isinstance(self.shear, numbers.Real) or not 0 <= self.shear <= 10:
            raise InputError(f"augmentation: expected a number from 0 to 10, received shear={self.shear!r}")

    @property
    def is_random(self):
        """Whether two epochs see different pixels of one image."""
        return dataclasses.replace(self, fill=255) != Augmentation()

    def iterator_arguments(self):
        """Return the same facts as keyword arguments of ``mx.io.ImageRecordIter``."""
        arguments = {}
        if self.resized_crop is not None:
            arguments = {"random_resized_crop": True, "min_random_area": float(self.resized_crop[0]),
                         "max_random_area": float(self.resized_crop[1])}
        aspect = (1.0, 1.0) if self.aspect is None and self.resized_crop is not None else self.aspect
        if aspect is not None:
            arguments.update(min_aspect_ratio=float(aspect[0]), max_aspect_ratio=float(aspect[1]))
        named = {"rand_crop": self.rand_crop, "rand_mirror": self.rand_mirror, "max_rotate_angle": self.rotate,
                 "max_shear_ratio": self.shear, "random_h": self.hue, "random_s": self.saturation,
                 "random_l": self.lightness}
        arguments.update({name: value for name, value in named.items() if value})
        if self.fill != 255:
            arguments["fill_value"] = self.fill
        return arguments

    def describe(self):
        """Return one line for a person."""
        parts = [word for word, on in (("crop", self.rand_crop), ("mirror", self.rand_mirror)) if on]
        parts += [f"{name.replace('_', ' ')} {value[0]:g}-{value[1]:g}"
                  for name, value in (("resized_crop", self.resized_crop), ("aspect", self.aspect)) if value]
        parts += [f"{name} {getattr(self, name):g}" for name in ("rotate", "shear", "hue", "saturation", "lightness")
                  if getattr(self, name)]
        return ", ".join(parts) or "centre crop"


def _require_range(name, value, most):
    """Refuse what is not a pair of numbers, 0 < least <= most."""
    pair = isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(v, numbers.Real) for v in value)
    if not pair or not 0 < value[0] <= value[1] <= most:
        raise InputError(f"augmentation: expected (least, most) with 0 < least <= most <= {most}, received "
                         f"{name}={value!r}")


LEVELS = {
    0: Augmentation(),
    1: Augmentation(rand_crop=True, rand_mirror=True),
    2: Augmentation(rand_crop=True, rand_mirror=True, hue=36, saturation=50, lightness=50),
    3: Augmentation(rand_crop=True, rand_mirror=True, hue=36, saturation=50, lightness=50, rotate=10, shear=0.1,
                    aspect=(0.75, 1.25)),
}


def augmentation_of(augment):
    """Return the Augmentation of a level, or the one that was given.

    Parameters
    ----------
    augment : {0, 1, 2, 3} or Augmentation

    Returns
    -------
    Augmentation

    Raises
    ------
    InputError
        Unknown level.

    Examples
    --------
    >>> augmentation_of(1).describe()
    'crop, mirror'
    """
    if isinstance(augment, Augmentation):
        return augment
    if not isinstance(augment, numbers.Integral) or isinstance(augment, bool) or augment not in LEVELS:
        raise InputError(f"augmentation: expected a level of {', '.join(map(str, LEVELS))}, received "
                         f"augment={augment!r}")
    return LEVELS[augment]
