"""A backbone's features kept for the epochs to come: in memory, or on disk under the hash of all they depend on."""
import glob
import hashlib
import logging
import os
import time

import numpy as np

from mxft.data.progress import progress
from mxft.errors import InputError, RunError, nearest
from mxft.features.extraction import DTYPES, extract_view, feature_batches
from mxft.features.view_file import UnusableView, differing, key_of, read_facts, read_view, write_view
from mxft.files.whole import require_folder, require_space
from mxft.options import BUDGET_BYTES, MODES, CacheOptions  # noqa: F401 (CacheOptions is known by this place too)

LOG = logging.getLogger("mxft")


class FeatureStore:
    """Views of the features of some records, each computed once.

    Parameters
    ----------
    executor_factory : callable
        ``() -> InferenceExecutor`` of the backbone.
    make_iterator : callable
        ``view number -> iterator`` over the records, with `num_records`.
    key_facts : dict
        What the features depend on, beside view and dtype: hashes of backbone, parameters and records, preprocessing,
        augmentation, seed. JSON must hold it. See `backbone_facts`.
    mode : {"none", "memory", "disk"}
        ``none`` keeps nothing: every `view` is computed when it is asked for.
    folder : str
        For ``disk``.
    budget_bytes : int
        For all views together, in memory or on disk. Where float32 does not fit, float16 is kept; where that does not
        fit either, nothing (mode ``none``). Both are said.
    dtype : {"float32", "float16"}
    views : int
        How many there will be.
    name : str
        What the files begin with and what is said begins with.
    say : callable of str

    Attributes
    ----------
    mode, dtype : str
        As the budget left them.
    feature_shape : tuple of int
        Of one record's features.
    num_records : int

    Raises
    ------
    InputError
        Unknown mode or dtype, a budget or a number of views that cannot be, or a folder that cannot be written to or
        has no room.

    Notes
    -----
    On disk a view is ``NAME-viewK-KEY.features``, read only after its checksum has been found right; it is mapped, not
    loaded, so memory stays flat. A damaged, truncated or stale file is said to be so and computed again; files of
    other backbones or records stay where they are.

    Examples
    --------
    >>> store = FeatureStore(make_executor, train.epoch, facts, "disk", "features-cache", views=4)   # doctest: +SKIP
    >>> store.view(0).features.shape                                                                 # doctest: +SKIP
    (3072, 1280)
    """

    def __init__(self, executor_factory, make_iterator, key_facts, mode="none", folder=None, budget_bytes=BUDGET_BYTES,
                 dtype="float32", views=1, name="features", say=LOG.info):
        check_cache(mode, folder, budget_bytes, dtype, views)
        self.views, self._folder, self._facts, self._name, self._say = views, folder, dict(key_facts), name, say
        self._executor_factory, self._make_iterator, self._kept = executor_factory, make_iterator, {}
        self._executor, self._first = executor_factory(), make_iterator(0)
        self.feature_shape, self.num_records = self._executor.output_shape[1:], self._first.num_records
        self.mode, self.dtype = self._within(mode, dtype, budget_bytes)
        if self.mode == "disk":
            self._folder = require_folder(folder)
            missing = sum(not os.path.exists(self.path(number)) for number in range(views))
            require_space(missing * self.view_bytes(self.dtype), self._folder, "for the features")

    def view_bytes(self, dtype):
        """Return the bytes of one view, features and labels, in this dtype."""
        labels = 4 * (self._facts.get("reading") or {}).get("label_width", 1)
        return self.num_records * (int(np.prod(self.feature_shape)) * np.dtype(dtype).itemsize + labels)

    def _within(self, mode, dtype, budget):
        """Return the mode and dtype that stay within the budget, and say what was changed."""
        if mode == "none":
            return mode, dtype
        for possible in DTYPES[DTYPES.index(dtype):]:
            needed = self.views * self.view_bytes(possible)
            if needed <= budget:
                if possible != dtype:
                    self._say(f"{self._name}: kept as {possible}, {_megabytes(needed)}; {dtype} would need "
                              f"{_megabytes(self.views * self.view_bytes(dtype))} of a budget of {_megabytes(budget)}")
                return mode, possible
        self._say(f"{self._name}: computed again every epoch; {self.views} x {self.num_records} records need "
                  f"{_megabytes(needed)} even as float16, of a budget of {_megabytes(budget)}")
        return "none", "float32"

    def view(self, number):
        """Return the FeatureView of this number, in its records' own order.

        Raises
        ------
        RunError
            Features that are not finite, or too large for float16; a record that cannot be read.
        """
        if not 0 <= number < self.views:
            raise ValueError(f"view: expected a number below {self.views}, received {number}")
        if number not in self._kept:
            view = self._from_disk(number) if self.mode == "disk" else None
            view = view or self._computed(number)
            if self.mode == "none":
                return view
            self._kept[number] = view
            if len(self._kept) == self.views:
                self._executor = None  # its memory is free for the head
        return self._kept[number]

    def path(self, number):
        """Return the path of a view's file."""
        key = key_of(self._facts_of(number))
        return os.path.join(self._folder, f"{self._name}-view{number}-{key[:16]}.features")

    def _facts_of(self, number):
        return {**self._facts, "view": number, "dtype": self.dtype}

    def _whole_shape(self):
        return (self.num_records, *self.feature_shape)

    def _from_disk(self, number):
        path = self.path(number)
        try:
            view = read_view(path, self._facts_of(number), self._whole_shape(), self.dtype)
        except FileNotFoundError:
            self._mention_stale(number)
            return None
        except (UnusableView, OSError) as reason:
            self._say(f"{self._name}: {path} is {reason}; computed again")
            return None
        self._say(f"{self._name}: view {number + 1} of {self.views} taken from {path}")
        return view

    def _mention_stale(self, number):
        """Say why the newest file of this view, made with other facts, does not serve."""
        beginning = os.path.join(glob.escape(self._folder), f"{glob.escape(self._name)}-view{number}-")
        others = sorted(glob.glob(beginning + "*.features"), key=os.path.getmtime)
        if others:
            try:
                other = ", ".join(differing(read_facts(others[-1]), self._facts_of(number)))
                self._say(f"{self._name}: {others[-1]} is stale, made with other {other}; computed again")
            except (UnusableView, OSError) as reason:
                self._say(f"{self._name}: {others[-1]} is {reason}; computed again")

    def _computed(self, number):
        executor = self._executor or self._executor_factory()
        iterator, self._first = (self._first if number == 0 else None), None
        iterator, began = iterator or self._make_iterator(number), time.perf_counter()
        with progress(self.num_records, f"{self._name} view {number + 1}/{self.views}") as advance:
            if self.mode == "disk":
                path = self.path(number)
                write_view(path, self._facts_of(number), self._whole_shape(), self.dtype,
                           feature_batches(executor, iterator, self.dtype, advance))
                view = read_view(path, self._facts_of(number), self._whole_shape(), self.dtype)
            else:
                view = extract_view(executor, iterator, self.dtype, advance)
        seconds = time.perf_counter() - began
        if len(view.labels) != self.num_records:
            raise RunError(f"{self._name}: expected {self.num_records} records, received {len(view.labels)}")
        self._say(f"{self._name}: view {number + 1} of {self.views}, {self.num_records} x {tuple(self.feature_shape)} "
                  f"{self.dtype}, {_megabytes(self.view_bytes(self.dtype))}, in {seconds:.1f} s "
                  f"({self.num_records / seconds:.0f} images/s)")
        return view


