"""Which classes of a shard take part in a step: those of the batch, and others drawn at random (Partial FC).

An, Zhu et al., "Partial FC: Training 10 Million Identities on a Single Machine", arXiv:2010.05222; insightface's
recognition/partial_fc/mxnet/memory_samplers.py.
"""
import math

import numpy as np


class ClassSampler:
    """Draws classes of one shard, the same ones for the same step.

    Parameters
    ----------
    first, count : int
        The shard's classes are ``first`` to ``first + count - 1``.
    rate : float
        Part of them that takes part, above 0 and at most 1.
    batch_size : int
        Labels of a step.
    seed : sequence of int
        Of the run and the shard.

    Attributes
    ----------
    size : int
        Classes of a step, always as many: a share of `rate`, and in any case room for all classes a batch can have.

    Examples
    --------
    >>> sampler = ClassSampler(first=100, count=1000, rate=0.1, batch_size=4, seed=(0, 0))
    >>> rows, positions = sampler.draw(np.array([3, 105, 1099, 105]), step=(7,))
    >>> len(rows), int(rows[positions[1]]), int(positions[0])
    (100, 5, -1)
    """

    def __init__(self, first, count, rate, batch_size, seed):
        self.first, self.count, self._seed = first, count, tuple(seed)
        self.size = min(count, max(math.ceil(rate * count), batch_size))

    def draw(self, labels, step):
        """Draw the classes of a step.

        Parameters
        ----------
        labels : numpy.ndarray
            Class numbers of the whole batch, int64 ``(N,)``.
        step : tuple of int
            Another one draws others.

        Returns
        -------
        rows : numpy.ndarray
            Int64 ``(size,)``, rising: numbers of the drawn classes, counted from `first`. Every class of `labels` that
            is the shard's is among them.
        positions : numpy.ndarray
            Int64 ``(N,)``: of each label its place in `rows`, -1 where it is another shard's.

        Notes
        -----
        The random numbers depend on seed and step alone, not on what was drawn before: a run that resumes from a state
        draws what it would have drawn.
        """
        local = labels - self.first
        own = (local >= 0) & (local < self.count)
        taken = np.zeros(self.count, bool)
        taken[local[own]] = True
        negatives, wanted = np.flatnonzero(~taken), self.size - np.count_nonzero(taken)
        random = np.random.default_rng([*self._seed, *step])
        taken[negatives[random.choice(len(negatives), wanted, replace=False, shuffle=False)]] = True
        rows = np.flatnonzero(taken)
        return rows, np.where(own, np.searchsorted(rows, local), -1)
