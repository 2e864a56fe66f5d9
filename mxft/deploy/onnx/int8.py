"""Checkpoint to an ONNX file that ONNX Runtime computes in int8, by ONNX Runtime's own quantizer.

The layers that stay in float32 and the ranges of the maps are those of the checkpoint's `Quantization`; of one that was
not quantized they are measured on images. https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""
import contextlib
import dataclasses
import logging
import os

import numpy as np

from mxft.deploy.onnx import OnnxExport, export_onnx
from mxft.deploy.onnx.comparison import run
from mxft.deploy.onnx.serving_graph import OWN
from mxft.errors import InputError, RunError, last_line
from mxft.files.staging import scratch_folder
from mxft.files.whole import whole_path
from mxft.inference.executor import InferenceExecutor
from mxft.machine.packages import require_packages
from mxft.machine.quiet import quiet_native
from mxft.network.graph import internal_output
from mxft.network.quantization import Quantization
from mxft.quantization.choosing import mean_cosine
from mxft.quantization.network import SampledNetwork
from mxft.rewrite.inference.passes import PASSES, rewrite_for_inference

MIN_COSINE = 0.99
_FOLDED = ("pad", "scalar", "batch_norm")  # the others are for oneDNN's kernels
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_QUANTIZED = (*_WEIGHTED, "Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Flatten",
              "Reshape", "Transpose")
_METHOD = "percentile"  # of a checkpoint that was not quantized
_BATCH = 8


@dataclasses.dataclass(frozen=True, repr=False)
class Int8Export(OnnxExport):
    """What `export_int8` wrote.

    Parameters
    ----------
    path, error, any_batch, input, outputs
        As of `OnnxExport`; the error is that of the float32 file it was made of.
    cosine : float
        Between the scores of ONNX Runtime in int8 and those of the checkpoint in float32, the mean over the images.
    same_class : float
        Part of the images for which the largest score is the same one.
    images : int
        That they were compared on.
    calibration : str
        What the ranges are of, in words.
    """

    cosine: float
    same_class: float
    images: int
    calibration: str

    def describe(self):
        """Return how near it is, in words."""
        return (f"cosine {self.cosine:.4f} between the scores and those of float32, the largest is the same one for "
                f"{100 * self.same_class:.1f} %")


def export_int8(checkpoint, path, images, spec=None, min_cosine=MIN_COSINE):
    """Write a checkpoint as an ONNX model in int8, with QuantizeLinear and DequantizeLinear around its layers.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    path : str or os.PathLike
    images : numpy.ndarray
        Float32 ``(n, C, H, W)``, preprocessed: what is compared, and calibrated on where the checkpoint was not
        quantized.
    spec : mxft.network.input_spec.InputSpec, optional
        As `export_onnx` takes it.
    min_cosine : float
        The least that `Int8Export.cosine` may be.

    Returns
    -------
    Int8Export

    Raises
    ------
    InputError
        As `export_onnx`; or this ONNX Runtime has no quantizer, or parameters were changed since the calibration.
    RunError
        The scores are less alike: no file is left.

    Notes
    -----
    Weights are int8 with a scale for each filter, maps uint8. ONNX Runtime multiplies them exactly on CPUs with VNNI;
    without it, products of int8 and uint8 may be clipped. Outputs of fully connected layers, and what comes behind the
    last layer, are float32.

    Examples
    --------
    >>> export_int8(load_checkpoint("runs/photos"), "photos-int8.onnx", images).same_class      # doctest: +SKIP
    0.996
    """
    require_packages("onnx", "onnxruntime", what="exporting to ONNX")
    quantize_static = _quantizer()
    ranges, in_float, calibration = _calibration(checkpoint, images)
    folded, arg_params, aux_params, _ = rewrite_for_inference(
        checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, left_out=set(PASSES) - set(_FOLDED))
    folded = dataclasses.replace(checkpoint, symbol=folded, arg_params=arg_params, aux_params=aux_params)
    with scratch_folder("onnx") as scratch:
        exact = export_onnx(folded, os.path.join(scratch, "float32.onnx"), images.shape[1:], images[:2], spec=spec)
        model = _quantized(quantize_static, exact, images, ranges, in_float, os.path.join(scratch, "int8.onnx"))
    cosine, same = _compared(checkpoint, model, images, exact.any_batch)
    if not cosine >= min_cosine:
        raise RunError(f"no ONNX file was written: expected a cosine of {min_cosine:g} between the scores of ONNX "
                       f"Runtime in int8 and of the checkpoint in float32, received {cosine:.4f}; more `images` to "
                       "calibrate on, or mxft quantize first, which finds the layers that have to stay in float32")
    import onnx
    with whole_path(os.fspath(path)) as temporary:
        onnx.save(model, temporary)
    values = {field.name: getattr(exact, field.name) for field in dataclasses.fields(exact)}
    return Int8Export(**{**values, "path": os.fspath(path)}, cosine=cosine, same_class=same,
                      images=len(images), calibration=calibration)


def _quantizer():
    """Return ONNX Runtime's ``quantize_static``; InputError where it has none that runs."""
    try:
        from onnxruntime.quantization import quantize_static
    except ImportError as error:
        import onnxruntime
        raise InputError(f"int8: expected an ONNX Runtime with its quantizer, received {onnxruntime.__version__}: "
                         f"{last_line(error)}; pip install --upgrade onnxruntime") from None
    return quantize_static


