"""What a classifier does to its validation records, for a person: confusions, recalls, best and worst images."""
import cv2
import numpy as np

from mxft.data.thumbnails import thumbnails_of
from mxft.evaluation.classification import confusion_matrix, per_class_recall, softmax, surest_mistakes

_INK = (92, 136, 205)  # red, green, blue: readable on light and dark
_FAINTEST = 0.55  # opacity of a single image


class ImageResults:
    """The predictions of one Score, with the classes' names.

    Parameters
    ----------
    score : mxft.evaluation.scoring.Score
    names : list of str

    Examples
    --------
    >>> from mxft.evaluation.scoring import Score
    >>> score = Score(0.5, 1, 0.9, 2, 1.0, np.array([[2., 1.], [2., 1.]]), np.array([0., 1.]))
    >>> ImageResults(score, ["cat", "dog"]).mistakes()
    [('dog', 'cat', 1, 1)]
    """

    def __init__(self, score, names):
        self.labels, self.names = score.labels.astype(int), names
        self.probabilities = softmax(score.logits)
        self.predicted = self.probabilities.argmax(axis=1)
        self.confusion = confusion_matrix(self.predicted, self.labels, len(names))

    def mistakes(self, count=15):
        """Return the pairs most often confused: (true, said, images, images of the true class)."""
        off = self.confusion.copy()
        np.fill_diagonal(off, 0)
        of = self.confusion.sum(axis=1)
        order = np.argsort(-off, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, off.shape))
        return [(self.names[i], self.names[j], int(off[i, j]), int(of[i])) for i, j in pairs if off[i, j]]

    def recalls(self):
        """Return (class, recall, images, class number) of every class that has images, the lowest first."""
        recall, images = per_class_recall(self.confusion), self.confusion.sum(axis=1)
        return [(self.names[i], float(recall[i]), int(images[i]), int(i)) for i in np.argsort(recall, kind="stable")
                if images[i]]

    def names_without_images(self):
        """Return {class number: name} of the classes `recalls` leaves out, of which something was said to be one."""
        said, images = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        return {int(i): self.names[i] for i in np.flatnonzero((images == 0) & (said > 0))}

    def matrix_png(self):
        """Return the confusion matrix as a PNG of one pixel a cell, each row's part as the ink's opacity."""
        parts = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
        pixels = np.zeros((*self.confusion.shape, 4), np.uint8)
        pixels[..., :3] = _INK[::-1]
        pixels[..., 3] = np.round(255 * np.where(parts > 0, _FAINTEST + (1 - _FAINTEST) * parts, 0))
        return cv2.imencode(".png", pixels)[1].tobytes()

    def counts(self):
        """Return {"row,column": images} of all cells that are not 0, and {row: images of that class}."""
        cells = {f"{i},{j}": int(self.confusion[i, j]) for i, j in zip(*np.nonzero(self.confusion))}
        return {**cells, **{str(i): int(images) for i, images in enumerate(self.confusion.sum(axis=1)) if images}}

    def extremes(self, count=12):
        """Return the record numbers of the surest right answers, and of the wrong ones surest against the truth."""
        own = self.probabilities[np.arange(len(self.labels)), self.labels]
        right = [i for i in np.argsort(-own, kind="stable") if self.predicted[i] == self.labels[i]][:count]
        wrong = surest_mistakes(self.probabilities, self.labels, count)
        return right, wrong

    def cards(self, numbers, path):
        """Return what a page shows of records: thumbnail, truth, answer, their probabilities, record number."""
        images = thumbnails_of(path, numbers)
        return [{"image": images.get(int(i)), "true": self.names[self.labels[i]], "said": self.names[self.predicted[i]],
                 "p_true": float(self.probabilities[i, self.labels[i]]),
                 "p_said": float(self.probabilities[i, self.predicted[i]]), "record": int(i)} for i in numbers]


Judgement = ImageResults  # its name in 0.1.0
