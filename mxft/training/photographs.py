"""Photographs to a frozen backbone's features in one pass, where a run needs nothing else of them: no records between.

A head that a solver makes from the centre crops reads every picture once. Packing would encode it, only for it to be
decoded again; here a picture goes from its file to the network, and what is kept are its features.
"""
import dataclasses
import logging
import math
import os
import time

import numpy as np

from mxft.data.datasets import Records, division_of, facts_path, image_facts, without_validation, write_division
from mxft.data.duplicates import colour_thumbnail, duplicates_of, write_duplicates
from mxft.data.labels import LabelScan
from mxft.data.packing import pack_list, require_some, write_bad_rows
from mxft.data.photographs import Photographs, reading, reads_directly
from mxft.data.progress import progress
from mxft.data.target_spec import CLASSES
from mxft.errors import MxftError
from mxft.features.extraction import feature_batches
from mxft.features.known import KnownFeatures
from mxft.files.whole import read_object, require_folder
from mxft.inference.executor import InferenceExecutor
from mxft.network.image_options import ImageOptions
from mxft.surgery import data_name
from mxft.training.backbone_precision import backbone_precision, some_of
from mxft.training.stages import head_plan_of, require_cut
from mxft.wording import plural, some

LOG = logging.getLogger("mxft")
BATCH = 64  # images: more would be more memory, and no faster


@dataclasses.dataclass(frozen=True, repr=False)
class ReadPart:
    """What was read of the pictures for training, or of those for validation; what a `FeatureIterator` iterates over.

    Parameters
    ----------
    list_path : str
        The list of them all.
    rows : list of Row
        Those that could be read.
    bad : list of BadRow
        The others.
    bad_path : str
    features : numpy.ndarray
        Float32 ``(N, …)``.
    digest : str
        SHA-256 of the files.
    thumbnails : list
        Uint8 ``(16, 16)`` each, None of a plain picture.
    seconds : float
    applied : tuple of str
        The rewrites of the backbone.
    """

    list_path: str
    rows: list
    bad: list
    bad_path: str
    features: np.ndarray
    digest: str
    thumbnails: list
    seconds: float
    applied: tuple = ()

    @property
    def scan(self):
        """The LabelScan that a record file of these pictures would have."""
        count = len(self.rows)
        return LabelScan(self.list_path, np.array([row.index for row in self.rows], np.uint64),
                         np.array([row.labels[0] for row in self.rows], np.float32), np.zeros(count, np.int64),
                         np.zeros(count, np.int64))

    def plain_or_not(self):
        """Return ids and thumbnails of the pictures that are not nearly plain."""
        there = [(row.index, each) for row, each in zip(self.rows, self.thumbnails) if each is not None]
        return (np.array([index for index, _ in there], np.uint64),
                np.array([each for _, each in there], np.uint8).reshape(-1, 16, 16))

    def __str__(self):
        classes = len({row.labels[0] for row in self.rows})
        text = (f"read {len(self.rows)} images of {plural(classes, 'class', 'classes')}, features "
                f"{tuple(self.features.shape[1:])}, in {self.seconds:.1f} s "
                f"({len(self.rows) / max(self.seconds, 1e-9):.0f} images/s)")
        return text + (f"; {len(self.bad)} left out, listed in {self.bad_path}" if self.bad else "")


@dataclasses.dataclass(frozen=True, repr=False)
class ReadPhotographs(Records):
    """Records that were never made: `train` and `val` are lists of pictures, whose features are known.

    Parameters
    ----------
    root : str
        What the paths of the lists are relative to.
    precision : mxft.inference.precision.Precision
        Of the features.
    parts : dict of str to ReadPart
        ``"train"`` and ``"val"``.
    """

    root: str = ""
    precision: object = None
    parts: dict = dataclasses.field(default_factory=dict)

    def scan(self, name):
        """Return the LabelScan of one of the parts."""
        return self.parts[name].scan

    def hash_of(self, name, scan):
        """Return the SHA-256 of the pictures of one of the parts; they were decoded."""
        return self.parts[name].digest

    @property
    def judged(self):
        """The paths of the pictures for validation."""
        return tuple(os.path.join(self.root, row.path) for row in self.parts["val"].rows)

    def packed(self, threads=None):
        """Return the Records of the same pictures, packed beside their lists: for another network, or another plan.

        Parameters
        ----------
        threads : int, optional
            For decoding.
        """
        files = {name: pack_list(getattr(self, name), self.root, num_thread=threads or os.cpu_count() or 1,
                                 **self.packing) for name in self.parts}
        return Records(files["train"].rec, files["val"].rec, self.classes, packing=self.packing, target=self.target)

    def known(self, name, batch_size, seed, label_name):
        """Return the KnownFeatures of one of the parts."""
        part = self.parts[name]
        return KnownFeatures(part.features, part.scan.labels, batch_size, seed, label_name, part.seconds, part.applied)


