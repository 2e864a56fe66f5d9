"""The fused inference executor that scoring, prediction and validation share.

Bound without gradients, MXNet fuses convolution, BatchNorm and activation; ``Module.score`` runs the training
executor instead, which took about three times as long on a MobileNetV2.
"""
import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, RunError, last_line
from mxft.inference.bfloat16 import set_parameters
from mxft.inference.finite import NotFinite, require_finite_outputs
from mxft.inference.kernels import choose_kernels, worth_choosing
from mxft.inference.precision import Precision
from mxft.inference.streams import Streams, fused, stream_contexts, stream_images
from mxft.network.anatomy import anatomy_of
from mxft.network.graph import internal_output
from mxft.network.transfer import match_parameters
from mxft.rewrite.inference.passes import OF_FLOAT32, rewrite_for_inference


class InferenceExecutor:
    """A network bound for forward passes of up to `batch_size` images.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The network. A softmax, sigmoid or loss at its end is left out: what is computed are the scores that enter it,
        and `Output.link` makes the network's own output of them.
    arg_params, aux_params : dict of str to mx.nd.NDArray
    image_shape : tuple of int
        ``(C, H, W)``.
    batch_size : int
    context : mx.Context or mxft.torch.device.TorchDevice, optional
        CPU when None. On a TorchDevice PyTorch computes it, in the numbers that the device says.
    rewrite : bool
        Bind the graph of `mxft.rewrite.rewrite_for_inference`, which computes the same faster; False binds the
        network's own, but for the cures of faults of MXNet's.
    outputs : sequence of mxft.network.anatomy.Output, optional
        Which outputs' scores to compute, of the anatomy of `symbol`; its first one when None.
    precision : mxft.inference.precision.Precision, optional
        The numbers it is computed in, on a CPU; float32 when None.

    Attributes
    ----------
    outputs : tuple of mxft.network.anatomy.Output
    applied : tuple of str
        The passes that changed the bound graph, and its precision where that is another than float32.

    Raises
    ------
    InputError
        `precision` is not float32 beside ``rewrite=False``.
        The network does not take such images, or a parameter is missing or of another shape, or its batch size is
        fixed.
    RunError
        MXNet cannot bind the network; its message is passed on.

    Notes
    -----
    On a CPU a batch is shared out to `mxft.inference.streams`, a few images each. Where a batch or the rest of it is
    smaller than what is bound, the missing rows are computed too, from what was there before, and cut from the result.

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=10, name="fc1")
    >>> weights = {"fc1_weight": mx.nd.ones((10, 12)), "fc1_bias": mx.nd.zeros((10,))}
    >>> executor = InferenceExecutor(net, weights, {}, (3, 2, 2), batch_size=32)
    >>> executor.forward(mx.nd.ones((5, 3, 2, 2)).asnumpy()).shape
    (5, 10)
    """

    def __init__(self, symbol, arg_params, aux_params, image_shape, batch_size, context=None, rewrite=True,
                 outputs=None, precision=None):
        anatomy = anatomy_of(symbol, arg_params, aux_params)
        self.batch_size = batch_size
        self.outputs = tuple(outputs or [anatomy.output()])
        self._data = anatomy.image.name
        self._context = context or mx.cpu()
        scores = [internal_output(symbol, *output.scores) for output in self.outputs]
        self._network = scores[0] if len(scores) == 1 else mx.sym.Group(scores)
        self._rewrite = rewrite
        self.precision = precision if precision and self._context.device_type == "cpu" else Precision()
        if not rewrite and not self.precision.is_exact:
            raise InputError(f"`rewrite`: expected `precision='fp32'` beside it, received "
                             f"`precision={self.precision.name!r}`, which is computed on the rewritten graph")
        self._shapes, self._looked_at = {self._data: (batch_size, *image_shape)}, False
        self.set_params(arg_params, aux_params)

    def set_params(self, arg_params, aux_params):
        """Bind with these parameters; names the network does not use are ignored.

        It binds again because the fused operators keep their own folded copy of the weights they first saw: copying
        new ones into a bound executor changes little or nothing of what it computes.
        """
        report, arg_params, aux_params = match_parameters(self._network, arg_params, aux_params,
                                                          self._shapes[self._data][1:])
        report.require_only_new(())  # MXNet would take zeros for what is missing
        network, arg_params, aux_params, self.applied = rewrite_for_inference(
            self._network, arg_params, aux_params, self._context.device_type, self._rewrite,
            () if self.precision.is_exact else OF_FLOAT32)
        if not self.precision.is_exact:
            network, arg_params, aux_params = self.precision.network(network, arg_params, aux_params, self._data)
            self.applied += (self.precision.name,)
        self._bound = network
        if self._on_torch:
            self._streams = self._torch_forward(network, arg_params, aux_params)
            self.applied += (str(self._context),)
            return
        parameter_bytes = 4 * sum(array.size for array in (*arg_params.values(), *aux_params.values()))
        contexts = stream_contexts(self._context, self.batch_size, parameter_bytes)
        rows = stream_images(len(contexts), self.batch_size, parameter_bytes)
        executors = [self._bind(network, arg_params, aux_params, context, rows) for context in contexts]
        self._streams = Streams(executors, self._data)

    @property
    def _on_torch(self):
        return self._context.device_type == "torch"

    def _bind(self, network, arg_params, aux_params, context, rows):
        """Return an executor of `rows` images on `context`, with the parameters in it."""
        shapes = {name: (rows, *shape[1:]) for name, shape in self._shapes.items()}
        try:
            bound = fused(network, context) if self.precision.is_exact else network
            executor = bound.simple_bind(context, grad_req="null", **shapes)
        except (mx.base.MXNetError, RuntimeError) as error:
            raise RunError(f"network cannot be bound for inference at {shapes[self._data]}: "
                           f"{last_line(error)}") from None
        set_parameters(executor, arg_params, aux_params)
        _require_rows([tuple(output.shape) for output in executor.outputs], rows)
        return executor

    def _torch_forward(self, network, arg_params, aux_params):
        """Return what computes the network by PyTorch; one pass over zeros shows whether it can."""
        from mxft.torch.forward import TorchForward

        found = TorchForward(network, arg_params, aux_params, self._context)
        shape = (min(2, self.batch_size), *self._shapes[self._data][1:])
        try:
            _require_rows(found.warm_up(shape), shape[0])
        except (RuntimeError, IndexError, ValueError) as error:  # PyTorch's own of shapes that do not fit
            raise RunError(f"network cannot be computed by PyTorch at {shape}: {last_line(error)}") from None
        return found

    def expect(self, images):
        """Say how many images are to come, before the first: for many, oneDNN's kernels are chosen in two passes.

        Parameters
        ----------
        images : int
            About; of all calls till `set_params`, which forgets what was chosen.

        Notes
        -----
        Other kernels round differently, by 1e-6 of the outputs: whoever compares bit for bit expects as many images.
        See `mxft.inference.kernels`.
        """
        if not (self._rewrite and self._context.device_type == "cpu" and self.precision.is_exact):
            return
        executors = self._streams.executors
        at_a_time = sum(len(executor.arg_dict[self._data]) for executor in executors)
        if worth_choosing(self._bound, images, at_a_time):
            choose_kernels(executors)

    @property
    def output_shape(self):
        """Shape of the first output's scores, ``(batch_size, …)``."""
        return (self.batch_size, *self._streams.output_shapes()[0])

    def forward(self, images):
        """Run one batch; return the scores of the first output, see `forward_all`."""
        return self.forward_all(images)[0]

    def forward_all(self, images):
        """Run one batch.

        Parameters
        ----------
        images : mx.nd.NDArray or numpy.ndarray
            Float32 ``(n, C, H, W)``, n at most the batch size.

        Returns
        -------
        list of numpy.ndarray
            Float32 ``(n, …)``, the scores of each output.

        Raises
        ------
        InputError
            The images are of another shape, or more than the batch size.
        RunError
            A number of an output is NaN or infinite: an `mxft.inference.finite.NotFinite`.
        """
        output, _ = self._start(images)
        found = output()
        require_finite_outputs(self.outputs, found, lambda row: as_numbers(images[row:row + 1]))
        return found

    def warm_up(self):
        """Run on an image of zeros, as the first pass takes far longer; what comes out is not looked at."""
        output, _ = self._start(np.zeros((1, *self._shapes[self._data][1:]), np.float32))
        output()

    def over(self, iterator, progress=None):
        """Run a whole iterator from its start.

        Parameters
        ----------
        iterator : mx.io.DataIter
            Reset first; its ``pad`` rows are left out, so each record counts once.
        progress : callable of int, optional
            Called with the number of images after each batch.

        Yields
        ------
        scores : numpy.ndarray
            Float32 ``(n, …)``, of the first output.
        label : numpy.ndarray
            Float32 ``(n,)`` or ``(n, L)``.

        Raises
        ------
        RunError
            See `forward_all`; the image's number is its place in the iterator.

        Notes
        -----
        What the caller does with a result, and an iterator's decoding ahead, go on while the network computes: the next
        batch has been started by then. Do not call `forward` or `set_params` in between.
        """
        for scores, label in self.over_all(iterator, progress):
            yield scores[0], label

    def over_all(self, iterator, progress=None):
        """Run a whole iterator as `over` does; yield the scores of all outputs, a list of arrays, and the labels."""
        iterator.reset()
        started, done = None, 0
        for batch in iterator:
            n = batch.data[0].shape[0] - batch.pad
            label = batch.label[0].asnumpy()[:n]
            output, taken = self._start(batch.data[0])
            if started:
                yield from self._finish(*started, done, progress)
                done += len(started[1])
            started = output, label
            taken()
        if started:
            yield from self._finish(*started, done, progress)

    def _start(self, images):
        """Start a forward pass; see `mxft.inference.streams.Streams.start`."""
        n, shape = images.shape[0], self._shapes[self._data]
        if n > self.batch_size or tuple(images.shape[1:]) != shape[1:]:
            raise InputError(f"images do not fit the executor: expected up to {self.batch_size} of shape {shape[1:]}, "
                             f"received shape={tuple(images.shape)}")
        if self.precision.quantization and not self._looked_at:
            self.precision.quantization.refuse_beyond(images, self._data)
            self._looked_at = True
        return self._streams.start(images)

    def _finish(self, output, label, done, progress):
        """Wait for a batch's output and yield it with its labels; `done` images were computed before."""
        found = [scores[:len(label)] for scores in output()]
        try:
            require_finite_outputs(self.outputs, found, lambda row: np.zeros(1), done)
        except NotFinite as error:
            error.labels = label[error.rows]
            raise
        yield found, label
        if progress:
            progress(len(label))


def _require_rows(shapes, rows):
    """Refuse a network whose outputs are not of a row for each image."""
    for shape in shapes:
        if not shape or shape[0] != rows:
            raise InputError(f"network does not take batches: expected a row for each of {rows} images, received "
                             f"an output of shape {shape}; a batch size is fixed in its graph")


def as_numbers(images):
    """Return images as a NumPy array, wherever they are."""
    return images if isinstance(images, np.ndarray) else images.asnumpy()