def check_cache(mode, folder, budget_bytes, dtype, views):
    """Refuse (InputError) a cache that cannot be; the arguments are FeatureStore's."""
    if mode not in MODES:
        raise InputError(f"cache: expected one of {', '.join(MODES)}, received cache={mode!r}; "
                         f"{nearest(str(mode), MODES)}")
    if dtype not in DTYPES:
        raise InputError(f"cache: expected features of {' or '.join(DTYPES)}, received dtype={dtype!r}")
    if mode == "disk" and not folder:
        raise InputError("cache: expected a folder for cache=disk, received none")
    for what, value in (("views", views), ("cache-budget", budget_bytes)):
        if value < 1:
            raise InputError(f"cache: expected at least 1, received {what}={value}")


def backbone_facts(backbone, arg_params, aux_params):
    """Return hashes of a backbone's graph and of the parameters it reads, for `FeatureStore`'s `key_facts`.

    Parameters
    ----------
    backbone : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
        May hold more than the backbone needs.
    """
    digest = hashlib.sha256()
    for names, values in ((backbone.list_arguments(), arg_params), (backbone.list_auxiliary_states(), aux_params)):
        for name in sorted(set(names) & set(values)):
            array = np.ascontiguousarray(values[name].asnumpy())
            digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
            digest.update(array)
    return {"backbone": hashlib.sha256(backbone.tojson().encode()).hexdigest(), "parameters": digest.hexdigest()}


trunk_facts = backbone_facts  # its name in 0.1.0


def _megabytes(count):
    return f"{count / 1e6:,.1f} MB"


