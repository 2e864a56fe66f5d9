"""How a network is quantized, in fields that flags are made of; nothing here needs mxnet."""
import dataclasses

from mxft.network.quantization import METHODS
from mxft.settings import check_settings, one_of, real, setting, switch, whole
from mxft.wording import BriefRepr


@dataclasses.dataclass(frozen=True, repr=False)
class QuantizeOptions(BriefRepr):
    """How a network is quantized.

    Parameters
    ----------
    method : {"percentile", "entropy", "naive"}
        How the range of a map is chosen: see `mxft.quantization.histogram.Histogram.range`.
    calibration_images : int
        Images the ranges are measured on.
    check_images : int
        Other images, at most, that int8 is compared with float32 on.
    max_drop : float
        Points of top-1 that may be lost, where the images have labels the network knows.
    min_cosine : float
        Between the outputs of int8 and of float32, on average, where they have none.
    seed : int
        Of the choice of images.
    force : bool
        Keep it even if it is not as good.

    Raises
    ------
    InputError
        A value out of its range.
    """

    method: str = setting("percentile", one_of(*METHODS))
    calibration_images: int = setting(256, whole(1))
    check_images: int = setting(2000, whole(1))
    max_drop: float = setting(0.5, real(least=0))
    min_cosine: float = setting(0.99, real(least=0, most=1))
    seed: int = setting(0, whole(0))
    force: bool = setting(False, switch())

    def __post_init__(self):
        check_settings(self)
