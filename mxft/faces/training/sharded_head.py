"""fc7 with its classes divided over the devices of a machine: exact softmax over all of them, no copy of any centre.

As insightface's ``ParallModule`` (recognition/ArcFace/parallel_module_local_v1.py) and Partial FC (arXiv:2010.05222):
each device holds the centres of some classes, their gradients and momenta, and sees the embeddings of the whole batch.
Between the devices travel embeddings, their gradients, and a few numbers a row; no array of batch x classes and none
of classes x embedding ever does.
"""
import math

from mxft.compat import mx
from mxft.faces.training.class_sampling import ClassSampler
from mxft.faces.training.network import LEAST_PROBABILITY
from mxft.faces.training.shard import SampledShard, Shard
from mxft.heads.sharded import EMBEDDING, OUTPUTS, divide_classes


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
    adds : bool
        Gradients of several batches are added before an update; not with samples, which are other classes each time.

    Attributes
    ----------
    shards : list of Shard
    measures : list of mx.nd.NDArray
        The `MONITORS` of the last batch, each float32 ``(N,)`` on the first device.

    Notes
    -----
    The loss of a row counts 1/(N / devices), as that of a network on several devices whose softmax divides by its own
    device's rows (`attach_face_head`): the optimizer divides by the devices.

    With a `sample_rate` below 1 the softmax goes over the sampled classes, and an update touches nothing but their
    rows: the other centres get neither weight decay nor momentum, as in the paper's own implementation.
    """

    def __init__(self, head, batch_size, contexts, fixed=(), embedding_gradient=True, sample_rate=1.0, seed=0,
                 adds=False):
        self._home, self._head, self.measures = contexts[0], head, []
        wanted = {*head.parameters, *([EMBEDDING] if embedding_gradient else [])} - set(fixed)
        bounds, self.shards = divide_classes(head.num_classes, len(contexts)), []
        for number, context in enumerate(contexts):
            classes = range(bounds[number], bounds[number + 1])
            shard = {"head": head, "number": number, "classes": classes, "batch_size": batch_size, "context": context,
                     "row_weight": len(contexts) / batch_size, "wanted": wanted, "adds": adds}
            if sample_rate < 1:
                sampler = ClassSampler(classes.start, len(classes), sample_rate, batch_size, (seed, number))
                self.shards.append(SampledShard(sampler, **shard))
            else:
                self.shards.append(Shard(**shard))

    @property
    def execs(self):
        """The executors, one a shard: where variables that are scheduled are set."""
        return [shard.executor for shard in self.shards]

    def set_params(self, parameters):
        """Take the values of the head's variables, classes divided over the shards.

        Parameters
        ----------
        parameters : dict of str to mx.nd.NDArray
            Joined, as they are in a checkpoint.
        """
        for shard in self.shards:
            for name, array in shard.variables.items():
                parameters[name][shard.rows_of(name)].copyto(array)

    def get_params(self):
        """Return the head's variables as they are in a checkpoint, joined in the host's memory."""
        joined = {}
        for name, array in self.shards[0].variables.items():
            by_class = name in self._head.parameters
            rows = self._head.num_classes if by_class else len(array)
            joined[name] = mx.nd.empty((rows, *array.shape[1:]), mx.cpu())
            for shard in self.shards if by_class else self.shards[:1]:
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
        for shard in self.shards:  # first all of them: MXNet copies from NumPy when the first CPU context has time
            shard.choose_classes(label, step)
        for shard in self.shards:
            shard.forward(embeddings)
        self._normalise()
        for shard in self.shards:
            shard.executor.backward()

    def _normalise(self):
        """Make each shard's softmax its part of the whole one, in place, and measure the rows."""
        seen = {name: mx.nd.stack(*(shard.output(name).as_in_context(self._home) for shard in self.shards), axis=0)
                for name in OUTPUTS[1:]}                          # each (shards, N)
        top = mx.nd.max(seen["top"], axis=0, keepdims=True)
        parts = mx.nd.broadcast_sub(seen["top"], top).exp() / seen["top_probability"]
        whole = mx.nd.sum(parts, axis=0, keepdims=True)            # Σ exp(logit - top) over all classes
        shares = mx.nd.broadcast_div(parts, whole)
        for shard, share in zip(self.shards, shares if len(self.shards) > 1 else ()):
            shard.multiply_softmax(share)
        target, free_target, cosine = (mx.nd.sum(seen[name], axis=0)
                                       for name in ("target", "free_target", "target_cosine"))
        top, whole = top.reshape((-1,)), whole.reshape((-1,))
        loss = mx.nd.minimum(whole.log() - (target - top), -math.log(LEAST_PROBABILITY))
        hit = mx.nd.pick(seen["hit"], mx.nd.argmax(seen["top"], axis=0), axis=0)
        self.measures = [loss, hit, free_target >= top, cosine]

    def embedding_gradient(self):
        """Return the gradient of the embeddings ``(N, E)`` on the first device, summed over the shards in order."""
        return mx.nd.add_n(*(shard.executor.grad_dict[EMBEDDING].as_in_context(self._home) for shard in self.shards))

    def indices(self):
        """Return {index: name} for the optimizer: a parameter of a shard has an index of its own."""
        return {index: name for shard in self.shards for index, name in shard.indices().items()}

    def update(self, updater, batches=1):
        """Update every shard on its device.

        Parameters
        ----------
        updater : mx.optimizer.Updater
            Keeps a state for each of `indices`.
        batches : int
            Whose gradients were added; their mean is what counts.
        """
        for shard in self.shards:
            shard.update(updater, batches)

    def gradients(self):
        """Return ``{"gradient:NAME@SHARD": array}`` of what is trained."""
        return {f"gradient:{index}": gradient for shard in self.shards for index, gradient in shard.gradients().items()}

    def arrays(self):
        """Return ``{"KIND:NAME@SHARD": array}``: ``argument``, ``gradient`` and, where classes are sampled, ``whole``.

        Beside these a device has the optimizer's states and the working memory of its executor, the outputs among it.
        """
        return {f"{name}@{shard.number}": array for shard in self.shards for name, array in shard.arrays().items()}
