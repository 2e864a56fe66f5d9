"""A data set ready to train on: both record files, class names, and how photographs became records.

``PREFIX-records.json`` keeps these facts beside the files, so that the next run takes them up again instead of packing
again, and a checkpoint's manifest can say how to treat a new photograph.
"""
import dataclasses
import hashlib
import json
import logging
import math
import os
import shlex
from typing import Optional

from mxft.data.classes import read_classes, write_classes
from mxft.data.duplicates import find_duplicates, write_duplicates
from mxft.data.labels import scan_labels
from mxft.data.lists import write_list
from mxft.data.packing import pack_list
from mxft.data.pictures import open_pictures
from mxft.data.splits import SplitResult, rank, split_fraction, split_per_class
from mxft.data.stratification import split_targets
from mxft.data.tables import require_plain
from mxft.data.target_spec import CLASSES, check_kind
from mxft.data.validation import check_records
from mxft.errors import InputError, MissingFileError
from mxft.files.whole import sha256, write_json
from mxft.network.image_options import ImageOptions
from mxft.options import VAL_FRACTION
from mxft.wording import BriefRepr, plural

LOG = logging.getLogger("mxft")


@dataclasses.dataclass(frozen=True, repr=False)
class Records(BriefRepr):
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
        How the records are looked at before training, see `mxft.data.validation`.
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
    root = None  # what the paths of pictures are relative to, where there are no records of them
    precision = None  # what features were computed in, where they are known already

    def scan(self, name):
        """Return the LabelScan of one of the parts, ``"train"`` or ``"val"``."""
        return scan_labels(getattr(self, name))

    def hash_of(self, name, scan):
        """Return the SHA-256 of one of the parts, once its images were looked at: see `mxft.data.validation`."""
        return check_records(scan, self.check) or sha256(getattr(self, name))

    def known(self, name, batch_size, seed, label_name):
        """Return the `mxft.features.known.KnownFeatures` of one of the parts, or None: they are to be computed."""
        return

    @property
    def judged(self):
        """Where the pictures for validation are found again: the record file, or their paths."""
        return self.val


def prepare_records(folder, prefix, per_class=60, seed=0, exclude=(), keep_clutter=False, num_thread=1, show=None,
                    strict=False, val_fraction=None, **image_options):
    """Split and pack pictures by the tutorials' protocols: n of each class for training, or Keras's fraction.

    Pictures that are divided already, into train/ and val/ folders or by a table, stay divided so.

    Parameters
    ----------
    folder : str
        As `mxft.data.pictures.open_pictures` takes it, with one class a picture.
    prefix, seed, num_thread, show, strict
        See `prepare_pictures`.
    per_class : int
        See `mxft.data.splits.split_per_class`; not used with `val_fraction`.
    exclude, keep_clutter
        See `mxft.data.pictures.open_pictures`.
    val_fraction : float, optional
        As Keras's ``validation_split``: small classes may have no images for validation.
    **image_options
        `resize`, `quality` …: see `mxft.network.image_options.ImageOptions`.

    Returns
    -------
    records : Records
    split : SplitResult or None

    Raises
    ------
    InputError
        What `open_pictures` and `prepare_pictures` refuse.
    """
    pictures = open_pictures(folder, exclude=exclude, keep_clutter=keep_clutter)
    if pictures.val is not None:
        LOG.info(f"{pictures.source} is divided already, and stays so: the protocol's own division is left out")
        per_class, val_fraction = None, None
    return prepare_pictures(pictures, prefix, None if val_fraction else per_class, val_fraction, seed, 0, num_thread,
                            show, strict, **image_options)


