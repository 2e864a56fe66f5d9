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


def imprint_head(weight, centres, counts, length):
    """Return class centres: the imprinted direction at `length` where a class has images, the old row elsewhere.

    Parameters
    ----------
    weight : numpy.ndarray
        Float32 ``(C, D)``: what the rows of classes without images keep.
    centres, counts : numpy.ndarray
        See `mxft.evaluation.identification.class_centres`.
    length : float
        Norm of an imprinted row. A head that normalises its weights does not see it, but the step of SGD does: it
        turns a row by an angle that falls with the square of the row's length.

    Returns
    -------
    numpy.ndarray
        Float32 ``(C, D)``.
    """
    return np.where((counts > 0)[:, None], centres * np.float32(length), weight)

