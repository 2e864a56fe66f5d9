"""What a network expects of a picture, declared once: size, channel order, mean, scale, resize rule.

The same InputSpec drives the training iterator, scoring and prediction, and travels in the manifest, so that a
checkpoint is always read with the pixels it was trained on.
"""
import dataclasses
import math
import numbers

from mxft.errors import InputError

MOST_SIDE = 8192                 # pixels; a damaged manifest may ask for any number
IMAGENET_MEAN = (123.68, 116.779, 103.939)


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """Preprocessing of one image input.

    Parameters
    ----------
    shape : tuple of int
        ``(C, H, W)``, C = 1 or 3.
    mean : tuple of float
        Subtracted from the raw 0–255 value, one a channel, in RGB order.
    scale : tuple of float
        Multiplied after the mean is subtracted (1/std), one a channel.
    resize : int or None
        Short side in pixels that the iterator resizes to before cropping; None where records are packed at their
        final size already.
    channel_order : {"RGB"}
        The order in which channels reach the network.

    Examples
    --------
    >>> InputSpec().shape
    (3, 224, 224)
    >>> InputSpec.from_dict({"size": 128, "mean": [0, 0, 0], "scale": 1}).shape
    (3, 128, 128)
    """

    shape: tuple = (3, 224, 224)
    mean: tuple = (0.0, 0.0, 0.0)
    scale: tuple = (1.0, 1.0, 1.0)
    resize: int = None
    channel_order: str = "RGB"

    def __post_init__(self):
        whole = all(isinstance(length, numbers.Integral) and length <= MOST_SIDE for length in self.shape)
        if len(self.shape) != 3 or not whole or self.shape[0] not in (1, 3) or min(self.shape) < 1:
            raise InputError(f"image shape: expected C,H,W with C 1 or 3 and at most {MOST_SIDE} pixels a side, "
                             f"received image-shape={self.shape}")
        side = 0 if self.resize is None else self.resize
        if not (isinstance(side, numbers.Integral) and 0 <= side <= MOST_SIDE):
            raise InputError(f"short side: expected a number of pixels up to {MOST_SIDE}, received "
                             f"resize={self.resize!r}")
        if not all(map(math.isfinite, (*self.mean, *self.scale))):
            raise InputError(f"mean and scale: expected finite numbers, received mean={self.mean} scale={self.scale}")
        if self.channel_order != "RGB":
            raise InputError("channel order: expected 'RGB', the order the record iterator delivers, received "
                             f"channel_order={self.channel_order!r}; swap the input channels of the first "
                             "convolution's weight instead")
        if min(self.scale) == 0:
            raise InputError(f"scale: expected numbers other than 0, received scale={self.scale}")

    def to_dict(self):
        """Return the manifest's ``input`` entry."""
        return {"size": list(self.shape[1:]), "channels": self.shape[0], "mean": list(self.mean),
                "scale": list(self.scale), "resize": self.resize, "channel_order": self.channel_order}

    @classmethod
    def from_dict(cls, entry):
        """Read a manifest's ``input`` entry; ``size`` may be one number or [H, W], mean and scale one or three."""
        try:
            size = entry["size"]
            height, width = (size, size) if isinstance(size, int) else size
            return cls((entry.get("channels", 3), height, width), _three(entry.get("mean", 0)),
                       _three(entry.get("scale", 1)), entry.get("resize"), entry.get("channel_order", "RGB"))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("manifest input: expected size, mean, scale and channel_order, "
                             f"received input={entry!r}") from None

    def iterator_arguments(self):
        """Return the same facts as keyword arguments of ``mx.io.ImageRecordIter``."""
        mean, std = self.mean, [1.0 / s for s in self.scale]
        arguments = {"data_shape": self.shape}
        if any(mean):
            arguments.update(zip(("mean_r", "mean_g", "mean_b"), mean))
        if any(s != 1 for s in std):
            arguments.update(zip(("std_r", "std_g", "std_b"), std))
        if self.resize:
            arguments["resize"] = self.resize
        return arguments

    @property
    def is_raw(self):
        """Whether pixels go in as they are, 0 to 255."""
        return not any(self.mean) and all(scale == 1 for scale in self.scale)

    def describe(self):
        """Return one line for a person."""
        pixels = "raw 0-255" if self.is_raw else \
            f"(pixel - {_short(self.mean)}) x {_short(self.scale)}"
        resize = f", short side resized to {self.resize}" if self.resize else ""
        return f"{self.shape[2]}x{self.shape[1]} {self.channel_order}, {pixels}{resize}"


def _three(value):
    values = [value] * 3 if isinstance(value, (int, float)) else list(value)
    if len(values) != 3:
        raise ValueError(value)
    return tuple(float(v) for v in values)


def _short(values):
    return "[" + ", ".join(f"{v:.6g}" for v in values) + "]"
