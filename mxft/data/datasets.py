"""A data set ready to train on: both record files, class names, and how photographs became records.

``PREFIX-records.json`` keeps these facts beside the files, so that the next run takes them up again instead of packing
anew, and a checkpoint's manifest can say how to treat a new photograph.
"""
import dataclasses
import hashlib
import json
import os
import shlex
from typing import Optional

from mxft.data.classes import read_classes
from mxft.data.splits import split_folder
from mxft.data.target_spec import CLASSES, check_kind
from mxft.errors import InputError, MissingFileError
from mxft.files.whole import sha256, write_json
from mxft.network.image_options import ImageOptions


@dataclasses.dataclass(frozen=True)
class Records:
    """The records to train and validate on, and what is known of them.

    Parameters
    ----------
    train : str
        A ``.rec`` file.
    val : str or None
    classes : list of str or None
        Names in label order.
    num_classes : int or None
        Outputs to train; the number of names, or the highest label + 1, when None.
    packing : dict or None
        The ImageOptions the images went through, so that `predict` can do the same to a new one.
    check : {"fast", "full", "off"}
        How the records are looked at before training, see `mxft.data.soundness`.
    target : {"classes", "multi-label", "regression"} or None
        What their labels say, where it is known: see `mxft.data.target_spec`.
    """

    train: str
    val: str = None
    classes: list = None
    num_classes: int = None
    packing: dict = None
    check: str = "fast"
    target: Optional[str] = None


def prepare_records(folder, prefix, per_class=60, seed=0, exclude=(), keep_clutter=False, num_thread=1, show=None,
                    strict=False, val_fraction=None, **image_options):
    """Split and pack a folder of class folders, or take up what an earlier call with the same arguments made.

    Parameters
    ----------
    folder : str
        One folder of images a class; only read.
    prefix : str
        Of the files to write.
    per_class, seed, exclude, keep_clutter, num_thread, strict, show, val_fraction
        See `mxft.data.splits.split_folder`.
    **image_options
        `resize`, `quality` …: see `mxft.network.image_options.ImageOptions`.

    Returns
    -------
    records : Records
    split : SplitResult or None
        None where files of an earlier call were taken up: same options, same image files (names, sizes and times of
        change), and record files that still have the hash they were written with.

    Raises
    ------
    InputError
        What `split_folder` refuses.
    """
    options = image_facts(ImageOptions(**image_options))
    wanted = {"folder": os.path.abspath(folder), "per_class": per_class, "seed": seed, "exclude": sorted(exclude),
              "keep_clutter": keep_clutter, "strict": strict, "packing": options, "source": _fingerprint(folder)}
    if val_fraction is not None:  # only then a fact: files of earlier versions stay good
        wanted.update(per_class=None, val_fraction=val_fraction)
    if records_stand(prefix, wanted):
        return load_records(prefix), None
    split = split_folder(folder, prefix, per_class, seed, exclude, keep_clutter, num_thread=num_thread, strict=strict,
                         show=show, val_fraction=val_fraction, **image_options)
    hashes = {name: sha256(f"{prefix}-{name}.rec") for name in ("train", "val")}
    write_json(facts_path(prefix), {**wanted, "sha256": hashes})
    return load_records(prefix), split


def image_facts(options):
    """Return ImageOptions as a dict, for facts and manifests; `squash` and `interp` only where they are set.

    Earlier files have neither.

    Parameters
    ----------
    options : ImageOptions
    """
    facts = dataclasses.asdict(options)
    defaults = {"squash": False, "interp": "auto"}
    return {name: value for name, value in facts.items() if name not in defaults or value != defaults[name]}


def facts_path(prefix):
    """Return the path of the file that keeps a data set's facts."""
    return prefix + "-records.json"


def load_records(prefix):
    """Return the Records an earlier `prepare_records` (``mxft split``) made under `prefix`.

    Raises
    ------
    InputError
        There are none, or the file that describes them cannot be read.
    """
    path = facts_path(prefix)
    if not os.path.isfile(path):
        raise MissingFileError(f"records are missing: expected {path}, received records={prefix!r}; "
                               f"mxft split FOLDER {shlex.quote(prefix)} makes them")
    facts = _read_facts(path)
    return Records(f"{prefix}-train.rec", f"{prefix}-val.rec", read_classes(f"{prefix}-classes.txt"),
                   packing=facts["packing"], target=facts.get("target"))


def _read_facts(path):
    try:
        with open(path, encoding="utf-8") as f:
            facts = json.load(f)
        ImageOptions(**facts["packing"])
        check_kind(facts.get("target", CLASSES))
        return facts
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"records cannot be taken up: expected the facts mxft split writes, received {path} "
                         f"({error}); delete it and split again") from None


def records_stand(prefix, wanted):
    """Whether the files under `prefix` are what `wanted` would make.

    Parameters
    ----------
    prefix : str
    wanted : dict
        The facts `prefix`-records.json would hold, without the hashes of the record files.

    Returns
    -------
    bool
    """
    try:
        facts = _read_facts(facts_path(prefix))
        hashes = facts.pop("sha256")
        return (facts == wanted and os.path.isfile(f"{prefix}-classes.txt")
                and all(sha256(f"{prefix}-{name}.rec") == hashes[name] for name in ("train", "val")))
    except (InputError, OSError, KeyError):
        return False


def _fingerprint(folder):
    """Return a hash of the names, sizes and times of change of every file below `folder`."""
    digest = hashlib.sha256()
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            status = os.stat(os.path.join(path, name))
            relative = os.path.relpath(os.path.join(path, name), folder)
            digest.update(f"{relative}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
