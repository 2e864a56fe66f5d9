"""A checkpoint computed in int8: calibrated on a sample of images, compared with float32, kept if it is as good.

Follows ``quantize_model`` of MXNet's contrib package and example/quantization/imagenet_gen_qsym_mkldnn.py, which leave
it to the user to find out what the accuracy is afterwards, and which layers spoil it.
"""
import contextlib
import dataclasses
import logging
import os
import time

import numpy as np

from mxft.data.iterators import RecordIterator
from mxft.data.labels import copy_records, scan_labels
from mxft.data.lists import write_list
from mxft.data.packing import pack_list
from mxft.data.picture_files import found_path
from mxft.data.pictures import open_pictures
from mxft.data.progress import progress
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import InputError
from mxft.evaluation.answer import answering_outputs
from mxft.evaluation.classification import flat_scores
from mxft.evaluation.packing import folder_packing
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.plain_records import is_face_set
from mxft.faces.data.records import RecordFile
from mxft.files.staging import scratch_folder
from mxft.inference.executor import InferenceExecutor
from mxft.inference.int8 import gains_from_int8
from mxft.inference.precision import Precision
from mxft.network.anatomy.kinds import EMBEDDING
from mxft.network.checkpoint import parent_entry, require_free_prefix
from mxft.network.normalisation import normalised_in_graph
from mxft.network.quantization import ENTRY, Quantization
from mxft.quantization.choosing import Verdict, choose_layers, mean_cosine
from mxft.quantization.network import SampledNetwork
from mxft.wording import BriefRepr, html_table
from mxft.workflows.quantize_options import QuantizeOptions

LOG = logging.getLogger("mxft")
_TURNS, _SECONDS = 5, 1.0  # of the comparison of speeds


@dataclasses.dataclass(frozen=True, repr=False)
class QuantizeResult(BriefRepr):
    """What `quantize` made.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        The same symbol and parameters; its manifest has the `Quantization`.
    quantization : mxft.network.quantization.Quantization
    judged : str
        The figures on the images that were not calibrated on, in words.
    speed : float
        How many times as fast as float32 it was, measured in turn.
    """

    checkpoint: object
    quantization: Quantization
    judged: str
    speed: float

    def _repr_html_(self):
        kept = ", ".join(self.quantization.in_float) or "none"
        return html_table([("computed in", self.quantization.describe()), ("compared", self.judged),
                           ("layers in float32", kept), ("times as fast as float32", f"{self.speed:.1f}")])


def quantize(checkpoint, source, spec, options=None, labels=None, threads=None):
    """Calibrate a checkpoint for int8, and find which layers have to stay in float32.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    source : str
        A ``.rec`` file, a face set, or pictures: images as the network will see them.
    spec : mxft.network.input_spec.InputSpec
    options : QuantizeOptions, optional
    labels : str, optional
        Of pictures: the table of their labels.
    threads : int, optional
        For decoding.

    Returns
    -------
    QuantizeResult

    Raises
    ------
    InputError
        The CPU has no instructions that gain from int8, the images cannot be read, or no layer can be quantized.
    RunError
        It cannot be made as good as asked.

    Notes
    -----
    Parameters are not changed: int8 is made of them when the network is bound. Where the images have labels, and
    float32 does better on them than always giving the most frequent one, top-1 decides; else the cosine between the
    outputs.
    """
    options = options or QuantizeOptions()
    if not gains_from_int8():
        raise InputError("int8: expected a CPU with avx512_vnni, received one without, where it would be slower than "
                         "float32, or wrong; compute in float32")
    checkpoint, parent = dataclasses.replace(checkpoint, precision="fp32"), parent_entry(checkpoint)
    outputs = _compared(checkpoint)
    if outputs[0].kind == EMBEDDING:  # every verb for faces has mean and scale in the graph
        checkpoint = normalised_in_graph(checkpoint)
        outputs, spec = _compared(checkpoint), checkpoint.input_spec or spec
    with scratch_folder("quantize") as scratch:
        sample = _Sample(checkpoint, source, spec, options, labels, threads, scratch)
        LOG.info(sample.describe())
        network = SampledNetwork(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params,
                                 sample.calibration(), outputs)
        with progress(options.calibration_images, "measuring ranges") as advance:
            ranges = network.ranges(options.method, advance)
        judge = _Judge(checkpoint, spec, sample, network, ranges, outputs, options)
        kept, verdict = ((), judge(())) if options.force else choose_layers(network, ranges, judge, LOG.info)
        quantization = network.quantization(ranges, kept, options.method, verdict.figures)
    speed = _speed(checkpoint, spec, quantization)
    quantization = dataclasses.replace(quantization, figures={**verdict.figures, "times_float32": round(speed, 2)})
    made = dataclasses.replace(checkpoint, precision=None,
                               manifest=_manifest(checkpoint, parent, spec, quantization))
    return QuantizeResult(made, quantization, verdict.text, speed)


