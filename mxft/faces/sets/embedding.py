"""Embeddings of whole sets, a few batches of images in memory; an image that cannot be read has none."""
import contextlib
import os
from dataclasses import dataclass
from functools import partial
from typing import Optional

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.data.face_images import size_text
from mxft.faces.evaluation.embedding import embedding_executor
from mxft.faces.pairs.bin_file import decode_rgb
from mxft.machine.quiet import quiet_native


@dataclass(frozen=True)
class Embedder:
    """A face network and how it is run over sets.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    image_size : (H, W), optional
        What the network takes: its manifest's, or 112 x 112, when None.
    batch_size : int
    context : mx.Context, optional
        CPU when None.
    threads : int, optional
        For decoding; one a core when None.
    show : bool, optional
        See `mxft.data.progress.progress`.
    """

    checkpoint: object
    image_size: Optional[tuple] = None
    batch_size: int = 32
    context: object = None
    threads: Optional[int] = None
    show: Optional[bool] = None

    def embed(self, images, name):
        """Return embeddings ``(N, D)`` and what is bad of a sequence of encoded images: see `embed_faces`.

        `name` is told while it runs.
        """
        spec = self.checkpoint.input_spec
        size = tuple(self.image_size or (spec.shape[1:] if spec else (112, 112)))
        executor = embedding_executor(self.checkpoint, self.batch_size, size, self.context)
        with quiet_native(), progress(len(images), f"embedding {name}", show=self.show) as advance:
            return embed_faces(executor, images, size, self.threads, advance)


def embed_faces(executor, images, image_size, threads=None, advance=lambda count: None):
    """Embed encoded images, those that cannot be read left empty.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        See `mxft.faces.evaluation.embedding.embedding_executor`.
    images : sequence of bytes
        Such as FaceImages: N of them, of which a few batches are held.
    image_size : (H, W)
        What the network takes.
    threads : int, optional
        For decoding; one a core when None.
    advance : callable of int
        Told how many are done, now and then.

    Returns
    -------
    embeddings : numpy.ndarray
        Float32 ``(N, D)``, not normalised; NaN where an image has none. A million of 512 numbers are 2 GB.
    bad : dict of int to str
        Why, of images that are damaged or of another size.

    Raises
    ------
    InputError
        No image can be embedded.
    """
    starts, bad, parts = range(0, len(images), executor.batch_size), {}, []
    decode = partial(_decode_some, images, executor.batch_size, image_size)
    decoded = ordered_map(decode, starts, threads or os.cpu_count() or 1)
    with one_opencv_thread(), contextlib.closing(decoded) as batches:
        for planes, wrong in batches:
            bad.update(wrong)
            parts.append(executor.forward(planes).reshape(len(planes), -1).astype(np.float32))
            advance(len(planes))
    if len(bad) == len(images):
        number, reason = next(iter(bad.items()), (0, "no images"))
        raise InputError(f"nothing to embed: expected JPEG or PNG of {size_text(image_size)} pixels, received "
                         f"{len(images)} images and none like that, image {number}: {reason}")
    embeddings = np.concatenate(parts)
    embeddings[list(bad)] = np.nan
    return embeddings, bad


def _decode_some(images, batch_size, image_size, start):
    """Return float32 ``(n, 3, H, W)`` RGB planes of a batch, grey where an image is bad, and why it is."""
    places, bad = range(start, min(start + batch_size, len(images))), {}
    planes = np.full((len(places), 3, *image_size), 127.5, np.float32)
    for row, at in enumerate(places):
        try:
            pixels = decode_rgb(images[at])
            if pixels.shape[:2] != tuple(image_size):
                raise BadImage(f"is {size_text(pixels.shape[:2])} pixels, the network takes {size_text(image_size)}")
            planes[row] = pixels.transpose(2, 0, 1)
        except BadImage as reason:
            bad[at] = str(reason)
    return planes, bad