def _calibration(checkpoint, images):
    """Return the ranges of the maps, the layers in float32, and what they are of."""
    found = Quantization.of(checkpoint.manifest)
    if found is not None:
        found.refuse_other(checkpoint.arg_params, checkpoint.aux_params)
        return found.ranges, found.in_float, f"those of the checkpoint, {found.describe()}"
    network = SampledNetwork(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, images,
                             checkpoint.anatomy.served)
    return network.ranges(_METHOD), (), f"measured on {len(images)} images ({_METHOD})"


def _quantized(quantize_static, exact, images, ranges, in_float, path):
    """Return the int8 model of a float32 file, written to `path` on the way."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType

    model = _named(onnx.load(exact.path))
    onnx.save(model, exact.path)
    overrides = {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
                 for name, (low, high) in _ranges_of_tensors(model, ranges).items()}
    try:
        with quiet_native(), _unwarned():
            quantize_static(
                exact.path, path, _reader(exact, images), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(_QUANTIZED),
                nodes_to_exclude=_in_float(model, in_float),
                extra_options={"TensorQuantOverrides": overrides,
                               "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]})
    except Exception as error:  # ONNX Runtime's own kinds
        raise RunError(f"no ONNX file was written: ONNX Runtime's quantizer stopped at: {last_line(error)}") from None
    made = onnx.load(path)
    onnx.helper.set_model_props(made, {entry.key: entry.value for entry in model.metadata_props})
    return made


@contextlib.contextmanager
def _unwarned():
    """Keep the quantizer from advising, on the root logger, to fold what is folded already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _named(model):
    """Give nodes without a name that of their output: the exporter gives convolutions none, and layers are left out
    by it."""
    for node in model.graph.node:
        node.name = node.name or node.output[0]
    return model


def _ranges_of_tensors(model, ranges):
    """Return the ranges of maps by the names of a model's tensors."""
    found = {}
    for name in (model.graph.input[0].name, *(name for node in model.graph.node for name in node.output)):
        own = name[len(OWN):] if name.startswith(OWN) else name
        pair = ranges.get(f"{own}_output", ranges.get(own))
        if pair:
            found[name] = pair
    return found


def _in_float(model, layers):
    """Return the names of nodes to leave out: the layers named, and those behind which no other has weights."""
    feeding, kept = set(), []
    for node in reversed(model.graph.node):
        if node.op_type in _WEIGHTED or feeding.intersection(node.output):
            feeding.update(node.input)
        else:
            kept.append(node.name)
    named = {*layers, *(OWN + name for name in layers)}
    return kept + [node.name for node in model.graph.node if named.intersection((node.name, *node.output))]


def _reader(exact, images):
    """Return a CalibrationDataReader over images, for the maps that have no range of ours."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self):
            size = _BATCH if exact.any_batch else 1
            self._batches = iter([images[first:first + size] for first in range(0, len(images), size)])

        def get_next(self):
            batch = next(self._batches, None)
            return None if batch is None else {exact.input: np.ascontiguousarray(batch)}

    return Reader()


def _compared(checkpoint, model, images, any_batch):
    """Return the mean cosine between the scores of a model and of the checkpoint, and how often the largest agrees."""
    import onnx

    output = checkpoint.anatomy.output()
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, images.shape[1:],
                                 min(32, len(images)), outputs=[output])
    expected = np.concatenate([executor.forward(images[first:first + executor.batch_size])
                               for first in range(0, len(images), executor.batch_size)])
    scores = internal_output(checkpoint.symbol, *output.scores).name
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    if scores in {name for node in model.graph.node for name in node.output}:
        del wide.graph.output[:]
        wide.graph.output.append(onnx.helper.make_empty_tensor_value_info(scores))
    received = run(wide, images, any_batch)[0]
    received, expected = (each.reshape(len(images), -1) for each in (received, expected))
    return mean_cosine(received, expected), float((received.argmax(axis=1) == expected.argmax(axis=1)).mean())
