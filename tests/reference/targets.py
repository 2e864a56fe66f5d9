"""Soft-target cross-entropy and its gradient, image by image and class by class in float64.

Label smoothing: arXiv:1512.00567 section 7; mixup: arXiv:1710.09412 section 2.
"""
import math


def soft_targets(labels, num_classes, smoothing=0.0, weights=None, share=1.0, order=None):
    """Return the target rows (lists of float): smoothed, weighted by the label's class, then mixed."""
    rows = []
    for label in labels:
        weight = 1.0 if weights is None else weights[label]
        rows.append([weight * ((1 - smoothing) * (c == label) + smoothing / num_classes) for c in range(num_classes)])
    if order is None:
        return rows
    return [[share * rows[n][c] + (1 - share) * rows[order[n]][c] for c in range(num_classes)]
            for n in range(len(rows))]


def soft_loss(logits, targets):
    """Return ``-Σ t·log softmax(z)`` over all images."""
    loss = 0.0
    for z, t in zip(logits, targets):
        top = max(z)
        log_total = top + math.log(sum(math.exp(v - top) for v in z))
        loss -= sum(share * (v - log_total) for v, share in zip(z, t))
    return loss


def soft_gradient(logits, targets, step=1e-5):
    """Return the gradient of `soft_loss` towards the logits, by central differences."""
    rows = [list(map(float, z)) for z in logits]
    gradient = []
    for n, z in enumerate(rows):
        gradient.append([])
        for j, value in enumerate(z):
            around = []
            for moved in (value + step, value - step):
                z[j] = moved
                around.append(soft_loss([z], [targets[n]]))
            z[j] = value
            gradient[-1].append((around[0] - around[1]) / (2 * step))
    return gradient
