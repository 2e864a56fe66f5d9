"""``mxft.export`` and ``mxft.import_weights``: checkpoints to ONNX, and other frameworks' weights to checkpoints."""
from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np

from mxft import importing
from mxft.api.models import Model, input_of, open_model
from mxft.api.pictures import Picture, as_files
from mxft.api.telling import telling
from mxft.deploy.onnx import OnnxExport, export_onnx, is_training_network, noise
from mxft.deploy.onnx.int8 import MIN_COSINE, export_int8
from mxft.deploy.slim import slim
from mxft.errors import InputError
from mxft.evaluation.packing import folder_packing
from mxft.evaluation.prediction import image_iterator
from mxft.network.anatomy.outputs import EMBEDDING
from mxft.network.calibration import with_temperature
from mxft.network.checkpoint import Checkpoint
from mxft.network.transfer import check_fits
from mxft.surgery import cut_at

LOG = logging.getLogger("mxft")


def export(model: Model, path: str | os.PathLike[str], *, layer: str | None = None,
           images: Picture | Iterable[Picture] | None = None, image_shape: Sequence[int] | None = None,
           rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None,
           force: bool = False, calibrated: bool = False, precision: str = "fp32",
           min_cosine: float | None = None) -> OnnxExport:
    """Write a checkpoint as an ONNX file that was compared with it, as ``mxft export`` does.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`. Of a face network with its training head the embedding is exported.
    path : str or os.PathLike
        ``NAME.onnx``.
    layer : str, optional
        End the network at this layer.
    images : see `mxft.predict`, optional
        To compare on; noise when None. For int8 also to calibrate on, where the checkpoint was not quantized.
    image_shape, rgb_mean, rgb_std, optional
        Where the checkpoint has no manifest.
    force : bool
        Replace a file of that name.
    calibrated : bool
        Divide the logits by the temperature of the manifest, as `mxft.predict` does.
    precision : {"fp32", "int8"}
        Of the file; int8 by ONNX Runtime's quantizer, see `mxft.deploy.onnx.int8.export_int8`.
    min_cosine : float, optional
        Of int8, the least cosine between its scores and those in float32, on average; 0.99 when None.

    Returns
    -------
    OnnxExport
        Of int8 an `mxft.deploy.onnx.int8.Int8Export`.

    Raises
    ------
    InputError
        A name that is taken, an unknown layer, an image that cannot be read.
    RunError
        ONNX Runtime computes something else: nothing is written.

    Examples
    --------
    >>> export("runs/photos", "photos.onnx").error                     # doctest: +SKIP
    1.2e-06
    """
    path = os.fspath(path)
    if os.path.lexists(path) and not force:
        raise InputError(f"output: expected a name that is free, received {path!r}; force=True replaces it")
    if layer is not None and calibrated:
        raise InputError(f"`calibrated`: expected the whole network, received layer={layer!r} beside it; leave one of "
                         "them out")
    _check_int8(precision, images is not None, min_cosine)
    with telling():
        checkpoint = open_model(model, image_shape)
        if calibrated:
            checkpoint = with_temperature(checkpoint)
        if layer is not None:
            checkpoint = dataclasses.replace(checkpoint, symbol=cut_at(checkpoint.symbol, layer),
                                             name=f"{checkpoint.name}, {layer}")
        elif is_training_network(checkpoint):
            slimmed = slim(checkpoint)
            checkpoint = slimmed.checkpoint
            LOG.info(f"a face network as it was trained: exporting it up to its embedding, {slimmed.feature.name}")
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std)
        check_fits(checkpoint, spec)
        probe = noise(spec) if images is None else _read(images, checkpoint, spec)
        result: OnnxExport
        if precision == "int8":
            result = export_int8(checkpoint, path, probe, spec, MIN_COSINE if min_cosine is None else min_cosine)
        else:
            result = export_onnx(checkpoint, path, spec.shape, probe, spec=spec)
        what = "images of noise" if images is None else "images"
        LOG.info(f"ONNX Runtime on {len(probe)} {what}: {result.describe()}\n"
                 f"wrote {result.path}: {os.path.getsize(result.path) / 1e6:.1f} MB")
    return result


