"""``mxft.embed`` and ``mxft.verify``: pictures to embeddings, and pairs of faces to the numbers of a protocol."""
from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mxft.api.models import Model, input_of, on_device, open_model
from mxft.api.pictures import Picture, as_files
from mxft.api.telling import telling
from mxft.data.images import BadImage, inspect
from mxft.data.packing import read_image
from mxft.data.progress import progress
from mxft.errors import RunError
from mxft.evaluation.packing import folder_packing
from mxft.evaluation.prediction import image_iterator
from mxft.faces.evaluation.embedding import embedding_executor, input_size
from mxft.faces.evaluation.identification import unit_rows
from mxft.faces.evaluation.pair_scoring import distinct_images, verify_pairs
from mxft.faces.evaluation.verification import FOLDS, Verification, check_folds
from mxft.faces.pairs.bin_file import PairSet, check_images, load_pairs
from mxft.inference.executor import InferenceExecutor
from mxft.inference.precision import precision_of
from mxft.machine.quiet import quiet_native
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.transfer import check_fits
from mxft.settings import height_width
from mxft.surgery import cut_at
from mxft.wording import BriefRepr, plural

LOG = logging.getLogger("mxft")


@dataclasses.dataclass(frozen=True, repr=False)
class Embeddings(BriefRepr):
    """What `embed` gives.

    Parameters
    ----------
    vectors : numpy.ndarray
        Float32 ``(N, D)``.
    paths : list of str
        Of the pictures, in their order.
    layer : str
        Whose output they are.
    left_out : dict of str to str
        Pictures that cannot be read, and why.
    """

    vectors: np.ndarray[Any, Any]
    paths: list[str]
    layer: str
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return np.array(self.vectors, dtype) if copy or dtype is not None else self.vectors


def embed(model: Model, pictures: Picture | Iterable[Picture], *, layer: str | None = None, flip: bool = False,
          normalise: bool = False, resize: int | None = None, batch_size: int = 32,
          image_shape: Sequence[int] | None = None, rgb_mean: Sequence[float] | None = None,
          rgb_std: Sequence[float] | None = None, gpus: str = "",
          engine: str = "auto", device: str | None = None, precision: str | None = None,
          threads: int | None = None) -> Embeddings:
    """Return a vector for each picture: a face network's embedding, or the features before a classifier.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`. A face network may still have its training head.
    pictures : see `mxft.predict`
        Of faces aligned crops, such as insightface's of 112x112: no face is looked for.
    layer : str, optional
        Any layer ``mxft layers`` lists, in place of the embedding or the feature layer.
    flip : bool
        Add the vector of the mirror image, as published verification numbers do.
    normalise : bool
        To length 1.
    resize : int, optional
        Short side in pixels before the centre crop; as `mxft.predict` when None, a face whole.
    batch_size : int
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
    Embeddings
        ``numpy.asarray`` gives its vectors.

    Raises
    ------
    InputError
        No picture can be read, or no such layer.
    RunError
        A vector is not finite.

    Examples
    --------
    >>> faces = embed("models/y1,0", "crops", flip=True, normalise=True)          # doctest: +SKIP
    >>> float(faces.vectors[0] @ faces.vectors[1])                                # doctest: +SKIP
    0.71
    """
    with telling(), as_files(pictures) as (paths, names, _):
        checkpoint, context = on_device(open_model(model, image_shape), gpus, engine, device, precision)
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std, InputSpec())
        check_fits(checkpoint, spec)
        if layer is None and checkpoint.anatomy.embedding and not resize:
            _tell_photographs(paths, spec.shape[1:])
        layer = layer or _layer_of(checkpoint)
        packing = {**folder_packing(checkpoint, spec), **({"resize": resize} if resize else {})}
        with image_iterator(paths, spec, packing, batch_size, threads) as (iterator, problems):
            executor = InferenceExecutor(cut_at(checkpoint.symbol, layer), checkpoint.arg_params, checkpoint.aux_params,
                                         spec.shape, iterator.batch_size, context,
                                         precision=precision_of(checkpoint))
            vectors = _vectors(executor, iterator, flip)
    if normalise:
        vectors = unit_rows(vectors).astype(np.float32)
    return Embeddings(vectors, [name for number, name in enumerate(names) if number not in problems], layer,
                      {names[number]: reason for number, reason in problems.items()})


