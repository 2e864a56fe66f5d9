"""One feature in a file, as OpenCV writes a matrix: what MegaFace's development kit reads.

``write_bin`` of insightface's ``recognition/_evaluation_/megaface/gen_megaface.py``: four int32 (rows, columns, bytes
of a number, and 5, which is CV_32F), then the float32 numbers; little-endian.
"""
import os
import struct

import numpy as np

from mxft.errors import InputError
from mxft.files.staging import no_link
from mxft.files.whole import require_file

HEADER = struct.Struct("<4i")
CV_32F = 5


def feature_path(folder, image, algorithm):
    """Return where the feature of an image stands below `folder`: the image's path and ``_ALGORITHM.bin``.

    Examples
    --------
    >>> feature_path("out/facescrub", "Aaron_Eckhart/Aaron_Eckhart_1.png", "r100")
    'out/facescrub/Aaron_Eckhart/Aaron_Eckhart_1.png_r100.bin'
    """
    return os.path.join(folder, f"{image}_{algorithm}.bin")


def write_feature(path, feature):
    """Write a feature, whole or not at all.

    Parameters
    ----------
    path : str
        Its folder is created where it is missing.
    feature : array
        ``(D,)``, written as float32.

    Notes
    -----
    Renamed from a temporary name, but not flushed to the disk one by one: there are a million of them.

    Examples
    --------
    >>> write_feature("a.jpg_y1.bin", [0.5, -2])
    >>> open("a.jpg_y1.bin", "rb").read()[:16].hex(" ", 4), read_feature("a.jpg_y1.bin").tolist()
    ('02000000 01000000 04000000 05000000', [0.5, -2.0])
    """
    feature = np.asarray(feature, "<f4")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.part"
    with open(temporary, "wb", opener=no_link) as f:
        f.write(HEADER.pack(len(feature), 1, 4, CV_32F) + feature.tobytes())
    os.replace(temporary, path)


def read_feature(path):
    """Read a feature.

    Parameters
    ----------
    path : str

    Returns
    -------
    numpy.ndarray
        Float32 ``(D,)``.

    Raises
    ------
    InputError
        No such file, or one that is not a column of float32.
    """
    with open(require_file(path, "feature file"), "rb") as f:
        data = f.read()
    header = HEADER.unpack(data[:HEADER.size]) if len(data) >= HEADER.size else ()
    if header[1:] != (1, 4, CV_32F) or len(data) != HEADER.size + 4 * header[0] or header[0] < 1:
        raise InputError(f"{path} is no feature file: expected int32 rows, 1, 4, 5 and so many float32, received "
                         f"{', '.join(map(str, header)) or 'no header'} and {max(len(data) - HEADER.size, 0)} bytes")
    return np.frombuffer(data, "<f4", offset=HEADER.size).astype(np.float32)
