"""``mxft.split``, ``pack_faces`` and ``pack_pairs``: pictures into the files that trainings and verifications read."""
from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence

from mxft.api.pictures import labelled_pictures
from mxft.api.telling import telling
from mxft.data.datasets import Records, prepare_pictures
from mxft.data.pictures import Pictures
from mxft.data.target_spec import CLASSES
from mxft.errors import InputError, MissingFileError
from mxft.faces.align.detection import make_detector
from mxft.faces.align.options import MTCNN, AlignOptions
from mxft.faces.data.packing import FacePackResult
from mxft.faces.data.packing import pack_faces as pack
from mxft.faces.pairs import bin_file
from mxft.faces.pairs.lists import PairRow
from mxft.options import QUALITY
from mxft.settings import height_width
from mxft.workflows.told import say_split

LOG = logging.getLogger("mxft")


def split(data: str | os.PathLike[str] | Pictures, prefix: str | os.PathLike[str], *, target: str = CLASSES,
          labels: str | None = None, label_columns: Sequence[str] | None = None, exclude: Iterable[str] = (),
          per_class: int | None = None, val_fraction: float | None = None, seed: int = 0, resize: int = 256,
          quality: int = QUALITY, threads: int | None = None) -> Records:
    """Divide pictures into a part for training and one for validation, and pack both; as ``mxft split`` does.

    `mxft.finetune` does this by itself; here it is done once for many runs. A second call with the same arguments takes
    up what the first has made.

    Parameters
    ----------
    data : str, os.PathLike or Pictures
        See `mxft.finetune`.
    prefix : str or os.PathLike
        Of the files: ``PREFIX-train`` and ``PREFIX-val`` (``.lst .rec .idx``), ``PREFIX-classes.txt``.
    target : {"classes", "multi-label", "regression"}
        What a table of labels says.
    labels, label_columns, exclude
        See `mxft.open_pictures`.
    per_class : int, optional
        So many pictures of each class for training, all others for validation: the protocol of Caltech-256.
    val_fraction : float, optional
        A part of each class for validation; a fifth where neither is given.
    seed : int
        Of the choice and of the order.
    resize : int
        Short side in pixels; 0 keeps the size.
    quality : int
        Of the JPEGs, 1 to 100.
    threads : int, optional

    Returns
    -------
    Records
        What `mxft.finetune` takes as its data.

    Raises
    ------
    InputError
        What `mxft.open_pictures` refuses, or too few pictures of a class.

    Examples
    --------
    >>> records = split("256_ObjectCategories", "caltech-256-60", per_class=60)   # doctest: +SKIP
    >>> records.val                                                              # doctest: +SKIP
    'caltech-256-60-val.rec'
    """
    with telling():
        pictures = labelled_pictures(data, target, labels, label_columns, exclude)
        pictures.require_labels()
        records: Records
        records, divided = prepare_pictures(pictures, os.fspath(prefix), per_class, val_fraction, seed,
                                            num_thread=threads or os.cpu_count() or 1, resize=resize, quality=quality)
        say_split(divided, records)
    return records


def pack_faces(source: str | os.PathLike[str], folder: str | os.PathLike[str], *, min_images: int = 1,
               hold_out: float = 0, exclude: Iterable[str] = (), size: Sequence[int] = (112, 112), seed: int = 0,
               align: bool = False, detector: str = MTCNN, threads: int | None = None,
               force: bool = False) -> FacePackResult:
    """Pack faces into the training set that `mxft.finetune_faces` reads, as ``mxft face-pack`` does.

    Parameters
    ----------
    source : str or os.PathLike
        A folder with a folder of images a person: aligned faces, or with `align` photographs. Or a list of aligned
        faces, a face set, or a ``.rec``.
    folder : str or os.PathLike
        Of the files to write: ``property``, ``train.lst``, ``train.rec``, ``train.idx``, ``identities.txt``.
    min_images : int
        People with fewer images are left out.
    hold_out : int or float
        Images of each person that go into ``FOLDER/held-out``: a number, or a part below 1.
    exclude : iterable of str
        People to leave out.
    size : (H, W)
        In pixels.
    seed : int
        Of the choice what to hold out.
    align : bool
        Find a face in each photograph, align it and pack that; `mxft.align_faces` writes them as files first.
    detector : str
        What finds them: see `mxft.align_faces`.
    threads : int, optional
    force : bool
        Replace a set that stands in the folder.

    Returns
    -------
    FacePackResult

    Raises
    ------
    InputError
        Nothing to pack, or a set that stands there.

    Examples
    --------
    >>> pack_faces("people", "faces", min_images=5).identities         # doctest: +SKIP
    423
    """
    with telling():
        wanted = height_width(size)
        packed: FacePackResult = pack(source, folder, None, wanted, min_images, hold_out, seed, exclude=exclude,
                                      num_thread=threads or os.cpu_count() or 1, force=force,
                                      align=AlignOptions(wanted) if align else None,
                                      detector=make_detector(detector) if align else None)
        LOG.info(str(packed))
    return packed


def pack_pairs(pairs: str | os.PathLike[str] | Iterable[tuple[str, str, bool]], path: str | os.PathLike[str],
               root: str | os.PathLike[str] = ".", *, size: Sequence[int] | None = None) -> bin_file.PackedPairs:
    """Pack pairs of faces into a verification set, as ``mxft pairs-pack`` does.

    Parameters
    ----------
    pairs : str, os.PathLike, or an iterable of (left, right, same)
        LFW's ``pairs.txt``, a list with lines ``left right 0|1``, the lists of CFP, AgeDB, CALFW, CPLFW or YouTube
        Faces; or two paths and whether they show one person.
    path : str or os.PathLike
        The ``.bin`` file; one that is there is replaced.
    root : str or os.PathLike
        What the images' paths are relative to.
    size : (H, W), optional
        What every image must be; the first one's own size when None.

    Returns
    -------
    PackedPairs

    Raises
    ------
    InputError
        A malformed row, a missing image, one that cannot be decoded, or images of several sizes.

    Examples
    --------
    >>> print(pack_pairs([("ann1.jpg", "ann2.jpg", True), ("ann1.jpg", "bob.jpg", False)], "mine.bin"))
    ...                                                                # doctest: +SKIP
    mine.bin: 2 pairs (1 same, 1 different) of 3 images, 112x112
    """
    wanted = height_width(size) if size else None
    packed: bin_file.PackedPairs
    with telling():
        if isinstance(pairs, (str, os.PathLike)):
            packed = bin_file.pack_pairs(os.fspath(pairs), os.fspath(root), os.fspath(path), wanted)
        else:
            packed = bin_file.pack_rows(_pair_rows(pairs, os.fspath(root)), os.fspath(path), wanted)
        LOG.info(str(packed))
    return packed


def _pair_rows(pairs: Iterable[tuple[str, str, bool]], root: str) -> list[PairRow]:
    """Return pairs as rows, numbered from 1, whose files are there."""
    rows = [PairRow(number, tuple(os.path.join(root, os.fspath(file)) for file in (left, right)), bool(same))
            for number, (left, right, same) in enumerate(pairs, 1)]
    if not rows:
        raise InputError("pairs: expected at least one, received none")
    for row in rows:
        for file in row.files:
            if not os.path.isfile(file):
                raise MissingFileError(f"image is missing: expected a file, received {file!r}, which pair {row.number} "
                                       "names")
    return rows