def _tell_photographs(paths: Sequence[str], size: Sequence[int]) -> None:
    """Say that pictures of another size than a face network's are taken whole, as if they were aligned faces."""
    others = 0
    for path in paths:
        try:
            file = inspect(read_image(path))
            others += bool(file.width) and (file.height, file.width) != tuple(size)
        except BadImage:  # told by whoever reads it
            continue
    if others:
        LOG.warning(f"{others} of {plural(len(paths), 'picture')} are not of {size[1]}x{size[0]}: they are resized "
                    "whole, no face is looked for; mxft.align_faces finds and aligns the faces of photographs")


def _layer_of(checkpoint: Checkpoint) -> str:
    """Return the layer whose output describes a picture: the embedding, or the feature layer."""
    anatomy = checkpoint.anatomy
    name: str = anatomy.embedding.name if anatomy.embedding else anatomy.require_feature().name
    return name


def _vectors(executor: Any, iterator: Any, flip: bool) -> np.ndarray[Any, Any]:
    """Return the outputs for all pictures of an iterator, those of their mirror images added with `flip`."""
    parts = []
    for batch in iterator:
        pixels = batch.data[0].asnumpy()
        found = executor.forward(pixels)
        if flip:
            found = found + executor.forward(np.ascontiguousarray(pixels[..., ::-1]))
        parts.append(found[:len(pixels) - batch.pad].reshape(len(pixels) - batch.pad, -1))
    vectors: np.ndarray[Any, Any] = np.concatenate(parts).astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        raise RunError("embeddings are not finite: received NaN or infinity; wrong mean or scale for this network, or "
                       "damaged parameters?")
    return vectors


def verify(model: Model, pairs: str | os.PathLike[str] | PairSet, *, folds: int = FOLDS, flip: bool = True,
           batch_size: int = 32, image_size: Sequence[int] | None = None, gpus: str = "",
           engine: str = "auto", device: str | None = None, precision: str | None = None,
           threads: int | None = None) -> Verification:
    """Verify a face network on a set of pairs, as ``mxft verify`` and insightface's ``verification.py`` do.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    pairs : str, os.PathLike or PairSet
        A ``.bin`` file: ``mxft pairs-pack`` makes one.
    folds : int
        Contiguous parts, each evaluated by the threshold that does best on the others.
    flip : bool
        Add the embeddings of the mirror images, as published numbers do.
    batch_size : int
    image_size : (H, W), optional
        The manifest's, or 112x112, when None.
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
    Verification

    Raises
    ------
    InputError
        No embedding is found, fewer pairs than folds, an image that is damaged or of another size.

    Examples
    --------
    >>> print(verify("models/y1,0", "lfw.bin"))                                   # doctest: +SKIP
    0.99117+-0.00578
    """
    with telling(), quiet_native():
        checkpoint, context = on_device(open_model(model), gpus, engine, device, precision)
        pair_set = pairs if isinstance(pairs, PairSet) else load_pairs(os.fspath(pairs))
        size = height_width(image_size, "image_size") if image_size else input_size(checkpoint)
        check_images(pair_set, size)
        check_folds(len(pair_set.issame), folds)
        executor = embedding_executor(checkpoint, batch_size, size, context)
        with progress(len(distinct_images(pair_set)[0]), f"verifying {pair_set.name}") as advance:
            found: Verification = verify_pairs(executor, pair_set, folds, flip, size, threads, advance)
    return found
