"""Record files to batches: ``ImageRecordIter`` with the tutorial's arguments, every record once an epoch.

MXNet 1.9.1's own handling of a last batch that is not full is broken: with ``round_batch=True`` the second epoch
begins behind the records the first one borrowed and reports wrong pads, with ``round_batch=False`` it delivers
uninitialised rows and reports no pad. RecordIterator knows the number of records and corrects both.
"""
import itertools
import os

import numpy as np

from mxft.compat import mx
from mxft.data.augmentation import augmentation_of
from mxft.errors import InputError, RunError, last_line

_DO_NOT_MATTER = {"path_imgrec", "data_name", "label_name", "preprocess_threads", "verbose", "round_batch",
                  "prefetch_buffer"}  # to pixels


class RecordIterator(mx.io.DataIter):
    """Batches of a record file.

    Parameters
    ----------
    path : str
        A ``.rec`` file of images.
    spec : mxft.network.input_spec.InputSpec
        Size, mean, scale and resize rule.
    batch_size : int
    num_records : int
        Records in the file, as `mxft.data.labels.scan_labels` counts them.
    augment : {0, 1, 2, 3} or mxft.data.augmentation.Augmentation
        What happens to an image at random. Levels of MXNet's image-classification example: 0 centre crop; 1 random
        crop and mirror (the tutorial's); 2 adds hue 36, saturation 50, lightness 50; 3 adds rotation 10 degrees,
        shear 0.1, aspect ratio 0.25.
    shuffle : bool
        A new order every epoch.
    seed : int
        Of order and augmentation. The batches do not depend on `threads`.
    threads : int, optional
        Decoding threads; the number of cores when None.
    share : mxft.data.sharing.Share, optional
        The part of the file one of several workers reads; all of it when None.
    state : tuple, optional
        What `file_state` said of the file when its records were looked at; as it is now when None.
    label_width : int
        Numbers of a record's label to read; the first alone, labels ``(N,)``, or so many, ``(N, label_width)``.
    label_name : str
        What the network calls its labels.

    Notes
    -----
    An epoch has ``ceil(num_records / batch_size)`` batches. The last one is filled up with the epoch's first records
    and ``batch.pad`` says how many they are. ``reset`` before anything was read does nothing. A share has as many
    batches as the largest: a smaller one continues with its epoch's first batch, all of it pad. A batch holds until the
    next is asked for: MXNet may then write into its arrays. Copy what is to be kept.

    Raises
    ------
    InputError
        Unknown augmentation level, or no records.
    RunError
        A record cannot be decoded while reading; the file was changed since the iterator was made.

    Examples
    --------
    >>> from mxft.network.input_spec import InputSpec
    >>> train = RecordIterator("train.rec", InputSpec(), 128, 15360, augment=1, shuffle=True)   # doctest: +SKIP
    """

    def __init__(self, path, spec, batch_size, num_records, augment=0, shuffle=False, seed=0, threads=None,
                 share=None, state=None, label_width=1, label_name="softmax_label"):
        super().__init__(batch_size)
        augmentation = augmentation_of(augment)
        if num_records < 1 or batch_size < 1:
            raise InputError(f"cannot make batches of {path}: expected at least one record and one image a batch, "
                             f"received {num_records} records and batch-size={batch_size}")
        num_records = share.num_records if share else num_records
        self.path, self.num_records, self.seed, self._threads = path, num_records, seed, threads
        self._made_with, self._share = (path, spec, batch_size, num_records, augment, shuffle), share
        self._labels = {"label_width": label_width, "label_name": label_name}
        self._read = -(-num_records // batch_size)
        self.batches = -(-share.most_records // batch_size) if share else self._read
        self._arguments = {
            "path_imgrec": path, "data_name": "data", "label_name": label_name, "batch_size": batch_size,
            "shuffle": shuffle, "round_batch": False, "preprocess_threads": threads or os.cpu_count() or 1,
            "prefetch_buffer": 1,  # with more, MXNet loses so many batches of memory with every iterator that ends
            "verbose": False, **spec.iterator_arguments(), **augmentation.iterator_arguments(),
            **({"label_width": label_width} if label_width > 1 else {}),
            **(share.iterator_arguments() if share else {})}
        self._augmented, self._own_each_epoch = augmentation.is_random, augmentation.is_random or shuffle
        self._seeds = _epoch_seeds(seed)
        shape = (batch_size, *spec.shape)
        self.provide_data = [mx.io.DataDesc("data", shape, np.float32)]
        labels = (batch_size, label_width) if label_width > 1 else (batch_size,)
        self.provide_label = [mx.io.DataDesc(label_name, labels, np.float32)]
        self._records, self._done, self._first = None, 0, None
        self._state = state or file_state(path)

    def _begin(self):
        """Begin an epoch; not before its first batch is asked for, since MXNet loses what it decodes in advance.

        MXNet draws a record's crop from `seed_aug` and the record's number alone: with one seed every epoch would see
        the same crops, without one they would depend on the threads. And the order of an epoch continues that of the
        epoch before. So an epoch with anything random about it gets an iterator of its own, which any epoch can begin
        with.
        """
        if self._state is None or file_state(self.path) != self._state:  # where a record is gone, MXNet aborts
            raise RunError(f"reading {self.path} stopped: expected the file as it was in the beginning, received one "
                           "that is gone or was changed; leave records alone while they are read")
        if self._records is not None and not self._own_each_epoch:
            self._records.reset()
            return
        seed = next(self._seeds)
        try:
            self._records = mx.io.ImageRecordIter(seed=seed, seed_aug=seed, **self._arguments)
        except StopIteration:  # MXNet reads the first batch at once
            raise self._fewer() from None
        except mx.base.MXNetError as error:
            raise RunError(f"reading {self.path} stopped: {_reason(error)}") from None

    def _fewer(self):
        return RunError(f"reading {self.path} stopped: expected {self.num_records} records, received fewer; was the "
                        "file changed?")

    @property
    def is_random(self):
        """Whether two epochs see different pixels of one image."""
        return bool(self._augmented)

    def epoch(self, number):
        """Return a new iterator whose first epoch is this one's epoch `number`: the same crops in the same order.

        Without augmentation all epochs see the same pixels; then it is the first one whatever the number.
        """
        seed = next(itertools.islice(_epoch_seeds(self.seed), number if self.is_random else 0, None))
        return RecordIterator(*self._made_with, seed=seed, threads=self._threads, share=self._share,
                              state=self._state, **self._labels)

    def facts(self):
        """Return what the pixels and their order depend on, beside the file and the epoch: a dict for JSON."""
        arguments = {name: list(value) if isinstance(value, tuple) else value
                     for name, value in self._arguments.items() if name not in _DO_NOT_MATTER}
        return {**arguments, "num_records": self.num_records, "seed": self.seed}

    def go_to(self, epoch, batch):
        """Go to a batch of an epoch, both counted from 0: what is read from there on is what it would have been.

        The epoch's earlier batches are read, and thrown away.
        """
        self._seeds, self._records, self._done = itertools.islice(_epoch_seeds(self.seed), epoch, None), None, 0
        for _ in range(batch):
            self.next()

    def reset(self):
        """Go to the beginning of the next epoch; an iterator that was not read stays as it is."""
        self._done = 0

    def next(self):
        """Return the next batch, or raise StopIteration at the end of the epoch."""
        if self._done >= self.batches:
            self._records.iter_next()  # MXNet loses the batch an iterator stands at when it ends
            raise StopIteration
        if not self._done:
            self._begin()
        if self._done >= self._read:
            self._done += 1
            return self._batch(*self._first, self.batch_size)
        try:
            batch = self._records.next()
        except StopIteration:
            raise self._fewer() from None
        except mx.base.MXNetError as error:
            raise RunError(f"reading {self.path} stopped: {_reason(error)}") from None
        self._done += 1
        missing = self._done * self.batch_size - self.num_records
        if self._done == 1 and (self.num_records % self.batch_size or self._read < self.batches):
            self._first = (batch.data[0].copy(), batch.label[0].copy())
        if missing > 0:
            batch = self._filled(batch, missing)
            if self._done == 1:  # the only one of its own: what follows repeats it, its undefined rows filled
                self._first = (batch.data[0].copy(), batch.label[0].copy())
        return batch

    def _filled(self, batch, missing):
        """Return the last batch with its `missing` undefined rows replaced by the epoch's first records."""
        whole, filled = self.batch_size - missing, []
        for have, first in zip((batch.data[0], batch.label[0]), self._first):
            usable = first[:whole] if self._read == 1 else first
            copies = -(-missing // len(usable))
            filled.append(mx.nd.concat(have[:whole], *[usable] * copies, dim=0)[:self.batch_size])
        return self._batch(*filled, missing, batch.index)

    def _batch(self, data, label, pad, index=None):
        return mx.io.DataBatch([data], [label], pad=pad, index=index, provide_data=self.provide_data,
                               provide_label=self.provide_label)


def file_state(path):
    """Return size and time of change of a file, None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _epoch_seeds(seed):
    """Yield the seed of each epoch: `seed` itself, then numbers drawn from it."""
    yield seed
    drawn = np.random.RandomState(seed)
    while True:
        yield int(drawn.randint(2**30))


def _reason(error):
    if "bad_alloc" in str(error):
        return "out of memory; fewer --data-nthreads or a smaller --batch-size need less"
    lines = [line for line in str(error).strip().splitlines() if "Check failed" in line or "Error" in line]
    return lines[-1].strip() if lines else last_line(error)
