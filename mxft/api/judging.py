"""``mxft.score`` and ``mxft.predict``: what a checkpoint is worth on labelled pictures, and what it says of others."""
from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np

from mxft.api.models import Model, input_of, on_device, open_model
from mxft.api.pictures import MOST_SHOWN, Picture, as_files
from mxft.api.telling import telling
from mxft.data.thumbnails import small_image, thumbnail_of_picture
from mxft.evaluation.answer import answering_outputs, check_classes, names_of, thresholds_of
from mxft.evaluation.multi_label import MultiLabelScore
from mxft.evaluation.packing import folder_packing
from mxft.evaluation.prediction import Prediction, predict_files
from mxft.evaluation.regression import RegressionScore
from mxft.evaluation.scoring import Score, score_records
from mxft.evaluation.shown import pictures_behind
from mxft.files.whole import whole_file
from mxft.network.anatomy.outputs import VALUES
from mxft.network.transfer import check_fits
from mxft.wording import html_table
from mxft.workflows.scoring import scored_records

_MOST_NUMBERS = 6    # columns of a table of numbers
_LEAST_TOLD = 0.005  # probability of a class after the likeliest


def score(model: Model, data: str | os.PathLike[str], *, labels: str | None = None, batch_size: int = 32,
          resize: int | None = None, output: str | None = None, image_shape: Sequence[int] | None = None,
          rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None, gpus: str = "",
          engine: str = "auto", device: str | None = None, precision: str | None = None,
          threads: int | None = None) -> Score | MultiLabelScore | RegressionScore:
    """Score a checkpoint on labelled pictures or records, each counted once; as ``mxft score`` does.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    data : str or os.PathLike
        A ``.rec`` file, a face set, or pictures as `mxft.finetune` takes them, their classes by name.
    labels : str, optional
        Of pictures: the table of their labels.
    batch_size : int
    resize : int, optional
        Short side in pixels; as those of training when None.
    output : str, optional
        Of a network with several: the one to score.
    image_shape, rgb_mean, rgb_std, optional
        Where the checkpoint has no manifest.
    gpus : str
    engine : {"auto", "mxnet", "torch"}
        PyTorch computes the same as MXNet, on cards that MXNet has no code for; auto takes it where `device` names one.
    device : str, optional
        Of PyTorch: ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    precision : {"fp32", "bf16", "int8", "auto"}, optional
        Numbers it is computed in, on a CPU; int8 of a quantized checkpoint, else fp32, when None.
    threads : int, optional

    Returns
    -------
    Score, MultiLabelScore or RegressionScore
        A notebook shows it as a table of the classes; its ``worst()`` are the pictures told worst, which it shows too.

    Raises
    ------
    InputError
        Labels that are none of the network's, a network that names nothing, or no known input.
    RunError
        The network returns NaN or infinity.

    Examples
    --------
    >>> score("runs/photos", "more-photos").top1                       # doctest: +SKIP
    0.933
    """
    with telling():
        checkpoint, context = on_device(open_model(model, image_shape), gpus, engine, device, precision)
        answering_outputs(checkpoint, output)
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std)
        if resize is not None:
            spec = dataclasses.replace(spec, resize=resize)
        check_fits(checkpoint, spec)
        with scored_records(os.fspath(data), checkpoint, spec, labels, resize, threads) as records:
            found: Score | MultiLabelScore | RegressionScore
            found, _ = score_records(checkpoint, spec, records, batch_size, context, threads, output=output)
            pictures = pictures_behind(records) if isinstance(records, str) else None
    gone = isinstance(records, str) and not os.path.isfile(records)  # packed for the time being
    return dataclasses.replace(found, source=pictures) if gone else found


