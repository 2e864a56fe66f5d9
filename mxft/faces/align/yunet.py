"""OpenCV's YuNet, a detector in one small ONNX file: ``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo."""
import threading

import numpy as np

from mxft.compat import load_cv2
from mxft.errors import InputError
from mxft.faces.align.detection import Detections, smallest_face
from mxft.files.whole import require_file, sha256

OVERLAP, MOST = 0.3, 5000   # of two faces, and of candidates: OpenCV's own defaults
LARGEST = 1280              # pixels of the longer side that are looked at: YuNet sees faces of 10 to 300 pixels
_TRAINED = 16               # pixels from which on it finds faces


class YuNet:
    """A detector; see `mxft.faces.align.detection.make_detector`.

    Parameters
    ----------
    path : str
        The model's file.
    min_size, confidence
        See `make_detector`.

    Raises
    ------
    MissingFileError
        No such file.
    InputError
        OpenCV cannot read it as a YuNet.

    Notes
    -----
    A picture is looked at so that its smallest face would be 16 pixels high, at most 1280 pixels wide or high; a
    larger one is shrunk for it. Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector" (2023).
    """

    name = "yunet"

    def __init__(self, path, min_size=None, confidence=0.9):
        self._path, self._min_size, self._confidence = require_file(path, "detector"), min_size, confidence
        self.settings = {"detector": f"yunet {sha256(path)[:12]}", "min_size": min_size, "confidence": confidence}
        self._here = threading.local()
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except load_cv2().error as error:
            raise InputError(f"detector cannot be used: expected an ONNX file of YuNet, received {path}, which OpenCV "
                             f"cannot run as one ({' '.join(str(error.err).split())[:120]})") from None

    def __call__(self, image):
        cv2, smallest = load_cv2(), smallest_face(image, self._min_size)
        scale = min(1.0, LARGEST / max(image.shape[:2]), max(_TRAINED / smallest, 320 / max(image.shape[:2])))
        size = tuple(max(32, round(edge * scale)) for edge in image.shape[1::-1])
        if not hasattr(self._here, "network"):
            self._here.network = cv2.FaceDetectorYN.create(self._path, "", size, self._confidence, OVERLAP, MOST)
        self._here.network.setInputSize(size)
        rows = self._here.network.detect(image if scale == 1 else cv2.resize(image, size,
                                                                             interpolation=cv2.INTER_AREA))[1]
        if rows is None:
            return Detections.none()
        rows = rows[np.argsort(-rows[:, 14], kind="stable")].astype(np.float64)
        ratio = np.array(image.shape[1::-1]) / size
        corner, extent = rows[:, :2] * ratio, rows[:, 2:4] * ratio
        # YuNet says the person's right eye first, which is the left one in the picture
        landmarks = rows[:, 4:14].reshape(-1, 5, 2) * ratio
        found = Detections(np.hstack([corner, corner + extent]), rows[:, 14], landmarks)
        return found.only(found.sizes >= smallest)
