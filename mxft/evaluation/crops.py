"""Test-time crops: the mean prediction over ten parts of an image (Krizhevsky et al., NIPS 2012, section 4.1)."""
import numpy as np

from mxft.errors import InputError
from mxft.evaluation.answer import mean_scores
from mxft.evaluation.classification import flat_scores


def ten_crops(images, height, width):
    """Yield the four corners and the centre of images, and their mirror images.

    Parameters
    ----------
    images : numpy.ndarray
        ``(N, C, H, W)``, at least `height` by `width`.
    height, width : int
        Pixels of a crop.

    Yields
    ------
    numpy.ndarray
        ``(N, C, height, width)``, ten times.

    Examples
    --------
    >>> [crop.ravel().tolist() for crop in ten_crops(np.arange(4).reshape(1, 1, 2, 2), 1, 1)][::2]
    [[0], [1], [2], [3], [0]]
    """
    bottom, right = images.shape[2] - height, images.shape[3] - width
    for top, left in ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)):
        crop = images[:, :, top:top + height, left:left + width]
        yield crop
        yield crop[..., ::-1]


class TenCropExecutor:
    """An InferenceExecutor whose prediction is the mean over ten crops of larger images.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Of the network, at the size of a crop.
    height, width : int
        Of a crop.

    Notes
    -----
    It gives scores of which the network's output is the mean over the crops: see `mxft.evaluation.answer.mean_scores`.
    It computes ten forward passes an image.
    """

    def __init__(self, executor, height, width):
        self._executor, self._size = executor, (height, width)
        self.applied, self.output_shape, self.outputs = executor.applied, executor.output_shape, executor.outputs

    def expect(self, images):
        """See `mxft.inference.executor.InferenceExecutor.expect`."""
        self._executor.expect(10 * images)

    def over(self, iterator, progress=None):
        """Run a whole iterator of larger images from its start, as `mxft.inference.InferenceExecutor.over` does."""
        iterator.reset()
        for batch in iterator:
            count = batch.data[0].shape[0] - batch.pad
            images = batch.data[0][:count]
            images = images if isinstance(images, np.ndarray) else images.asnumpy()
            if images.shape[2] < self._size[0] or images.shape[3] < self._size[1]:
                raise InputError(f"crops: expected images of at least {self._size[0]}x{self._size[1]}, received "
                                 f"{images.shape[2]}x{images.shape[3]}")
            scores = [flat_scores(self._executor.forward(np.ascontiguousarray(crop)))
                      for crop in ten_crops(images, *self._size)]
            yield mean_scores(self.outputs[0], scores), batch.label[0].asnumpy()[:count]
            if progress:
                progress(count)
