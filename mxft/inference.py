"""The fused inference executor that scoring, prediction and validation share.

Bound without gradients, MXNet fuses convolution, BatchNorm and activation; ``Module.score`` runs the training
executor instead, which took about three times as long on a MobileNetV2.
"""
import numpy as np

from mxft.compat import mx
from mxft.errors import RunError, last_line
from mxft.rewrite import for_inference
from mxft.surgery import cut_loss, data_name, label_names
from mxft.transfer import match_parameters


class InferenceExecutor:
    """A network bound for forward passes of up to `batch_size` images.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The network; a loss at its end is cut off, so the output is logits (or whatever entered the loss).
    arg_params, aux_params : dict of str to mx.nd.NDArray
    image_shape : tuple of int
        ``(C, H, W)``.
    batch_size : int
    context : mx.Context, optional
        CPU when None.

    Raises
    ------
    InputError
        The network does not take such images, or a parameter is missing or of another shape.
    RunError
        MXNet cannot bind the network; its message is passed on.

    Notes
    -----
    The last, smaller batch is padded, and the padding's rows are cut from the result.

    Examples
    --------
    >>> executor = InferenceExecutor(ckpt.symbol, ckpt.arg_params, ckpt.aux_params, (3, 224, 224), 32)  # doctest: +SKIP
    >>> executor.forward(images).shape                                                                  # doctest: +SKIP
    (5, 1000)
    """

    def __init__(self, symbol, arg_params, aux_params, image_shape, batch_size, context=None):
        self.batch_size = batch_size
        self._data = data_name(symbol)
        self._context = context or mx.cpu()
        self._network = for_inference(cut_loss(symbol), self._context.device_type)
        self._shapes = {self._data: (batch_size, *image_shape)}
        self._shapes.update(dict.fromkeys(label_names(self._network), (batch_size,)))
        self.set_params(arg_params, aux_params)

    def set_params(self, arg_params, aux_params):
        """Bind with these parameters; names the network does not use are ignored.

        It binds anew because the fused operators keep their own folded copy of the weights they first saw: copying
        new ones into a bound executor changes little or nothing of what it computes.
        """
        report, arg_params, aux_params = match_parameters(self._network, arg_params, aux_params,
                                                          self._shapes[self._data][1:])
        report.require_only_new(())  # MXNet would take zeros for what is missing
        try:
            self._executor = self._network.simple_bind(self._context, grad_req="null", **self._shapes)
        except (mx.base.MXNetError, RuntimeError) as error:
            raise RunError(f"network cannot be bound for inference at {self._shapes[self._data]}: "
                           f"{last_line(error)}") from None
        self._executor.copy_params_from(arg_params, aux_params)

    @property
    def output_shape(self):
        """Shape of the first output, ``(batch_size, …)``."""
        return tuple(self._executor.outputs[0].shape)

    def forward(self, images):
        """Run one batch.

        Parameters
        ----------
        images : mx.nd.NDArray or numpy.ndarray
            Float32 ``(n, C, H, W)``, n at most the batch size.

        Returns
        -------
        numpy.ndarray
            Float32 ``(n, …)``, the first output.
        """
        n = images.shape[0]
        if n < self.batch_size:
            padded = np.zeros((self.batch_size, *images.shape[1:]), dtype=np.float32)
            padded[:n] = images.asnumpy() if isinstance(images, mx.nd.NDArray) else images
            images = padded
        images = images if isinstance(images, mx.nd.NDArray) else mx.nd.array(images)
        return self._executor.forward(is_train=False, **{self._data: images})[0].asnumpy()[:n]

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
        output : numpy.ndarray
            Float32 ``(n, …)``.
        label : numpy.ndarray
            Float32 ``(n,)`` or ``(n, L)``.
        """
        iterator.reset()
        for batch in iterator:
            n = batch.data[0].shape[0] - batch.pad
            yield self.forward(batch.data[0])[:n], batch.label[0].asnumpy()[:n]
            if progress:
                progress(n)
