"""A TrainingModule whose forward and backward passes PyTorch computes; everything else of it is MXNet's."""
from mxft.compat import mx
from mxft.errors import InputError, RunError, last_line
from mxft.training.module import TrainingModule


def training_module(symbol, accumulate, batches, loss_scale, workers, context, **arguments):
    """Return the TrainingModule of MXNet's contexts, or the one of a device of PyTorch's; see there."""
    if context[0].device_type != "torch":
        return TrainingModule(symbol, accumulate, batches, loss_scale, workers, context=context, **arguments)
    if len(context) > 1 or workers.count > 1:
        raise InputError(f"devices: expected one beside `engine='torch'`, received {len(context)} in "
                         f"{workers.count} processes; use `engine='mxnet'` for several")
    return TorchTrainingModule(symbol, accumulate, batches, workers=workers, device=context[0], **arguments)


class TorchTrainingModule(TrainingModule):
    """A TrainingModule on a device of PyTorch's.

    Parameters
    ----------
    symbol, accumulate, batches, workers, **arguments
        Of `TrainingModule`.
    device : mxft.torch.device.TorchDevice

    Notes
    -----
    MXNet binds the network on its CPU, whose memory the parameters, gradients and moving statistics are in, and never
    runs it; see `mxft.torch.training`.
    """

    def __init__(self, symbol, accumulate, batches, workers, device, **arguments):
        super().__init__(symbol, accumulate, batches, workers=workers, context=[mx.cpu()], **arguments)
        self._device, self._network, self._found = device, None, None

    def bind(self, *args, **arguments):
        """Bind the arrays, and make the network that computes with them."""
        from mxft.torch.training import TrainedNetwork

        super().bind(*args, **arguments)
        executor, inputs = self._exec_group.execs[0], {*self.data_names, *self.label_names}
        parameters = {name: array for name, array in executor.arg_dict.items() if name not in inputs}
        gradients = {name: executor.grad_dict[name] for name in parameters if executor.grad_dict[name] is not None}
        for array in gradients.values():
            array[:] = 0
        self._network = TrainedNetwork(self._symbol, parameters, gradients, executor.aux_dict, self._device,
                                       self._accumulate > 1)

    def forward(self, data_batch, is_train=None):
        """Compute a batch; gradients too in training, which `backward` has nothing to add to."""
        training = self.for_training if is_train is None else is_train
        values = [*zip(self.data_names, data_batch.data), *zip(self.label_names, data_batch.label or ())]
        given = {name: value for name, value in values if name in self._network.inputs}
        try:
            self._found = (self._network.step if training else self._network.outputs)(given)
        except RuntimeError as error:  # out of memory, a device that is gone
            raise RunError(f"PyTorch ended the step: {last_line(error)}") from None

    def backward(self, out_grads=None):
        """Do nothing: `forward` has computed the gradients of the losses."""

    def get_outputs(self, merge_multi_context=True):
        """Return the outputs of the last batch."""
        return self._found if merge_multi_context else [[output] for output in self._found]

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Let a metric see the last batch."""
        eval_metric.update_dict(dict(zip(self.label_names, labels)), dict(zip(self.output_names, self._found)))
