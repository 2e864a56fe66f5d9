"""Heads without SGD: linear classifiers, or class means, as one FullyConnected on raw features.

``imprint`` is weight imprinting (Qi et al., arXiv:1712.07136): a class's weight is the mean of its features, scaled to
length 1 here on standardised features. The others are ridge regression to one-hot targets and one-against-all linear
support vectors, by scikit-learn, and multinomial logistic regression, see `mxft.features.logistic`.
"""
import dataclasses
import time
import warnings

import numpy as np

from mxft.errors import InputError, nearest
from mxft.evaluation.calibration import best_factor, doubt_of
from mxft.features.logistic import TOLERANCE, fit_logistic
from mxft.options import SOLVERS
from mxft.wording import BriefRepr

PENALTIES = {"ridge": (0.03, 0.1, 0.3, 1.0, 3.0), "logistic": (10.0, 30.0), "svm": (0.3, 3.0), "imprint": (0.0,)}
PENALTY, RATIO, MOST_STEPS = 5.0, 3.0, 4  # of logistic: where the search begins, its factor, and how often it is taken
FOLDS, FOLDS_OF_MANY, MANY = 5, 3, 2000  # images from which on three folds do
FEW = 200                                # rows up to which every fold chooses the penalty
_NEAR = 0.15   # steps of RATIO that are not worth a fit
_ROUGH = 1e-4  # of the loss: where the fits to the folds may end, whose held-out loss is right to 1e-3 then
_FLAT = 1e-6  # standard deviation below which a feature is taken to be constant


@dataclasses.dataclass(frozen=True, repr=False)
class SolvedHead(BriefRepr):
    """A linear classifier as the parameters of a FullyConnected.

    Parameters
    ----------
    weight : numpy.ndarray
        Float32 ``(C, D)``.
    bias : numpy.ndarray
        Float32 ``(C,)``.
    solver : str
    regularisation : float
        Ridge's alpha, or C of the others; 0 where there is none.
    split_top1 : float or None
        On the images that were held out, each once; None where every class has but one.
    seconds : float
    scale : float
        What the classifier's own scores were multiplied by.
    """

    weight: np.ndarray
    bias: np.ndarray
    solver: str
    regularisation: float
    split_top1: float
    seconds: float
    scale: float = 1.0


def check_solver(solver):
    """Refuse (InputError) a solver that is unknown."""
    if solver not in SOLVERS:
        raise InputError(f"solver: expected one of {', '.join(SOLVERS)}, received solver={solver!r}; "
                         f"{nearest(str(solver), SOLVERS)}")


def solve_head(solver, features, labels, num_classes, seed=0, images=None, class_weights=None):
    """Fit a linear classifier to features, its penalty and its scale chosen by cross-validation.

    Parameters
    ----------
    solver : {"ridge", "logistic", "svm", "imprint"}
    features : numpy.ndarray
        Float32 ``(N, D)``.
    labels : numpy.ndarray
        Int ``(N,)``, each class below `num_classes` at least once.
    num_classes : int
    seed : int
        Of the folds.
    images : numpy.ndarray, optional
        Int ``(N,)``, which image a row is a view of: all views of an image are in one fold. Each row is an image of
        its own when None.
    class_weights : sequence of float, optional
        What an image of each class weighs in the fit, above 0; not of ``imprint``, whose means know no weight.

    Returns
    -------
    SolvedHead
        ``features @ weight.T + bias`` are logits: the classifier's scores times the factor with which softmax's
        cross-entropy is lowest on images that the classifier which judges them has not seen. It changes no decision,
        and training can continue from it.

    Raises
    ------
    InputError
        Unknown solver, features that are not ``(N, D)``, or a class without an image.

    Notes
    -----
    Every image of a class that has two is held out once, in five folds (three of many images). They choose the
    penalty (the first alone of more than a few; that of ``logistic`` by the loss, any number, the others of a few by
    top-1) and the factor (temperature scaling, Guo et al., arXiv:1706.04599);
    then everything is fitted again. So that few images cannot make the factor infinite, the target of N judged images
    is not 1 but the ``(N + 1) / (N + 2)`` of Laplace's rule of succession, as in Platt's scaling. Where every class
    has one image nothing can be held out: the middle of the penalties is taken, and the images themselves get a
    probability of a half. Features are standardised for the fit, which is folded into weight and bias.

    Examples
    --------
    >>> features = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0) + np.random.RandomState(0).rand(30, 3) / 9
    >>> head = solve_head("ridge", features, np.arange(30) // 10, 3)
    >>> (features @ head.weight.T + head.bias).argmax(axis=1)[::10].tolist()
    [0, 1, 2]
    """
    check_solver(solver)
    features, labels, began = np.asarray(features, np.float32), np.asarray(labels).astype(int), time.perf_counter()
    if features.ndim != 2 or len(features) != len(labels):
        raise InputError(f"solver: expected features (N, D) and a label each, received shapes {features.shape} and "
                         f"{labels.shape}")
    require_every_class(labels, num_classes)
    solver = _Solver(solver, num_classes, _checked_weights(solver, num_classes, class_weights))
    scaled, mean, spread = standardised(features)
    folds = _folds(labels, np.arange(len(labels)) if images is None else np.asarray(images), seed)
    penalty, factor, top1, found = _chosen(solver, scaled, labels, folds)
    weight, bias = (factor * values for values in solver.fit(scaled, labels, penalty, found))
    weight = weight / spread
    return SolvedHead(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32), solver.name, penalty, top1,
                      time.perf_counter() - began, factor)


