"""Embeddings of whole sets, a few batches of images in memory; an image that cannot be read has none."""
import numpy as np

from mxft.data.images import BadImage
from mxft.errors import InputError
from mxft.faces.data.face_images import size_text
from mxft.faces.gallery.embedder import Embedder
from mxft.faces.gallery.images import FaceImages
from mxft.faces.gallery.reading import Crop
from mxft.faces.pairs.bin_file import decode_rgb


class SetEmbedder:
    """A face network run over sets.

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

    def __init__(self, checkpoint, image_size=None, batch_size=32, context=None, threads=None, show=None):
        self._embedder, self._show = Embedder(checkpoint, False, image_size, batch_size, context, threads=threads), show

    def embed(self, images, name):
        """Embed images as they are, without their mirror images.

        Parameters
        ----------
        images : sequence of bytes
            N of them, such as SetImages, of which a few batches are held.
        name : str
            Told while it runs.

        Returns
        -------
        embeddings : numpy.ndarray
            Float32 ``(N, D)`` of unit length; NaN where an image has none. A million of 512 numbers are 2 GB.
        bad : dict of int to str
            Why, of images that are damaged or of another size.

        Raises
        ------
        InputError
            No image can be embedded.
        """
        count = len(images)
        faces = FaceImages(range(count), range(count), images.__getitem__, np.ones(count, bool))
        found = self._embedder.embed(faces, self._as_it_is, f"embedding {name}", self._show)
        if not len(found.vectors):
            number, reason = next(iter(found.problems.items()), (0, "no images"))
            size = size_text(self._embedder.image_size)
            raise InputError(f"nothing to embed: expected JPEG or PNG of {size} pixels, received {count} images and "
                             f"none like that, image {number}: {reason}")
        embeddings = np.full((count, found.vectors.shape[1]), np.nan, np.float32)
        embeddings[found.images] = found.vectors
        return embeddings, found.problems

    def _as_it_is(self, data, packed):
        """Return an image of the network's size; see `mxft.faces.gallery.reading.FaceReader`."""
        pixels, size = decode_rgb(data), self._embedder.image_size
        if pixels.shape[:2] != size:
            raise BadImage(f"is {size_text(pixels.shape[:2])} pixels, the network takes {size_text(size)}")
        return [Crop(pixels, None, None)], ""
