"""One shard of fc7: some of the classes on one device, with what computes and updates them; all of them or a sample."""
import numpy as np

from mxft.compat import mx
from mxft.heads.sharded import EMBEDDING, LABEL, OUTPUTS, shard_symbol


class Shard:
    """Some of the classes, on one device.

    Parameters
    ----------
    head : mxft.heads.Head
        Over all classes.
    number : int
        Of the shard.
    classes : range
    batch_size : int
        Rows of the whole batch.
    row_weight : float
        Of each row's loss.
    context : mx.Context
    wanted : container of str
        Parameters that are trained, and ``embedding`` where its gradient is wanted.
    adds : bool
        Gradients of several batches are added before an update.
    size : int, optional
        Classes a step computes with; all of them when None.

    Attributes
    ----------
    executor : mx.executor.Executor
    variables : dict of str to mx.nd.NDArray
        The head's variables, those with a row a class for the shard's classes.
    """

    def __init__(self, head, number, classes, batch_size, row_weight, context, wanted, adds=False,
                 size=None):
        self.number, self.classes, self._context, self._head = number, classes, context, head
        symbol = shard_symbol(head, size or len(classes), row_weight)
        requests = dict.fromkeys(symbol.list_arguments(), "null")
        requests.update((name, "add" if adds and name != EMBEDDING else "write") for name in wanted)
        self.executor = symbol.simple_bind(
            context, requests, **{EMBEDDING: (batch_size, head.emb_size), LABEL: (batch_size,)})
        self.variables = {name: self.executor.arg_dict[name] for name in head.variable_specs()}
        self._trained, self._adds = [name for name in head.parameters if name in wanted], adds

    def indices(self):
        """Return {the optimizer's index: name} of what is trained."""
        return {f"{name}@{self.number}": name for name in self._trained}

    def gradients(self):
        """Return {the optimizer's index: gradient} of what is trained."""
        return {index: self.executor.grad_dict[name] for index, name in self.indices().items()}

    def rows_of(self, name):
        """Return the slice of a joined variable that is the shard's: its classes, or all of what has no row a class."""
        return slice(self.classes.start, self.classes.stop) if name in self._head.parameters else slice(None)

    def output(self, name):
        """Return one of `OUTPUTS`."""
        return self.executor.outputs[OUTPUTS.index(name)]

    def choose_classes(self, label, step):
        """Count the labels from the shard's first class: all its classes take part, whatever the step."""
        (label - self.classes.start).copyto(self.executor.arg_dict[LABEL])

    def forward(self, embeddings):
        """Compute the softmax over the chosen classes."""
        begin = 0
        for part in embeddings:
            part.copyto(self.executor.arg_dict[EMBEDDING][begin:begin + len(part)])
            begin += len(part)
        self.executor.forward(is_train=True)

    def multiply_softmax(self, share):
        """Multiply each row of the softmax with a number: what the backward pass will take for the probabilities."""
        softmax = self.output("softmax")
        mx.nd.broadcast_mul(softmax, share.as_in_context(self._context).reshape((-1, 1)), out=softmax)

    def update(self, updater, batches=1):
        """Update what is trained with the mean of the gradients of so many batches."""
        gradients = self.gradients()
        for gradient in gradients.values() if batches > 1 else ():
            gradient *= 1 / batches
        updater(list(gradients), list(gradients.values()), [self.variables[name] for name in self._trained])
        for gradient in gradients.values() if self._adds else ():
            gradient[:] = 0

    def arrays(self):
        """Return ``{"KIND:NAME": array}``: what the shard holds, outputs and the executor's working memory left out."""
        return {**{f"argument:{name}": array for name, array in self.executor.arg_dict.items()},
                **{f"gradient:{name}": array for name, array in self.executor.grad_dict.items() if array is not None}}


class SampledShard(Shard):
    """A shard that computes a step with some of its classes.

    Parameters
    ----------
    sampler : ClassSampler
        Of the shard's classes.
    **shard
        As of `Shard`.

    Notes
    -----
    The executor has the sampled rows. They are copied out of `variables` before a step; after its update they, and what
    the optimizer remembers of them, are put back. No other row is touched, by weight decay or momentum either.
    """

    def __init__(self, sampler, **shard):
        super().__init__(size=sampler.size, **shard)
        self._sampler, self.rows = sampler, None
        for name in self._head.parameters:
            row = self.variables[name].shape[1:]
            self.variables[name] = mx.nd.zeros((len(self.classes), *row), self._context)

    def choose_classes(self, label, step):
        """Draw the classes of `step`, and count the labels among them."""
        rows, positions = self._sampler.draw(label.asnumpy().astype(np.int64), step)
        self.rows = mx.nd.array(rows, self._context, "int32")
        self.executor.arg_dict[LABEL][:] = positions

    def forward(self, embeddings):
        """Compute the softmax over the sampled classes, which are fetched first."""
        for name in self._head.parameters:
            mx.nd.take(self.variables[name], self.rows, out=self.executor.arg_dict[name])
        super().forward(embeddings)

    def update(self, updater, batches=1):
        """Update the sampled rows of what is trained; of one batch, whose sample it is."""
        updater.optimizer._set_current_context(self._context.device_id)
        for index, name in self.indices().items():
            rows, state = self.executor.arg_dict[name], self._state(updater, index, self.variables[name])
            of_rows = None if state is None else mx.nd.take(state, self.rows)
            updater.optimizer.update(index, rows, self.executor.grad_dict[name], of_rows)
            self.variables[name][self.rows] = rows
            if state is not None:
                state[self.rows] = of_rows

    def _state(self, updater, index, whole):
        """Return what the optimizer remembers of all rows, made or brought to the device the first time."""
        if index not in updater.states:
            updater.states[index] = updater.optimizer.create_state(index, whole)
        elif updater.states[index] is not None and not updater.states_synced[index]:
            updater.states[index] = updater.states[index].as_in_context(self._context)
        updater.states_synced[index] = True
        return updater.states[index]

    def arrays(self):
        """Return what `Shard.arrays` does, and ``whole:NAME``: the variables of all the shard's classes."""
        return {**super().arrays(), **{f"whole:{name}": self.variables[name] for name in self._head.parameters}}
