"""``mxft.quantize``: a checkpoint that is computed in int8, calibrated on images and compared with float32."""
from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mxft.api.models import Model, input_of, open_model
from mxft.api.telling import telling
from mxft.errors import InputError
from mxft.network.input_spec import InputSpec
from mxft.network.transfer import check_fits
from mxft.workflows import quantizing as workflow
from mxft.workflows.quantize_options import QuantizeOptions
from mxft.workflows.quantizing import QuantizeResult

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from mxft.api.settings import QuantizeSettings


def quantize(model: Model, images: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, *,
             labels: str | None = None, image_shape: Sequence[int] | None = None,
             rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None,
             threads: int | None = None, **settings: Unpack[QuantizeSettings]) -> QuantizeResult:
    """Calibrate a checkpoint for int8 and find the layers that have to stay in float32, as ``mxft quantize`` does.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    images : str or os.PathLike
        A ``.rec`` file, a face set, or pictures, such as the network will see: to calibrate on and to compare on.
    output : str or os.PathLike, optional
        Prefix of the files to write; nothing is written when None, and the result's checkpoint has a ``save``.
    labels : str, optional
        Of pictures: the table of their labels.
    image_shape, rgb_mean, rgb_std, optional
        Where the checkpoint has no manifest.
    threads : int, optional
        For decoding.
    **settings
        Of `mxft.workflows.quantize_options.QuantizeOptions`: `method`, `calibration_images`, `check_images`,
        `max_drop`, `min_cosine`, `seed`, `force`.

    Returns
    -------
    QuantizeResult
        Its `checkpoint` is a model for the other calls, `quantization` what was found, `judged` the comparison in
        words, `speed` how many times as fast as float32 it was.

    Raises
    ------
    InputError
        The CPU has no instructions for int8, a name that is taken, images that cannot be read, no layer to quantize.
    RunError
        It cannot be made as good as asked with a quarter of its layers in float32.

    Notes
    -----
    Symbol and parameters stay as they are; the manifest says how they are computed.

    Examples
    --------
    >>> result = quantize("runs/photos", "photos", "runs/photos-int8/model")      # doctest: +SKIP
    >>> result.judged, round(result.speed, 1)                                     # doctest: +SKIP
    ('top-1 0.8750, float32 0.8750: 0.00 points more; the same class for 99.2 %', 2.6)
    """
    options = _options(settings)
    with telling():
        if output is not None:
            workflow.require_free_prefix(os.fspath(output), 0, options.force, "output")
        checkpoint = open_model(model, image_shape)
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std, InputSpec())
        check_fits(checkpoint, spec)
        result: QuantizeResult = workflow.quantize(checkpoint, os.fspath(images), spec, options, labels, threads)
        if output is not None:
            workflow.save_quantized(result, os.fspath(output), options.force)
    return result


def _options(settings: QuantizeSettings) -> QuantizeOptions:
    """Return the options of these settings; InputError for a name that is none."""
    known = [field.name for field in dataclasses.fields(QuantizeOptions)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(f"`quantize`: expected settings of {', '.join(known)}, received {unknown[0]!r}")
    return QuantizeOptions(**settings)
