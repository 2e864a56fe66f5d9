"""A verification set through a network to its numbers, as ``test()`` of insightface's ``eval/verification.py`` does.

The embeddings of an image and its mirror image are added, normalised and compared; XNorm is the mean norm before that.
"""
import numpy as np

from mxft.faces.evaluation.embedding import embed_views
from mxft.faces.evaluation.verification import FOLDS, check_folds, verify_embeddings
from mxft.faces.pairs.bin_file import check_images


def verify_pairs(executor, pair_set, folds=FOLDS, flip=True, image_size=(112, 112), threads=None, progress=None):
    """Verify a set of pairs.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Ends in the embedding: see `mxft.faces.evaluation.embedding.embedding_executor`.
    pair_set : mxft.faces.pairs.bin_file.PairSet
    folds : int
        See `mxft.faces.evaluation.verification.verify_embeddings`.
    flip : bool
        Add the embedding of the mirrored image, as published numbers do.
    image_size : (H, W)
        What the network takes.
    threads, progress
        See `mxft.faces.evaluation.embedding.embed_images`; `progress` counts to `distinct_images`.

    Returns
    -------
    mxft.faces.evaluation.verification.Verification
        With XNorm over every image of every pair, and its mirror image.

    Raises
    ------
    InputError
        Before the network runs: fewer pairs than folds, an image that is damaged or of another size.
    RunError
        An image that cannot be decoded after all, or an embedding that is not finite.

    Notes
    -----
    An image that occurs in several pairs is embedded once: LFW's 12,000 are 7,701 different ones.

    Examples
    --------
    >>> verification = verify_pairs(embedding_executor(checkpoint, 32), load_pairs("lfw.bin"))    # doctest: +SKIP
    >>> print(verification, f"{verification.xnorm:.3f}")                                          # doctest: +SKIP
    0.99117+-0.00578 9.579
    """
    check_folds(len(pair_set.issame), folds)
    check_images(pair_set, image_size)
    images, places = distinct_images(pair_set)
    views = embed_views(executor, images, image_size, flip, threads, progress)
    summed = views.astype(np.float64).sum(axis=0)[places]
    xnorm = float(np.linalg.norm(views, axis=2)[:, places].mean(dtype=np.float64))
    return verify_embeddings(summed[0::2], summed[1::2], pair_set.issame, folds, xnorm)


def distinct_images(pair_set):
    """Return the different images of a set, and where each of its images is among them.

    Returns
    -------
    images : list of bytes
        In the order they occur first.
    places : numpy.ndarray
        Int ``(2 * P,)``: ``images[places[k]] == pair_set.images[k]``.
    """
    number = {image: i for i, image in enumerate(dict.fromkeys(pair_set.images))}
    return list(number), np.array([number[image] for image in pair_set.images])
