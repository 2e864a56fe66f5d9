"""Checkpoint to ONNX, by MXNet's own exporter and only if ONNX Runtime agrees with the checkpoint as it was opened.

Every output an image alone gives is written: classes, tags, values, embeddings, maps. The file is kept only if it
computes what the unaltered network does.
"""
import os

import numpy as np

from mxft.deploy.exported import TOLERANCE, ExportedFile, noise, served_symbol
from mxft.deploy.onnx.comparison import apart_at, apart_from, open_batch, read_by_softmax
from mxft.deploy.onnx.exporter import exported, refuse_unknown
from mxft.deploy.onnx.serving_graph import serving_graph
from mxft.errors import RunError
from mxft.evaluation.answer import thresholds_of
from mxft.files.whole import whole_path
from mxft.machine.packages import require_packages
from mxft.network.input_spec import InputSpec
from mxft.network.manifest import METADATA, portable_facts


class OnnxExport(ExportedFile):
    """What `export_onnx` wrote."""


def export_onnx(checkpoint, path, image_shape, probe=None, tolerance=TOLERANCE, spec=None):
    """Write a checkpoint as an ONNX model that takes what the checkpoint takes.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Of any MXNet release. A loss becomes what it computes for inference; of a face network in training only the
        embedding serves, see `mxft.deploy.exported.is_training_network` and `mxft.deploy.slim.slim`.
    path : str or os.PathLike
    image_shape : tuple of int
        ``(C, H, W)``.
    probe : numpy.ndarray, optional
        Float32 ``(n, C, H, W)``, preprocessed images to compare on; two of noise, 0 to 255, when None.
    tolerance : float
        How far the outputs may be apart, as a part of the largest.
    spec : InputSpec, optional
        What the network takes, noted in the file for `mxft.importing.onnx`; the manifest's when None.

    Returns
    -------
    OnnxExport

    Raises
    ------
    InputError
        A network with an operator the exporter does not know; all such operators are named. One that takes more than
        one image, or gives nothing for it alone. A missing package.
    RunError
        ONNX Runtime computes something else: no file is left, and the first layer that differs is named.

    Notes
    -----
    Opset 13. The preprocessing (mean, scale, RGB) is not in the graph: the file's metadata tell it, under ``mxft``, as
    the manifest beside the checkpoint does.

    Examples
    --------
    >>> export_onnx(load_checkpoint("runs/photos"), "photos.onnx", (3, 224, 224)).error < 1e-4      # doctest: +SKIP
    True
    """
    require_packages("onnx", "onnxruntime", what="exporting to ONNX")
    if probe is None:
        probe = noise(InputSpec(tuple(image_shape)))
    anatomy = checkpoint.anatomy
    anatomy.output()
    symbol = serving_graph(checkpoint.symbol, anatomy, image_shape)
    refuse_unknown(symbol)
    names = set(symbol.list_inputs())
    parameters = {name: value for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()
                  if name in names}
    model = exported(symbol, parameters, image_shape)
    any_batch = open_batch(model, probe[:2] if len(probe) > 1 else np.repeat(probe, 2, axis=0))
    error = _compared(checkpoint, symbol, model, probe, any_batch, tolerance)
    import onnx
    spec = spec or checkpoint.input_spec
    if spec:
        output = anatomy.output()
        facts = portable_facts(checkpoint.manifest, spec, output.kind, thresholds_of(checkpoint, output))
        onnx.helper.set_model_props(model, {METADATA: facts})
    with whole_path(os.fspath(path)) as temporary:
        onnx.save(model, temporary)
    shapes = symbol.infer_shape(**{anatomy.image.name: (1, *image_shape)})[1]
    return OnnxExport(os.fspath(path), error, any_batch, model.graph.input[0].name,
                      {entry.name: tuple(shape[1:]) for entry, shape in zip(model.graph.output, shapes)})


def _compared(checkpoint, symbol, model, probe, any_batch, tolerance):
    """Return how far the model is from the checkpoint's own outputs; RunError with the first layer that is too far."""
    error = max([apart_from(served_symbol(checkpoint), checkpoint, model, probe, any_batch),
                 *apart_at(symbol, checkpoint, model, probe, any_batch, read_by_softmax(symbol)).values()])
    if error <= tolerance:
        return error
    every = apart_at(symbol, checkpoint, model, probe[:1], any_batch)
    layer, apart = next(((name, value) for name, value in every.items() if not value <= tolerance),
                        ("none of them alone", error))
    raise RunError(f"no ONNX file was written: expected the checkpoint's output to {tolerance:g} of its largest value, "
                   f"received a difference of {error:.1e}; the first layer that differs is {layer} ({apart:.1e})")