def prepare_pictures(pictures, prefix, per_class=None, val_fraction=None, seed=0, least=1, num_thread=1, show=None,
                     strict=False, **image_options):
    """Split and pack pictures, or take up what an earlier call with the same arguments made.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
        With labels. Where they say which are for validation, they are divided so.
    prefix : str
        Of ``PREFIX-train`` and ``PREFIX-val`` (``.lst .rec .idx``), ``PREFIX-classes.txt``, a name a line for each
        output, ``PREFIX-records.json``, and ``PREFIX-duplicates.tsv`` where a picture is in both parts.
    per_class : int, optional
        Images of each class for training; all others are for validation: see `mxft.data.splits.split_per_class`.
    val_fraction : float, optional
        Part for validation, `VAL_FRACTION` when neither is given: see `mxft.data.splits.split_fraction` and
        `mxft.data.stratification.split_targets`.
    seed : int
    least : int
        Images of every class for validation at least, where a class has more.
    num_thread, show, strict
        See `mxft.data.packing.pack_list`.
    **image_options
        `resize`, `quality` …: see `mxft.network.image_options.ImageOptions`.

    Returns
    -------
    records : Records
    split : SplitResult or None
        None where files of an earlier call were taken up: same options, same pictures (names, labels, sizes and times
        of change), and record files that still have the hash they were written with.

    Raises
    ------
    InputError
        No labels; a class that is too small; a class none of whose images can be read; no image left for validation;
        a division asked for where the pictures are divided; what `pack_list` refuses.

    Examples
    --------
    >>> pictures = open_pictures("photos")                                          # doctest: +SKIP
    >>> records, split = prepare_pictures(pictures, "photos-records", resize=256)   # doctest: +SKIP
    """
    options = image_facts(ImageOptions(**image_options))
    pictures.require_every_class()
    division = division_of(pictures, per_class, val_fraction, least)
    wanted = {"folder": os.path.abspath(pictures.root), "target": pictures.target.kind,
              "names": pictures.target.output_names, **division, "seed": seed, "strict": strict, "packing": options,
              "source": _fingerprint(pictures)}
    if records_stand(prefix, wanted):
        return load_records(prefix), None
    parts, classes_path = write_division(pictures, prefix, seed, division)
    packed = []
    for name in ("train", "val"):
        result = pack_list(f"{prefix}-{name}.lst", pictures.root, num_thread=num_thread, show=show, strict=strict,
                           pack_label=pictures.target.kind != CLASSES, **image_options)
        packed.append(dataclasses.replace(result, of_classes=pictures.target.kind == CLASSES))
    without = without_validation(pictures.target, parts, packed)
    duplicates = write_duplicates(f"{prefix}-duplicates.tsv", find_duplicates(*(result.rec for result in packed)),
                                  *parts)
    hashes = {name: sha256(f"{prefix}-{name}.rec") for name in ("train", "val")}
    write_json(facts_path(prefix), {**wanted, "sha256": hashes})
    return load_records(prefix), SplitResult(*packed, classes_path, pictures.target.output_names,
                                             list(pictures.excluded), without, duplicates)


def write_division(pictures, prefix, seed, division):
    """Write the class map and the lists of pictures for training and for validation; return both parts and the map.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
    prefix : str
    seed : int
    division : dict
        Of `division_of`.

    Returns
    -------
    parts : list of list of Row
    classes_path : str
    """
    parts, classes_path = _divided(pictures, seed, division), f"{prefix}-classes.txt"
    require_plain(pictures.table or pictures.source, pictures.target.output_names, pictures.table is None)
    LOG.info(pictures.describe())
    write_classes(classes_path, pictures.target.output_names)
    for name, rows in zip(("train", "val"), parts):
        write_list(f"{prefix}-{name}.lst", rows)
    return parts, classes_path


def division_of(pictures, per_class, val_fraction, least):
    """Return how pictures are divided, as the facts of the records say it; the arguments are `prepare_pictures`'."""
    if per_class and val_fraction:
        raise InputError(f"cannot split: expected `per_class` or `val_fraction`, received per_class={per_class} and "
                         f"val_fraction={val_fraction:g}")
    if pictures.val is not None:
        if per_class or val_fraction:
            name, value = ("per_class", per_class) if per_class else ("val_fraction", val_fraction)
            raise InputError(f"`{name}`: expected pictures that are not divided yet, received {name}={value} beside "
                             f"{pictures.source}: {pictures.layout}; leave it out, or give the training folder alone")
        return {"divided": True}
    if per_class and pictures.target.kind != CLASSES:
        raise InputError(f"`per_class`: expected one class a picture, received per_class={per_class} beside "
                         f"{pictures.target.describe()}; `val_fraction` divides them")
    return {"per_class": per_class} if per_class else {"val_fraction": val_fraction or VAL_FRACTION, "least": least}


