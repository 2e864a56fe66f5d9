"""The novelty file of a run: features of training images as the best checkpoint has them, and from where on is far.

See `mxft.evaluation.novelty`. A bounded sample is computed; of a frozen backbone with a cache the features are there.
"""
import logging
import os

import numpy as np

from mxft.data.iterators import RecordIterator
from mxft.data.labels import copy_records, scan_labels
from mxft.evaluation.novelty import MOST_HELD_OUT, MOST_ROWS, feature_output, make_reference, sampled
from mxft.evaluation.novelty_file import save_reference
from mxft.files.staging import scratch_folder
from mxft.inference.executor import InferenceExecutor
from mxft.inference.precision import precision_of
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.surgery import feature_layer_named
from mxft.training.proof import parameter_hashes

LOG = logging.getLogger("mxft")
BATCH = 32


class NoveltySamples:
    """Features of training and held-out images that a stage has at hand, for `write_reference`.

    Parameters
    ----------
    layer : str
        The feature layer: features of another are of no use.
    """

    def __init__(self, layer):
        self.layer, self.train, self.held_out = layer, None, None

    def keep(self, layer, train, labels, held_out=None):
        """Keep a sample of the features of one layer, ``(N, …)`` each."""
        if layer != self.layer:
            return
        self.train = train[sampled(labels, MOST_ROWS)]
        self.held_out = None if held_out is None else held_out[sampled(np.zeros(len(held_out)), MOST_HELD_OUT)]


def write_reference(model, before, samples, data, spec, label_width=1, context=None, threads=None):
    """Write the novelty file of a run's best checkpoint, and say what it says.

    Parameters
    ----------
    model : str
        ``"prefix,epoch"``.
    before : dict of str to str
        `parameter_hashes` of the network before it was trained.
    samples : NoveltySamples
        What is at hand; used where the best checkpoint's features are still those of before.
    data : mxft.data.datasets.Records
    spec : mxft.network.input_spec.InputSpec
    label_width : int
    context : mx.Context, optional
    threads : int, optional

    Returns
    -------
    mxft.evaluation.novelty.NoveltyReference or None
        None where nothing was held out from training that moved the features.
    """
    checkpoint, layer = load_checkpoint(model), samples.layer
    pretrained = _is_pretrained(checkpoint, layer, before)
    if pretrained and samples.train is not None:
        train, held_out = samples.train, samples.held_out
    elif not pretrained and not data.val:
        LOG.info("novelty: images that are far from the training images will not be marked, because none were held out")
        return None
    else:
        train, held_out = (_features(checkpoint, layer, path, most, spec, label_width, context, threads)
                           for path, most in ((data.train, MOST_ROWS), (data.val, MOST_HELD_OUT)))
    reference = make_reference(layer, train, held_out, pretrained)
    if reference is not None:
        path = save_reference(reference, model)
        LOG.info(f"novelty: images are marked as far from the training images beyond a distance of "
                 f"{reference.threshold:.2f} ({os.path.basename(path)})")
    return reference


def _is_pretrained(checkpoint, layer, before):
    """Whether nothing below a layer has moved in training."""
    graph = Graph(checkpoint.symbol)
    below = {graph.nodes[index].name for index in graph.ancestors(feature_layer_named(checkpoint.symbol, layer).index)}
    own = parameter_hashes(*({name: value for name, value in params.items() if name in below}
                             for params in (checkpoint.arg_params, checkpoint.aux_params)))
    return all(before.get(name) == value for name, value in own.items())


def _features(checkpoint, layer, path, most, spec, label_width, context, threads):
    """Return the features of a sample of records, float32 ``(N, …)``; None without records."""
    if not path:
        return None
    scan = scan_labels(path)
    numbers = sampled(scan.labels, most)
    with scratch_folder("novelty") as folder:
        sample = os.path.join(folder, "sample.rec")
        copy_records(scan, numbers, sample)
        iterator = RecordIterator(sample, spec, min(BATCH, len(numbers)), len(numbers), threads=threads,
                                  label_width=label_width)
        executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                     iterator.batch_size, context, outputs=[feature_output(checkpoint.symbol, layer)],
                                     precision=precision_of(checkpoint))
        return np.concatenate([features for features, _ in executor.over(iterator)])