class BackboneReader:
    """The frozen backbone of a recipe, to read photographs with before there is a run; it is bound by `bind`.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    checked : mxft.training.preparation.CheckedRecipe
        With its network.
    """

    def __init__(self, recipe, checked):
        network, self.spec = checked.network, checked.spec
        plan = head_plan_of(recipe, network.symbol, network.head_parameters)
        self._backbone, self._recipe, self._checked = require_cut(network.symbol, plan).backbone, recipe, checked
        self._executor, self.precision = None, None

    def holds(self, images):
        """Whether the features of so many images are within the budget of the cache."""
        _, (shape,), _ = self._backbone.infer_shape(**{data_name(self._backbone): (1, *self.spec.shape)})
        return 4 * images * math.prod(shape) <= self._recipe.cache.budget

    def bind(self, images, count):
        """Bind the backbone in the precision the recipe asks for.

        Parameters
        ----------
        images : callable
            See `mxft.training.backbone_precision.backbone_precision`.
        count : int
            Of the images that are to come: see `InferenceExecutor.expect`.
        """
        checked, network = self._checked, self._checked.network
        self.precision = backbone_precision(checked.checkpoint, network, self._recipe, checked.devices, images)
        self._executor = InferenceExecutor(self._backbone, network.arg_params, network.aux_params, self.spec.shape,
                                           BATCH, checked.devices[0], self._recipe.fit.rewrite,
                                           precision=self.precision)
        self._executor.expect(count)

    @property
    def applied(self):
        """The rewrites of the bound backbone."""
        return self._executor.applied

    def features(self, photographs, name, total):
        """Return the features of photographs, float32 ``(N, …)``."""
        with reading(), progress(total, f"reading {name}") as advance:
            parts = [part for part, _ in feature_batches(self._executor, photographs, progress=advance)]
        return np.concatenate(parts) if parts else np.zeros((0, *self._executor.output_shape[1:]), np.float32)


def reader_for(recipe, checked, packing):
    """Return the BackboneReader of a recipe that needs nothing of photographs but one pass through a frozen backbone.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    checked : mxft.training.preparation.CheckedRecipe
    packing : dict
        Of the ImageOptions.

    Returns
    -------
    BackboneReader or None
        None of a recipe that trains by steps, reads several views, keeps features on disk, repeats records, has
        several workers or other targets than classes.
    """
    one_pass = (recipe.is_solved and recipe.target == CLASSES and recipe.cache.mode != "disk"
                and recipe.cache.view_count == 1 and not recipe.oversample
                and not recipe.fit.kvstore.startswith("dist"))
    if not one_pass or checked is None or checked.network is None or not reads_directly(packing, checked.spec):
        return None
    return BackboneReader(recipe, checked)


def began_with_records(run):
    """Whether a run that is to be resumed had records, by the state it left; False where there is none.

    Parameters
    ----------
    run : str
        Its folder.
    """
    path = os.path.join(run, "state", "state.json")
    try:
        file = read_object(path, "state of a run")["asked"]["data"]["train"]["file"]
    except (MxftError, OSError, KeyError, TypeError):  # what is wrong with it is said where the run is resumed
        return os.path.exists(path)
    return not str(file).endswith(".lst")


