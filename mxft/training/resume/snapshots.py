"""Snapshots of a training: taken between two batches, and how training is resumed from one."""
import sys

from mxft.compat import mx
from mxft.training.resume.optimizer_state import optimizer_state


class Snapshots:
    """Takes the state of a training now and then, at the end of every epoch, and where it is asked to.

    Parameters
    ----------
    state : mxft.training.resume.state.RunState
    module : mxft.training.module.TrainingModule
    epochs : mxft.training.epochs.Epochs
    meter : mxft.training.callbacks.TrainingMeter
    seeds : dict
        Of whatever the stage draws at random.
    batches : int
        Of an epoch.
    """

    def __init__(self, state, module, epochs, meter, seeds, batches):
        self._state, self._module, self._epochs, self._meter = state, module, epochs, meter
        self._seeds, self._batches = seeds, batches
        self._position, self._saved_at = None, None

    def batch_end(self, param):
        """Note where training is; write it down where it is time to."""
        done = param.nbatch + 1
        if done == self._batches:
            return  # the epoch's end follows
        self._position = (param.epoch - self._epochs.first, done)
        if self._state.is_due(done):
            self.save()

    def epoch_end(self, epoch, *_):
        """Write down the end of an epoch."""
        self._position = (epoch + 1 - self._epochs.first, 0)
        self.save()

    def save(self):
        """Write down where training is, unless that was done."""
        if self._position in (None, self._saved_at) or not self._module.can_be_kept:
            return
        mx.nd.waitall()  # BatchNorm writes its moving statistics late
        arg_params, aux_params = self._module.get_params()
        (epoch, batch), (facts, arrays) = self._position, module_state(self._module, arg_params, aux_params)
        self._state.save({"epoch": epoch, "batch": batch, "epochs": self._epochs.facts(), "optimizer": facts,
                          "meter": self._meter.figures() if batch else None, "seeds": self._seeds}, arrays)
        self._saved_at = self._position


def module_state(module, arg_params, aux_params):
    """Return what a TrainingModule holds between two batches.

    Returns
    -------
    facts : dict
        Of the optimizer and the loss scale.
    arrays : dict of str to mx.nd.NDArray
        Of the optimizer, the gradients that wait for an update, and the parameters under the names of a checkpoint.
    """
    facts, arrays = optimizer_state(module)
    arrays.update(module.held_gradients())
    if module.loss_scale:
        facts["loss_scale"] = module.loss_scale.facts()
    for kind, parameters in (("arg", arg_params), ("aux", aux_params)):
        arrays.update({f"{kind}:{name}": value for name, value in parameters.items()})
    return facts, arrays


def parameters_of(arrays):
    """Return ``(arg_params, aux_params)`` of `module_state`'s arrays."""
    return tuple({name[4:]: value for name, value in arrays.items() if name.startswith(kind)}
                 for kind in ("arg:", "aux:"))


def seed_batch(seed, epoch, batch):
    """Seed the engine for one batch, so that it draws the same whether or not the batches before it were computed."""
    number = (seed + 1_000_003 * epoch + 7919 * batch) % (2**31 - 1)
    mx.random.seed(number)
    if "torch" in sys.modules:  # it may be the engine
        sys.modules["torch"].manual_seed(number)
