"""fc7 with its classes divided over the devices of a machine: exact softmax over all of them, no copy of any centre.

As insightface's ``ParallModule`` (recognition/ArcFace/parallel_module_local_v1.py) and Partial FC (arXiv:2010.05222):
each device holds the centres of some classes, their gradients and momenta, and sees the embeddings of the whole batch.
Between the devices travel embeddings, their gradients, and a few numbers a row; no array of batch x classes and none
of classes x embedding ever does.
"""
import math

import numpy as np

from mxft.compat import mx
from mxft.heads.sharded import EMBEDDING, LABEL, OUTPUTS, divide_classes, shard_symbol
from mxft.training.faces.class_sampling import ClassSampler
from mxft.training.faces.network import LEAST_PROBABILITY


class ShardedHead:
    """A head whose classes are divided over devices.

    Parameters
    ----------
    head : mxft.heads.Head
        Over all classes; `divisible`.
    batch_size : int
        Rows of the whole batch, N.
    contexts : list of mx.Context
        A shard each.
    fixed : container of str
        Parameters that get no gradient.
    embedding_gradient : bool
        Whether the embeddings' gradient is wanted.
    sample_rate : float
        Part of the classes of each shard that takes part in a step, see `ClassSampler`; 1 for all.
    seed : int
        Of the samples.

    Notes
    -----
    The loss of a row counts 1/(N / devices), as that of a network on several devices whose softmax divides by its own
    device's rows (`attach_face_head`): the optimizer divides by the devices.

    With a `sample_rate` below 1 the softmax goes over the sampled classes, and an update touches nothing but their
    rows: the other centres get neither weight decay nor momentum, as in the paper's own implementation.
    """

    def __init__(self, head, batch_size, contexts, fixed=(), embedding_gradient=True, sample_rate=1.0, seed=0):
        self._home = contexts[0]
        bounds = divide_classes(head.num_classes, len(contexts))
        self._shards = []
        for number, (context, first, end) in enumerate(zip(contexts, bounds, bounds[1:])):
            sampler = None
            if sample_rate < 1:
                sampler = ClassSampler(first, end - first, sample_rate, batch_size, (seed, number))
            self._shards.append(_Shard(head, number, first, end - first, batch_size, len(contexts), context, fixed,
                                       embedding_gradient, sampler))
        self._num_classes, self.measures = head.num_classes, []

    @property
    def execs(self):
        """The executors, one a shard: where variables that are scheduled are set."""
        return [shard.executor for shard in self._shards]

    def set_params(self, parameters):
        """Take the values of the head's variables, classes divided over the shards.

        Parameters
        ----------
        parameters : dict of str to mx.nd.NDArray
            Joined, as they are in a checkpoint.
        """
        for shard in self._shards:
            for name, array in shard.variables.items():
                parameters[name][shard.rows_of(name)].copyto(array)

    def get_params(self):
        """Return the head's variables as they are in a checkpoint, joined in the host's memory."""
        joined = {}
        for name, array in self._shards[0].variables.items():
            by_class = self._shards[0].is_by_class(name)
            shape = (self._num_classes, *array.shape[1:]) if by_class else array.shape
            joined[name] = mx.nd.empty(shape, mx.cpu())
            for shard in self._shards if by_class else self._shards[:1]:
                shard.variables[name].copyto(joined[name][shard.rows_of(name)])
        return joined

    def forward_backward(self, embeddings, label, step=()):
        """Compute loss and gradients.

        Parameters
        ----------
        embeddings : list of mx.nd.NDArray
            Float32 ``(N / devices, E)``, on any devices; together the batch in its order.
        label : mx.nd.NDArray
            Class numbers ``(N,)``.
        step : tuple of int
            What the sample is drawn for.
        """
        labels = label.asnumpy().astype(np.int64) if self._shards[0].sampler else None
        for shard in self._shards:
            shard.forward(embeddings, label, labels, step)
        self._normalise()
        for shard in self._shards:
            shard.executor.backward()

    def _normalise(self):
        """Make each shard's softmax its part of the whole one, in place, and measure the rows."""
        seen = {name: mx.nd.stack(*(shard.output(name).as_in_context(self._home) for shard in self._shards), axis=0)
                for name in OUTPUTS[1:]}                          # each (shards, N)
        top = mx.nd.max(seen["top"], axis=0, keepdims=True)
        parts = mx.nd.broadcast_sub(seen["top"], top).exp() / seen["top_probability"]
        whole = mx.nd.sum(parts, axis=0, keepdims=True)            # Σ exp(logit - top) over all classes
        shares = mx.nd.broadcast_div(parts, whole)
        for shard, share in zip(self._shards, shares if len(self._shards) > 1 else ()):
            shard.multiply_softmax(share)
        target, free_target, cosine = (mx.nd.sum(seen[name], axis=0)
                                       for name in ("target", "free_target", "target_cosine"))
        top, whole = top.reshape((-1,)), whole.reshape((-1,))
        loss = mx.nd.minimum(whole.log() - (target - top), -math.log(LEAST_PROBABILITY))
        hit = mx.nd.pick(seen["hit"], mx.nd.argmax(seen["top"], axis=0), axis=0)
        self.measures = [loss, hit, free_target >= top, cosine]

    def embedding_gradient(self):
        """Return the gradient of the embeddings ``(N, E)`` on the first device, summed over the shards in order."""
        return mx.nd.add_n(*(shard.executor.grad_dict[EMBEDDING].as_in_context(self._home) for shard in self._shards))

    def indices(self):
        """Return {index: name} for the optimizer: a parameter of a shard has an index of its own."""
        return {shard.index(name): name for shard in self._shards for name in shard.trained}

    def update(self, updater):
        """Update every shard on its device.

        Parameters
        ----------
        updater : mx.optimizer.Updater
            Keeps a state for each of `indices`.
        """
        for shard in self._shards:
            shard.update(updater)

    def arrays(self):
        """Return ``{"KIND:NAME@SHARD": array}``: ``argument``, ``gradient`` and, where classes are sampled, ``whole``.

        Beside these a device has the optimizer's states and the working memory of its executor, the outputs among it.
        """
        return {f"{name}@{shard.number}": array for shard in self._shards for name, array in shard.arrays().items()}


