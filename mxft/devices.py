"""Devices by the words users type: ``"0,1"`` to contexts, the kvstore that goes with them."""
import itertools
import logging
import os

from mxft.compat import mx
from mxft.distributed.environment import read_part
from mxft.errors import InputError, last_line, nearest
from mxft.machine.cards import query_driver, refuse_cards_without_code, refuse_driver
from mxft.machine.cuda import CUDA_BUILD
from mxft.machine.packages import is_installed
from mxft.options import ENGINES, KVSTORES

PROGRESS = logging.getLogger("mxft.progress")  # a command tells it on standard error


def contexts(gpus="", cpus=1):
    """Turn a GPU list, or a number of CPU contexts, into MXNet contexts.

    Parameters
    ----------
    gpus : str
        Comma-separated GPU numbers, ``"0,1"``; empty means CPU.
    cpus : int
        CPU contexts when there is no GPU list; more than one exercises the multi-device code on one machine.

    Returns
    -------
    list of mx.Context

    Raises
    ------
    InputError
        The list is not one, mxnet-cu112 has no code for a card, the build has no CUDA, the driver does not answer, or
        the machine has no such GPU.

    Examples
    --------
    >>> contexts("", cpus=2)
    [cpu(0), cpu(1)]
    """
    text = str(gpus or "").strip()
    if not text:
        if cpus < 1:
            raise InputError(f"devices: expected at least 1 CPU context, received cpus={cpus}")
        return [mx.cpu(i) for i in range(cpus)]
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words) or len(set(words)) != len(words):
        raise InputError(f"devices: expected different GPU numbers such as 0,1, received gpus={text!r}")
    driver = query_driver()
    refuse_cards_without_code(driver, map(int, words))
    if not mx.runtime.Features().is_enabled("CUDA"):
        raise InputError(f"devices: expected a CUDA build of mxnet for gpus={text!r}, received the CPU build "
                         f"{mx.__version__}; leave `gpus` out to run on the CPU (for faces CUDA_VISIBLE_DEVICES); "
                         + (f"for this machine's {driver.cards[0]}: pip uninstall -y mxnet && {CUDA_BUILD}"
                            if driver and driver.cards else "no NVIDIA card answers on this machine"))
    refuse_driver(driver, text)
    available = _count_gpus(text)
    absent = [word for word in words if int(word) >= available]
    if absent:
        raise InputError(f"devices: expected GPU numbers below {available}, received gpus={text!r} "
                         f"({available} GPU(s) visible; CUDA_VISIBLE_DEVICES="
                         f"{os.environ.get('CUDA_VISIBLE_DEVICES', '(unset)')})")
    return [mx.gpu(int(word)) for word in words]


def inference_context(gpus="", engine="auto", device=None, precision=None, compiled=False):
    """Return where a network is computed for inference, and by which engine.

    Parameters
    ----------
    gpus : str
        As of `contexts`; the first one counts.
    engine : {"auto", "mxnet", "torch"}
        ``auto`` is MXNet on a CPU and on cards it has code for, PyTorch where a device is named or a card asked for
        that MXNet cannot use and PyTorch can.
    device : str, optional
        PyTorch's name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``.
    precision : str, optional
        For PyTorch: see `mxft.torch.device.TorchDevice`. MXNet's is the checkpoint's own.
    compiled : bool
        Whether PyTorch compiles the network first.

    Returns
    -------
    mx.Context or mxft.torch.device.TorchDevice

    Raises
    ------
    InputError
        An engine of another name; what is PyTorch's alone beside ``mxnet``; or a device that is not there.
    DependencyError
        PyTorch is asked for and not installed.

    Examples
    --------
    >>> inference_context(), inference_context(engine="mxnet")
    (cpu(0), cpu(0))
    """
    if not computed_by_torch(gpus, engine, device):
        _refuse_of_torch(engine, device=device, compile=compiled)
        return contexts(gpus)[0]
    from mxft.torch.device import torch_device

    found = torch_device(device or (f"cuda:{str(gpus).split(',')[0].strip()}" if gpus else "cpu"),
                         "fp32" if precision == "auto" else precision, compiled)
    PROGRESS.info(f"computing by {found}")
    return found


