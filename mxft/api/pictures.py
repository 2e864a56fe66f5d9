"""Pictures as a program has them: paths, folders, archives, arrays, or images of Pillow."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Union

import numpy as np

from mxft.compat import load_cv2
from mxft.data.pictures import Pictures, open_pictures, pictures_under
from mxft.data.target_spec import CLASSES
from mxft.errors import InputError
from mxft.files.staging import scratch_folder

Picture = Union[str, "os.PathLike[str]", "np.ndarray[Any, Any]"]


MOST_SHOWN = 20  # pictures a notebook shows beside what was said of them; of arrays no more are kept


class PictureFiles(NamedTuple):
    """Pictures as image files.

    Parameters
    ----------
    paths : list of str
        Of arrays those of temporary files.
    names : list of str
        The paths, or ``"array 0"`` for the first of what was given where that is an array.
    originals : list
        The paths, or the arrays, to show them later; None of an array after the first `MOST_SHOWN` pictures.
    """

    paths: list[str]
    names: list[str]
    originals: list[Any]


def labelled_pictures(data: str | os.PathLike[str] | Pictures, target: str = CLASSES, labels: str | None = None,
                      label_columns: Sequence[str] | None = None, exclude: Iterable[str] = (),
                      names: Sequence[str] | None = None) -> Pictures:
    """Return the Pictures that `data` is, or that lie at the path it is, without the classes to exclude.

    Parameters
    ----------
    data : str, os.PathLike or Pictures
    target : {"classes", "multi-label", "regression"}
    labels, label_columns, exclude, names
        See `mxft.open_pictures`.

    Returns
    -------
    Pictures

    Raises
    ------
    InputError
        What `mxft.open_pictures` refuses; Pictures, which were read already, beside what says how they are read.
    """
    if not isinstance(data, Pictures):
        found: Pictures = open_pictures(data, None if target == CLASSES else target, labels, label_columns, names,
                                        exclude)
        return found
    for name, value in (("labels", labels), ("label_columns", label_columns)):
        if value is not None:
            raise InputError(f"`{name}`: expected a path beside it, received Pictures, whose labels were read; "
                             "mxft.open_pictures(path, labels=…, columns=…) reads others")
    return data.without(exclude)


@contextlib.contextmanager
def as_files(pictures: Picture | Iterable[Picture]) -> Iterator[PictureFiles]:
    """Give pictures as image files.

    Parameters
    ----------
    pictures : str, os.PathLike, numpy.ndarray, or an iterable of them
        Image files, folders, tars and zips of them; arrays of uint8, RGB ``(H, W, 3)`` or grey ``(H, W)``; images of
        Pillow.

    Yields
    ------
    PictureFiles

    Raises
    ------
    InputError
        An array of another kind, a folder without pictures, or none at all.
    """
    alone = isinstance(pictures, (str, os.PathLike, np.ndarray)) or hasattr(pictures, "convert")
    with scratch_folder("arrays") as scratch:
        files = PictureFiles([], [], [])
        for number, picture in enumerate([pictures] if alone else pictures):  # type: ignore[arg-type]
            if isinstance(picture, (str, os.PathLike)):
                found = pictures_under(picture)
                for part in files:
                    part.extend(found)
            else:
                pixels = _pixels(picture, number)
                files.paths.append(_written(pixels, number, scratch))
                files.names.append(f"array {number}")
                files.originals.append(pixels if len(files.originals) < MOST_SHOWN else None)
        if not files.paths:
            raise InputError("pictures: expected at least one, received none")
        yield files


def _pixels(picture: Any, number: int) -> np.ndarray[Any, Any]:
    """Return an array, or an image of Pillow as one."""
    pixels = np.asarray(picture.convert("RGB") if hasattr(picture, "convert") else picture)
    is_picture = pixels.size and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3))
    if pixels.dtype != np.uint8 or not is_picture:
        raise InputError(f"pictures: expected paths, or arrays of uint8, RGB (H, W, 3) or grey (H, W), received "
                         f"{pixels.dtype} {pixels.shape} as number {number}")
    return pixels


def _written(pixels: np.ndarray[Any, Any], number: int, folder: str) -> str:
    """Return the path of a PNG of an array."""
    path = os.path.join(folder, f"{number}.png")
    load_cv2().imwrite(path, pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1]))
    return path
