"""Where PyTorch computes and in which numbers: what an inference executor takes in place of an MXNet context."""
import contextlib
import dataclasses

from mxft.errors import InputError
from mxft.machine.packages import require_packages

PRECISIONS = ("fp32", "bf16", "fp16")
DEVICES = ("cpu", "cuda", "mps", "xpu")


@dataclasses.dataclass(frozen=True)
class TorchDevice:
    """A device of PyTorch's.

    Parameters
    ----------
    name : str
        As PyTorch calls it: ``"cpu"``, ``"cuda:0"``, ``"mps"``.
    precision : {"fp32", "bf16", "fp16"}
        bf16 and fp16 are autocast: matrices and convolutions in 16 bits, what needs it in float32. With fp32 nothing is
        rounded to TF32.
    compiled : bool
        Whether ``torch.compile`` makes kernels of its own first: minutes, for a faster pass afterwards.

    Examples
    --------
    >>> print(TorchDevice("cuda:0", "bf16"))
    PyTorch on cuda:0, bf16
    """

    name: str = "cpu"
    precision: str = "fp32"
    compiled: bool = False
    device_type = "torch"  # neither "cpu" nor "gpu": an mx.Context has those

    def autocast(self):
        """Return the context that a forward pass is computed in: of fp32 one that changes nothing."""
        import torch

        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        return torch.autocast(self.name.partition(":")[0], kind) if kind else contextlib.nullcontext()

    def __str__(self):
        return (f"PyTorch on {self.name}{'' if self.precision == 'fp32' else ', ' + self.precision}"
                f"{', compiled' if self.compiled else ''}")


def torch_device(name="cpu", precision=None, compiled=False):
    """Return a TorchDevice that is there.

    Parameters
    ----------
    name : str
        One of `DEVICES`, a number behind it or not: ``"cuda:1"``.
    precision : str, optional
        One of `PRECISIONS`; fp32 when None.
    compiled : bool

    Raises
    ------
    InputError
        Another name or precision, or a device that this machine or this build of PyTorch has not.
    DependencyError
        PyTorch is not installed.

    Examples
    --------
    >>> torch_device().name
    'cpu'
    """
    require_packages("torch", what="PyTorch's engine")
    import torch

    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not number.isdecimal()):
        raise InputError(f"`device`: expected one of {', '.join(DEVICES)}, or cuda:1 for the second, received "
                         f"device={name!r}")
    if precision not in (None, *PRECISIONS):
        raise InputError(f"`precision`: expected one of {', '.join(PRECISIONS)} of PyTorch's engine, received "
                         f"precision={precision!r}; int8 is MXNet's: --engine mxnet")
    count = _count(torch, kind)
    if int(number or 0) >= count:
        raise InputError(f"`device`: expected a device that PyTorch {torch.__version__} finds, received "
                         f"device={name!r} of {count} {kind}; mxft doctor shows the cards")
    return TorchDevice(name, precision or "fp32", compiled)


def _count(torch, kind):
    """Return how many devices of a kind there are."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "xpu":
        return torch.xpu.device_count() if hasattr(torch, "xpu") and torch.xpu.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1
