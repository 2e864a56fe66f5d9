"""Batches of features for ``Module.fit``: from a store, or straight from the backbone."""
import numpy as np

from mxft.compat import mx


class FeatureIterator(mx.io.DataIter):
    """Batches of stored features, every record once an epoch.

    Parameters
    ----------
    store : mxft.features.store.FeatureStore
    batch_size : int
    num_records, views : int, optional
        The store's when None.
    seed : int
        Of the order.
    shuffle : bool
        A new order for every epoch after a view's first; False keeps the view's own.
    data_name, label_name : str
    label_width : int
        Numbers of a record's label.

    Notes
    -----
    Epoch e uses view ``e mod views``: the first time in the view's own order, which is that of the epoch of training
    it was made from, later reshuffled. As RecordIterator's, the last batch is filled up with the epoch's first records
    and ``batch.pad`` says how many they are. A view is asked of the store when its epoch begins.

    Examples
    --------
    >>> train = FeatureIterator(store, batch_size=32, seed=7)       # doctest: +SKIP
    >>> next(train).data[0].shape                                   # doctest: +SKIP
    (32, 1280)
    """

    def __init__(self, store, batch_size, num_records=None, views=None, seed=0, shuffle=True, data_name="data",
                 label_name="softmax_label", label_width=1):
        super().__init__(batch_size)
        self.num_records, self._views = num_records or store.num_records, views or store.views
        self.batches = -(-self.num_records // batch_size)
        self._store, self._seed, self._shuffle = store, seed % 2**32, shuffle
        self._epoch, self._done, self._view, self._rows = 0, 0, None, None
        self.provide_data = [mx.io.DataDesc(data_name, (batch_size, *store.feature_shape))]
        self.provide_label = [mx.io.DataDesc(label_name, (batch_size, label_width) if label_width > 1
                                             else (batch_size,))]

    def go_to(self, epoch, batch):
        """Go to a batch of an epoch, both counted from 0."""
        self._epoch, self._done, self._view = epoch, batch, None

    def reset(self):
        """Begin the next epoch; before anything was read it does nothing."""
        if self._done:
            self._epoch, self._done, self._view = self._epoch + 1, 0, None

    def _begin(self):
        self._view = self._store.view(self._epoch % self._views)
        self._rows = np.arange(self.num_records)
        if self._shuffle and self._epoch >= self._views:
            np.random.RandomState([self._seed, self._epoch]).shuffle(self._rows)

    def next(self):
        """Return the next batch, or raise StopIteration at the end of the epoch."""
        if self._done >= self.batches:
            raise StopIteration
        if self._view is None:
            self._begin()
        rows = self._rows[self._done * self.batch_size:][:self.batch_size]
        pad = self.batch_size - len(rows)
        if pad:
            rows = np.concatenate([rows, np.resize(self._rows[:self.batch_size], pad)])
        self._done += 1
        features = np.asarray(self._view.features[rows], np.float32)
        return mx.io.DataBatch([mx.nd.array(features)], [mx.nd.array(self._view.labels[rows])], pad=pad, index=rows,
                               provide_data=self.provide_data, provide_label=self.provide_label)


class LiveFeatures(mx.io.DataIter):
    """The batches of a record iterator with the backbone's output in place of the images, computed as they come.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Of the backbone, with at least the records' batch size.
    records : mxft.data.iterators.RecordIterator
        Every epoch its own crops; labels, pads and order are kept.
    """

    def __init__(self, executor, records, data_name="data"):
        super().__init__(records.batch_size)
        self._executor, self._records = executor, records
        self.num_records, self.batches = records.num_records, records.batches
        self.provide_data = [mx.io.DataDesc(data_name, (records.batch_size, *executor.output_shape[1:]))]
        self.provide_label = records.provide_label

    def go_to(self, epoch, batch):
        """Go to a batch of an epoch, both counted from 0; nothing is computed on the way."""
        self._records.go_to(epoch, batch)

    def reset(self):
        """Begin the records' next epoch."""
        self._records.reset()

    def next(self):
        """Return the next batch, or raise StopIteration at the end of the epoch."""
        batch = self._records.next()
        features = mx.nd.array(self._executor.forward(batch.data[0]))
        return mx.io.DataBatch([features], batch.label, pad=batch.pad, index=batch.index,
                               provide_data=self.provide_data, provide_label=self.provide_label)
