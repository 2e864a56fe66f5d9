"""NVIDIA cards as the driver tells them, without mxnet or nvidia-smi, and whether mxnet-cu112 has code for them.

The driver API is asked (libcuda.so.1) and not NVML: it counts cards as CUDA and MXNet do, CUDA_VISIBLE_DEVICES and
CUDA_DEVICE_ORDER included, and is the very library libmxnet.so links.
"""
import ctypes
from typing import NamedTuple, Optional

from mxft.errors import InputError

DRIVER_LIBRARY = "libcuda.so.1"
# of the wheel's 198 fat binaries each holds machine code for these and no PTX, which a driver could compile for others
WHEEL_CODE = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
LEAST_CUDA = (11, 0)  # libraries of any CUDA 11 run on a driver of CUDA 11.0 (450.80.02) or newer
_FAMILIES = {3: "Kepler", 5: "Maxwell", 6: "Pascal", 7: "Volta", 8: "Ampere", 9: "Hopper", 10: "Blackwell",
             11: "Blackwell", 12: "Blackwell"}
_FAMILY_WITHIN = {(7, 5): "Turing", (8, 9): "Ada"}
_NO_DEVICE, _MAJOR, _MINOR = 100, 75, 76


class Card(NamedTuple):
    """One card: number as MXNet counts, name, (major, minor) of its compute capability, bytes of memory."""

    number: int
    name: str
    capability: tuple
    memory: int = 0

    @property
    def runs_wheel(self):
        """Whether mxnet-cu112 holds machine code it executes: of the same major and no higher minor version."""
        return any(self.capability[0] == major and self.capability[1] >= minor for major, minor in WHEEL_CODE)

    def __str__(self):
        family = _FAMILY_WITHIN.get(tuple(self.capability), _FAMILIES.get(self.capability[0]))
        return f"{self.name} ({family + ', ' if family else ''}compute capability {_dotted(self.capability)})"


class Driver(NamedTuple):
    """What the driver says: its CUDA version (major, minor), its cards, or what is wrong with it."""

    cuda: Optional[tuple] = None
    cards: tuple = ()
    trouble: str = ""


def _dotted(version):
    return ".".join(map(str, version))


def wheel_code():
    """Return in words which cards mxnet-cu112 runs on."""
    return f"code for compute capability {_dotted(WHEEL_CODE[0])} to {_dotted(WHEEL_CODE[-1])} only (runs up to 8.9)"


def load_driver():
    """Return the driver's library, or None where there is none that can be loaded."""
    try:
        return ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return None


def cuda_of_driver():
    """Return the CUDA version of the driver, such as (12, 2), without waking a card; None where there is no driver."""
    cuda, version = load_driver(), ctypes.c_int()
    if cuda is None or cuda.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def query_driver():
    """Ask the driver for its cards.

    Returns
    -------
    Driver or None
        None where there is no driver. No cards, and no trouble, where it has none or CUDA_VISIBLE_DEVICES hides them.

    Notes
    -----
    This wakes the driver (``cuInit``) in this process, as MXNet does: a fork that came later could not use the cards.
    """
    cuda = load_driver()
    if cuda is None:
        return None
    version, status = cuda_of_driver(), cuda.cuInit(0)
    if status == _NO_DEVICE:
        return Driver(version)
    if status != 0:
        return Driver(version, trouble=f"{_error_name(cuda, status)} from cuInit")
    count = ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    return Driver(version, tuple(_card(cuda, number) for number in range(count.value)))


def _card(cuda, number):
    device, name, memory, value = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t(), ctypes.c_int()
    capability = []
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    for attribute in (_MAJOR, _MINOR):
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(value.value)
    return Card(number, name.value.decode(errors="replace"), tuple(capability), memory.value)


def _error_name(cuda, status):
    name = ctypes.c_char_p()
    known = cuda.cuGetErrorName(status, ctypes.byref(name)) == 0 and name.value
    return f"{name.value.decode()} ({status})" if known else f"error {status}"


def cards_without_code(driver):
    """Return in words why mxnet-cu112 runs on none of this machine's cards; "" where it does on one."""
    cards = driver.cards if driver else ()
    if not cards or any(card.runs_wheel for card in cards):
        return ""
    return f"{'; '.join(map(str, cards))}: mxnet-cu112 holds {wheel_code()}"


def refuse_cards_without_code(driver, numbers):
    """Refuse, by name, cards that mxnet-cu112 holds no code for.

    Parameters
    ----------
    driver : Driver or None
    numbers : iterable of int
        The cards that were asked for; those the driver does not have are left for others to refuse.

    Raises
    ------
    InputError
    """
    cards = driver.cards if driver else ()
    unfit = [card for card in cards if card.number in set(numbers) and not card.runs_wheel]
    if not unfit:
        return
    fit = [str(card.number) for card in cards if card.runs_wheel]
    instead = f"take --gpus {','.join(fit)}" if fit else "take a machine with cards of Maxwell to Ada"
    instead += ", or PyTorch: --device cuda in place of --gpus (pip install 'mxft[torch]')"
    raise InputError(f"devices: expected cards that mxnet-cu112 runs on, received "
                     f"{'; '.join(f'card {card.number}: {card}' for card in unfit)}: mxnet-cu112 holds {wheel_code()} "
                     f"and no PTX; {instead}, or leave `gpus` out (for faces CUDA_VISIBLE_DEVICES) to run on the CPU")


def refuse_driver(driver, gpus):
    """Refuse a driver that does not answer, or is older than CUDA 11.

    Parameters
    ----------
    driver : Driver or None
        None passes: mxnet-cu112 cannot even be imported without.
    gpus : str
        As the user typed it, for the message.

    Raises
    ------
    InputError
    """
    if driver and driver.trouble:
        raise InputError(f"devices: expected an NVIDIA driver that answers for gpus={gpus!r}, received "
                         f"{driver.trouble}; mxft doctor shows more, and a restart helps after an update of the driver")
    if driver and driver.cuda and driver.cuda < LEAST_CUDA:
        raise InputError(f"devices: expected an NVIDIA driver of CUDA {_dotted(LEAST_CUDA)} (450.80.02) or newer for "
                         f"gpus={gpus!r}, received one of CUDA {_dotted(driver.cuda)}; install a newer driver")
