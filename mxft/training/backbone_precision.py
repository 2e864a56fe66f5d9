"""The numbers a frozen backbone is computed in, decided before training: int8 is calibrated on the training images."""
import dataclasses
import logging
import os

import numpy as np

from mxft.data.iterators import RecordIterator
from mxft.data.labels import copy_records
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.features.cut import backbone_cut
from mxft.files.staging import scratch_folder
from mxft.inference.int8 import gains_from_int8
from mxft.inference.precision import Precision, precision_of
from mxft.network.graph import Graph
from mxft.network.quantization import Quantization
from mxft.quantization.choosing import Verdict, choose_layers, mean_cosine
from mxft.quantization.network import SampledNetwork
from mxft.training.stages import head_plan_of

LOG = logging.getLogger("mxft")
IMAGES = 32         # that int8 is calibrated on
METHOD = "percentile"
MIN_COSINE = 0.99   # between the features in int8 and in float32
_SEED = 0


def backbone_precision(checkpoint, network, recipe, devices, images):
    """Return the Precision of a network's frozen backbone.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    network : mxft.training.network.Network
    recipe : mxft.training.recipe.Recipe
        ``recipe.fit.precision`` is what was asked.
    devices : list of mx.Context
    images : callable
        Given a number, returns so many training images as the backbone reads them, float32 ``(N, C, H, W)``.

    Returns
    -------
    Precision
        Float32 on GPUs, and where the backbone trains: bf16 is the training's own there, see
        `mxft.training.bfloat16`, and the network is validated and saved in float32.

    Raises
    ------
    InputError
        int8 is asked for and the backbone trains; or as
        `mxft.inference.precision.precision_of`.

    Notes
    -----
    int8 of a checkpoint that was not quantized is calibrated here, on `IMAGES` training images, with layers in float32
    until the features are within `MIN_COSINE` of those of float32.
    """
    asked = recipe.fit.precision
    if devices[0].device_type != "cpu":
        return Precision()
    if recipe.plan != "head" or not recipe.frozen_backbone:
        if asked == "int8":
            why = f"`plan={recipe.plan!r}`" if recipe.plan != "head" else "`frozen_backbone=False`"
            raise InputError(f"`precision`: expected a frozen backbone, `plan='head'`, beside it, received "
                             f"`precision={asked!r}` beside {why}")
        return Precision()
    checkpoint = dataclasses.replace(checkpoint, precision=asked)
    if asked == "int8" and Quantization.of(checkpoint.manifest) is None and gains_from_int8():
        return _calibrated(network, recipe, images(IMAGES))
    return _of_backbone(precision_of(checkpoint), network, recipe)


def _cut(network, recipe):
    return backbone_cut(network.symbol, head_plan_of(recipe, network.symbol, network.head_parameters))


def _of_backbone(precision, network, recipe):
    """Return a Precision without what it says of the head: the new one may have the name of that which was measured."""
    cut = _cut(network, recipe) if precision.quantization else None
    if cut is None:
        return precision
    kept = {node.name for node in Graph(cut.backbone).nodes}
    new = {node.name for node in Graph(network.symbol).nodes} - kept
    return dataclasses.replace(precision, quantization=precision.quantization.without(new))


def _calibrated(network, recipe, images):
    """Return int8 for the backbone, calibrated on training images."""
    cut = _cut(network, recipe)
    if cut is None:
        raise InputError("`precision`: expected a network with a frozen backbone, received `precision='int8'` of one "
                         "without")
    sampled = SampledNetwork(cut.backbone, network.arg_params, network.aux_params, images)
    with progress(len(images), "measuring ranges") as advance:
        ranges = sampled.ranges(METHOD, advance)
    reference = sampled.scores()

    def judge(in_float):
        cosine = mean_cosine(sampled.scores(ranges, in_float), reference)
        return Verdict(cosine >= MIN_COSINE, f"cosine between the features {cosine:.4f}", {"cosine": round(cosine, 5)})

    kept, verdict = choose_layers(sampled, ranges, judge, LOG.info)
    return Precision("int8", sampled.quantization(ranges, kept, METHOD, verdict.figures))


def images_of_records(scan, spec, label_width, threads=None):
    """Return the callable `backbone_precision` asks for images of training records.

    Parameters
    ----------
    scan : mxft.data.labels.LabelScan
    spec : mxft.network.input_spec.InputSpec
    label_width : int
        Numbers of a record's label.
    threads : int, optional
        For decoding.

    Returns
    -------
    callable
    """
    return lambda count: _drawn(scan, some_of(len(scan.ids), count), spec, label_width, threads)


def some_of(total, count):
    """Return so many of the numbers below `total`, always the same, in order."""
    return np.sort(np.random.RandomState(_SEED).permutation(total)[:count])


def _drawn(scan, numbers, spec, label_width, threads):
    """Return some records as the backbone reads them, float32 ``(N, C, H, W)``."""
    with scratch_folder("calibration") as folder:
        sample = os.path.join(folder, "sample.rec")
        copy_records(scan, numbers, sample)
        iterator = RecordIterator(sample, spec, len(numbers), len(numbers), threads=threads, label_width=label_width)
        return iterator.next().data[0].asnumpy()
