"""Encoded face images to embeddings: decoding threads run ahead of the network, and only a few batches are held.

Follows the input convention of insightface's ``eval/verification.py``: RGB, raw 0-255, ``(N, 3, H, W)``; the network
normalises by itself, or its manifest says how and that is written into its graph.
"""
import contextlib
import os
from functools import partial

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.errors import InputError, RunError
from mxft.faces.pairs.bin_file import decode_rgb
from mxft.inference.executor import InferenceExecutor
from mxft.inference.precision import precision_of
from mxft.network.graph import internal_output
from mxft.network.normalisation import normalised_in_graph


def input_size(checkpoint):
    """Return (H, W) of the images a face network takes: what its manifest says, or insightface's 112x112.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    """
    spec = checkpoint.input_spec
    return (112, 112) if spec is None else tuple(spec.shape[1:])


def embedding_executor(checkpoint, batch_size, image_size=(112, 112), context=None, rewrite=True):
    """Cut a face network behind its embedding and bind it for inference.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Slim, or with the head it was trained with, which is left out. The mean and scale of its manifest are heeded.
    batch_size : int
    image_size : (H, W)
    context : mx.Context, optional
        CPU when None.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.

    Returns
    -------
    mxft.inference.executor.InferenceExecutor

    Raises
    ------
    InputError
        No embedding is found, a parameter is missing, or the network does not take images of that size.
    """
    if batch_size < 1:
        raise InputError(f"`batch_size`: expected a number of images from 1 on, received batch_size={batch_size}")
    checkpoint = normalised_in_graph(checkpoint)
    network = internal_output(checkpoint.symbol, checkpoint.anatomy.require_embedding().index)
    return InferenceExecutor(network, checkpoint.arg_params, checkpoint.aux_params, (3, *image_size), batch_size,
                             context, rewrite, precision=precision_of(checkpoint))


def embed_images(executor, images, image_size=(112, 112), flip=False, threads=None, progress=None):
    """Embed encoded images.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Ends in the embedding: see `embedding_executor`.
    images : sequence of bytes
        N JPEG or PNG files; fewer than a batch, and a batch that is not full, are fine.
    image_size : (H, W)
        What the network takes.
    flip : bool
        Add the embedding of the mirrored image to each.
    threads : int, optional
        For decoding; one a core when None.
    progress : callable of int, optional
        Called with the number of images done.

    Returns
    -------
    numpy.ndarray
        Float32 ``(N, D)``, not normalised.

    Raises
    ------
    InputError
        There are no images.
    RunError
        An image cannot be decoded or has another size; its number is told.

    Notes
    -----
    libjpeg's own warnings go to stderr: `mxft.machine.quiet.quiet_native` around the call keeps them off.

    Examples
    --------
    >>> executor = embedding_executor(checkpoint, 32)                          # doctest: +SKIP
    >>> embed_images(executor, [open("face.jpg", "rb").read()]).shape          # doctest: +SKIP
    (1, 128)
    """
    return embed_views(executor, images, image_size, flip, threads, progress).sum(axis=0)


def embed_views(executor, images, image_size=(112, 112), flip=True, threads=None, progress=None):
    """Embed images and, with `flip`, their mirror images, each for itself; see `embed_images`.

    Returns
    -------
    numpy.ndarray
        Float32 ``(views, N, D)``: the images and, with `flip`, the mirrored ones.
    """
    if not len(images):
        raise InputError("nothing to embed: expected at least one image, received none")
    starts = range(0, len(images), executor.batch_size)
    decode = partial(_decode_batch, images, executor.batch_size, image_size)
    decoded = ordered_map(decode, starts, threads or os.cpu_count() or 1)
    parts = []
    with one_opencv_thread(), contextlib.closing(decoded) as batches:
        for pixels in batches:
            parts.append(forward_views(executor, pixels, flip))
            if progress:
                progress(len(pixels))
    return np.concatenate(parts, axis=1)


def forward_views(executor, pixels, flip):
    """Embed one batch of uint8 pixels ``(n, H, W, 3)``: float32 ``(views, n, D)``."""
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
    views = (planes, np.ascontiguousarray(planes[:, :, :, ::-1])) if flip else (planes,)
    return np.stack([executor.forward(view).reshape(len(pixels), -1) for view in views])


def _decode_batch(images, batch_size, image_size, start):
    """Return the uint8 pixels of one batch, a quarter of the memory of the floats they become."""
    last = min(start + batch_size, len(images))
    return np.stack([_decode(images[i], i, image_size) for i in range(start, last)])


def _decode(image, number, image_size):
    try:
        pixels = decode_rgb(image)
    except BadImage as error:
        raise RunError(f"image {number} cannot be decoded: expected a whole JPEG or PNG, received {error}") from None
    if pixels.shape[:2] != tuple(image_size):
        raise RunError(f"image {number} does not fit the network: expected {image_size[1]}x{image_size[0]} pixels, "
                       f"received {pixels.shape[1]}x{pixels.shape[0]}")
    return pixels
