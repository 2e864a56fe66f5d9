"""In which numbers a network is computed: float32, bfloat16 or int8, as the user asks and the CPU allows."""
import dataclasses
import logging

from mxft.errors import InputError, nearest
from mxft.inference.bfloat16 import bfloat16_network, gains_from_bfloat16
from mxft.inference.int8 import gains_from_int8, int8_network
from mxft.network.quantization import ENTRY, Quantization
from mxft.options import PRECISIONS

LOG = logging.getLogger("mxft")
PRECISION = "precision"  # of a manifest: what nothing asked means, of a network trained and validated so


@dataclasses.dataclass(frozen=True)
class Precision:
    """The numbers a network is computed in.

    Parameters
    ----------
    name : {"fp32", "bf16", "int8"}
    quantization : mxft.network.quantization.Quantization, optional
        For int8.

    Examples
    --------
    >>> Precision(), Precision("bf16").is_exact
    (Precision(name='fp32', quantization=None), False)
    """

    name: str = "fp32"
    quantization: object = None

    @property
    def is_exact(self):
        """Whether it is what MXNet itself computes, but for rounding in float32."""
        return self.name == "fp32"

    def network(self, symbol, arg_params, aux_params, data_name):
        """Return (symbol, arg_params, aux_params) of a rewritten network as it is bound on a CPU."""
        if self.name == "int8":
            return int8_network(symbol, arg_params, aux_params, self.quantization.ranges, self.quantization.in_float,
                                data_name)
        if self.name == "bf16":
            return bfloat16_network(symbol, data_name), arg_params, aux_params
        return symbol, arg_params, aux_params

    def entry(self):
        """Return what a manifest says of it: nothing of float32."""
        if self.is_exact:
            return {}
        return {ENTRY: self.quantization.to_dict()} if self.quantization else {PRECISION: self.name}

    def describe(self):
        """Return it in words."""
        return {"fp32": "float32", "bf16": "bfloat16"}.get(self.name) or self.quantization.describe()


def precision_of(checkpoint):
    """Return the Precision a checkpoint is computed in on this CPU.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Its `precision` is what was asked: ``"fp32"``, ``"bf16"``, ``"int8"``, ``"auto"``, or None, which is int8 where
        it was quantized, bf16 where the backbone was computed so in training, else fp32. A Precision was decided
        before, by this function, and is returned: parameters are hashed once.

    Returns
    -------
    Precision

    Raises
    ------
    InputError
        The CPU has no instructions for it, which would make it slower and, in int8, wrong; int8 is asked of a
        checkpoint that was not quantized; or parameters were changed since.

    Notes
    -----
    ``auto`` takes int8 of a quantized checkpoint, else bfloat16, each where the CPU has instructions for it. A
    quantized checkpoint with nothing asked, on a CPU without them, is computed in float32, which is said.
    """
    asked = checkpoint.precision
    if isinstance(asked, Precision):
        return asked
    if asked not in (None, *PRECISIONS):
        raise InputError(f"`precision`: expected one of {', '.join(PRECISIONS)}, received `precision={asked!r}`; "
                         f"{nearest(str(asked), PRECISIONS)}")
    if asked == "fp32":
        return Precision()
    quantization = Quantization.of(checkpoint.manifest)
    if asked == "bf16":
        return require_bfloat16()
    if asked == "int8" and quantization is None:
        raise InputError(f"`precision`: expected a quantized checkpoint, received `precision='int8'` beside "
                         f"{checkpoint.name}; mxft quantize --model {checkpoint.name} --images PICTURES "
                         "--output PREFIX makes one")
    if quantization is not None:
        quantization.refuse_other(checkpoint.arg_params, checkpoint.aux_params)
        if asked == "int8":
            return _require(Precision("int8", quantization), gains_from_int8(), "avx512_vnni")
        if gains_from_int8():
            return Precision("int8", quantization)
        LOG.warning("computing in float32: this CPU has no avx512_vnni, which int8 is computed with")
    if asked is None and checkpoint.manifest.get(PRECISION) != "bf16":
        return Precision()
    if gains_from_bfloat16():
        return Precision("bf16")
    if asked is None:
        LOG.warning("computing in float32: this CPU has no avx512_bf16, which this network was trained with")
    return Precision()


def require_bfloat16():
    """Return the Precision of bfloat16, or refuse (InputError) a CPU without instructions for it."""
    return _require(Precision("bf16"), gains_from_bfloat16(), "avx512_bf16")


def _require(precision, gains, instructions):
    if not gains:
        raise InputError(f"`precision`: expected a CPU with {instructions}, received `precision={precision.name!r}` on "
                         "one without, where it would be slower than float32; leave it out")
    return precision
