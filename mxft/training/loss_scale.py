"""The loss scale of a training in half precision, and the updates that are skipped to find it.

Micikevicius et al. (arXiv:1710.03740, section 3.2), with the numbers of MXNet's own ``LossScaler``, which knows
Gluon's parameters, one device and no lower end.
"""
import logging

from mxft.compat import mx
from mxft.errors import RunError

LOG = logging.getLogger("mxft")

FIRST, MOST = 2.0 ** 16, 2.0 ** 24
UPDATES_BEFORE_DOUBLING = 2000
_AT_ONCE = 200  # gradients a call of multi_all_finite


class LossScale:
    """A power of two that is halved where a gradient is not finite, and doubled after many updates that were.

    Parameters
    ----------
    log : callable
        ``log(event, **facts)``, told of every update that is skipped.
    value : float
        To begin with.
    patience : int
        Good updates before it is doubled.

    Attributes
    ----------
    value : float
    skipped : int
        Updates that were.
    """

    def __init__(self, log, value=FIRST, patience=UPDATES_BEFORE_DOUBLING):
        self.value, self.skipped = value, 0
        self._log, self._patience, self._good = log, patience, 0

    def admits(self, gradients):
        """Whether an update may be made with these gradients; `value` then is that of the next.

        Parameters
        ----------
        gradients : list of mx.nd.NDArray
            Of all devices: none of them updates if one must not.

        Raises
        ------
        RunError
            They are not finite without any scaling.
        """
        if all_finite(gradients):
            self._good += 1
            if self._good >= self._patience:
                self.value, self._good = min(MOST, 2 * self.value), 0
            return True
        if self.value <= 1:
            raise RunError("training stopped: expected finite gradients, received inf or NaN at a loss scale of 1")
        self.value, self.skipped, self._good = self.value / 2, self.skipped + 1, 0
        self._log("skipped", loss_scale=self.value, skipped=self.skipped)
        LOG.info(f"an update is skipped, its gradients overflowed float16; loss scale {self.value:g} from here on")
        return False

    def facts(self):
        """Return how it stands, for JSON and `restore`."""
        return {"value": self.value, "skipped": self.skipped, "good": self._good}

    def restore(self, facts):
        """Go on from how it stood."""
        self.value, self.skipped, self._good = facts["value"], facts["skipped"], facts["good"]


def all_finite(arrays):
    """Whether no array holds inf or NaN; one number is read from each device."""
    by_device = {}
    for array in arrays:
        by_device.setdefault(array.context, []).append(array)
    flags = []
    for context, of_device in by_device.items():
        flags.append(mx.nd.ones((1,), ctx=context))
        for start in range(0, len(of_device), _AT_ONCE):
            part = of_device[start:start + _AT_ONCE]
            mx.nd.multi_all_finite(*part, num_arrays=len(part), init_output=False, out=flags[-1])
    return all(flag.asscalar() for flag in flags)