def require_every_class(labels, num_classes):
    """Refuse (InputError) labels, int ``(N,)``, among which a class has no image: a solver could make no row for it."""
    counts = np.bincount(labels, minlength=num_classes)
    if len(counts) > num_classes or not counts.all():
        raise InputError(f"solver: expected at least one image of each of {num_classes} classes, received none of "
                         f"class {int(np.argmin(counts))}")


def standardised(features):
    """Return ``(features - mean) / spread``, rows of a length about 1, with mean and spread."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread < _FLAT, 1, spread) * np.float32(np.sqrt(features.shape[1]))
    return (features - mean) / spread, mean, spread


def _folds(labels, images, seed):
    """Return [(rows to fit, rows to judge)]: the images of every class spread over the folds, one alone in none."""
    names, first = np.unique(images, return_index=True)
    own, random = labels[first], np.random.RandomState(seed)
    fold, most = np.full(len(names), -1), FOLDS if len(names) < MANY else FOLDS_OF_MANY
    for label in np.unique(own):
        members = random.permutation(np.flatnonzero(own == label))
        if len(members) > 1:
            fold[members] = (np.arange(len(members)) + label) % most  # small classes do not all begin with fold 0
    return [(rows_of(images, names[fold != number]), rows_of(images, names[fold == number]))
            for number in range(most) if (fold == number).any()]


def rows_of(images, names):
    """Return the rows that are views of these images, in the images' order."""
    order = np.argsort(images, kind="stable")
    begin, end = (np.searchsorted(images[order], names, side) for side in ("left", "right"))
    return np.concatenate([order[a:b] for a, b in zip(begin, end)])


