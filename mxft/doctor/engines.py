"""The second engine: whether PyTorch is there, and what it computes on that MXNet cannot."""
from mxft.doctor.check import BROKEN, OK, SKIPPED, WARNING, Check
from mxft.machine.packages import KNOWN, pip_install


def pytorch(answer, cards, cuda_build):
    """Look at PyTorch.

    Parameters
    ----------
    answer : mxft.doctor.child.Answer
        To the question "pytorch".
    cards : list of mxft.machine.cards.Card
        That the driver tells of.
    cuda_build : bool
        Whether mxnet-cu112 is installed.
    """
    name, cure = "PyTorch", pip_install([KNOWN["torch"]])
    idle = [card for card in cards if not (cuda_build and card.runs_wheel)]
    if answer.value is None:
        return Check(name, BROKEN, f"cannot be imported: {answer.failure}", f"pip uninstall torch && {cure}")
    version = answer.value["torch"]
    if version is None:
        wanted = f"; it would compute on {_listed(idle)}" if idle else ""
        return Check(name, WARNING if idle else SKIPPED, f"not installed{wanted}", cure if idle else "")
    devices, facts = answer.value["devices"], answer.value
    if devices:
        told = ", ".join(f"{key} ({text})" for key, text in devices.items())
        takes = f": mxft finetune --device {next(iter(devices))} …" if idle or not cards else ""
        return Check(name, OK, f"{version} computes on {told}{takes}", facts=facts)
    if idle:
        return Check(name, WARNING, f"{version} finds no device, and {_listed(idle)} is there",
                     "a build for this card: pip install --force-reinstall torch", facts)
    return Check(name, OK, f"{version} computes on the CPU (--engine torch)", facts=facts)


def _listed(cards):
    return "; ".join(f"card {card.number}, {card.name}" for card in cards)
