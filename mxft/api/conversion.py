"""``mxft.export``, ``mxft.to_torch`` and ``mxft.import_weights``: checkpoints to ONNX and PyTorch, and weights back."""
from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mxft import importing
from mxft.api.models import Model, find_model, input_of, open_model
from mxft.api.pictures import Picture, as_files
from mxft.api.telling import telling
from mxft.deploy.exported import ExportedFile, is_training_network, noise
from mxft.deploy.onnx import export_onnx
from mxft.deploy.onnx.int8 import MIN_COSINE, export_int8
from mxft.deploy.pytorch import export_torch
from mxft.deploy.slim import slim
from mxft.errors import InputError
from mxft.evaluation.packing import folder_packing
from mxft.evaluation.prediction import image_iterator
from mxft.network.anatomy.outputs import EMBEDDING
from mxft.network.calibration import with_temperature
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.transfer import check_fits
from mxft.surgery import cut_at

if TYPE_CHECKING:
    import torch

    from mxft.torch import MXNetModule

LOG = logging.getLogger("mxft")


def export(model: Model, path: str | os.PathLike[str], *, to: str = "onnx", layer: str | None = None,
           images: Picture | Iterable[Picture] | None = None, image_shape: Sequence[int] | None = None,
           rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None,
           force: bool = False, calibrated: bool = False, precision: str = "fp32",
           min_cosine: float | None = None) -> ExportedFile:
    """Write a checkpoint as a file of ONNX or PyTorch that was compared with it, as ``mxft export`` does.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`. Of a face network with its training head the embedding is exported.
    path : str or os.PathLike
        ``NAME.onnx``, or ``NAME.pt2`` of PyTorch.
    to : {"onnx", "torch"}
        The format.
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
    ExportedFile
        An `mxft.deploy.onnx.OnnxExport`, of int8 an `mxft.deploy.onnx.int8.Int8Export`, of PyTorch an
        `mxft.deploy.pytorch.TorchExport`.

    Raises
    ------
    InputError
        A name that is taken, an unknown layer, an image that cannot be read.
    RunError
        ONNX Runtime or PyTorch computes something else: nothing is written.

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
    if to not in ("onnx", "torch"):
        raise InputError(f"`to`: expected onnx or torch, received `to={to!r}`")
    _check_int8(precision, to, images is not None, min_cosine)
    with telling():
        checkpoint = open_model(model, image_shape)
        if calibrated:
            checkpoint = with_temperature(checkpoint)
        if layer is not None:
            checkpoint = cut_checkpoint(checkpoint, layer)
        elif is_training_network(checkpoint):
            slimmed = slim(checkpoint)
            checkpoint = slimmed.checkpoint
            LOG.info(f"a face network as it was trained: exporting it up to its embedding, {slimmed.feature.name}")
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std)
        check_fits(checkpoint, spec)
        probe = noise(spec) if images is None else _read(images, checkpoint, spec)
        result = write_export(checkpoint, path, spec, probe, to, precision, min_cosine)
        what = "images of noise" if images is None else "images"
        LOG.info(f"{'PyTorch' if to == 'torch' else 'ONNX Runtime'} on {len(probe)} {what}: {result.describe()}\n"
                 f"wrote {result.path}: {os.path.getsize(result.path) / 1e6:.1f} MB")
    return result


def write_export(checkpoint: Checkpoint, path: str | os.PathLike[str], spec: InputSpec, probe: np.ndarray[Any, Any],
                 to: str, precision: str, min_cosine: float | None) -> ExportedFile:
    """Write a checkpoint in a format, once settings and files have been looked at; the settings are those of `export`.

    Parameters
    ----------
    spec : InputSpec
        How images are read.
    probe : numpy.ndarray
        Float32 ``(n, C, H, W)``, preprocessed images to compare on.
    """
    result: ExportedFile
    if to == "torch":
        result = export_torch(checkpoint, path, spec.shape, probe, spec=spec)
    elif precision == "int8":
        result = export_int8(checkpoint, path, probe, spec, MIN_COSINE if min_cosine is None else min_cosine)
    else:
        result = export_onnx(checkpoint, path, spec.shape, probe, spec=spec)
    return result


def to_torch(model: Model, *, layer: str | None = None, image_shape: Sequence[int] | None = None) -> MXNetModule:
    """Return a checkpoint as a PyTorch module that computes the same and has its arrays' names.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    layer : str, optional
        End the network at this layer; a name that ``mxft layers`` lists.
    image_shape : (C, H, W), optional
        Where the checkpoint has no manifest.

    Returns
    -------
    mxft.torch.MXNetModule
        A ``torch.nn.Module`` in evaluation mode: see `mxft.torch.to_torch`. It takes preprocessed images, float32
        ``(N, C, H, W)``: pixels less the manifest's mean, times its scale.

    Raises
    ------
    InputError
        An operator that has no PyTorch function; an unknown layer.
    DependencyError
        PyTorch is not installed.

    Examples
    --------
    >>> to_torch("runs/photos").inputs                                 # doctest: +SKIP
    ('data', 'softmax_label')
    """
    from mxft.torch import conversion

    with telling():
        checkpoint = open_model(model, image_shape)
        if layer is not None:
            checkpoint = cut_checkpoint(checkpoint, layer)
        module: MXNetModule = conversion.to_torch(checkpoint)
        return module


def from_torch(values: torch.nn.Module | Mapping[str, Any], model: Model) -> Checkpoint:
    """Return the checkpoint that a module came from, with what the module has learned since.

    Parameters
    ----------
    values : torch.nn.Module or dict of str to (torch.Tensor or numpy.ndarray)
        What `to_torch` gave, or its ``state_dict()``.
    model : str, os.PathLike or Checkpoint
        Where it came from.

    Returns
    -------
    Checkpoint
        ``.save(prefix, 0)`` writes it. See `mxft.torch.from_torch`.

    Raises
    ------
    InputError
        An array is missing, of another shape, or unknown.

    Examples
    --------
    >>> from_torch(module, "runs/photos").save("trained", 0)           # doctest: +SKIP
    'trained,0'
    """
    from mxft.torch import conversion

    with telling():
        checkpoint: Checkpoint = conversion.from_torch(values, open_model(model))
        return checkpoint


def cut_checkpoint(checkpoint: Checkpoint, layer: str) -> Checkpoint:
    """Return a checkpoint up to a layer, its parameters as they are."""
    return dataclasses.replace(checkpoint, symbol=cut_at(checkpoint.symbol, layer), name=f"{checkpoint.name}, {layer}")


def _check_int8(precision: str, to: str, has_images: bool, min_cosine: float | None) -> None:
    """Refuse another precision, int8 without images or for PyTorch, and what is asked of int8 alone."""
    if precision not in ("fp32", "int8"):
        raise InputError(f"`precision`: expected fp32 or int8, received `precision={precision!r}`")
    if precision == "int8" and to != "onnx":
        raise InputError(f"`precision`: expected `to='onnx'` beside int8, received `to={to!r}`")
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
    source : {"torchvision", "timm", "efficientnet-pytorch", "keras", "arcface-torch", "onnx", "torch-mxft"}
        Whose names the file has; or a source of an installed package. ``torch-mxft`` are weights of a module that
        `to_torch` or ``mxft export --to torch`` made, trained in PyTorch.
    weights : str or os.PathLike
        ``.safetensors``, ``.pth``, ``.h5`` or ``.onnx``; of ONNX also a model pack of insightface's, a folder or zip.
    arch : str, optional
        The network, as its source calls it; none of ONNX; of ``torch-mxft`` the checkpoint it was made of.
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
        if source == "torch-mxft":
            arch = find_model(arch) if arch else arch
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
