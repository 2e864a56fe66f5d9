"""Which faces of a picture are taken, and what becomes of them."""
import dataclasses

from mxft import settings

MTCNN = "mtcnn"           # the detector where none is named
CONFIDENCE = 0.9
SMALLEST, PART = 20, 24   # pixels, and the part of a picture's shorter side below which a face is background
SIZE = (112, 112)         # of a crop, as insightface's networks take it
LARGEST, CENTRAL = "largest", "central"


@dataclasses.dataclass(frozen=True)
class AlignOptions:
    """How faces are chosen and cropped.

    Parameters
    ----------
    size : (H, W)
        Of the crops in pixels.
    margin : float
        What is added around insightface's crop on each side, as a part of its edge.
    choose : {"largest", "central"}
        Which one where a picture has several faces: the one with the longest edge, or the one whose middle is nearest
        to the picture's.
    every : bool
        All faces of a picture, in place of one.
    turned : bool
        In a picture without an upright face, look for one that lies on its side or stands on its head.
    quality : int
        Of JPEGs, 1 to 100.
    encoding : {".jpg", ".png"}

    Raises
    ------
    InputError
        Another value.
    """

    size: tuple = settings.setting(SIZE, settings.several(settings.whole(16, 4096), 2))
    margin: float = settings.setting(0.0, settings.real(0, most=4))
    choose: str = settings.setting(LARGEST, settings.one_of(LARGEST, CENTRAL))
    every: bool = settings.setting(False, settings.switch())
    turned: bool = settings.setting(False, settings.switch())
    quality: int = settings.setting(95, settings.whole(1, 100))
    encoding: str = settings.setting(".jpg", settings.one_of(".jpg", ".png"))

    def __post_init__(self):
        settings.check_settings(self)
