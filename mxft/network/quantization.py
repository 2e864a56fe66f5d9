"""What a calibration found out for int8, as a checkpoint's manifest keeps it: ranges of maps, and layers left in float.

Weights need no entry: they are read as they are, each filter with a scale of its own.
"""
import dataclasses
import hashlib
import math

from mxft.errors import InputError
from mxft.wording import BriefRepr

ENTRY = "quantization"  # of a manifest
FORMAT = 1
METHODS = ("entropy", "percentile", "naive")
_MOST = 100_000  # tensors


@dataclasses.dataclass(frozen=True, repr=False)
class Quantization(BriefRepr):
    """How a network is computed in int8.

    Parameters
    ----------
    ranges : dict of str to (float, float)
        Smallest and largest value of each map, by its name in the graph that is bound; what is outside is clipped.
        Kept to six digits, from the beginning: another last digit rounds other values up and down.
    in_float : tuple of str
        Layers that stay in float32 because int8 cost too much accuracy there.
    parameters : dict of str to str
        `digest` of every parameter the ranges depend on.
    method : {"entropy", "percentile", "naive"}
    images : int
        That the ranges are of.
    figures : dict
        What was measured when it was chosen: top-1 in float32 and in int8, or the cosine between their outputs.

    Raises
    ------
    InputError
        An entry has another form.
    """

    ranges: dict
    in_float: tuple
    parameters: dict
    method: str
    images: int
    figures: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        wrong = self._flaw()
        if wrong:
            raise InputError(f"quantization: expected {wrong}; quantize the network again, or compute with "
                             "`precision='fp32'`")
        object.__setattr__(self, "ranges", {name: tuple(float(f"{value:.6g}") for value in pair)
                                            for name, pair in self.ranges.items()})

    def _flaw(self):
        """Return what should be otherwise, as text; empty where nothing."""
        if not isinstance(self.ranges, dict) or not 0 < len(self.ranges) <= _MOST or not all(
                isinstance(name, str) and _is_range(value) for name, value in self.ranges.items()):
            return "two numbers, the smaller first, as the range of each map"
        if not all(isinstance(name, str) for name in self.in_float):
            return "names of layers as those left in float"
        if not isinstance(self.parameters, dict) or not all(
                isinstance(name, str) and isinstance(text, str) for name, text in self.parameters.items()):
            return "a hash of each parameter"
        if self.method not in METHODS or type(self.images) is not int or not isinstance(self.figures, dict):
            return f"one of {', '.join(METHODS)} as the method, beside the number of images and the figures measured"
        return ""

    @classmethod
    def of(cls, manifest):
        """Return the Quantization a manifest has, or None; InputError where it is none."""
        entry = manifest.get(ENTRY)
        if entry is None:
            return None
        if not isinstance(entry, dict) or entry.get("format") != FORMAT:
            received = entry.get("format") if isinstance(entry, dict) else entry
            raise InputError(f"quantization: expected format {FORMAT} in the manifest, received {received!r}; quantize "
                             "the network again, or compute with `precision='fp32'`")
        values = {field.name: entry.get(field.name) for field in dataclasses.fields(cls)}
        in_float = values["in_float"] if isinstance(values["in_float"], list) else [None]
        return cls(**{**values, "in_float": tuple(in_float), "figures": values["figures"] or {}})

    def to_dict(self):
        """Return it as a manifest's entry."""
        return {"format": FORMAT, **dataclasses.asdict(self), "in_float": list(self.in_float),
                "ranges": {name: list(pair) for name, pair in self.ranges.items()}}

    def without(self, names):
        """Return it without what it says of these layers and parameters, which are then computed in float32.

        Parameters
        ----------
        names : set of str

        Returns
        -------
        Quantization
        """
        outputs = {f"{name}_output" for name in names}
        return dataclasses.replace(
            self, ranges={name: pair for name, pair in self.ranges.items() if name not in outputs | names},
            in_float=tuple(name for name in self.in_float if name not in names),
            parameters={name: text for name, text in self.parameters.items() if name not in names})

    def refuse_other(self, arg_params, aux_params):
        """Refuse (InputError) parameters that are not those the ranges were measured with; missing ones are not."""
        for values in (arg_params, aux_params):
            for name, value in values.items():
                if self.parameters.get(name) and self.parameters[name] != digest(value):
                    raise InputError(f"quantization: expected the parameters it was calibrated with, received another "
                                     f"{name}; quantize the network again, or compute with `precision='fp32'`")

    def refuse_beyond(self, images, data_name):
        """Refuse (InputError) images whose values lie far beyond those it was calibrated with: another mean or scale.

        Parameters
        ----------
        images : numpy.ndarray or mx.nd.NDArray
            Float32 ``(N, C, H, W)``.
        data_name : str
            The input, whose range is among `ranges`.
        """
        low, high = self.ranges.get(data_name, (-math.inf, math.inf))
        values = images.asnumpy() if hasattr(images, "asnumpy") else images
        least, most = float(values.min()), float(values.max())
        reach = high - low
        if least < low - reach or most > high + reach:
            raise InputError(f"int8: expected images with values from {low:g} to {high:g}, as it was calibrated with, "
                             f"received {least:g} to {most:g}; another mean or scale? Compute with `precision='fp32'`, "
                             "or quantize the network again")

    def describe(self):
        """Return one line for a person."""
        kept = f", {len(self.in_float)} left in float32" if self.in_float else ""
        return f"int8, calibrated on {self.images} images ({self.method}){kept}"


def digest(value):
    """Return 16 hex digits of the hash of a parameter's numbers.

    Parameters
    ----------
    value : mx.nd.NDArray

    Examples
    --------
    >>> from mxft.compat import mx
    >>> digest(mx.nd.ones((2, 3)))
    'f46913286d895f62'
    """
    return hashlib.sha256(value.asnumpy().astype("float32", copy=False).tobytes()).hexdigest()[:16]


def _is_range(value):
    return (isinstance(value, (list, tuple)) and len(value) == 2
            and all(isinstance(number, (int, float)) and math.isfinite(number) for number in value)
            and value[0] <= value[1])
