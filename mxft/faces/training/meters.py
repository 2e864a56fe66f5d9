"""The figures of a log line, gathered without stopping the device at every step."""
import numpy as np

from mxft.compat import mx
from mxft.errors import RunError
from mxft.faces.training.network import MONITORS


class IntervalMeter:
    """Means over the steps since the last line of the log.

    Each batch's monitors are copied on the device and read only when the line is written: reading them at once would
    make the device wait for Python at every batch.

    Parameters
    ----------
    monitors : tuple of str
        What is measured, the loss first: of the `FaceNetwork`.
    """

    def __init__(self, monitors=MONITORS):
        self._steps, self._monitors = [], monitors

    def saw(self, step, outputs):
        """Take the outputs of a batch of a step.

        Parameters
        ----------
        step : int
        outputs : list of list of mx.nd.NDArray
            Of the bound network, not merged: for each output one array a device, the monitors last.
        """
        self._steps.append((step, [[part.copy() for part in output] for output in outputs[-len(self._monitors):]]))

    def arrays(self):
        """Return what was seen and not read yet, ``{"meter:BATCH:STEP:MONITOR:DEVICE": array}``, for `restore`."""
        return {f"meter:{batch}:{step}:{monitor}:{device}": part for batch, (step, outputs) in enumerate(self._steps)
                for monitor, parts in enumerate(outputs) for device, part in enumerate(parts)}

    def restore(self, arrays):
        """Go on from what another had seen."""
        seen = {}
        for name, array in arrays.items():
            kind, *place = name.split(":")
            if kind == "meter":
                batch, step, monitor, _ = map(int, place)
                seen.setdefault((batch, step), {}).setdefault(monitor, []).append(array)
        self._steps = [(step, [outputs[monitor] for monitor in sorted(outputs)])
                       for (_, step), outputs in sorted(seen.items())]

    def read(self):
        """Return the means as a dict of the monitors and start new ones.

        Raises
        ------
        RunError
            A loss was not finite; the step is named.
        """
        steps, self._steps = self._steps, []
        sums, images = np.zeros(len(self._monitors)), 0
        for step, outputs in steps:
            values = [np.concatenate([part.asnumpy() for part in parts]) for parts in outputs]
            if not np.isfinite(values[0]).all():
                raise RunError(f"training stopped: expected a finite loss, received {values[0].mean()} at step {step}")
            sums += [value.sum(dtype=np.float64) for value in values]
            images += len(values[0])
        return dict(zip(self._monitors, (sums / max(1, images)).tolist()))


def told(figures):
    """Return the figures of a line of the log as a person reads them.

    Examples
    --------
    >>> told({"loss": 0.11, "active": 0.75, "nearer": 0.9, "positive_distance": 0.6, "negative_distance": 0.8})
    'loss 0.1100, 0.7500 of the triplets with one, 0.9000 nearer to the positive, distances 0.600 and 0.800'
    """
    if "active" in figures:
        return (f"loss {figures['loss']:.4f}, {figures['active']:.4f} of the triplets with one, "
                f"{figures['nearer']:.4f} nearer to the positive, distances {figures['positive_distance']:.3f} and "
                f"{figures['negative_distance']:.3f}")
    return (f"loss {figures['loss']:.4f}, accuracy {figures['margin_correct']:.4f} with margin, "
            f"{figures['correct']:.4f} without, target cosine {figures['target_cosine']:.3f}")


class MonitorMetric(mx.metric.EvalMetric):
    """The `MONITORS` as a metric for ``Module.fit``: their means since the last reset."""

    def __init__(self):
        super().__init__("faces")

    def reset(self):
        """Forget everything."""
        self.sums, self.images = np.zeros(len(MONITORS)), 0

    def reset_local(self):
        """Forget everything: ``Speedometer`` calls it after each of its lines."""
        self.reset()

    def update(self, labels, preds):
        """Take the bound network's outputs, merged over the devices."""
        values = [value.asnumpy() for value in preds[-len(MONITORS):]]
        self.sums += [value.sum(dtype=np.float64) for value in values]
        self.images += len(values[0])

    def get(self):
        """Return names and means."""
        return list(MONITORS), (self.sums / max(1, self.images)).tolist()

    def get_global(self):
        """Return the same as `get`."""
        return self.get()