def save_quantized(result, prefix, force=False):
    """Write a quantized checkpoint as epoch 0 of `prefix`; return ``"prefix,0"``."""
    require_free_prefix(prefix, 0, force, "output")
    return result.checkpoint.save(prefix, 0)


def _compared(checkpoint):
    """Return the outputs whose scores decide: the main one, an embedding or a class."""
    try:
        return answering_outputs(checkpoint)[:1]
    except InputError:
        return [checkpoint.anatomy.output()]


def _manifest(checkpoint, parent, spec, quantization):
    """Return the manifest of a quantized checkpoint: the original's, with what was found."""
    metrics = {"metrics": {"0": checkpoint.metrics}} if checkpoint.metrics else {}
    kept = {name: value for name, value in checkpoint.manifest.items() if name not in ("metrics", "shape")}
    return {"format": 1, **kept, **metrics, "input": spec.to_dict(), "parent": parent,
            ENTRY: quantization.to_dict()}


class _Sample:
    """Images of a source in two record files: some to calibrate on, others to judge by."""

    def __init__(self, checkpoint, source, spec, options, labels, threads, scratch):
        self._spec, self._threads = spec, threads
        path = os.path.expanduser(os.fspath(source))
        drawn = _face_images if is_face_set(path) else _records if path.endswith(".rec") else _pictures
        wanted = options.calibration_images + options.check_images
        together = os.path.join(scratch, "drawn.rec")
        drawn(path, together, wanted, np.random.RandomState(options.seed), checkpoint, spec, labels, threads)
        scan = scan_labels(together)
        calibrating = min(options.calibration_images, max(1, len(scan.ids) // 2))
        self._parts = [os.path.join(scratch, name) for name in ("calibration.rec", "check.rec")]
        numbers = np.arange(len(scan.ids))
        copy_records(scan, numbers[:calibrating], self._parts[0])
        copy_records(scan, numbers[calibrating:] if len(numbers) > 1 else numbers, self._parts[1])
        self.counts = calibrating, max(1, len(scan.ids) - calibrating)
        self._source = source

    def describe(self):
        """Return in words what is calibrated and judged on."""
        return f"{self.counts[0]} images of {self._source} to calibrate on, {self.counts[1]} others to compare on"

    def calibration(self):
        """Return the images to calibrate on, float32 ``(N, C, H, W)``."""
        return np.concatenate([batch.data[0].asnumpy()[:32 - batch.pad] for batch in self._iterator(0, 32)])

    def check(self):
        """Return an iterator over the others."""
        return self._iterator(1, 32)

    def _iterator(self, part, batch_size):
        return RecordIterator(self._parts[part], self._spec, batch_size, self.counts[part], threads=self._threads)


def _records(path, target, wanted, random, checkpoint, spec, labels, threads):
    """Draw records of a file."""
    if labels:
        raise InputError(f"`labels`: expected pictures, received the records {path}")
    scan = scan_labels(path)
    if not len(scan.ids):
        raise InputError(f"no records: expected at least one, received {path} with none")
    copy_records(scan, _drawn(random, len(scan.ids), wanted), target)


def _face_images(path, target, wanted, random, checkpoint, spec, labels, threads):
    """Draw images of a face set."""
    faces = read_face_set(path)
    with contextlib.closing(RecordFile(faces.rec)) as records, RecordWriter(target) as writer:
        for i in _drawn(random, len(faces.keys), wanted):
            _, payload = records.image(int(faces.offsets[i]), int(faces.sizes[i]))
            writer.write(pack(IRHeader(0, float(faces.labels[i]), int(faces.keys[i]), 0), payload.tobytes()))


def _pictures(path, target, wanted, random, checkpoint, spec, labels, threads):
    """Draw pictures, with the labels of the checkpoint's classes where they have such."""
    pictures = None
    if checkpoint.classes:
        with contextlib.suppress(InputError):
            pictures = open_pictures(path, None, labels, names=checkpoint.classes)
    pictures = pictures or open_pictures(path, labels=labels, keep_clutter=True)
    rows, root = [*pictures.rows, *(pictures.val or ())], os.path.abspath(pictures.root)
    chosen = [rows[number] for number in _drawn(random, len(rows), wanted)]
    prefix = os.path.splitext(target)[0]
    write_list(prefix + ".lst", [row._replace(path=os.path.join(root, found_path(root, row.path) or row.path), index=i)
                                 for i, row in enumerate(chosen)])
    pack_list(prefix + ".lst", root, num_thread=threads or os.cpu_count() or 1, show=False,
              **folder_packing(checkpoint, spec))


def _drawn(random, count, wanted):
    """Return numbers below `count` in random order, as many as are wanted or there are."""
    return random.permutation(count)[:wanted]


class _Judge:
    """Compares the network in int8, some layers in float32, with the network in float32."""

    def __init__(self, checkpoint, spec, sample, network, ranges, outputs, options):
        self._checkpoint, self._spec, self._sample, self._network = checkpoint, spec, sample, network
        self._ranges, self._outputs, self._options = ranges, outputs, options
        self._reference, self._labels = self._scores(Precision())
        self._uses_labels = outputs[0].names_classes and _knows(self._reference, self._labels)

    def _scores(self, precision):
        checkpoint = self._checkpoint
        executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params,
                                     self._spec.shape, 32, outputs=self._outputs, precision=precision)
        scores, labels = zip(*executor.over(self._sample.check()))
        return np.concatenate([flat_scores(each) for each in scores]), np.concatenate(labels).reshape(-1)

    def __call__(self, in_float):
        """Return the Verdict on a network with these layers in float32."""
        scores, _ = self._scores(self._network.tried(self._ranges, in_float))
        if self._uses_labels:
            return self._by_labels(scores)
        cosine = mean_cosine(scores, self._reference)
        return Verdict(cosine >= self._options.min_cosine, f"cosine between the outputs {cosine:.4f}",
                       {"cosine": round(cosine, 5), "check_images": len(scores)})

    def _by_labels(self, scores):
        before, after = ((each.argmax(axis=1) == self._labels).mean() for each in (self._reference, scores))
        same = (scores.argmax(axis=1) == self._reference.argmax(axis=1)).mean()
        drop = 100 * (before - after)
        text = (f"top-1 {after:.4f}, float32 {before:.4f}: {abs(drop):.2f} points "
                f"{'less' if drop > 0 else 'more'}; the same class for {100 * same:.1f} %")
        return Verdict(drop <= self._options.max_drop, text,
                       {"top1": float(after), "float32_top1": float(before), "same_class": float(same),
                        "cosine": round(mean_cosine(scores, self._reference), 5), "check_images": len(scores)})


def _knows(scores, labels):
    """Whether a network does better on labels than always giving the most frequent one, by three standard errors."""
    if labels.min() < 0 or labels.max() >= scores.shape[1] or (labels % 1).any():
        return False
    share = np.unique(labels, return_counts=True)[1].max() / len(labels)
    return (scores.argmax(axis=1) == labels).mean() > share + 3 * np.sqrt(share * (1 - share) / len(labels))


def _speed(checkpoint, spec, quantization):
    """Return how many times as fast as float32 a quantized network is: the median of turns, batches of 32 of noise."""
    pixels = np.random.RandomState(0).uniform(0, 255, (32, *spec.shape))
    mean, scale = (np.reshape(numbers[:spec.shape[0]], (-1, 1, 1)) for numbers in (spec.mean, spec.scale))
    images = ((pixels - mean) * scale).astype(np.float32)
    executors = [InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape, 32,
                                   precision=precision) for precision in (Precision(), Precision("int8", quantization))]
    ratios = []
    for turn in range(_TURNS):
        seconds = []
        for executor in executors:
            began, passes = time.perf_counter(), 0
            while not passes or (turn and time.perf_counter() - began < _SECONDS / _TURNS):
                executor.forward(images)
                passes += 1
            seconds.append((time.perf_counter() - began) / passes)
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios[1:]))
