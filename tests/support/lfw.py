"""LFW's aligned faces from the shared archive; tests that ask for them are skipped where there is none."""
import functools
import tarfile

import cv2
import numpy as np
import pytest

from tests.conftest import find_testdata


@functools.cache
def _members(path):
    with tarfile.open(path) as archive:
        return [member for member in archive if member.name.endswith(".jpg")]


def lfw_faces(count, step=97):
    """Return some faces as uint8 BGR (112, 112, 3)."""
    folder = find_testdata()
    if folder is None:
        pytest.skip("no test data: expected ../shared or $MXFT_TESTDATA")
    path = folder / "data" / "lfw-112x112.tar"
    with tarfile.open(path) as archive:
        return [cv2.imdecode(np.frombuffer(archive.extractfile(member).read(), np.uint8), 1)
                for member in _members(path)[::step][:count]]
