"""One picture at a time by a network that stays bound, with the very probabilities `mxft predict` gives.

`mxft.evaluation.prediction` packs pictures into a record file and reads it with ``ImageRecordIter``; starting that
iterator takes five times as long as the network (90 of 105 ms on two cores). Here a picture goes through the same
packing and is then cut out by the same rule, which gives the same bytes.
"""
import dataclasses
import os
import threading

import numpy as np

from mxft.compat import mx
from mxft.data.images import BadImage, pixels_with_size, prepare_with_size
from mxft.data.iterators import RecordIterator
from mxft.data.photographs import input_of_pixels, reads_directly
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import last_line
from mxft.evaluation.answer import Answer, answering_outputs, names_of, thresholds_of
from mxft.evaluation.classification import flat_scores
from mxft.evaluation.novelty_file import load_reference
from mxft.files.staging import scratch_folder
from mxft.inference.executor import InferenceExecutor
from mxft.inference.precision import precision_of
from mxft.network.calibration import with_temperature
from mxft.network.image_options import ImageOptions
from mxft.wording import BriefRepr


@dataclasses.dataclass(frozen=True, repr=False)
class Classifier(BriefRepr):
    """A checkpoint with all that is needed to name a picture.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    packing : dict
        ImageOptions as a dict: what a picture goes through before the network's input is cut out of it.
    classes : list of str
        One name for each number of the main output.
    name : str
        For people.
    outputs : tuple of mxft.network.anatomy.Output
        What is answered, the main one first; all that say something when empty.
    """

    checkpoint: object
    spec: object
    packing: dict
    classes: list
    name: str
    outputs: tuple = ()

    def __post_init__(self):
        if not self.outputs:
            object.__setattr__(self, "outputs", answering_outputs(self.checkpoint))

    def names(self, output):
        """Return a name for each number of one of the outputs."""
        return self.classes if output == self.outputs[0] else names_of(output)

    def bind(self, rewrite=True, batch_size=1):
        """Return a BoundClassifier; `rewrite` as of `mxft.inference.executor.InferenceExecutor`."""
        return BoundClassifier(self, rewrite, batch_size)

    def in_float32(self):
        """Return the same Classifier, computed in float32 on every CPU: what a self-test compares."""
        return dataclasses.replace(self, checkpoint=dataclasses.replace(self.checkpoint, precision="fp32"))

    def with_temperature(self):
        """Return the same Classifier with its checkpoint's calibration in the graph, where there is one."""
        if self.checkpoint.calibration is None:
            return self
        checkpoint = with_temperature(self.checkpoint)
        names = [output.name for output in self.outputs]
        return dataclasses.replace(self, checkpoint=checkpoint,
                                   outputs=tuple(map(checkpoint.anatomy.output, names)))

    @property
    def metrics(self):
        """What the manifest says of this epoch: see `mxft.network.checkpoint.Checkpoint.metrics`."""
        return self.checkpoint.metrics

    @property
    def thresholds(self):
        """Of the main output where it is multi-label, else None: see `mxft.evaluation.answer.thresholds_of`."""
        return thresholds_of(self.checkpoint, self.outputs[0])


