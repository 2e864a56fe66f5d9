"""Fitted heads: plain weights that decide as scikit-learn does, on a scale training can go on from."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.features.solvers import SOLVERS, check_solver, solve_head


def blobs(classes=4, each=15, width=6, seed=0, spread=0.6):
    """Gaussian clouds around random centres, features of very different scales."""
    rng = np.random.RandomState(seed)
    scales, centres = 10.0 ** rng.uniform(-2, 2, width), rng.normal(size=(classes, width))
    labels = np.tile(np.arange(classes), each)
    return ((centres[labels] + spread * rng.normal(size=(len(labels), width))) * scales).astype(np.float32), labels


def logits(head, features):
    return features @ head.weight.T + head.bias


def cross_entropy(scores, labels):
    scores = scores - scores.max(axis=1, keepdims=True)
    return float((np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 4])
def test_every_solver_separates_what_can_be_separated(solver, classes):
    features, labels = blobs(classes, spread=0.1)
    head = solve_head(solver, features, labels, classes)
    assert head.weight.shape == (classes, 6) and head.bias.shape == (classes,) and head.weight.dtype == np.float32
    assert (logits(head, features).argmax(axis=1) == labels).all() and head.split_top1 == 1.0


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_scale_suits_the_softmax(solver):
    features, labels = blobs(each=60, spread=0.8)
    head = solve_head(solver, features, labels, 4)
    scores, wanted = logits(head, features), labels
    loss = cross_entropy(scores, wanted)
    assert loss < 0.9 * np.log(4)
    assert loss < cross_entropy(scores * 30, wanted) and loss < cross_entropy(scores / 30, wanted)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("each", [3, 12])
def test_few_images_that_are_told_apart_do_not_make_a_head_certain(solver, each):
    """Laplace's rule of succession: N images, all of them right, leave a doubt of 1 / (N + 2)."""
    features, labels = blobs(each=each, spread=0.01)
    scores = logits(solve_head(solver, features, labels, 4), features)
    right = np.exp(-cross_entropy(scores, labels))
    assert right == pytest.approx((4 * each + 1) / (4 * each + 2), abs=0.03)


@pytest.mark.parametrize("each, most", [(1, 0.6), (2, 0.95)])
def test_a_class_of_one_image_is_never_judged(each, most):
    features, labels = blobs(each=each, spread=0.01)
    assert np.exp(-cross_entropy(logits(solve_head("ridge", features, labels, 4), features), labels)) < most


def test_ridge_decides_as_the_closed_form_does():
    features, labels = blobs(spread=1.0)
    head = solve_head("ridge", features, labels, 4)
    spread = features.std(axis=0) * np.sqrt(6)
    rows = np.c_[(features - features.mean(axis=0)) / spread, np.ones(len(labels))].astype(float)
    penalty = np.diag([head.regularisation] * 6 + [0])  # the intercept is free
    weights = np.linalg.solve(rows.T @ rows + penalty, rows.T @ (2 * np.eye(4)[labels] - 1))
    expected, found = rows @ weights, logits(head, features)
    factor = (found * expected).sum() / (expected * expected).sum()
    np.testing.assert_allclose(found, factor * expected, atol=1e-3 * np.abs(found).max())