def _divided(pictures, seed, division):
    """Return rows for training and rows for validation."""
    target, rows = pictures.target, pictures.rows
    if "divided" in division:
        return [sorted(part, key=lambda row: rank(row, seed)) for part in (rows, pictures.val)]
    if target.kind != CLASSES:
        return split_targets(rows, target.kind, division["val_fraction"], seed)
    if "per_class" in division:
        train, val = split_per_class(rows, division["per_class"], seed, list(target.names))
        more, advice = division["per_class"], "lower `per_class`"
    else:
        share, least = division["val_fraction"], division["least"]
        train, val = split_fraction(rows, share, seed, list(target.names), least)
        more, advice = (1, "add pictures") if least else (math.ceil(1 / share) - 1,
                                                          f"raise the fraction above {share:g}")
    if not val:
        numeric = pictures.table and target.size > 5 and all(name.lstrip("-").isdecimal() for name in target.names)
        advice += "; `target='regression'` trains on numbers" * bool(numeric)
        raise InputError(f"no images left for validation: expected a class with more than {plural(more, 'image')} in "
                         f"{pictures.source}, received {plural(len(rows), 'image')} of {target.size} classes; {advice}")
    return train, val


def without_validation(target, parts, packed):
    """Return the classes without images for validation, refusing one none of whose training images could be read.

    Parameters
    ----------
    target : mxft.data.target_spec.TargetSpec
    parts : list of list of Row
        For training, and for validation.
    packed : list of PackResult
        Of them, with the `bad` rows.

    Returns
    -------
    list of str
    """
    if target.kind != CLASSES:
        return []
    there = []
    for rows, result in zip(parts, packed):
        bad = {each.row.index for each in result.bad}
        there.append({int(row.labels[0]) for row in rows if row.index not in bad})
    for number, name in enumerate(target.names):
        if number not in there[0]:
            bad = [each for each in packed[0].bad if each.row.labels[0] == number]
            said = f"{plural(len(bad), 'image')} that cannot be read ({bad[0].reason})" if bad else "none"
            listed = f", listed in {packed[0].bad_path}" if bad else ""
            raise InputError(f"class without training images: expected at least one of {name}, received {said}"
                             f"{listed}; repair them or `exclude` {name}")
    return [name for number, name in enumerate(target.names) if number not in there[1]]


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


def record_files(path):
    """Return the record files for training and for validation that a path names, or None where it names none.

    Parameters
    ----------
    path : str
        A ``.rec`` file, or a folder with one, or with one that has ``train`` in its name.

    Returns
    -------
    (str, str or None) or None
        Those for validation have ``val``, ``valid``, ``validation`` or ``test`` in place of ``train``.
    """
    path = os.path.expanduser(os.fspath(path))
    found = [path] if path.endswith(".rec") else []
    if os.path.isdir(path):
        found = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(".rec")]
        found = [name for name in found if "train" in os.path.basename(name)] if len(found) > 1 else found
    if len(found) != 1 or not os.path.isfile(found[0]):
        return None
    folder, name = os.path.split(found[0])
    twins = [os.path.join(folder, name.replace("train", part)) for part in ("val", "valid", "validation", "test")]
    return found[0], next((twin for twin in twins if "train" in name and os.path.isfile(twin)), None)


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
        pictures, made = ("PICTURES", prefix) if not os.path.isdir(prefix) else (
            shlex.quote(prefix), os.path.normpath(prefix) + "-split")
        raise MissingFileError(f"records are missing: expected {path}, received records={prefix!r}; "
                               f"mxft split {pictures} {shlex.quote(made)} makes them")
    facts = _read_facts(path)
    return Records(f"{prefix}-train.rec", f"{prefix}-val.rec", read_classes(f"{prefix}-classes.txt"),
                   packing=facts["packing"], target=facts.get("target", CLASSES))


def _read_facts(path):
    try:
        with open(path, encoding="utf-8") as f:
            facts = json.load(f)
        ImageOptions(**facts["packing"])
        check_kind(facts.get("target", CLASSES))
        return facts
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"records cannot be used again: expected the facts mxft split writes, received {path} "
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


def _fingerprint(pictures):
    """Return a hash of path, labels, size and time of change of every picture that is there, and of its part."""
    digest = hashlib.sha256()
    for part in (pictures.rows, pictures.val or ()):
        for row in part:
            try:
                status = os.stat(os.path.join(pictures.root, row.path))
                digest.update(f"{row.path}\0{row.labels}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(
                    "utf-8", "surrogateescape"))
            except OSError:
                continue
        digest.update(b"\n")
    return digest.hexdigest()
