"""Features that were computed before there was a run, in the place of the records they are of."""
from mxft.compat import mx
from mxft.features.extraction import FeatureView


class KnownFeatures:
    """Stands where a RecordIterator does whose features are known: a store with its one view, and how to iterate it.

    Parameters
    ----------
    features : numpy.ndarray
        ``(N, …)``.
    labels : numpy.ndarray
        Float32 ``(N,)``.
    batch_size, seed : int
    label_name : str
    seconds : float
        It took to compute them.
    applied : tuple of str
        Rewrites of the network they were computed by.
    """

    views, is_random = 1, False

    def __init__(self, features, labels, batch_size, seed, label_name, seconds=0.0, applied=()):
        self._view = FeatureView(features, labels)
        self.batch_size, self.seed, self.seconds, self.applied = batch_size, seed, seconds, applied
        self.num_records, self.feature_shape = len(features), features.shape[1:]
        self.provide_label = [mx.io.DataDesc(label_name, (batch_size,))]

    def view(self, number):
        """Return the FeatureView, of whichever number."""
        return self._view