def read_instead(recipe, checked, pictures, prefix, resize, per_class=None, val_fraction=None, threads=None):
    """Read pictures with the backbone of a recipe that needs no records of them.

    Parameters
    ----------
    recipe, checked
        See `reader_for`.
    pictures, prefix, per_class, val_fraction, threads
        See `read_pictures`.
    resize : int
        Short side in pixels.

    Returns
    -------
    ReadPhotographs or None
        None where records are needed, or there.
    """
    packing = {"resize": resize, "encoding": ".png"}
    reader = reader_for(recipe, checked, packing)
    return reader and read_pictures(pictures, prefix, reader, packing, per_class, val_fraction, recipe.seed,
                                    threads=threads)


def read_pictures(pictures, prefix, reader, packing, per_class=None, val_fraction=None, seed=0, least=1, threads=None):
    """Divide pictures as `mxft.data.datasets.prepare_pictures` does, and compute their features in place of records.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
        Of classes.
    prefix : str
        Of ``PREFIX-train.lst``, ``PREFIX-val.lst``, ``PREFIX-classes.txt``, and ``PREFIX-duplicates.tsv`` and
        ``.bad.tsv`` where there is something to list.
    reader : BackboneReader
    packing : dict
        Of the ImageOptions.
    per_class, val_fraction, seed, least
        See `prepare_pictures`.
    threads : int, optional
        For decoding.

    Returns
    -------
    ReadPhotographs or None
        None where records stand under the prefix, or the features are too many to be held.

    Raises
    ------
    InputError
        What `prepare_pictures` refuses.
    """
    pictures.require_every_class()
    division = division_of(pictures, per_class, val_fraction, least)
    if os.path.exists(facts_path(prefix)) or not reader.holds(pictures.count):
        return None
    require_folder(os.path.dirname(prefix) or ".")
    rows, classes_path = write_division(pictures, prefix, seed, division)
    reader.bind(lambda count: _some_images(rows[0], count, pictures.root, reader.spec, packing, threads), len(rows[0]))
    parts = {name: _read(part, f"{prefix}-{name}", name, pictures.root, reader, packing, threads)
             for name, part in zip(("train", "val"), rows)}
    without = without_validation(pictures.target, rows, list(parts.values()))
    found = duplicates_of(*parts["train"].plain_or_not(), *parts["val"].plain_or_not())
    duplicates = write_duplicates(f"{prefix}-duplicates.tsv", found, *rows)
    _say(parts, without, duplicates, classes_path, len(pictures.target.names), prefix)
    return ReadPhotographs(f"{prefix}-train.lst", f"{prefix}-val.lst", list(pictures.target.output_names),
                           packing=image_facts(ImageOptions(**packing)), target=CLASSES,
                           root=os.path.abspath(pictures.root), precision=reader.precision, parts=parts)


def _some_images(rows, count, root, spec, packing, threads):
    """Return some of the pictures as a network reads them, float32 ``(N, C, H, W)``."""
    chosen = [rows[number] for number in some_of(len(rows), count)]
    with reading():
        return np.concatenate([batch.data[0] for batch in Photographs(chosen, root, spec, packing, BATCH, threads)])


def _read(rows, prefix, name, root, reader, packing, threads):
    """Return the ReadPart of some rows, and list those that cannot be read."""
    began, list_path, bad_path = time.perf_counter(), prefix + ".lst", prefix + ".bad.tsv"
    photographs = Photographs(rows, root, reader.spec, packing, BATCH, threads, look=colour_thumbnail,
                              required=False)
    features = reader.features(photographs, name, len(rows))
    write_bad_rows(bad_path, photographs.bad)
    require_some(photographs.bad, len(rows), False, list_path, bad_path)
    return ReadPart(list_path, photographs.kept, photographs.bad, bad_path, features, photographs.digest,
                    photographs.looks, time.perf_counter() - began, reader.applied)


def _say(parts, without, duplicates, classes_path, classes, prefix):
    """Log what was read and what was left out."""
    if without:
        LOG.info(f"{plural(len(without), 'class has', 'classes have')} no validation images: {some(without)}")
    if duplicates:
        shown = [f"{val} as {train}" for train, val in duplicates]
        LOG.info(f"{plural(len(shown), 'picture')} for validation also in training, so that the score is too good: "
                 f"{some(shown, 3)}; all in {prefix}-duplicates.tsv")
    LOG.info(f"wrote {classes_path}: {classes} classes, line number (from 0) is label")
    for name, part in parts.items():
        LOG.info(f"{name}: {part}")