class BoundClassifier:
    """A Classifier bound for one picture at a time, and for a batch where several come together.

    Parameters
    ----------
    classifier : Classifier
    rewrite : bool
    batch_size : int
        Of `scores_of`; with more than 1 the network is bound a second time, for so many.

    Notes
    -----
    MXNet's executors are not made for several threads: one lock lets one picture through at a time, decoding included,
    so that memory is bounded too. MXNet computes with all cores meanwhile.

    Examples
    --------
    >>> (answer, *_), size = classifier.bind().answers(open("cat.jpg", "rb").read())     # doctest: +SKIP
    >>> classifier.classes[answer.top(1)[0][0]], size                                    # doctest: +SKIP
    ('cat', (640, 480))
    """

    def __init__(self, classifier, rewrite=True, batch_size=1):
        checkpoint = classifier.checkpoint
        self.classifier, self.classes = classifier, classifier.classes
        self._spec, self._options = classifier.spec, ImageOptions(**classifier.packing)
        self._directly = reads_directly(classifier.packing, classifier.spec)
        self._reference = load_reference(checkpoint)
        features = [self._reference.output(checkpoint.symbol)] if self._reference else []
        precision = precision_of(checkpoint)
        self._executors = {size: InferenceExecutor(
            checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, classifier.spec.shape, size,
            rewrite=rewrite, outputs=[*classifier.outputs, *features], precision=precision)
            for size in sorted({1, batch_size})}
        self._lock = threading.Lock()
        for executor in self._executors.values():
            executor.warm_up()

    def answers(self, data):
        """Return what the network says of a picture.

        Parameters
        ----------
        data : bytes
            An image file.

        Returns
        -------
        answers : tuple of mxft.evaluation.answer.Answer
            One for each output, the main one first.
        size : tuple of int
            The picture's (width, height), turned upright.

        Raises
        ------
        mxft.data.images.BadImage
            Empty, cut short, no image, or damaged.
        """
        answers, size, _ = self.answers_and_novelty(data)
        return answers, size

    def answers_and_novelty(self, data):
        """Return what `answers` does, and the Novelty of the picture; None where no novelty file is beside the network.

        Parameters
        ----------
        data : bytes

        Returns
        -------
        answers : tuple of mxft.evaluation.answer.Answer
        size : tuple of int
        novelty : mxft.evaluation.novelty.Novelty or None
        """
        with self._lock:
            pixels, size = self.read(data)
            scores = self._executors[1].forward_all(pixels)
        answers, novelty = self.answers_from(scores, 0)
        return answers, size, novelty

    def answers_to(self, pixels):
        """Return what the network says of its own input, float32 ``(1, C, H, W)``."""
        return self.answers_from(self._executors[1].forward_all(pixels), 0)[0]

    def scores_of(self, pixels):
        """Return what the network computes of its own input, of any number of pictures.

        Parameters
        ----------
        pixels : numpy.ndarray
            Float32 ``(n, C, H, W)``.

        Returns
        -------
        list of numpy.ndarray
            Float32 ``(n, …)``, for `answers_from`.

        Notes
        -----
        In batches of `batch_size`; a rest of at most half of one goes picture by picture, for an executor computes
        all its rows. Batches of other sizes round differently, by less than 1e-5 of the largest score.
        """
        most = max(self._executors)
        rest = len(pixels) % most
        together = len(pixels) - rest * (rest <= most // 2)
        pieces = [pixels[first:first + most] for first in range(0, together, most)]
        pieces += [pixels[first:first + 1] for first in range(together, len(pixels))]
        with self._lock:
            scores = [self._executors[1 if len(piece) == 1 else most].forward_all(piece) for piece in pieces]
        return [np.concatenate(parts) for parts in zip(*scores)]

    def answers_from(self, scores, row):
        """Return one picture's answers, a tuple, and its Novelty or None, of what `scores_of` gave.

        Parameters
        ----------
        scores : list of numpy.ndarray
        row : int
        """
        own = [each[row:row + 1] for each in scores]
        novelty = self._reference.judge(own[-1])[0] if self._reference else None
        answers = tuple(Answer(output, flat_scores(each)[0]) for output, each in zip(self.classifier.outputs, own))
        return answers, novelty

    def read(self, data):
        """Return the network's input for an image file, float32 ``(1, C, H, W)``, and the picture's (width, height)."""
        if self._directly:
            pixels, size = pixels_with_size(data, self._options)
            return input_of_pixels(pixels, self._spec)[np.newaxis], size
        payload, size = prepare_with_size(data, self._options)
        return network_input(payload, self._spec), size


def network_input(payload, spec):
    """Return what a network sees of a packed picture: the bytes a RecordIterator over it would give.

    Parameters
    ----------
    payload : bytes
        An encoded image, as it stands in a record.
    spec : mxft.network.input_spec.InputSpec

    Returns
    -------
    numpy.ndarray
        Float32 ``(1, C, H, W)``.

    Notes
    -----
    Decoded by MXNet's own OpenCV, as records are. What is grey, or needs resizing still, is left to the iterator.
    """
    height, width = spec.shape[1:]
    try:
        image = mx.image.imdecode(payload, flag=int(spec.shape[0] == 3)).asnumpy()
    except mx.base.MXNetError as error:
        raise BadImage(f"cannot be decoded: {last_line(error)}") from None
    short = min(image.shape[:2])
    if spec.shape[0] != 3 or image.shape[0] < height or image.shape[1] < width or spec.resize not in (None, 0, short):
        return _through_a_record(payload, spec)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    pixels = image[top:top + height, left:left + width].astype(np.float32)
    pixels = (pixels - np.float32(spec.mean)) * np.float32(spec.scale)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])


def _through_a_record(payload, spec):
    with scratch_folder("picture") as folder:
        path = os.path.join(folder, "picture.rec")
        with RecordWriter(path) as writer:
            writer.write(pack(IRHeader(0, 0.0, 0, 0), payload))
        batches = list(RecordIterator(path, spec, 1, 1, threads=1))  # read to its end: see RecordIterator.next
        return batches[0].data[0].asnumpy()
