"""A face network whose backbone is copied to every device and whose fc7 is divided over them, with a Module's face.

insightface's ``ParallModule`` does the same with a Module a shard. What the training loop asks of ``mx.mod.Module`` is
here under the same names, so that it need not know which of the two it has.
"""
from mxft.compat import mx
from mxft.faces.training.sharded_head import ShardedHead
from mxft.training.module import TrainingModule


class ShardedModule:
    """Backbone and sharded head as one.

    Parameters
    ----------
    backbone : mx.sym.Symbol
        The embedding network as it is to be bound.
    network : FaceNetwork
        What is saved, and with it the names, shapes and beginnings of all parameters.
    contexts : list of mx.Context
    fixed : list of str
        Parameters that get no gradient.
    options : FaceOptions
    batches : int
        Of an epoch.
    logger : logging.Logger

    Notes
    -----
    A step: every device computes its images' embeddings; each shard is given all of them and computes its logits; two
    numbers a row make one softmax of them; the embeddings' gradients, summed over the shards, go back to the devices
    they came from. The backbone's gradients meet in the kvstore, fc7's never leave their device.

    One optimizer knows backbone and shards, each shard's parameter under an index of its own: counts, schedule and
    multipliers are those of a network on one device.
    """

    loss_scale = None  # there is no half precision beside a divided fc7

    def __init__(self, backbone, network, contexts, fixed, options, batches, logger):
        self._network, self._contexts, self._fixed, self._options = network, contexts, set(fixed), options
        own, self._before = {*backbone.list_arguments()}, None
        self._backbone = TrainingModule(backbone, options.accumulate, batches, data_names=["data"], label_names=[],
                                        context=contexts, logger=logger,
                                        fixed_param_names=[name for name in fixed if name in own])
        self._backbone_trains = bool(own - self._fixed - {"data"})

    def bind(self, data_shapes, label_shapes):
        """Bind the backbone for training, and a head for each device."""
        # without any gradient MXNet takes a frozen backbone for inference and fuses its layers: fused convolution and
        # BatchNorm give wrong numbers in a training pass, which a backbone with Dropout has to have
        self._backbone.bind(data_shapes, inputs_need_grad=not self._backbone_trains)
        self._shapes = {name: tuple(shape) for name, shape in (row[:2] for row in [*data_shapes, *label_shapes])}
        batch_size = self._shapes[data_shapes[0][0]][0]
        self._head = ShardedHead(self._network.head, batch_size, self._contexts, self._fixed, self._backbone_trains,
                                 self._options.sample_rate, self._options.seed, self._options.accumulate > 1)

    def init_params(self, initializer, arg_params, aux_params, allow_missing=False):
        """Set the parameters; what is not given begins with the very numbers a Module would begin with."""
        arg_params, attributes = {**arg_params}, self._network.saved.attr_dict()
        for name, shape in self._missing(arg_params) if allow_missing else ():
            arg_params[name] = mx.nd.zeros(shape)
            initializer(mx.init.InitDesc(name, attributes.get(name)), arg_params[name])
        self._backbone.init_params(initializer, arg_params, aux_params, allow_missing)
        self._head.set_params(arg_params)

    def _missing(self, arg_params):
        """Return names and shapes of the arguments that are not given, in the order a Module draws them in."""
        shapes, _, _ = self._network.saved.infer_shape(**self._shapes)
        return sorted((name, shape) for name, shape in zip(self._network.saved.list_arguments(), shapes)
                      if name not in arg_params and name not in self._shapes)

    @property
    def params_initialized(self):
        """Whether there are parameters to save."""
        return self._backbone.params_initialized

    @property
    def held(self):
        """Batches whose gradients wait for the rest of their group."""
        return self._backbone.held

    @property
    def can_be_kept(self):
        """Whether a state taken now is complete; see `TrainingModule`."""
        return self._backbone.can_be_kept

    def held_gradients(self):
        """Return the gradients of an incomplete group, the shards' too, for the state of a run."""
        return {**self._backbone.held_gradients(), **(self._head.gradients() if self.held else {})}

    def resume_from(self, facts, arrays, done):
        """Begin, when the optimizer is made, where another stood; see `TrainingModule.resume_from`."""
        self._backbone.resume_from(facts, arrays, done)
        self._before = arrays

    def init_optimizer(self, kvstore, optimizer, optimizer_params):
        """Make the optimizer and introduce the shards' parameters to it, with the head's own multipliers."""
        self._backbone.init_optimizer(kvstore, optimizer, optimizer_params)
        known, specs = self._optimizer, self._network.head.variable_specs()
        known.idx2name.update(self._head.indices())
        known.lr_mult.update({name: spec[2] for name, spec in specs.items()})
        known.wd_mult.update({name: spec[3] for name, spec in specs.items()})
        self._computed = 0
        for name, gradient in self._head.gradients().items() if self._before else ():
            if name in self._before:
                gradient[:] = self._before[name]
        self._before = None

    def forward_backward(self, batch):
        """Compute loss and gradients of a batch."""
        self._backbone.forward(mx.io.DataBatch(batch.data), is_train=True)
        embeddings, = self._backbone.get_outputs(merge_multi_context=False)
        self._head.forward_backward(embeddings, batch.label[0], (self._optimizer.num_update, self._computed))
        self._computed += 1
        if self._backbone_trains:
            self._backbone.backward([self._head.embedding_gradient()])

    def update(self):
        """Count a batch; update backbone and head where it is the last of its group."""
        batches = self._backbone.update()
        if batches:
            self._head.update(self._kvstore._updater if self._update_on_kvstore else self._updater, batches)
            self._computed = 0

    def get_outputs(self, merge_multi_context=True):
        """Return the `MONITORS` of the last batch, all rows together."""
        return [measure if merge_multi_context else [measure] for measure in self._head.measures]

    def get_params(self):
        """Return (arg_params, aux_params), fc7 joined, as the unsharded network has them."""
        arg_params, aux_params = self._backbone.get_params()
        return {**arg_params, **self._head.get_params()}, aux_params

    @property
    def _exec_group(self):
        return self._head  # where the loop sets what is scheduled: of a face network the head's variables alone

    @property
    def _context(self):
        return self._contexts

    @property
    def _optimizer(self):
        return self._backbone._optimizer

    @property
    def _kvstore(self):
        return self._backbone._kvstore

    @property
    def _update_on_kvstore(self):
        return self._backbone._update_on_kvstore

    @property
    def _updater(self):
        return self._backbone._updater
