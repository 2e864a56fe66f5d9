"""A Module whose updates are made of several batches or in half precision, and that resumes where another stopped."""
from mxft.compat import mx
from mxft.distributed.workers import Workers
from mxft.training.precision import LOSS_SCALE, scaled_parameters
from mxft.training.resume.optimizer_state import restore_optimizer

_GRADIENT = "gradient"


class TrainingModule(mx.mod.Module):
    """A Module that updates its parameters with the mean gradient of a group of batches.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    accumulate : int
        Batches of a group. Their gradients are added where MXNet computes them (``grad_req="add"``), so that a group
        takes no more memory than a batch; fixed parameters have none, as ever.
    batches : int
        Of an epoch. An incomplete group at its end makes an update too, with the mean of the batches it has: what is
        saved and scored then has learnt from all of the epoch's images, and every epoch has as many updates.
    loss_scale : mxft.training.loss_scale.LossScale, optional
        For a symbol with the argument `mxft.training.precision.LOSS_SCALE`, which is given its value. An update it does
        not admit is left out: parameters, momenta and counts stay as they are.
    workers : mxft.distributed.workers.Workers, optional
        Whose Modules are all to begin with the parameters and statistics of the first; this process alone when None.
    **arguments
        Of ``mx.mod.Module``.

    Notes
    -----
    ``forward_backward`` and ``update`` are called for every batch, as ``Module.fit`` does; `update` acts at the last of
    a group. It divides the gradients before they go to the kvstore, once an update: the optimizer's own
    ``rescale_grad``, for one batch, is right under every kvstore and for every group.
    """

    def __init__(self, symbol, accumulate=1, batches=1, loss_scale=None, workers=None, **arguments):
        super().__init__(symbol, state_names=[LOSS_SCALE] if loss_scale else None, **arguments)
        self._accumulate, self._batches, self.loss_scale = accumulate, batches, loss_scale
        self._scaled = scaled_parameters(symbol) if loss_scale else ()
        self._done, self._before, self.workers = 0, None, workers or Workers("local")

    @property
    def held(self):
        """Batches whose gradients wait for the rest of their group."""
        return self._done % self._accumulate

    @property
    def can_be_kept(self):
        """Whether a state taken now is complete: gradients that wait in other workers would not be in it."""
        return not self.held or self.workers.count == 1

    def resume_from(self, facts, arrays, done):
        """Begin, when the optimizer is made, where another stood.

        Parameters
        ----------
        facts, arrays
            What `mxft.training.resume.snapshots.module_state` returned of it.
        done : int
            Batches of the epoch it had done.
        """
        self._before = facts, arrays
        self._done = done

    def bind(self, *args, **arguments):
        """Bind the executors; gradients are added where a group has several batches."""
        super().bind(*args, **{"grad_req": "add" if self._accumulate > 1 else "write", **arguments})

    def init_optimizer(self, *args, **arguments):
        """Make the optimizer, and give it what it remembered."""
        super().init_optimizer(*args, **arguments)
        self.workers.begin_alike(self)
        if self._before:
            restore_optimizer(self, *self._before)
            for name, device, gradient in self._gradients():
                key = f"{_GRADIENT}:{name}:{device}"
                if key in self._before[1]:
                    gradient[:] = self._before[1][key]
            if self.loss_scale:
                self.loss_scale.restore(self._before[0]["loss_scale"])
            self._before = None
        if self.loss_scale:
            self.set_states(value=self.loss_scale.value)

    def update(self):
        """Count a batch; update the parameters where it is the last of its group.

        Returns
        -------
        int
            How many batches the group had; 0 where it is not complete.
        """
        self._params_dirty = True  # for `get_params`: BatchNorm moves its statistics with every batch
        self._done += 1
        at_the_end = self._done == self._batches
        if self.held and not at_the_end:
            return 0
        batches = self.held or self._accumulate
        self._apply(batches)
        if at_the_end:
            self._done = 0
        return batches

    def _apply(self, batches):
        """Update with the gradients of so many batches, and begin to add again."""
        gradients, scale, admitted = self._gradients(), 1, True
        if self.loss_scale:
            scale, admitted = self.loss_scale.value, self.loss_scale.admits([gradient for *_, gradient in gradients])
            self.set_states(value=self.loss_scale.value)
        if admitted:
            for name, _, gradient in gradients:
                divisor = batches * scale if name in self._scaled else batches
                if divisor != 1:
                    gradient *= 1 / divisor
            super().update()
        for *_, gradient in gradients if self._accumulate > 1 else ():
            gradient[:] = 0

    def held_gradients(self):
        """Return the gradients of an incomplete group, ``{"gradient:NAME:DEVICE": array}``, for the state of a run."""
        held = self._gradients() if self.held else ()
        return {f"{_GRADIENT}:{name}:{device}": gradient for name, device, gradient in held}

    def _gradients(self):
        """Return (parameter, number of the device, gradient) of all that are computed."""
        group = self._exec_group
        return [(name, device, gradient) for name, of_devices in zip(group.param_names, group.grad_arrays)
                for device, gradient in enumerate(of_devices) if gradient is not None]
