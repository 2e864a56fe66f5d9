"""A face network made ready to embed images: bound once, asked for a folder, two pictures or a verification set."""
import math

from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.evaluation.embedding import embedding_executor, input_size
from mxft.faces.evaluation.pair_scoring import distinct_images, verify_pairs
from mxft.faces.gallery.embedding import embed_faces
from mxft.faces.gallery.gallery import network_facts
from mxft.faces.gallery.images import open_face_images
from mxft.faces.gallery.reading import FaceReader
from mxft.faces.pairs.bin_file import check_images
from mxft.machine.quiet import quiet_native
from mxft.settings import height_width


class Embedder:
    """A face network that embeds images of faces.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Slim, or with the head it was trained with, which is left out.
    flip : bool
        Add the embedding of the mirrored face, as published numbers do.
    image_size : (H, W), optional
        The manifest's, or 112x112, when None.
    batch_size : int
    context : mx.Context, optional
        CPU when None.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.
    threads : int, optional
        For reading and finding faces; one a core when None.

    Attributes
    ----------
    facts : dict
        What the embeddings depend on: see `mxft.faces.gallery.gallery.network_facts`.

    Raises
    ------
    InputError
        No embedding is found, or the network does not take images of that size.
    """

    def __init__(self, checkpoint, flip=True, image_size=None, batch_size=32, context=None, rewrite=True, threads=None):
        self.image_size = height_width(image_size, "image_size") if image_size else input_size(checkpoint)
        self.flip, self.threads = flip, threads
        self.executor = embedding_executor(checkpoint, batch_size, self.image_size, context, rewrite)
        self.facts = network_facts(checkpoint, flip, self.image_size)

    def embed(self, images, reader=None, label="embedding", show=None):
        """Embed images.

        Parameters
        ----------
        images : mxft.faces.gallery.images.FaceImages, or sequence of str
            Paths as `mxft.faces.gallery.images.open_face_images` takes them.
        reader : FaceReader, optional
            What the images are; told by their size when None.
        label : str
            Of the progress bar.
        show : bool, optional
            False: no progress on stderr.

        Returns
        -------
        mxft.faces.gallery.embedding.EmbeddedFaces
            Without rows where no image has a face: see `mxft.faces.gallery.embedding.require_faces`.
        """
        images = images if hasattr(images, "read") else open_face_images(images)
        with quiet_native(), progress(len(images), label, show=show) as advance:
            return embed_faces(self.executor, images, reader or FaceReader(self.image_size), self.flip, self.threads,
                               advance)

    def threshold(self, pair_set, far):
        """Return the cosine above which two faces are taken for one person at a false accept rate.

        Parameters
        ----------
        pair_set : mxft.faces.pairs.bin_file.PairSet
        far : float

        Returns
        -------
        float
        text : str
            Where it comes from, for a person.

        Raises
        ------
        InputError
            Too few different pairs for that rate, or images that do not fit.
        """
        check_images(pair_set, self.image_size)
        different = int((~pair_set.issame).sum())
        if not far * different >= 1:
            larger = f", or `far` {least_rate(different):g}" if different > 1 else ""
            raise InputError(f"`far`: expected a rate of at least one of the {different} different pairs of "
                             f"{pair_set.name}, received far={far:g}; a set with more pairs{larger}")
        with quiet_native(), progress(len(distinct_images(pair_set)[0]), f"threshold from {pair_set.name}") as advance:
            found = verify_pairs(self.executor, pair_set, 1, self.flip, self.image_size, self.threads, advance)
        return 1 - found.threshold_at(far) / 2, f"FAR {far:g} of {different:,} different pairs of {pair_set.name}"


def least_rate(different, wanted=0.0):
    """Return the false accept rate that is wanted, or the least that so many different pairs can measure: one of them.

    Parameters
    ----------
    different : int
    wanted : float

    Examples
    --------
    >>> least_rate(90, 0.01), least_rate(3000, 0.01)
    (0.011112, 0.01)
    """
    return max(wanted, math.ceil(1e6 / different) / 1e6)
