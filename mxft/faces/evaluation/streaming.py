"""Face images to embeddings, batch by batch: neither the images nor the embeddings of more than a few are held."""
import contextlib
import os

import numpy as np

from mxft.data.packing import one_opencv_thread, ordered_map
from mxft.faces.evaluation.embedding import forward_views
from mxft.inference.finite import NotFinite


def stream_views(executor, items, load, flip=True, threads=None, progress=None):
    """Embed what `load` makes of each item.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Ends in the embedding: see `mxft.faces.evaluation.embedding.embedding_executor`.
    items : sequence
    load : callable
        Takes an item and returns uint8 RGB pixels ``(H, W, 3)`` of the network's size; or None, where there are none.
        Called on threads, ahead of the network.
    flip : bool
        Embed the mirrored images, too.
    threads : int, optional
        For `load`; one a core when None.
    progress : callable of int, optional
        Called with the number of items done.

    Yields
    ------
    places : list of int
        Of the items with pixels, in order; at most a batch.
    views : numpy.ndarray
        Float32 ``(views, len(places), D)``: their embeddings and, with `flip`, those of the mirrored images.

    Raises
    ------
    RunError
        An embedding is not finite: an `mxft.inference.finite.NotFinite` whose `labels` are the items' places.

    Notes
    -----
    libjpeg's own warnings go to stderr: `mxft.machine.quiet.quiet_native` around the loop keeps them off.
    """
    def load_batch(start):
        last = min(start + executor.batch_size, len(items))
        loaded = [(place, load(items[place])) for place in range(start, last)]
        return last - start, [(place, pixels) for place, pixels in loaded if pixels is not None]

    batches = ordered_map(load_batch, range(0, len(items), executor.batch_size), threads or os.cpu_count() or 1)
    with one_opencv_thread(), contextlib.closing(batches):
        for count, loaded in batches:
            if loaded:
                places, pixels = zip(*loaded)
                try:
                    views = forward_views(executor, np.stack(pixels), flip)
                except NotFinite as error:
                    error.labels = [places[row] for row in error.rows]
                    raise
                yield list(places), views
            if progress:
                progress(count)
