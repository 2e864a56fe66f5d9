"""Shared fixtures: the photographs and checkpoints beside the repository, a tiny network, a quiet matplotlib."""
import os
import pathlib

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


def find_testdata():
    """Return the folder with data/, models/ and symbols/, or None."""
    for folder in (os.environ.get("MXFT_TESTDATA"), REPOSITORY.parent / "shared"):
        if folder and (pathlib.Path(folder) / "models").is_dir():
            return pathlib.Path(folder)
    return None


@pytest.fixture(scope="session")
def testdata():
    """The shared test data as pathlib.Path; the test is skipped where there is none."""
    folder = find_testdata()
    if folder is None:
        pytest.skip("no test data: expected ../shared or $MXFT_TESTDATA")
    return folder


@pytest.fixture(scope="session")
def repository():
    """The root of the checkout."""
    return REPOSITORY
