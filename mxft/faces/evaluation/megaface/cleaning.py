"""Features without the noises of the lists: what ``remove_noises.py`` of insightface writes.

Every feature gets one dimension more, 0. A distractor that shows a person of FaceScrub gets 100 there, far from all;
a face of FaceScrub that shows somebody else gets the direction of the person's other faces, slightly moved.
"""
import dataclasses

import numpy as np

from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.evaluation.megaface.feature_file import feature_path, read_feature, write_feature

FAR = 100.0       # of a noisy distractor
JITTER = 0.001    # of a noisy probe, so that no two are equal


@dataclasses.dataclass(frozen=True)
class CleanedFeatures:
    """Result of `clean_facescrub` and `clean_megaface`.

    Parameters
    ----------
    folder : str
    written, noises : int
        Features, and how many of them were replaced.
    unknown : int
        Noises that are not in the list of images.
    """

    folder: str
    written: int
    noises: int
    unknown: int


def clean_facescrub(images, noises, source, folder, algorithm, seed=0, show=None):
    """Write FaceScrub's features, the noisy ones replaced by the direction of their person's others.

    Parameters
    ----------
    images : dict of str to str
        Of `mxft.faces.evaluation.megaface.lists.read_images`.
    noises : set of str
        File names.
    source, folder : str
        ``OUT/facescrub`` that is read, and the one that is written.
    algorithm : str
    seed : int
        Of the jitter; upstream's differs in each run.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    CleanedFeatures

    Raises
    ------
    InputError
        A feature is missing or no feature file, features of several lengths, or a person of noises only.
    """
    _refuse_noises_only(images, noises)
    rng, noisy, sums, size = np.random.RandomState(seed), [], {}, None
    with progress(len(images), "cleaning facescrub", "features", show=show) as advance:
        for name in images:
            person, file = name.split("/")
            if file in noises:
                noisy.append((person, name))
            else:
                feature, size = _read(source, name, algorithm, size)
                write_feature(feature_path(folder, name, algorithm), np.append(feature, 0))
                sums[person] = sums.get(person, 0) + feature
            advance()
    for person, name in noisy:
        moved = sums[person] + rng.uniform(-JITTER, JITTER, size)
        write_feature(feature_path(folder, name, algorithm), np.append(moved / np.linalg.norm(moved), 0))
    known = {name.split("/")[1] for name in images}
    return CleanedFeatures(folder, len(images), len(noisy), len(noises - known))


def _refuse_noises_only(images, noises):
    """Refuse a person none of whose faces is left, before anything is written."""
    faces = [name.split("/") for name in images]
    left = {person for person, file in faces if file not in noises}
    for person, file in faces:
        if person not in left:
            raise InputError(f"person of noises only: expected at least one face of {person} that is none, received "
                             f"{person}/{file} as a noise and no other")


def clean_megaface(images, noises, source, folder, algorithm, show=None):
    """Write MegaFace's features, the noisy ones far from all; see `clean_facescrub`.

    Parameters
    ----------
    images : dict of str to str
    noises : set of str
        ``group/account/file``.
    source, folder : str
    algorithm : str
    show : bool, optional

    Returns
    -------
    CleanedFeatures
    """
    size = None
    with progress(len(images), "cleaning megaface", "features", show=show) as advance:
        for name in images:
            feature, size = _read(source, name, algorithm, size)
            write_feature(feature_path(folder, name, algorithm), np.append(feature, FAR if name in noises else 0))
            advance()
    found = len(noises & set(images))
    return CleanedFeatures(folder, len(images), found, len(noises) - found)


def _read(source, name, algorithm, size):
    """Return a feature and its length, which has to be `size` where that is known."""
    path = feature_path(source, name, algorithm)
    feature = read_feature(path)
    if size not in (None, len(feature)):
        raise InputError(f"features of several lengths: expected {size} numbers, received {len(feature)} in {path}; "
                         "one network a folder")
    return feature, len(feature)
