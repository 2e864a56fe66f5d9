"""A face set to batches of triplets, mined with the embedding as it is; follows insightface's triplet_image_iter.py."""
import dataclasses

import numpy as np

from mxft.compat import mx
from mxft.errors import RunError
from mxft.faces.data.iterators import FaceIterator
from mxft.faces.data.mining import mine_triplets
from mxft.heads.triplet import PARTS

PASSES = 3  # over all identities, without a batch among them: the embedding has no more to learn from triplets


class NoTripletsLeft(RunError):
    """All that could be mined gives less than a batch."""


@dataclasses.dataclass(frozen=True)
class Mining:
    """How triplets are found.

    Parameters
    ----------
    bags : mxft.faces.data.bags.Bags
    distances : callable
        See `mxft.faces.data.mining.mine_triplets`, as the rest.
    alpha, max_positive : float
    devices : int
        A batch is so many times anchors, positives and negatives, those of a device behind each other.
    """

    bags: object
    distances: object
    alpha: float
    max_positive: float = 0.0
    devices: int = 1


class TripletIterator(FaceIterator):
    """Batches of triplets of a face training set.

    Parameters
    ----------
    face_set : FaceSet
    batch_size : int
        Images, over all devices; a multiple of 3 times the devices.
    mining : Mining
    image_size, seed, mirror, cutoff, color, threads
        See `FaceIterator`.

    Attributes
    ----------
    notes : list of str
        See `mxft.faces.data.bags.Bags`.

    Notes
    -----
    A bag of images is embedded (`follow` says by whom), triplets are found among them, and batches are made of these
    until fewer than a batch are left; those begin the next bag's. An epoch is as many batches as the set's images
    fill, and its end does not end a bag. Images are decoded ahead within a bag, not beyond it: the next one is
    embedded with what was learnt from this one.

    Raises
    ------
    NoTripletsLeft
        `PASSES` over the identities gave less than a batch.
    """

    def __init__(self, face_set, batch_size, mining, image_size=(112, 112), **options):
        super().__init__(face_set, batch_size, image_size, shuffle=False, **options)
        self._mining, self.notes = mining, mining.bags.notes
        self._bag, self._embed, self._report = 0, None, None
        self._queue, self._first = np.empty((0, PARTS), np.int64), 0  # triplets, and the batch they begin with

    def follow(self, embed, report=None):
        """Mine with ``embed(face_set) -> float32 (n, D)``; call ``report(**facts)`` after each bag."""
        self._embed, self._report = embed, report

    @property
    def _triplets(self):
        return self.batch_size // PARTS

    def arrays(self):
        """Return what is not in epoch and batch, ``{"mined:NAME": array}``, for `restore`."""
        left = self._left()
        arrays = {"mined:bags": mx.nd.array([self._bag], dtype="int32")}
        return {**arrays, "mined:triplets": mx.nd.array(left, dtype="int32")} if len(left) else arrays

    def restore(self, arrays):
        """Resume from another's `arrays`, at the batch `go_to` was called with."""
        self._bag = int(arrays["mined:bags"].asscalar())
        self._first = self._done
        if "mined:triplets" in arrays:
            self._queue = arrays["mined:triplets"].asnumpy().astype(np.int64)

    def reset(self):
        """Begin the next epoch; triplets that were not given yet are kept for it."""
        if self._order is not None:
            self._queue, self._first = self._left(), 0
        super().reset()

    def _left(self):
        """Return the triplets that no batch has been made of."""
        return self._queue[(self._done - self._first) * self._triplets:]

    def _batches_known(self):
        """Return up to which batch of the epoch images are known, mining where the next one is not."""
        if self._done < self.batches and len(self._left()) < self._triplets:
            self._queue, self._first = self._mined(self._left()), self._done
        return min(self.batches, self._first + len(self._queue) // self._triplets)

    def _mined(self, triplets):
        """Return `triplets` and those of as many bags as it takes to fill a batch."""
        for _ in range(PASSES * self._mining.bags.of_a_pass):
            triplets = np.concatenate([triplets, self._triplets_of_next_bag()])
            if len(triplets) >= self._triplets:
                return triplets
        raise NoTripletsLeft(f"mining stopped: expected a batch of {self._triplets} triplets, received {len(triplets)} "
                             f"of {PASSES} passes over the identities: no other negative is farther than the positive "
                             f"by less than `triplet_alpha={self._mining.alpha:g}`")

    def _triplets_of_next_bag(self):
        chosen, mining = self._mining.bags.draw(self._bag), self._mining
        bag = self.face_set.at(chosen)
        found, pairs = mine_triplets(self._embed(bag), bag.labels, mining.distances, mining.alpha, mining.max_positive,
                                     np.random.default_rng([self._seed, self._bag, PARTS]))
        if self._report:
            self._report(bag=self._bag, images=len(chosen), pairs=pairs, triplets=len(found))
        self._bag += 1
        return chosen[found]

    def _chosen(self, batch):
        """Return the images of a batch: of each device its anchors, its positives, its negatives."""
        first = (batch - self._first) * self._triplets
        rows = self._queue[first:first + self._triplets].reshape(self._mining.devices, -1, PARTS)
        return rows.transpose(0, 2, 1).reshape(-1)
