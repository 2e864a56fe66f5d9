"""A face training set to batches, shuffled again every epoch; follows FaceImageIter of insightface's image_iter.py."""
import os

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.data.augmentation import FaceAugmentation
from mxft.faces.data.decoding import BatchDecoder

MOST_THREADS = 8                 # by default: beyond, threads mostly wait for the interpreter lock


class FaceIterator(mx.io.DataIter):
    """Batches of a face training set.

    Parameters
    ----------
    face_set : mxft.faces.data.layout.FaceSet
    batch_size : int
    image_size : (int, int)
        Height and width in pixels; the images must have it.
    shuffle : bool
        A new order of the whole set every epoch; otherwise that of the keys.
    seed : int
        Of order and augmentation, 0 or more. The batches do not depend on `threads`.
    mirror, cutoff, color
        See FaceAugmentation: upstream's ``--rand-mirror``, ``--cutoff`` and ``--color``.
    threads : int, optional
        Decoding threads; the number of cores, 8 at most, when None.
    last : {"drop", "pad"}
        What becomes of the images left when an epoch is cut into batches. "drop": they are not used in this epoch, as
        upstream does. "pad": the last batch is filled up with the epoch's first images, and ``batch.pad`` says how
        many they are.
    worker, workers : int
        Of how many workers this is which: it takes its `batch_size` of every ``workers * batch_size`` images, so that
        together they see the batches one iterator of that size gives.

    Attributes
    ----------
    batches : int
        In an epoch.
    num_images : int
        In the set.
    notes : sequence of str
        What of the set a person should know.
    epoch : int
        Counted from 0. Setting it before an epoch's first batch gives that epoch's order: a run that resumes at
        epoch 3 sees what it would have seen.

    Notes
    -----
    `data` is float32 (N, 3, H, W), RGB, raw 0–255: the face networks normalise themselves. `softmax_label` is float32
    (N,). Threads begin with the first batch and decode two batches ahead; they end when the iterator is closed or
    forgotten. ``reset`` begins the next epoch, also in the middle of one; before the first batch it does nothing.
    A JPEG damaged inside its compressed data may decode to wrong blocks unnoticed.

    Raises
    ------
    InputError
        Fewer images than a batch with "drop"; images of another size; an option out of range.
    RunError
        While reading: an image that is damaged, cut short or of another size, with its key, place and file.

    Examples
    --------
    >>> from mxft.faces.data.layout import read_face_set
    >>> train = FaceIterator(read_face_set("faces_emore"), 512, mirror=True)              # doctest: +SKIP
    """

    notes = ()

    def __init__(self, face_set, batch_size, image_size=(112, 112), shuffle=True, seed=0, mirror=False, cutoff=0,
                 color=0, threads=None, last="drop", worker=0, workers=1):
        super().__init__(batch_size)
        self.face_set, self.image_size = face_set, tuple(image_size)
        self.num_images, self.epoch = len(face_set.labels), 0
        self._shuffle, self._seed, self._last = shuffle, seed, last
        self._worker, self._workers = worker, workers
        self._augmentation = FaceAugmentation(bool(mirror), cutoff, color)
        self._threads = min(os.cpu_count() or 1, MOST_THREADS) if threads is None else threads
        self._require_possible()
        whole, rest = divmod(self.num_images, batch_size * workers)
        self.batches = whole + (last == "pad" and rest > 0)
        self._decoder, self._order, self._asked, self._done = None, None, 0, 0

    def _require_possible(self):
        size, path = self.face_set.image_size, self.face_set.rec
        if size is not None and tuple(size) != self.image_size:
            raise InputError(f"images of another size in {path}: expected "
                             "image-size={},{} (height, width), received {},{}; ".format(*self.image_size, *size)
                             + "give `image_size` {},{} or align and pack them again".format(*size))
        if self._last not in ("drop", "pad"):
            raise InputError(f"last batch: expected 'drop' or 'pad', received last={self._last!r}")
        for name, least, value in (("batch_size", 1, self.batch_size), ("threads", 1, self._threads),
                                   ("seed", 0, self._seed)):
            if value < least:
                raise InputError(f"cannot make batches of {path}: expected {name} of {least} or more, received "
                                 f"{name}={value}")
        if self.num_images < (self.batch_size * self._workers if self._last == "drop" else 1):
            shared = f" for each of {self._workers} workers" if self._workers > 1 else ""
            raise InputError(f"no batch can be filled from {path}: expected at least batch_size={self.batch_size} "
                             f"images{shared}, received {self.num_images}; the largest batch that works has "
                             f"{self.num_images // self._workers}")

    @property
    def provide_data(self):
        return [mx.io.DataDesc("data", (self.batch_size, 3, *self.image_size), np.float32, "NCHW")]

    @property
    def provide_label(self):
        return [mx.io.DataDesc("softmax_label", (self.batch_size,), np.float32, "N")]

    def follow(self, embed, report=None):
        """Be told how the network in training embeds: nothing here depends on it, unlike triplets' batches."""

    def arrays(self):
        """Return what is not in epoch and batch, for the state of a run: nothing."""
        return {}

    def restore(self, arrays):
        """Resume from another's `arrays`: nothing is in them."""

    def go_to(self, epoch, batch):
        """Go to a batch of an epoch, both counted from 0; none before it is read."""
        if self._order is not None:
            self._decoder.forget()
        self.epoch = epoch
        self._begin()
        self._asked = self._done = batch

    def reset(self):
        """Begin the next epoch; before an epoch's first batch this changes nothing."""
        if self._order is None:
            return
        self._decoder.forget()
        self._order = None
        self.epoch += 1

    def next(self):
        """Return the next mx.io.DataBatch, or raise StopIteration at the end of the epoch."""
        if self._order is None:
            self._begin()
        if self._done >= self.batches:
            raise StopIteration
        known = self._batches_known()
        while self._asked < known and self._decoder.wants_more:
            self._ask(self._asked)
            self._asked += 1
        try:
            data, label = self._decoder.take(self._arrays)
        except OSError as error:
            raise RunError(f"reading {self.face_set.rec} stopped: {(error.strerror or str(error)).lower()}") from None
        self._done += 1
        beyond = self._place(self._done - 1) + self.batch_size - self.num_images
        return mx.io.DataBatch([data], [label], pad=min(self.batch_size, max(0, beyond)),
                               provide_data=self.provide_data, provide_label=self.provide_label)

    def close(self):
        """End the threads and let go of the file; a further batch opens both again, from the next epoch's first."""
        if self._decoder is not None:
            self.reset()
            self._decoder.close()
            self._decoder = None

    def _begin(self):
        self._asked = self._done = 0
        self._decoder = self._decoder or BatchDecoder(self.face_set, self.batch_size, self.image_size, self._threads)
        self._order = (np.random.RandomState([self._seed, self.epoch]).permutation(self.num_images) if self._shuffle
                       else np.arange(self.num_images))

    def _batches_known(self):
        """Return up to which batch of the epoch images are known: up to its end."""
        return self.batches

    def _ask(self, batch):
        draw = self._augmentation.draw(self._seed, self.epoch, self._place(batch) // self.batch_size, self.batch_size,
                                       self.image_size)
        self._decoder.ask(self._chosen(batch), draw)

    def _chosen(self, batch):
        """Return the images of a batch, positions in the set."""
        first = self._place(batch)
        return self._order.take(np.arange(first, first + self.batch_size), mode="wrap")

    def _place(self, batch):
        """Return where in the epoch's order a batch of this worker begins."""
        return (batch * self._workers + self._worker) * self.batch_size

    def _arrays(self, planes, chosen):
        return mx.nd.array(planes), mx.nd.array(self.face_set.labels[chosen], dtype=np.float32)