class Predictions(Sequence[Prediction]):
    """What a network says of several pictures, in their order.

    Parameters
    ----------
    predictions : sequence of Prediction
    classes : sequence of str
        A name for each number of the main output.
    thresholds : sequence of float, optional
        Of a network of several labels: from which probability on each is said.
    originals : sequence of str, numpy.ndarray or None, optional
        The pictures, for a notebook to show: paths, or arrays.

    Examples
    --------
    >>> answers = predict("runs/photos", "holidays")                   # doctest: +SKIP
    >>> answers.labels[:2], answers.probabilities.shape                # doctest: +SKIP
    (['cat', 'dog'], (30, 8))
    """

    def __init__(self, predictions: Sequence[Prediction], classes: Sequence[str],
                 thresholds: Sequence[float] | None = None, originals: Sequence[Any] | None = None) -> None:
        self._predictions, self.classes, self.thresholds = tuple(predictions), list(classes), thresholds
        self._originals = [None] * len(self) if originals is None else list(originals)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...

    @overload
    def __getitem__(self, place: slice) -> Predictions: ...

    def __getitem__(self, place: int | slice) -> Prediction | Predictions:
        if isinstance(place, slice):
            return Predictions(self._predictions[place], self.classes, self.thresholds, self._originals[place])
        return self._predictions[place]

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def paths(self) -> list[str]:
        """The pictures; of arrays their numbers."""
        return [prediction.path for prediction in self]

    @property
    def labels(self) -> list[str | None]:
        """The likeliest class of each picture; None where it cannot be read."""
        return [self.classes[prediction.top(1)[0][0]] if prediction.answers else None for prediction in self]

    @property
    def far(self) -> list[bool | None]:
        """Whether each picture is far from the training images; None where it is unread, or nothing tells it."""
        return [bool(prediction.novelty.far) if prediction.novelty else None for prediction in self]

    @property
    def probabilities(self) -> np.ndarray[Any, Any]:
        """Of the main output, float ``(N, K)``; its own numbers where it has none, NaN where a picture is unread."""
        missing = np.full(len(self.classes), np.nan)
        return np.array([prediction.answers[0].shown if prediction.answers else missing for prediction in self])

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """Return for each picture the `k` likeliest classes as (name, probability), likeliest first."""
        return [[(self.classes[number], value) for number, value in prediction.top(k)] if prediction.answers else []
                for prediction in self]

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a row for each picture: path, likeliest class, every class's probability, what is wrong with it.

        Where the network can tell whether a picture is far from the training images, ``far`` says it, yes or no.
        """
        told = any(far is not None for far in self.far)
        with whole_file(os.fspath(path), "w") as f:
            table = csv.writer(f, lineterminator="\n")
            table.writerow(["image", "class", *self.classes, *["far"] * told, "problem"])
            for prediction, label, row, far in zip(self, self.labels, self.probabilities, self.far):
                numbers = [f"{value:.6g}" for value in row] if prediction.answers else [""] * len(self.classes)
                mark = ["" if far is None else "yes" if far else "no"] * told
                table.writerow([prediction.path, label or "", *numbers, *mark, prediction.problem or ""])

    def __repr__(self) -> str:
        return f"<Predictions of {len(self):,} pictures, {len(self.classes):,} classes>"

    def _repr_html_(self) -> str:
        rows = [(small_image(thumbnail_of_picture(original, 64, 75), 64, 128), os.path.basename(prediction.path),
                 *self._told(prediction)) for prediction, original in zip(self[:MOST_SHOWN], self._originals)]
        more = f"<p>and {len(self) - MOST_SHOWN:,} more</p>" if len(self) > MOST_SHOWN else ""
        return f"{html_table(rows, ('', 'picture', *self._columns))}{more}"

    @property
    def _columns(self) -> tuple[str, ...]:
        """What a table of the answers has: numbers, labels, or the likeliest class and those after it."""
        if self.thresholds is not None:
            return ("labels",)
        return tuple(self.classes[:_MOST_NUMBERS]) if self._are_numbers else ("class", "probability", "next")

    @property
    def _are_numbers(self) -> bool:
        return any(prediction.answers and prediction.answers[0].output.kind == VALUES for prediction in self)

    def _told(self, prediction: Prediction) -> tuple[str | float | None, ...]:
        """Return what is said of one picture, a value for each of the `_columns`."""
        if not prediction.answers:
            return (prediction.problem, *[None] * (len(self._columns) - 1))
        if self._are_numbers:
            return tuple(map(float, prediction.answers[0].shown[:_MOST_NUMBERS]))
        best = [(self.classes[number], value) for number, value in (
            prediction.top(3) if self.thresholds is None else prediction.answers[0].said(self.thresholds))]
        if self.thresholds is None:
            others = _listed([one for one in best[1:] if one[1] >= _LEAST_TOLD])
            far = prediction.novelty.describe() if prediction.novelty and prediction.novelty.far else ""
            return (*best[0], "; ".join(filter(None, (far, others))))
        return (_listed(best) or "none",)


def _listed(best: Sequence[tuple[str, float]]) -> str:
    """Return names with their probabilities as text."""
    return ", ".join(f"{name} {value:.2f}" for name, value in best)


def predict(model: Model, pictures: Picture | Iterable[Picture], *, resize: int | None = None,
            batch_size: int = 32, output: str | None = None, image_shape: Sequence[int] | None = None,
            rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None, gpus: str = "",
            engine: str = "auto", device: str | None = None, precision: str | None = None,
            threads: int | None = None) -> Predictions:
    """Say what pictures show, as ``mxft predict`` does.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    pictures : str, os.PathLike, numpy.ndarray, or an iterable of them
        Image files, folders, tars and zips of them; or arrays, uint8 RGB ``(H, W, 3)`` or grey ``(H, W)``.
    resize : int, optional
        Short side in pixels before the centre crop; as those of training when None, the input's size x 8/7 where
        nothing says it.
    batch_size : int
    output : str, optional
        Of a network with several: the one to give.
    image_shape, rgb_mean, rgb_std, optional
        Where the checkpoint has no manifest.
    gpus : str
    engine : {"auto", "mxnet", "torch"}
        PyTorch computes the same as MXNet, on cards that MXNet has no code for; auto takes it where `device` names one.
    device : str, optional
        Of PyTorch: ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    precision : {"fp32", "bf16", "int8", "auto"}, optional
        Numbers it is computed in, on a CPU; int8 of a quantized checkpoint, else fp32, when None.
    threads : int, optional

    Returns
    -------
    Predictions

    Raises
    ------
    InputError
        No picture can be read, or the network names nothing.

    Examples
    --------
    >>> predict("runs/photos", ["cat.jpg", "dog.jpg"]).labels          # doctest: +SKIP
    ['cat', 'dog']
    """
    with telling(), as_files(pictures) as (paths, names, originals):
        checkpoint, context = on_device(open_model(model, image_shape), gpus, engine, device, precision)
        outputs = answering_outputs(checkpoint, output)
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std)
        packing = {**folder_packing(checkpoint, spec), **({"resize": resize} if resize else {})}
        check_fits(checkpoint, spec)
        check_classes(checkpoint, outputs[0])
        found = predict_files(checkpoint, paths, spec, packing, batch_size, context, threads, output=output)
        classes = names_of(outputs[0], checkpoint.classes)
    named = [dataclasses.replace(prediction, path=name) for prediction, name in zip(found, names)]
    return Predictions(named, classes, thresholds_of(checkpoint, outputs[0]), originals)
