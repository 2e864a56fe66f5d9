"""The margin losses and their gradients, row by row and class by class in float64, from the papers' formulas.

A formula takes the target's angle θ and gives what stands in place of cosθ, and its derivative towards θ; the heads
but plain softmax differ in nothing else. ``test_heads.py`` checks the derivatives against differences of the values.
"""
import math

import numpy as np


def arcface(theta, m=0.5, easy_margin=False):
    """arXiv:1801.07698 Eq. 3: cos(θ + m); train_softmax.py's way on, where that is not what was asked for."""
    if easy_margin and theta >= math.pi / 2:
        return math.cos(theta), -math.sin(theta)
    if not easy_margin and theta + m >= math.pi:
        return math.cos(theta) - m * math.sin(math.pi - m), -math.sin(theta)
    return math.cos(theta + m), -math.sin(theta + m)


def cosface(theta, m=0.35):
    """arXiv:1801.09414 Eq. 4: cosθ - m."""
    return math.cos(theta) - m, -math.sin(theta)


def combined(theta, a=1.0, m=0.5, b=0.0):
    """arXiv:1801.07698 Eq. 4: cos(a·θ + m) - b."""
    return math.cos(a * theta + m) - b, -a * math.sin(a * theta + m)


def sphereface(theta, m=4, annealing=5.0):
    """arXiv:1704.08063 Eq. 7, annealed: (λ·cosθ + ψ(θ))/(1 + λ), ψ = (-1)^k·cos(mθ) - 2k on [kπ/m, (k+1)π/m]."""
    k = min(int(theta * m / math.pi), m - 1)
    psi = (-1) ** k * math.cos(m * theta) - 2 * k
    slope = -m * (-1) ** k * math.sin(m * theta)
    return ((annealing * math.cos(theta) + psi) / (1 + annealing),
            (slope - annealing * math.sin(theta)) / (1 + annealing))


def softmax_loss(logits, labels):
    """Return the mean cross-entropy and its gradient towards the logits."""
    N = len(labels)
    loss, d_logits = 0.0, np.zeros(logits.shape)
    for n, y in enumerate(labels):
        top = max(logits[n])
        total = sum(math.exp(z - top) for z in logits[n])
        loss += (top + math.log(total) - logits[n, y]) / N
        for j, z in enumerate(logits[n]):
            d_logits[n, j] = (math.exp(z - top) / total - (j == y)) / N
    return loss, d_logits


def inner_products(embedding, weight, bias):
    """Plain softmax' logits x·W_j + b_j."""
    return np.array([[sum(x * w) + b for w, b in zip(weight, bias)] for x in embedding])


def inner_products_gradient(d_logits, embedding, weight):
    """Return the gradients towards embedding, weight and bias for one towards the logits."""
    d_embedding, d_weight, d_bias = np.zeros(embedding.shape), np.zeros(weight.shape), np.zeros(len(weight))
    for n in range(len(embedding)):
        for j in range(len(weight)):
            d_embedding[n] += d_logits[n, j] * weight[j]
            d_weight[j] += d_logits[n, j] * embedding[n]
            d_bias[j] += d_logits[n, j]
    return d_embedding, d_weight, d_bias


def cosine(x, w):
    """cosθ between two vectors."""
    return sum(x * w) / math.sqrt(sum(x ** 2)) / math.sqrt(sum(w ** 2))


def margin_logits(formula, embedding, weight, labels, s=None):
    """Return r·cosθ_j, and r·formula(θ) for the label; r is `s`, or the embedding's own norm when None."""
    logits = np.zeros((len(embedding), len(weight)))
    for n, (x, y) in enumerate(zip(embedding, labels)):
        r = math.sqrt(sum(x ** 2)) if s is None else s
        for j, w in enumerate(weight):
            logits[n, j] = r * (formula(math.acos(cosine(x, w)))[0] if j == y else cosine(x, w))
    return logits


def margin_gradient(d_logits, formula, embedding, weight, labels, s=None):
    """Return the gradients towards embedding and weight for one towards `margin_logits`."""
    d_embedding, d_weight = np.zeros(embedding.shape), np.zeros(weight.shape)
    for n, (x, y) in enumerate(zip(embedding, labels)):
        x_norm = math.sqrt(sum(x ** 2))
        for j, w in enumerate(weight):
            w_norm, cos = math.sqrt(sum(w ** 2)), cosine(x, w)
            value, by_cosine = cos, 1.0
            if j == y:
                value, by_theta = formula(math.acos(cos))
                by_cosine = by_theta / -math.sin(math.acos(cos))
            d_cosine = d_logits[n, j] * by_cosine * (x_norm if s is None else s)
            d_embedding[n] += d_cosine * (w / w_norm - cos * x / x_norm) / x_norm
            d_weight[j] += d_cosine * (x / x_norm - cos * w / w_norm) / w_norm
            if s is None:
                d_embedding[n] += d_logits[n, j] * value * x / x_norm
    return d_embedding, d_weight


def intra_loss(embedding, weight, labels):
    """arXiv:1801.07698 Eq. 5: mean of θ_y/π, with the gradients towards embedding and weight."""
    loss, d_embedding, d_weight = 0.0, np.zeros(embedding.shape), np.zeros(weight.shape)
    N = len(embedding)
    for n, y in enumerate(labels):
        x_norm, w_norm = math.sqrt(sum(embedding[n] ** 2)), math.sqrt(sum(weight[y] ** 2))
        x_unit, w_unit = embedding[n] / x_norm, weight[y] / w_norm
        theta = math.acos(cosine(embedding[n], weight[y]))
        loss += theta / math.pi / N
        by_cosine = -1 / math.sin(theta) / math.pi / N
        d_embedding[n] += by_cosine * (w_unit - math.cos(theta) * x_unit) / x_norm
        d_weight[y] += by_cosine * (x_unit - math.cos(theta) * w_unit) / w_norm
    return loss, d_embedding, d_weight


def inter_loss(weight, labels):
    """train_softmax.py, loss_type 7: mean cosine of each label's centre with every centre, and its gradient."""
    loss, d_weight = 0.0, np.zeros(weight.shape)
    N, C = len(labels), len(weight)
    for y in labels:
        for j in range(C):
            y_norm, j_norm = math.sqrt(sum(weight[y] ** 2)), math.sqrt(sum(weight[j] ** 2))
            cos = cosine(weight[y], weight[j])
            loss += cos / (N * C)
            d_weight[y] += (weight[j] / j_norm - cos * weight[y] / y_norm) / y_norm / (N * C)
            d_weight[j] += (weight[y] / y_norm - cos * weight[j] / j_norm) / j_norm / (N * C)
    return loss, d_weight
