"""Checkpoint to ONNX, by MXNet's own exporter and only if ONNX Runtime agrees with the checkpoint as it was opened.

Every output an image alone gives is written: classes, tags, values, embeddings, maps. The file is kept only if it
computes what the unaltered network does.
"""
import dataclasses
import os

import numpy as np

from mxft.compat import mx
from mxft.deploy.onnx.comparison import apart_at, apart_from, open_batch, read_by_softmax
from mxft.deploy.onnx.exporter import exported, refuse_unknown
from mxft.deploy.onnx.serving_graph import serving_graph
from mxft.errors import RunError
from mxft.evaluation.answer import thresholds_of
from mxft.files.whole import whole_path
from mxft.machine.packages import require_packages
from mxft.network.input_spec import InputSpec
from mxft.network.manifest import METADATA, portable_facts
from mxft.wording import BriefRepr

TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, repr=False)
class OnnxExport(BriefRepr):
    """What `export_onnx` wrote.

    Parameters
    ----------
    path : str
    error : float
        Largest difference from the checkpoint's output on the probe, as a part of its largest value.
    any_batch : bool
        Whether batches of any size go through; else the one it was exported with.
    input : str
        Its name in the file.
    outputs : dict of str to tuple of int
        For each output its name in the file and its shape for one image.
    """

    path: str
    error: float
    any_batch: bool
    input: str
    outputs: dict

    @property
    def output(self):
        """The name of the first output."""
        return next(iter(self.outputs))

    @property
    def output_shape(self):
        """The shape of the first output for one image."""
        return self.outputs[self.output]

    def describe(self):
        """Return how near it is, in words."""
        return f"largest difference {self.error:.1e} of the largest value"


def export_onnx(checkpoint, path, image_shape, probe=None, tolerance=TOLERANCE, spec=None):
    """Write a checkpoint as an ONNX model that takes what the checkpoint takes.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Of any MXNet release. A loss becomes what it computes for inference; of a face network in training only the
        embedding serves, see `is_training_network` and `mxft.deploy.slim.slim`.
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
    unaltered = mx.sym.Group([checkpoint.symbol[output.position] for output in checkpoint.anatomy.served])
    error = max([apart_from(unaltered, checkpoint, model, probe, any_batch),
                 *apart_at(symbol, checkpoint, model, probe, any_batch, read_by_softmax(symbol)).values()])
    if error <= tolerance:
        return error
    every = apart_at(symbol, checkpoint, model, probe[:1], any_batch)
    layer, apart = next(((name, value) for name, value in every.items() if not value <= tolerance),
                        ("none of them alone", error))
    raise RunError(f"no ONNX file was written: expected the checkpoint's output to {tolerance:g} of its largest value, "
                   f"received a difference of {error:.1e}; the first layer that differs is {layer} ({apart:.1e})")


def noise(spec, count=2):
    """Return random pixels as a network of this InputSpec takes them: float32 ``(count, C, H, W)``."""
    pixels = np.random.RandomState(0).uniform(0, 255, (count, *spec.shape))
    channels = spec.shape[0]
    mean, scale = (np.reshape(values[:channels], (channels, 1, 1)) for values in (spec.mean, spec.scale))
    return ((pixels - mean) * scale).astype(np.float32)


def is_training_network(checkpoint):
    """Whether a face network is as it was trained: of two outputs, or with a margin, which reads the labels.

    What serves then is its embedding.
    """
    return checkpoint.anatomy.is_face_training
