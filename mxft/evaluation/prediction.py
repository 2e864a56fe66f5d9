"""What a network says of image files, seen exactly as validation records are.

A photograph is packed as the manifest says the training records were (resized, JPEG-encoded) into a temporary record
file and read by the same iterator, so prediction on the files behind a validation set equals scoring its records. Where
they were encoded without loss it is read directly, see `mxft.data.photographs`.
"""
import contextlib
import dataclasses
import os
from typing import Optional

from mxft.data.iterators import RecordIterator
from mxft.data.lists import Row, write_list
from mxft.data.packing import pack_list
from mxft.data.photographs import Photographs, reading, reads_directly
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.evaluation.answer import Answer, answering_outputs
from mxft.evaluation.classification import flat_scores
from mxft.evaluation.novelty import Novelty
from mxft.evaluation.novelty_file import load_reference
from mxft.files.staging import scratch_folder
from mxft.inference.executor import InferenceExecutor
from mxft.inference.finite import naming_pictures
from mxft.inference.precision import precision_of
from mxft.wording import BriefRepr


@dataclasses.dataclass(frozen=True, repr=False)
class Prediction(BriefRepr):
    """What a network says of one image.

    Parameters
    ----------
    path : str
    answers : tuple of mxft.evaluation.answer.Answer
        One for each output, the main one first; empty where the image cannot be read.
    problem : str or None
        Why it cannot.
    novelty : mxft.evaluation.novelty.Novelty or None
        How far the image is from the training images; None where the checkpoint has no novelty file.
    """

    path: str
    answers: tuple
    problem: Optional[str] = None
    novelty: Optional[Novelty] = None

    @property
    def probabilities(self):
        """Those of the main output, float ``(classes,)``; None where it has none, or the image cannot be read."""
        return self.answers[0].probabilities if self.answers else None

    def top(self, k):
        """Return the `k` likeliest of the main output as (class number, probability), likeliest first."""
        return self.answers[0].top(k)


def predict_files(checkpoint, paths, spec, packing, batch_size=32, context=None, threads=None, show=False,
                  rewrite=True, output=None):
    """Predict what a network says of image files.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    paths : sequence of str
    spec : mxft.network.input_spec.InputSpec
    packing : dict
        ImageOptions as a dict: what an image goes through before the iterator.
    batch_size : int
    context : mx.Context, optional
    threads : int, optional
    show : bool
        Progress on stderr.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.
    output : str, optional
        The one output to give, of a network that has several; all when None.

    Returns
    -------
    list of Prediction
        In the order of `paths`.

    Raises
    ------
    InputError
        None of the images can be read, or the network names nothing: see
        `mxft.evaluation.answer.answering_outputs`.
    RunError
        The network returns NaN or infinity.

    Examples
    --------
    >>> predict_files(checkpoint, ["cat.jpg"], checkpoint.input_spec, {"resize": 256})[0].top(1)   # doctest: +SKIP
    [(281, 0.83)]
    """
    if not len(paths):
        raise InputError("nothing to predict: expected at least one image, received none")
    outputs, reference = answering_outputs(checkpoint, output), load_reference(checkpoint)
    features = [reference.output(checkpoint.symbol)] if reference else []
    opened = read_images if reads_directly(packing, spec) else image_iterator
    with opened(paths, spec, packing, batch_size, threads, show) as (iterator, problems):
        executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                     iterator.batch_size, context, rewrite, [*outputs, *features],
                                     precision_of(checkpoint))
        answers, novelties = {}, {}
        with naming_pictures(lambda label: paths[int(label)]):
            for scores, labels in executor.over_all(iterator):
                rows = [flat_scores(each) for each in scores[:len(outputs)]]
                numbers = [int(label) for label in labels]
                for row, number in enumerate(numbers):
                    answers[number] = tuple(Answer(one, each[row]) for one, each in zip(outputs, rows))
                novelties.update(zip(numbers, reference.judge(scores[-1]) if reference else ()))
    return [Prediction(path, answers.get(i, ()), problems.get(i), novelties.get(i)) for i, path in enumerate(paths)]


@contextlib.contextmanager
def read_images(paths, spec, packing, batch_size=32, threads=None, show=False):
    """Give what `image_iterator` does without records, of a packing without loss: `mxft.data.photographs`.

    Parameters
    ----------
    paths, spec, packing, batch_size, threads, show
        As of `predict_files`.

    Yields
    ------
    iterator : mxft.data.photographs.Photographs
        To be gone through once, within the context.
    problems : dict of int to str
        What is wrong with the images that cannot be read, as far as it was gone through.

    Raises
    ------
    InputError
        None of the images can be read; when it is gone through.
    """
    problems = {}
    rows = [Row(i, (float(i),), os.path.abspath(path)) for i, path in enumerate(paths)]
    with reading(), progress(len(rows), "reading", show=show) as advance:
        photographs = Photographs(rows, "/", spec, packing, min(batch_size, len(rows)), threads, advance=advance)
        yield photographs, problems
        problems.update((bad.row.index, bad.reason) for bad in photographs.bad)


@contextlib.contextmanager
def image_iterator(paths, spec, packing, batch_size=32, threads=None, show=False):
    """Give image files as the batches a network was trained on.

    Parameters
    ----------
    paths, spec, packing, batch_size, threads, show
        As of `predict_files`.

    Yields
    ------
    iterator : mxft.data.iterators.RecordIterator
        Over the images that can be read, in order; the labels are their numbers in `paths`.
    problems : dict of int to str
        What is wrong with the others.

    Raises
    ------
    InputError
        None of the images can be read.
    """
    threads = threads or os.cpu_count() or 1
    with scratch_folder("predict") as folder:
        prefix = os.path.join(folder, "images")
        write_list(prefix + ".lst", [Row(i, (float(i),), os.path.abspath(path)) for i, path in enumerate(paths)])
        packed = _pack(prefix, threads, show, packing)
        yield (RecordIterator(packed.rec, spec, min(batch_size, packed.packed), packed.packed, threads=threads),
               {bad.row.index: bad.reason for bad in packed.bad})


def _pack(prefix, threads, show, packing):
    """Pack the list; where not one image is good, say why in terms of the files the user named."""
    try:
        return pack_list(prefix + ".lst", "/", num_thread=threads, show=show, **packing)
    except InputError:
        if not os.path.exists(prefix + ".bad.tsv"):
            raise
        with open(prefix + ".bad.tsv", encoding="utf-8", errors="surrogateescape") as f:
            bad = [line.rstrip("\n").split("\t")[2:] for line in f][1:]
        listed = "; ".join(f"{path}: {reason}" for path, reason in bad[:5])
        raise InputError(f"no image can be read: expected at least one, received {listed}") from None
