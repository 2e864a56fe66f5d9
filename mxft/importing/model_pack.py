"""insightface's model packs (buffalo_l, antelopev2 …): which of their ONNX files embeds faces.

Follows ``ModelRouter`` of insightface's python-package (model_zoo/model_zoo.py, 0.2 to 1.0), which tells detector,
landmarks, attributes and recognition by the size of the input and the number of outputs, and ``arcface_onnx.py`` of
the same for how pixels go in.
"""
import contextlib
import logging
import os

import numpy as np

from mxft.errors import InputError, RunError
from mxft.files.archive import extract_tar
from mxft.files.staging import scratch_folder
from mxft.importing.onnx_file import parse_onnx
from mxft.network.anatomy.outputs import EMBEDDING, FACE_SIZES
from mxft.network.input_spec import InputSpec

LOG = logging.getLogger("mxft")

SMALLEST, MULTIPLE = 112, 16   # pixels of a recognition network's square input
_LANDMARKS, _ATTRIBUTES = 192, 96
LEAST_NUMBERS = 64             # of an embedding; a face network of fewer says an age, or an emotion
MEAN = STD = 127.5             # of arcface_onnx.py, where the graph does not normalise by itself
_FIRST = 8                     # nodes it looks at


@contextlib.contextmanager
def recognition_network(path):
    """Give the path of the face recognition network of a model pack, while it is open.

    Parameters
    ----------
    path : str
        An ``.onnx`` file, which is given as it is; or the folder or zip of a pack.

    Yields
    ------
    path, name : str
        The file, and what it is called in messages: ``w600k_r50.onnx of buffalo_l.zip``.

    Raises
    ------
    InputError
        A pack without such a network, or with several; what is in it is named.
    """
    if not _is_pack(path):
        yield path, os.path.basename(path)
        return
    with scratch_folder("pack") as scratch:
        folder = path if os.path.isdir(path) else extract_tar(path, os.path.join(scratch, "pack"))
        try:
            found = _find(folder, path)
            yield found, f"{os.path.basename(found)} of {os.path.basename(os.path.normpath(path))}"
        except (InputError, RunError) as error:  # names the pack, and not where it was unpacked
            raise type(error)(error.message.replace(folder, path)) from None


def _is_pack(path):
    return os.path.isdir(path) or os.path.splitext(path)[1].lower() == ".zip"


def _find(folder, path):
    files = sorted(os.path.join(where, name) for where, _, names in os.walk(folder) for name in names
                   if name.lower().endswith(".onnx"))
    kinds = {file: kind_of_network(parse_onnx(file).graph) for file in files}
    found = [file for file, kind in kinds.items() if kind == "recognition"]
    if len(found) != 1:
        listed = ", ".join(f"{os.path.basename(file)} ({kind})" for file, kind in kinds.items()) or "no .onnx file"
        raise InputError(f"model pack: expected one face recognition network among its .onnx files, received "
                         f"{len(found)} in {path}: {listed}; give the file itself as `weights`")
    return found[0]


def kind_of_network(graph):
    """Return what a network of a model pack is for, told as insightface's ModelRouter tells it.

    Parameters
    ----------
    graph : onnx.GraphProto

    Returns
    -------
    {"recognition", "detection", "landmarks", "attributes", "something else"}
    """
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if len(graph.output) >= 5:
        return "detection"
    if len(inputs) != 1 or len(graph.output) != 1:
        return "something else"
    edges = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim][2:]
    if len(edges) != 2 or edges[0] != edges[1]:
        return "something else"
    side = edges[0]
    special = {_LANDMARKS: "landmarks", _ATTRIBUTES: "attributes"}.get(side)
    return special or ("recognition" if side >= SMALLEST and side % MULTIPLE == 0 else "something else")


def is_face_network(checkpoint):
    """Whether a network embeds aligned faces: one vector, for one 112x112 colour image, and no class names."""
    spec, served = checkpoint.input_spec, checkpoint.anatomy.served
    return (spec.shape[0] == 3 and list(spec.shape[1:]) in FACE_SIZES and len(served) == 1
            and served[0].kind == EMBEDDING and (served[0].size or 0) >= LEAST_NUMBERS and not checkpoint.classes)


def face_input(graph, shape):
    """Return how pixels go into a face network, which no ONNX file tells, as insightface's arcface_onnx.py guesses it.

    Parameters
    ----------
    graph : onnx.GraphProto
    shape : tuple of int
        ``(3, H, W)``.

    Returns
    -------
    InputSpec
        Raw pixels, where the graph itself subtracts and multiplies among its first nodes, as what MXNet exported; the
        pixel by 255, where what it subtracts is of that size; else ``(x - 127.5)/127.5``. It is said, for it may be
        wrong: flags name another.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants.update((node.output[0], node.attribute[0].t) for node in graph.node if node.op_type == "Constant")
    steps, taken = set(), MEAN
    for node in graph.node[:_FIRST]:
        if node.op_type == "Conv":
            break
        steps.add(node.op_type)
        if node.op_type in ("Sub", "Add") and node.input[1] in constants:
            taken = float(np.abs(numpy_helper.to_array(constants[node.input[1]])).mean())
    if "BatchNormalization" in steps or (steps & {"Sub", "Add"} and steps & {"Mul", "Div"}):
        spec = InputSpec(shape) if taken > 1 else InputSpec(shape, scale=(1 / 255,) * 3)
        LOG.info(f"the graph normalises by itself: it is given {'raw pixels' if taken > 1 else 'pixels / 255'}")
        return spec
    LOG.info("the graph does not normalise by itself: it is given (pixel - 127.5) / 127.5, as insightface's "
             "arcface_onnx.py does")
    return InputSpec(shape, (MEAN,) * 3, (1 / STD,) * 3)
