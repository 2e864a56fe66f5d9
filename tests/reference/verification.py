"""Face verification in plain loops over pairs, thresholds and folds, as insightface's eval/verification.py has it."""
import math


def slow_distance(left, right):
    """Squared distance of two vectors after normalising them."""
    a, b = math.sqrt(sum(float(x) ** 2 for x in left)), math.sqrt(sum(float(x) ** 2 for x in right))
    return sum((float(x) / (a or 1) - float(y) / (b or 1)) ** 2 for x, y in zip(left, right))


def slow_folds(pairs, folds):
    """(training pairs, test pairs) of each fold: contiguous, the first `pairs % folds` one larger."""
    parts, start = [], 0
    for k in range(folds):
        size = pairs // folds + (1 if k < pairs % folds else 0)
        test = list(range(start, start + size))
        parts.append(([i for i in range(pairs) if i not in test] if folds > 1 else test, test))
        start += size
    return parts


def slow_accuracy(threshold, distances, issame, pairs):
    """Share of `pairs` that ``distance < threshold`` judges rightly."""
    return sum((distances[i] < threshold) == bool(issame[i]) for i in pairs) / len(pairs)


def slow_verification(left, right, issame, folds):
    """Return (accuracy of each fold, threshold of each fold)."""
    distances = [slow_distance(a, b) for a, b in zip(left, right)]
    thresholds = [0.01 * k for k in range(400)]
    accuracies, chosen = [], []
    for training, test in slow_folds(len(issame), folds):
        best, best_accuracy = None, -1.0
        for threshold in thresholds:
            accuracy = slow_accuracy(threshold, distances, issame, training)
            if accuracy > best_accuracy:
                best, best_accuracy = threshold, accuracy
        chosen.append(best)
        accuracies.append(slow_accuracy(best, distances, issame, test))
    return accuracies, chosen


def slow_tar(distances, issame, far):
    """Best share of same pairs below a threshold that lets at most the share `far` of different ones in."""
    different = [d for d, same in zip(distances, issame) if not same]
    same = [d for d, same in zip(distances, issame) if same]
    best = 0.0
    for threshold in [*distances, math.inf]:
        if sum(d < threshold for d in different) <= far * len(different) + 1e-9:
            best = max(best, sum(d < threshold for d in same) / len(same))
    return best


def slow_auc(distances, issame):
    """Chance that a same pair is nearer than a different one, ties counting half."""
    different = [d for d, same in zip(distances, issame) if not same]
    same = [d for d, same in zip(distances, issame) if same]
    return sum((s < d) + (s == d) / 2 for s in same for d in different) / (len(same) * len(different))