def training_devices(options, gpus="", cpus=1):
    """Return the devices of a training: MXNet's contexts, or one of PyTorch's.

    Parameters
    ----------
    options : FitOptions or FaceOptions
        Their `engine`, `device` and `precision` count.
    gpus : str
    cpus : int
        As of `contexts`.

    Returns
    -------
    list of mx.Context or of mxft.torch.device.TorchDevice

    Raises
    ------
    InputError
        As `contexts` and `inference_context`; more than one device beside PyTorch.
    """
    if not computed_by_torch(gpus, options.engine, options.device):
        _refuse_of_torch(options.engine, device=options.device)
        return contexts(gpus, cpus)
    if cpus != 1 or "," in str(gpus):
        raise InputError(f"devices: expected one beside `engine='torch'`, received gpus={gpus!r} and cpus={cpus}; "
                         "use `engine='mxnet'` for several")
    return [inference_context(gpus, options.engine, options.device, options.precision)]


def names_of_devices(devices):
    """Return how devices are called where runs are compared: one of PyTorch's counts as one of MXNet's.

    Examples
    --------
    >>> names_of_devices(contexts("", cpus=2))
    ['cpu(0)', 'cpu(1)']
    """
    return ["cpu(0)" if device.device_type == "torch" else str(device) for device in devices]


def without_engine(options):
    """Return options, a dict, without the engine: it may be another one when a run is resumed."""
    return {name: value for name, value in options.items() if name not in ("engine", "device")}


def _refuse_of_torch(engine, **settings):
    """Refuse settings that only PyTorch has, beside MXNet's engine."""
    for name, value in settings.items():
        if value and value != "cpu":
            raise InputError(f"`{name}`: expected `engine='torch'` beside it, received engine={engine!r}")


def computed_by_torch(gpus="", engine="auto", device=None):
    """Whether `inference_context` chooses PyTorch.

    Examples
    --------
    >>> computed_by_torch(), computed_by_torch(device="cuda")
    (False, True)
    """
    if engine not in ENGINES:
        raise InputError(f"`engine`: expected one of {', '.join(ENGINES)}, received engine={engine!r}")
    if engine != "auto":
        return engine == "torch"
    if device and device != "cpu":
        return True
    return bool(gpus) and not _has_code_for(gpus) and _torch_sees_cards()


def _has_code_for(gpus):
    """Whether this MXNet computes on these cards."""
    try:
        return bool(contexts(gpus))
    except InputError:
        return False


def _torch_sees_cards():
    if not is_installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def _count_gpus(gpus):
    """Return the number of cards MXNet sees; what CUDA says where it cannot tell becomes an InputError."""
    try:
        return mx.context.num_gpus()
    except mx.base.MXNetError as error:
        raise InputError(f"devices: expected CUDA to count the cards for gpus={gpus!r}, received "
                         f"{last_line(error)!r}; mxft doctor shows more") from None


def visible_gpus():
    """Return the GPUs ``CUDA_VISIBLE_DEVICES`` lists, counted from 0 as MXNet does: ``"0,1"`` for ``"4,6"``.

    Empty where it is unset or empty, which upstream's face scripts take for the CPU. As CUDA does, an entry of -1 ends
    the list.
    """
    entries = [entry.strip() for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    listed = itertools.takewhile(lambda entry: entry and entry != "-1", entries)
    return ",".join(str(number) for number, _ in enumerate(listed))


def kvstore(name):
    """Check a kvstore name and return it.

    Raises
    ------
    InputError
        Unknown name, ``nccl`` on a build without it, or a ``dist_`` store outside a launcher, where MXNet would wait
        for ever, or on a build without it.
    """
    if name not in KVSTORES:
        raise InputError(f"kvstore: expected one of {', '.join(KVSTORES)}, received `kvstore={name!r}`; "
                         f"{nearest(str(name), KVSTORES)}")
    if name == "nccl" and not mx.runtime.Features().is_enabled("NCCL"):
        raise InputError(f"kvstore nccl: expected an mxnet with NCCL, received {mx.__version__} without it; use "
                         "`kvstore='device'`")
    if name.startswith("dist"):
        if not mx.runtime.Features().is_enabled("DIST_KVSTORE"):
            raise InputError(f"kvstore {name}: expected an mxnet with DIST_KVSTORE, received {mx.__version__} without "
                             "it; use `kvstore='device'` on one machine")
        read_part(f"kvstore {name}")
    return name
