"""NaN and infinity refused where they leave a network: no caller ranks, compares or prints them as an answer."""
import contextlib

import numpy as np

from mxft.errors import RunError
from mxft.network.anatomy.outputs import EMBEDDING


class NotFinite(RunError):
    """A network gave NaN or infinity (exit 3).

    Parameters
    ----------
    what : str
        Of what kind the numbers are.
    layer : str
        Which layer they come from.
    rows : numpy.ndarray
        Which images of the batch they are of.
    batch : int
        How many images it has.
    before : int
        How many images were computed before it.
    cause : str

    Attributes
    ----------
    rows : numpy.ndarray
    labels : sequence
        Of those images, where they came from an iterator, or what else whoever computed them knows them by.
    """

    def __init__(self, what, layer, rows, batch, before, cause):
        self.rows, self.labels = rows, ()
        self._said = f"{what} are not finite: received NaN or infinity from layer {layer} for", cause
        first = before + int(rows[0])
        super().__init__(f"{self._said[0]} {len(rows)} of {batch} images, first image {first} (counted from 0); "
                         f"{cause}")

    def of(self, picture):
        """Return the RunError that names a picture."""
        return RunError(f"{self._said[0]} {picture}; {self._said[1]}")


@contextlib.contextmanager
def naming_pictures(name):
    """Name the picture in what is refused in this block: ``name(label)`` of the first image that is wrong."""
    try:
        yield
    except NotFinite as error:
        if not len(error.labels):
            raise
        raise error.of(name(error.labels[0])) from None


def require_finite_outputs(outputs, found, images, before=0):
    """Refuse (NotFinite) what a network gave for a batch where a number of it is NaN or infinite.

    Parameters
    ----------
    outputs : sequence of mxft.network.anatomy.Output
    found : sequence of numpy.ndarray
        Float ``(n, …)`` of each.
    images : callable
        ``row -> numbers`` of one image, for the cause; called only where something is wrong.
    before : int
        Images computed before this batch, to number them.
    """
    for output, scores in zip(outputs, found):
        if np.isfinite(scores).all():
            continue
        rows = np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
        cause = ("wrong mean or scale for this network, or damaged parameters?" if np.isfinite(images(rows[0])).all()
                 else "the image's own numbers are not finite")
        raise NotFinite("embeddings" if output.kind == EMBEDDING else "scores", output.name, rows, len(scores), before,
                        cause)
