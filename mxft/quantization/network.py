"""A network in the graph that int8 is decided on, with a sample of images: its ranges, and what int8 changes."""
import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, RunError, last_line
from mxft.inference.executor import InferenceExecutor
from mxft.inference.int8 import FusedGraph
from mxft.inference.precision import Precision
from mxft.network.anatomy import anatomy_of
from mxft.network.graph import Graph, internal_output
from mxft.network.quantization import Quantization, digest
from mxft.quantization.histogram import Histogram
from mxft.rewrite.inference.passes import OF_FLOAT32, rewrite_for_inference

_BATCH = 8  # images at a time: every map of the network is kept for them
_UNFUSED = 1  # a CPU number on which MXNet fuses nothing by itself


class SampledNetwork:
    """A network, and the images its int8 is decided on.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
    images : numpy.ndarray
        Float32 ``(N, C, H, W)``, as the network reads them.
    outputs : sequence of mxft.network.anatomy.Output, optional
        Which are compared, of the anatomy of `symbol`; its first one when None.

    Attributes
    ----------
    images : numpy.ndarray
    layers : tuple of str
        Names of the layers with weights that int8 may compute, in order.

    Raises
    ------
    InputError
        The network has no layer to compute in int8.
    """

    def __init__(self, symbol, arg_params, aux_params, images, outputs=None):
        anatomy = anatomy_of(symbol, arg_params, aux_params)
        self._network, self._params, self.images = symbol, (arg_params, aux_params), images
        self._outputs = outputs or [anatomy.output()]
        self._data = anatomy.image.name
        scores = [internal_output(symbol, *output.scores) for output in self._outputs]
        cut = scores[0] if len(scores) == 1 else mx.sym.Group(scores)
        bound, self._args, self._auxs, _ = rewrite_for_inference(cut, arg_params, aux_params, left_out=OF_FLOAT32)
        self._fused = FusedGraph.of(bound)
        self.layers = tuple(inner[0] for inner in self._fused.layers.values())
        if not self.layers:
            raise InputError("int8: expected a network with convolutions or fully connected layers, received one "
                             "without")
        self._reference = None
        self._parts = (self._fused.symbol, self._args, self._auxs), None
        if len(self._outputs) > 1 or not _ends_in_its_scores(*self._parts[0]):  # rewritten again each time, then
            self._parts = (symbol, arg_params, aux_params), self._outputs

    def ranges(self, method, progress=None):
        """Return the range of every map int8 needs one of, by `mxft.quantization.histogram.Histogram.range`.

        Parameters
        ----------
        method : {"entropy", "percentile", "naive"}
        progress : callable of int, optional
            Called with the number of images after each batch.

        Returns
        -------
        dict of str to (float, float)

        Raises
        ------
        RunError
            The network returns NaN or infinity, or cannot be bound.
        """
        inside = self._fused.symbol.get_internals()
        places = {name: place for place, name in enumerate(inside.list_outputs())}
        names = [name for name in dict.fromkeys(self._fused.maps(self._data)) if name in places]
        executor = self._all_maps(mx.sym.Group([inside[places[name]] for name in names]))
        found = {name: Histogram() for name in names}
        for first in range(0, len(self.images), _BATCH):
            batch = self.images[first:first + _BATCH]
            whole = executor.arg_dict[self._data]
            (whole if len(batch) == _BATCH else whole[:len(batch)])[:] = batch
            executor.forward(is_train=False)
            for name, output in zip(names, executor.outputs):
                found[name].add(output.asnumpy()[:len(batch)])
            if progress:
                progress(len(batch))
        return {name: histogram.range(method) for name, histogram in found.items()}

    def _all_maps(self, maps):
        """Bind the graph with every map that is wanted as an output."""
        shape = (_BATCH, *self.images.shape[1:])
        try:
            executor = maps.simple_bind(mx.cpu(_UNFUSED), grad_req="null", **{self._data: shape})
        except (mx.base.MXNetError, RuntimeError) as error:
            raise RunError(f"network cannot be bound for calibration at {shape}: {last_line(error)}") from None
        executor.copy_params_from(self._args, self._auxs, allow_extra_params=True)
        return executor

    def quantization(self, ranges, in_float, method, figures=None):
        """Return the Quantization of these ranges and layers."""
        graph = Graph(self._network)
        named = {name[:-len("_output")] if name.endswith("_output") else name for name in ranges}
        below = set().union(*(graph.ancestors(node.index) for node in graph.nodes if node.name in named), set())
        read = {graph.nodes[index].name for index in below if graph.nodes[index].is_variable}
        hashes = {name: digest(value) for values in self._params for name, value in values.items() if name in read}
        return Quantization(ranges, tuple(in_float), hashes, method, len(self.images), figures or {})

    def tried(self, ranges, in_float=()):
        """Return the Precision of these ranges and layers, to be tried here: without hashes of the parameters."""
        return Precision("int8", Quantization(ranges, tuple(in_float), {}, "naive", len(self.images)))

    def scores(self, ranges=None, in_float=(), images=None):
        """Return the main output's scores, float32 ``(N, …)``, in int8; in float32 where `ranges` is None."""
        images = self.images if images is None else images
        precision = Precision() if ranges is None else self.tried(ranges, in_float)
        network, outputs = self._parts
        executor = InferenceExecutor(*network, self.images.shape[1:], min(32, len(images)), outputs=outputs,
                                     precision=precision)
        size = executor.batch_size
        return np.concatenate([executor.forward(images[first:first + size]) for first in range(0, len(images), size)])

    def first_layers(self, in_float):
        """Return the layers that read the image and are read by these alone: see `FusedGraph.first_layers`."""
        return self._fused.first_layers(in_float)

    def noise(self, ranges, in_float=(), most=24):
        """Return how far int8 is from float32: the mean square of the difference over the scores' variance.

        Parameters
        ----------
        ranges, in_float
            See `Quantization`.
        most : int
            Images of the sample it is measured on, the first ones.

        Returns
        -------
        float
        """
        images = self.images[:most]
        if self._reference is None:
            self._reference = self.scores(images=images)
        apart = self.scores(ranges, in_float, images) - self._reference
        spread = np.square(self._reference - self._reference.mean(axis=1, keepdims=True)).mean()
        return float(np.square(apart).mean() / spread) if spread else 0.0


def _ends_in_its_scores(symbol, arg_params, aux_params):
    """Whether the scores of a network are what it gives, nothing behind them."""
    scores = anatomy_of(symbol, arg_params, aux_params).output().scores
    return Graph(symbol).heads == [tuple(scores)]
