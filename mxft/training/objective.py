"""What a fit minimises and how it is told: the meter of an epoch, and the units numbers are trained in."""
import dataclasses
from typing import Optional

import numpy as np

from mxft.compat import mx
from mxft.data.target_spec import MULTI_LABEL, REGRESSION, TargetSpec
from mxft.training.callbacks import MultiLabelMeter, RegressionMeter, TrainingMeter


@dataclasses.dataclass(frozen=True)
class TargetUnits:
    """Numbers in standard deviations from their mean, for training; the network that is saved gives them as they are.

    A rate that suits a network's other layers then suits its numbers, be they ages or metres. The last layer is linear:
    what it learns in one unit is exactly converted to the other, so that no scaling is left in the saved graph.

    Parameters
    ----------
    layer : str
        The FullyConnected (or 1x1 Convolution) whose output the loss reads.
    mean, deviation : tuple of float
        ``(K,)``; the label ``y`` is trained as ``(y - mean) / deviation``.

    Examples
    --------
    >>> units = TargetUnits("fc1", (30.0,), (10.0,))
    >>> ages = {"fc1_weight": mx.nd.array([[5.0, 0.0]]), "fc1_bias": mx.nd.array([40.0])}
    >>> [value.asnumpy().tolist() for value in units.to_training(ages).values()]
    [[[0.5, 0.0]], [1.0]]
    """

    layer: str
    mean: tuple
    deviation: tuple

    def to_training(self, arg_params):
        """Return the parameters whose outputs are in standard deviations; those that are not there yet stay away."""
        mean, deviation = (np.asarray(values, np.float64) for values in (self.mean, self.deviation))
        return self._converted(arg_params, lambda weight: weight / _rows(deviation, weight),
                               lambda bias: (bias - mean) / deviation)

    def to_network(self, arg_params):
        """Return the parameters whose outputs are the numbers themselves: the inverse of `to_training`."""
        mean, deviation = (np.asarray(values, np.float64) for values in (self.mean, self.deviation))
        return self._converted(arg_params, lambda weight: weight * _rows(deviation, weight),
                               lambda bias: bias * deviation + mean)

    def labels(self, labels):
        """Return numbers ``(N,)`` or ``(N, K)`` in standard deviations from their mean, float32."""
        values = np.asarray(labels, np.float64)
        scaled = (values.reshape(len(values), -1) - self.mean) / self.deviation
        return scaled.reshape(values.shape).astype(np.float32)

    def _converted(self, arg_params, of_weight, of_bias):
        converted = dict(arg_params)
        for name, change in ((self.layer + "_weight", of_weight), (self.layer + "_bias", of_bias)):
            if name in converted:
                value = converted[name]
                converted[name] = mx.nd.array(change(value.asnumpy().astype(np.float64)), ctx=value.context)
        return converted


def _rows(values, weight):
    return values.reshape(-1, *[1] * (weight.ndim - 1))


@dataclasses.dataclass(frozen=True)
class Objective:
    """The targets of a fit.

    Parameters
    ----------
    target : mxft.data.target_spec.TargetSpec, optional
        One of N classes when None.
    units : TargetUnits, optional
        Of regression; the labels' own when None.
    """

    target: Optional[TargetSpec] = None
    units: Optional[TargetUnits] = None

    def meter(self):
        """Return a new meter of a training epoch."""
        if self.target is not None and self.target.kind == MULTI_LABEL:
            return MultiLabelMeter()
        if self.target is not None and self.target.kind == REGRESSION:
            return RegressionMeter(self.units.deviation if self.units else (1.0,) * self.target.size)
        return TrainingMeter()

    def feed(self, train):
        """Return the iterator to train on: `train` with its labels in the units of training."""
        return ScaledTargets(train, self.units) if self.units else train

    def to_training(self, arg_params):
        """Return parameters of the network as they are trained."""
        return self.units.to_training(arg_params) if self.units else arg_params

    def to_network(self, arg_params):
        """Return parameters that were trained as the network has them."""
        return self.units.to_network(arg_params) if self.units else arg_params


class ScaledTargets(mx.io.DataIter):
    """Another iterator's batches with labels in the units of training.

    Parameters
    ----------
    train : mx.io.DataIter
        With ``batches`` and ``batch_size``.
    units : TargetUnits
    """

    def __init__(self, train, units):
        super().__init__(train.batch_size)
        self.batches, self._train, self._units = train.batches, train, units
        self.provide_data, self.provide_label = train.provide_data, train.provide_label

    def go_to(self, epoch, batch):
        """Go to a batch of an epoch, both counted from 0."""
        self._train.go_to(epoch, batch)

    def reset(self):
        """Begin the next epoch; before anything was read it does nothing."""
        self._train.reset()

    def next(self):
        """Return the next batch."""
        batch = self._train.next()
        labels = mx.nd.array(self._units.labels(batch.label[0].asnumpy()))
        return mx.io.DataBatch(batch.data, [labels], pad=batch.pad, index=batch.index,
                               provide_data=self.provide_data, provide_label=self.provide_label)
