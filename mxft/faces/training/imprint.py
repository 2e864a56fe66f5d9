"""Class centres that begin where the faces are: fc7 set to the mean embedding of each identity.

Weight imprinting (Qi, Brown and Lowe, "Low-Shot Learning with Imprinted Weights", arXiv:1712.07136): with a pretrained
embedding, the first step already classifies, instead of starting from random centres and an accuracy of 0.
"""
import numpy as np

from mxft.data.progress import progress


def embed_set(executor, iterator, label):
    """Embed a whole face set.

    Parameters
    ----------
    executor : InferenceExecutor
        Of the embedding network.
    iterator : FaceIterator
        Each image once (``last="pad"``), without augmentation.
    label : str
        Of the progress bar.

    Returns
    -------
    embeddings : numpy.ndarray
        Float32 ``(N, D)``.
    labels : numpy.ndarray
        Int64 ``(N,)``.
    """
    with progress(iterator.num_images, label) as advance:
        embeddings, labels = zip(*executor.over(iterator, advance))
    return np.concatenate(embeddings), np.concatenate(labels).astype(np.int64)


def imprint_head(weight, centres, counts):
    """Return class centres: the imprinted direction, of length 1, where a class has images, the old row elsewhere.

    Parameters
    ----------
    weight : numpy.ndarray
        Float32 ``(C, D)``: what the rows of classes without images keep.
    centres, counts : numpy.ndarray
        See `mxft.faces.evaluation.identification.class_centres`.

    Returns
    -------
    numpy.ndarray
        Float32 ``(C, D)``.

    Notes
    -----
    A head that normalises its weights does not see a row's length, but SGD does: the angle a step turns a row by
    falls with the square of it. Centres that are right already have to stay while the network settles; at the length
    of random ones (0.11 for D = 128) the first steps turned them away again, and MobileFaceNet on LFW's people had a
    loss of 13 over its first 20 steps instead of 1.7.
    """
    return np.where((counts > 0)[:, None], centres, weight)
