"""Class centres that begin where the faces are: fc7 set to the mean embedding of each identity.

Weight imprinting (Qi, Brown and Lowe, "Low-Shot Learning with Imprinted Weights", arXiv:1712.07136): with a pretrained
embedding, the first step already classifies, instead of starting from random centres and an accuracy of 0.
"""
import numpy as np

from mxft.data.progress import progress
from mxft.faces.data.iterators import FaceIterator
from mxft.inference.executor import InferenceExecutor

EMBEDDING_BATCH = 32  # images a forward pass of verification, imprinting and mining


def embed_as_trained(embedding, parameters, faces, image_size, context, threads=None, label="embedding"):
    """Embed a face set, each image once and as it is, with weights that are in training.

    Parameters
    ----------
    embedding : mx.sym.Symbol
    parameters : (dict, dict)
        ``arg_params, aux_params``.
    faces : FaceSet
    image_size : (H, W)
    context : mx.Context
    threads : int, optional
        For decoding.
    label : str
        Of the progress bar.

    Returns
    -------
    numpy.ndarray
        Float32 ``(N, D)``, in the order of the set.
    """
    executor = InferenceExecutor(embedding, *parameters, (3, *image_size), EMBEDDING_BATCH, context)
    images = FaceIterator(faces, EMBEDDING_BATCH, image_size, shuffle=False, threads=threads, last="pad")
    try:
        return embed_set(executor, images, label)[0]
    finally:
        images.close()


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
        Float32 ``(C, D)``: what the rows of classes without images keep. ``(C, K, D)``, K centres a class: the first
        is imprinted, the others keep their rows.
    centres, counts : numpy.ndarray
        See `mxft.faces.evaluation.identification.class_centres`.

    Returns
    -------
    numpy.ndarray
        Float32, as `weight`.

    Notes
    -----
    A head that normalises its weights does not see a row's length, but SGD does: the angle a step turns a row by
    falls with the square of it. Centres that are right already have to stay while the network settles; at the length
    of random ones (0.11 for D = 128) the first steps turned them away again, and MobileFaceNet on LFW's people had a
    loss of 13 over its first 20 steps instead of 1.7.
    """
    if weight.ndim == 2:
        return np.where((counts > 0)[:, None], centres, weight)
    imprinted = weight.copy()
    imprinted[:, 0] = imprint_head(weight[:, 0], centres, counts)
    return imprinted
