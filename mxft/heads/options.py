"""What a head can be told: the margin flags of insightface's ``train_softmax.py``, with its names and defaults."""
import dataclasses
import math
import numbers

from mxft.errors import InputError

MOST_SUBCENTERS = 64  # upstream tried up to 10: more centres than a class has images are empty


@dataclasses.dataclass(frozen=True)
class HeadOptions:
    """Margins and schedules of the heads; each head reads the ones its formula has.

    Parameters
    ----------
    margin_m : float
        ``--margin-m``, the margin m of types 2 and 4 to 7: an angle in radians for ArcFace and the combined margin,
        a cosine for CosFace.
    margin_s : float
        ``--margin-s``, the scale s the cosines are multiplied with (types 2 and 4 to 7).
    margin_a : float
        ``--margin-a``, the factor a on the angle of the combined margin (type 5).
    margin_b : float
        ``--margin-b``, the cosine margin b of the combined margin (type 5), or the weight of the extra loss (6, 7).
    easy_margin : bool
        ``--easy-margin``, ArcFace's margin only for cosines above 0 (types 4, 6 and 7).
    margin : int
        ``--margin``, SphereFace's factor m on the angle (type 1).
    beta, beta_min, beta_freeze, gamma, power : float, float, int (steps), float, float
        ``--beta`` and so on, the annealing of SphereFace's λ; see :class:`mxft.heads.sphereface.SphereFace`.
    scale : float
        ``--scale``. Read and ignored, as upstream does: its operator shrank β by this factor at each step only where
        the training script did not set β itself, and the script always did.
    fc7_no_bias : bool
        ``--fc7-no-bias``, plain softmax without a bias (type 0; no other type has one).
    subcenters : int
        ``--subcenters``, centres of each class of Sub-center ArcFace.
    triplet_alpha : float
        ``--triplet-alpha``, the margin of the triplet losses: a squared distance (type 12), radians (type 13).
    fc7_lr_mult, fc7_wd_mult : float
        ``--fc7-lr-mult`` and ``--fc7-wd-mult``, multipliers of the learning rate and weight decay of ``fc7_weight``.

    Raises
    ------
    InputError
        A value that no head could use. What one formula forbids, its head refuses (``make_head``).

    Examples
    --------
    >>> HeadOptions(margin_m=0.3, margin_b=0.2).margin_s
    64.0
    """

    margin_m: float = 0.5
    margin_s: float = 64.0
    margin_a: float = 1.0
    margin_b: float = 0.0
    easy_margin: bool = False
    margin: int = 4
    beta: float = 1000.0
    beta_min: float = 5.0
    beta_freeze: int = 0
    gamma: float = 0.12
    power: float = 1.0
    scale: float = 0.9993
    fc7_no_bias: bool = False
    subcenters: int = 3
    triplet_alpha: float = 0.3
    fc7_lr_mult: float = 1.0
    fc7_wd_mult: float = 1.0

    def __post_init__(self):
        for name in ("margin_m", "margin_s", "margin_a", "margin_b", "beta", "beta_min", "gamma", "power", "scale",
                     "triplet_alpha", "fc7_lr_mult", "fc7_wd_mult"):
            value = getattr(self, name)
            require(isinstance(value, numbers.Real) and math.isfinite(value), "a finite number", name, value)
        require(self.margin_s > 0, "a scale above 0 (64 is usual)", "margin_s", self.margin_s)
        require(self.margin_a > 0, "a factor above 0 (1 leaves the angle as it is)", "margin_a", self.margin_a)
        for name in ("beta", "beta_min", "gamma", "power", "scale", "fc7_lr_mult", "fc7_wd_mult", "margin_m",
                     "margin_b"):
            require(getattr(self, name) >= 0, "at least 0", name, getattr(self, name))
        require(_is_whole(self.margin) and 1 <= self.margin <= 10, "a whole number from 1 to 10 (SphereFace: 4)",
                "margin", self.margin)
        require(_is_whole(self.subcenters) and 1 <= self.subcenters <= MOST_SUBCENTERS,
                f"a whole number from 1 to {MOST_SUBCENTERS} (Sub-center ArcFace: 3)", "subcenters", self.subcenters)
        require(_is_whole(self.beta_freeze) and self.beta_freeze >= 0, "a whole number of steps, 0 or more",
                "beta_freeze", self.beta_freeze)
        require(self.beta >= self.beta_min, f"at most beta={self.beta:g}", "beta_min", self.beta_min)


def require(condition, expected, name, value, what="head options", advice=""):
    """Raise the InputError of an option out of range unless `condition` holds."""
    if not condition:
        raise InputError(f"{what}: expected {expected}, received {name}={value!r}; "
                         f"{advice or f'give --{name.replace(chr(95), chr(45))} another value'}")


def require_radians(angle, limit, limit_text, what):
    """Refuse an angular margin outside [0, `limit`); one that looks like degrees gets its value in radians told."""
    advice = f"{angle:g} degrees are {math.radians(angle):.3f} radians" if angle > math.pi else ""
    require(0 <= angle < limit, f"radians, at least 0 and below {limit_text} = {limit:.4f}", "margin_m", angle, what,
            advice)


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