def _chosen(solver, features, labels, folds):
    """Return penalty, factor of the scores, top-1 of the images held out (None without), and the last weights found."""
    penalties = PENALTIES[solver.name]
    if not folds:
        penalty = penalties[len(penalties) // 2]
        weight, bias = found = solver.fit(features, labels, penalty)
        return penalty, best_factor(features @ weight.T + bias, labels, 0.5)[0], None, found
    first = folds if len(labels) < FEW else folds[:1]
    search = _searched_penalty if solver.name == "logistic" else _best_penalty
    penalty, judged, found = search(solver, features, labels, first)
    more, _ = _judged(solver, features, labels, folds[len(first):], penalty)
    scores, truth = (np.concatenate(parts) for parts in zip(*judged, *more))
    factor, _ = best_factor(scores, truth, doubt_of(len(truth)))
    return penalty, factor, float((scores.argmax(axis=1) == truth).mean()), found


def _best_penalty(solver, features, labels, folds):
    """Return the penalty with the best top-1 on folds, then the lowest loss; what `_judged` gives, and weights."""
    best = None
    for penalty in PENALTIES[solver.name]:
        judged, found = _judged(solver, features, labels, folds, penalty)
        top1, loss = _top1_and_loss(judged)
        if best is None or (top1, -loss) > best[0]:
            best = ((top1, -loss), (penalty, judged, found[-1]))
        elif top1 < best[0][0] - 0.01:
            break  # past the best
    return best[1]


def _searched_penalty(solver, features, labels, folds):
    """Return what `_best_penalty` does for the penalty with the lowest loss, which varies smoothly with it.

    By steps of `RATIO` from `PENALTY` to the lowest loss on folds, then the vertex of the parabola through the last
    three, in the penalty's logarithm. Each fit begins with the weights of the one before, of the same fold.
    """
    losses, fits, power = {}, {}, 0

    def fit(power):
        penalty = float(f"{PENALTY * RATIO ** power:.2g}")
        near = min(fits, key=lambda other: abs(other - power)) if fits else None
        fits[power] = (penalty, *_judged(solver, features, labels, folds, penalty, fits[near][2] if fits else None))
        losses[power] = _top1_and_loss(fits[power][1])[1]

    fit(power)
    for towards in (-1, 1):
        while abs(power + towards) <= MOST_STEPS:
            fit(power + towards)
            if losses[power + towards] >= losses[power]:
                break
            power += towards
        if power < 0:
            break
    below, here, above = (losses.get(power + step) for step in (-1, 0, 1))
    if below is not None and above is not None and below + above > 2 * here:
        vertex = power + (below - above) / (2 * (below + above - 2 * here))
        if abs(vertex - power) > _NEAR:
            fit(vertex)
            power = min((power, vertex), key=losses.get)
    penalty, judged, found = fits[power]
    return penalty, judged, found[-1]


def _top1_and_loss(judged):
    """Return the top-1 of what `_judged` gives, and its cross-entropy at the scale with the lowest."""
    scores, truth = (np.concatenate(parts) for parts in zip(*judged))
    return float((scores.argmax(axis=1) == truth).mean()), best_factor(scores, truth, doubt_of(len(truth)))[1]


def _judged(solver, features, labels, folds, penalty, starts=None):
    """Return [(scores, labels)] of each fold's held-out rows, and the weights of each, which `starts` may begin at."""
    judged, found = [], []
    for number, (fitted, held_out) in enumerate(folds):
        weight, bias = solver.fit(features[fitted], labels[fitted], penalty, starts[number] if starts else None, _ROUGH)
        found.append((weight, bias))
        judged.append((features[held_out] @ weight.T + bias, labels[held_out]))
    return judged, found


def _checked_weights(solver, num_classes, class_weights):
    """Return the weights ``(C,)``, None without; refuse (InputError) what a solver cannot use."""
    if class_weights is None:
        return None
    if solver == "imprint":
        raise InputError("`class_weight`: expected a solver that weighs images, received `solver='imprint'`, which "
                         "takes the mean of each class; leave it out")
    if len(class_weights) != num_classes or not all(weight > 0 for weight in class_weights):
        raise InputError(f"`class_weight`: expected a number above 0 for each of the {num_classes} classes beside "
                         f"`solver={solver!r}`, received `class_weight={tuple(class_weights)}`")
    return np.asarray(class_weights, float)


@dataclasses.dataclass(frozen=True)
class _Solver:
    """A linear classifier that can be fitted; `weights` is what an image of each class weighs, ``(C,)`` or None."""

    name: str
    num_classes: int
    weights: object

    def fit(self, features, labels, penalty, start=None, tolerance=TOLERANCE):
        """Return weight ``(C, D)`` and bias ``(C,)`` on standardised features.

        `logistic` begins at `start`, and ends where a step gains less than this part of the loss.
        """
        if self.name == "imprint":
            means = np.stack([features[labels == label].mean(axis=0) for label in range(self.num_classes)])
            return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), _FLAT), np.zeros(self.num_classes)
        if self.name == "logistic":
            return fit_logistic(features, labels, self.num_classes, penalty,
                                None if self.weights is None else self.weights[labels], start, tolerance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # iterations are bounded on purpose: the split judges what they reach
            model = self._classifier(penalty)
            model.fit(features, labels, sample_weight=None if self.weights is None else self.weights[labels])
        weight = np.atleast_2d(model.coef_)
        bias = np.broadcast_to(np.ravel(model.intercept_), (len(weight),))
        if self.num_classes == 2 and len(weight) == 1:  # two classes have one boundary
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return weight, bias

    def _classifier(self, penalty):
        from sklearn.linear_model import RidgeClassifier
        from sklearn.svm import LinearSVC

        if self.name == "ridge":
            return RidgeClassifier(alpha=penalty)
        return LinearSVC(C=penalty, tol=1e-2, max_iter=200)