class _Shard:
    """Some of the classes, on one device."""

    def __init__(self, head, number, first, count, batch_size, devices, context, fixed, embedding_gradient, sampler):
        self.number, self.sampler = number, sampler
        self._first, self._count, self._context, self._rows = first, count, context, None
        symbol = shard_symbol(head, sampler.size if sampler else count, devices / batch_size)
        self.trained = [name for name in head.parameters if name not in fixed]
        wanted = {*self.trained, *([EMBEDDING] if embedding_gradient else [])}
        self.executor = symbol.simple_bind(
            context, {name: "write" if name in wanted else "null" for name in symbol.list_arguments()},
            **{EMBEDDING: (batch_size, head.emb_size), LABEL: (batch_size,)})
        self._by_class = set(head.parameters)
        self.variables = {name: array for name, array in self.executor.arg_dict.items()
                          if name not in (EMBEDDING, LABEL)}
        if sampler:  # the executor has the sampled rows; these are all of them
            self.variables.update({name: mx.nd.zeros((count, *array.shape[1:]), context)
                                   for name, array in self.variables.items() if name in self._by_class})

    def is_by_class(self, name):
        """Whether a variable has a row a class."""
        return name in self._by_class

    def rows_of(self, name):
        """Return the slice of a joined variable that is the shard's."""
        return slice(self._first, self._first + self._count) if name in self._by_class else slice(None)

    def index(self, name):
        """Return the optimizer's index of a parameter."""
        return f"{name}@{self.number}"

    def output(self, name):
        """Return one of `OUTPUTS`."""
        return self.executor.outputs[OUTPUTS.index(name)]

    def forward(self, embeddings, label, labels, step):
        """Compute the shard's softmax."""
        inputs, begin = self.executor.arg_dict, 0
        for part in embeddings:
            part.copyto(inputs[EMBEDDING][begin:begin + len(part)])
            begin += len(part)
        if self.sampler:
            rows, positions = self.sampler.draw(labels, step)
            self._rows = mx.nd.array(rows, self._context, "int32")
            inputs[LABEL][:] = positions
            for name in self._by_class:
                mx.nd.take(self.variables[name], self._rows, out=inputs[name])
        else:
            (label - self._first).copyto(inputs[LABEL])
        self.executor.forward(is_train=True)

    def multiply_softmax(self, share):
        """Multiply each row of the softmax with a number: what the backward pass will take for the probabilities."""
        softmax = self.output("softmax")
        mx.nd.broadcast_mul(softmax, share.as_in_context(self._context).reshape((-1, 1)), out=softmax)

    def update(self, updater):
        """Update the shard's parameters; of a sample its rows alone."""
        indices = [self.index(name) for name in self.trained]
        gradients = [self.executor.grad_dict[name] for name in self.trained]
        if not self.sampler:
            updater(indices, gradients, [self.variables[name] for name in self.trained])
            return
        for index, name, gradient in zip(indices, self.trained, gradients):
            self._update_rows(updater, index, self.variables[name], self.executor.arg_dict[name], gradient)

    def _update_rows(self, updater, index, whole, rows, gradient):
        """Update the sampled rows of a parameter, and put them back where they belong with what goes with them."""
        optimizer = updater.optimizer
        if index not in updater.states:
            updater.states[index] = optimizer.create_state(index, whole)
        state = updater.states[index]
        if state is not None and not updater.states_synced.get(index):
            state = updater.states[index] = state.as_in_context(self._context)
        updater.states_synced[index] = True
        optimizer._set_current_context(self._context.device_id)
        own = None if state is None else mx.nd.take(state, self._rows)
        optimizer.update(index, rows, gradient, own)
        whole[self._rows] = rows
        if state is not None:
            state[self._rows] = own

    def arrays(self):
        """Return the arrays the shard holds by name."""
        held = {f"argument:{name}": array for name, array in self.executor.arg_dict.items()}
        held.update({f"gradient:{name}": array for name, array in self.executor.grad_dict.items() if array is not None})
        held.update({f"whole:{name}": array for name, array in self.variables.items() if self.sampler})
        return held