def _check_int8(precision: str, has_images: bool, min_cosine: float | None) -> None:
    """Refuse another precision, int8 without images, and what is asked of int8 alone."""
    if precision not in ("fp32", "int8"):
        raise InputError(f"`precision`: expected fp32 or int8, received `precision={precision!r}`")
    if precision == "int8" and not has_images:
        raise InputError("`precision`: expected `images` beside int8, which is calibrated and compared on them, "
                         "received none")
    if precision != "int8" and min_cosine is not None:
        raise InputError(f"`min_cosine`: expected `precision='int8'` beside it, received min_cosine={min_cosine:g} "
                         "alone; leave it out")


def _read(images: Picture | Iterable[Picture], checkpoint: Checkpoint, spec) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return the network's input for images, float32 ``(n, C, H, W)``, refusing one that cannot be read."""
    with as_files(images) as (paths, names, _), image_iterator(
            paths, spec, folder_packing(checkpoint, spec), len(paths)) as (iterator, problems):
        if problems:
            number, reason = next(iter(problems.items()))
            raise InputError(f"image cannot be read: expected a picture, received {names[number]}: {reason}")
        pixels: np.ndarray = iterator.next().data[0].asnumpy()[:len(paths)]
        return pixels


def import_weights(source: str, weights: str | os.PathLike[str], arch: str | None = None, *,
                   classes: Sequence[str] | None = None, image_shape: Sequence[int] | None = None,
                   rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None,
                   resize: int | None = None) -> Checkpoint:
    """Return another framework's weights as a checkpoint with its manifest, as ``mxft import`` writes it.

    Parameters
    ----------
    source : {"torchvision", "timm", "efficientnet-pytorch", "keras", "arcface-torch", "onnx"}
        Whose names the file has; or a source of an installed package.
    weights : str or os.PathLike
        ``.safetensors``, ``.pth``, ``.h5`` or ``.onnx``; of ONNX also a model pack of insightface's, a folder or zip.
    arch : str, optional
        The network, as its source calls it; none of ONNX.
    classes : sequence of str, optional
        Names of the outputs.
    image_shape, rgb_mean, rgb_std, resize, optional
        Another input than the one the network is usually published with; `resize` is the short side in pixels.

    Returns
    -------
    Checkpoint
        ``.save(prefix, 0)`` writes it.

    Raises
    ------
    InputError
        Unknown source or network, or weights that are not its.

    Examples
    --------
    >>> import_weights("timm", "model.safetensors", "resnet50.tv_in1k").save("resnet-50", 0)     # doctest: +SKIP
    'resnet-50,0'
    """
    with telling():
        size = image_shape[1] if image_shape else None
        names = list(classes) if classes else None
        checkpoint = importing.import_weights(source, os.fspath(weights), arch, names, size)
        return with_usual_input(checkpoint, input_of(checkpoint, image_shape, rgb_mean, rgb_std), size, resize)


def with_usual_input(checkpoint: Checkpoint, spec, size: int | None, resize: int | None) -> Checkpoint:  # type: ignore[no-untyped-def]
    """Return an imported checkpoint whose manifest says its input, with the short side images are resized to.

    Parameters
    ----------
    checkpoint : Checkpoint
    spec : InputSpec
    size : int or None
        Pixels of the input, where they were stated.
    resize : int or None
        The short side, where it was stated; 8/7 of a stated size of a classifier, an embedding's own, else the usual.
    """
    output = checkpoint.anatomy.output()
    if output.kind == EMBEDDING:
        checkpoint.manifest["embedding"] = output.name
    crop_from = None
    if not checkpoint.manifest.get("packing"):
        crop_from = size if output.kind == EMBEDDING else round(size / 0.875) if size else None
    spec = dataclasses.replace(spec, resize=resize or crop_from or spec.resize)
    check_fits(checkpoint, spec)
    checkpoint.manifest["input"] = spec.to_dict()
    return checkpoint
