"""Which images are embedded together to find triplets: some of every identity, identity after identity, in bags.

Follows ``triplet_reset`` of insightface's triplet_image_iter.py.
"""
import numpy as np

from mxft.errors import InputError
from mxft.wording import plural


class Bags:
    """Cuts a set into bags.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer ``(N,)``, identities.
    images_per_identity : int
        Of an identity, at most, in a pass.
    size : int
        Images of a bag; all images of a pass where it has fewer.
    seed : int

    Attributes
    ----------
    size : int
    of_a_pass : int
        Bags of a pass over the identities.
    notes : list of str
        What of the set a person should know.

    Raises
    ------
    InputError
        One identity, or none with two images.

    Notes
    -----
    A pass takes the identities in random order and of each `images_per_identity` images at random, and is cut into
    bags; what is left at its end, less than a bag, is not used in this pass. Every number of a bag has its own images,
    whatever was drawn before: a run that resumes draws what it would have drawn. Identities with one image are in the
    bags as negatives of the others.

    Examples
    --------
    >>> bags = Bags(np.array([0, 0, 0, 1, 1, 2]), images_per_identity=2, size=4, seed=0)
    >>> bags.of_a_pass, len(bags.draw(0)), bags.notes
    (1, 4, ['1 of 3 identities has one image: it serves as a negative of others'])
    """

    def __init__(self, labels, images_per_identity, size, seed):
        self._images, self._seed, self._pass = images_per_identity, seed, (None, None)
        order = np.argsort(labels, kind="stable")
        identities, firsts, counts = np.unique(labels[order], return_index=True, return_counts=True)
        self._members = np.split(order, firsts[1:])
        if len(identities) < 2 or counts.max() < 2:
            raise InputError("triplets: expected two identities, one of them with two images or more, received "
                             f"{plural(len(labels), 'image')} of {plural(len(identities), 'identity', 'identities')}, "
                             f"{counts.max()} at most of one")
        whole = int(np.minimum(counts, images_per_identity).sum())
        self.size = min(size, whole)
        self.of_a_pass = whole // self.size
        self.notes = self._told(counts, whole, size)

    def _told(self, counts, whole, asked):
        alone, few = int((counts == 1).sum()), int(((counts > 1) & (counts < self._images)).sum())
        notes = []
        if alone:
            notes.append(f"{alone} of {len(counts)} identities {'have' if alone > 1 else 'has'} one image: "
                         + ("they serve as negatives" if alone > 1 else "it serves as a negative") + " of others")
        if few:
            notes.append(f"{few} of {len(counts)} identities have fewer than {self._images} images: all of theirs are "
                         "taken")
        if whole < asked:
            notes.append(f"a bag is all {whole} images of a pass over the identities, fewer than the {asked} of "
                         "`triplet_bag_size`")
        return notes

    def draw(self, number):
        """Return the images of bag `number`, counted from 0: int64 positions, identity after identity."""
        passed, place = divmod(number, self.of_a_pass)
        if self._pass[0] != passed:
            random = np.random.default_rng([self._seed, passed])
            self._pass = passed, np.concatenate([random.permutation(self._members[i])[:self._images]
                                                 for i in random.permutation(len(self._members))])
        return self._pass[1][place * self.size:(place + 1) * self.size]
