"""Print the extra of setup.py that suits this machine: cu112 where a driver has a card mxnet-cu112 runs on, else cpu.

Needs nothing installed: make asks before there is a virtual environment. nvidia-smi is no witness: a container may have
the driver without it, and a machine without a driver may have it.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.machine.cards import cards_without_code, query_driver  # noqa: E402

driver = query_driver()
fit = any(card.runs_wheel for card in driver.cards) if driver else False
if driver and driver.trouble:
    print(f"make: the NVIDIA driver fails ({driver.trouble}): taking the CPU wheel of mxnet; DEVICE=cu112 takes the "
          "other", file=sys.stderr)
elif cards_without_code(driver):
    print(f"make: {cards_without_code(driver)}: taking the CPU wheel of mxnet", file=sys.stderr)
print("cu112" if fit else "cpu")