def test_imprinting_is_the_direction_of_class_means():
    features, labels = blobs()
    head = solve_head("imprint", features, labels, 4)
    spread = features.std(axis=0) * np.sqrt(6)
    scaled = (features - features.mean(axis=0)) / spread
    means = np.stack([scaled[labels == label].mean(axis=0) for label in range(4)])
    cosines = (head.weight * spread * means).sum(axis=1) / (
        np.linalg.norm(head.weight * spread, axis=1) * np.linalg.norm(means, axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_equal_seeds_give_equal_heads():
    features, labels = blobs(spread=1.5)
    first, second = (solve_head("ridge", features, labels, 4, seed=3) for _ in range(2))
    assert np.array_equal(first.weight, second.weight) and first.regularisation == second.regularisation


def test_one_image_of_a_class_is_enough():
    features, labels = blobs(each=1)
    head = solve_head("ridge", features, labels, 4)
    assert head.split_top1 is None and (logits(head, features).argmax(axis=1) == labels).all()


def views_of_noise(views=4, images=120, classes=3, width=200):
    """Rows ``(views * images, width)``, nearly the same in every view of an image, and labels that mean nothing."""
    rng = np.random.RandomState(0)
    labels, features = np.tile(np.arange(classes), images // classes), rng.normal(size=(images, width))
    rows = np.concatenate([features + 0.01 * rng.normal(size=features.shape) for _ in range(views)])
    return rows.astype(np.float32), np.tile(labels, views), np.tile(np.arange(images), views)


@pytest.mark.parametrize("solver", SOLVERS)
def test_views_of_an_image_are_not_split(solver):
    """A split between views judges by images it was fitted to: it finds what means nothing, and trusts it."""
    features, labels, images = views_of_noise()
    order = np.random.RandomState(1).permutation(len(labels))
    apart = solve_head(solver, features[order], labels[order], 3, images=images[order])
    mixed = solve_head(solver, features[order], labels[order], 3)
    assert apart.split_top1 < 0.6 and mixed.split_top1 > 0.65  # 24 images, a third by chance
    held_out = np.random.RandomState(2).normal(size=(300, 200)).astype(np.float32)
    losses = [cross_entropy(logits(head, held_out), np.tile(np.arange(3), 100)) for head in (apart, mixed)]
    assert losses[0] < 1.5 and losses[0] < losses[1] - 0.1  # knowing nothing costs log(3) = 1.1


def test_views_do_not_make_images_of_a_class_more():
    features, labels, images = views_of_noise(views=5, images=3)
    assert solve_head("ridge", features, labels, 3, images=images).split_top1 is None


def test_a_constant_feature_does_no_harm():
    features, labels = blobs()
    features[:, 2] = 7
    assert np.isfinite(solve_head("ridge", features, labels, 4).weight).all()


@pytest.mark.parametrize("classes, message", [
    (5, "solver: expected at least one image of each of 5 classes, received none of class 4"),
    (3, "solver: expected at least one image of each of 3 classes"),
])
def test_classes_without_an_image_are_refused(classes, message):
    with pytest.raises(InputError, match=message):
        solve_head("ridge", *blobs(), classes)


def test_an_unknown_solver_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="solver: expected one of ridge, logistic, svm, imprint, received "
                                         "solver='rigde'; nearest: ridge"):
        check_solver("rigde")


@pytest.mark.parametrize("solver", ["ridge", "logistic", "svm"])
def test_a_class_that_weighs_three_times_as_much_is_as_one_of_three_times_the_images(solver):
    from mxft.features.solvers import _Solver

    features, labels = blobs(3, each=20, spread=0.8)
    features /= features.std(axis=0)
    three = np.concatenate([np.arange(len(labels)), *[np.flatnonzero(labels == 1)] * 2])
    weighed = _Solver(solver, 3, np.array([1.0, 3.0, 1.0])).fit(features, labels, 0.3)
    repeated = _Solver(solver, 3, None).fit(features[three], labels[three], 0.3)
    plain = _Solver(solver, 3, None).fit(features, labels, 0.3)
    tolerance = 0.05 if solver == "svm" else 2e-3  # an SVM's solver stops early
    np.testing.assert_allclose(weighed[0], repeated[0], atol=tolerance)
    assert abs(weighed[0] - plain[0]).max() > 2 * tolerance


def test_a_rare_class_is_found_when_classes_weigh_the_same():
    rng = np.random.RandomState(0)
    labels = np.repeat([0, 1], [1000, 4])
    features = rng.normal(size=(1004, 20)).astype(np.float32)
    features[labels == 1, 0] += 2.5
    others = rng.normal(size=(200, 20)).astype(np.float32)
    others[:, 0] += 2.5
    found = [(logits(solve_head("logistic", features, labels, 2, class_weights=weights), others).argmax(axis=1) == 1)
             .mean() for weights in (None, (0.502, 125.5))]
    assert found[0] < 0.1 and found[1] > 3 * found[0] + 0.2


@pytest.mark.parametrize("solver, weights, message", [
    ("imprint", (1, 2), "class_weight: expected a solver that weighs images, received solver='imprint'"),
    ("ridge", (1, 2, 3), "class_weight: expected a number above 0 for each of the 2 classes"),
    ("svm", (1, 0), "class_weight: expected a number above 0 for each of the 2 classes beside solver='svm'"),
])
def test_weights_that_a_solver_cannot_use(solver, weights, message):
    features, labels = blobs(2)
    with pytest.raises(InputError) as refused:
        solve_head(solver, features, labels, 2, class_weights=weights)
    assert str(refused.value).startswith(message)
