"""Pairs verified a second: mxft's ten folds against a loop over 400 thresholds in NumPy, as upstream's, in turn.

    python tests/bench/bench_verification.py [--pairs 6000] [--runs 5]

Embeddings of 512 numbers, made so that about one pair in ten is hard to tell.
"""
import argparse

from turns import rates, show, take_turns

FOLDS, WIDTH = 10, 512


def random_pairs(pairs):
    """Return both sides' embeddings ``(pairs, 512)`` and which pairs show one person."""
    import numpy as np

    rng = np.random.RandomState(0)
    left, other = rng.normal(size=(2, pairs, WIDTH)).astype(np.float32)
    issame = np.arange(pairs) // (pairs // (2 * FOLDS)) % 2 == 0
    closeness = rng.uniform(0.1, 0.9, (pairs, 1)).astype(np.float32) * issame[:, None]
    return left, closeness * left + (1 - closeness) * other, issame


def threshold_loop(left, right, issame):
    """Return the accuracy of ten contiguous folds, each judged at the threshold that is best on the other nine."""
    import numpy as np

    left, right = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (left, right))
    distances, thresholds = np.sum(np.square(left - right), axis=1), np.arange(0, 4, 0.01)
    accuracies = []
    for judged in np.array_split(np.arange(len(issame)), FOLDS):
        fitted = np.setdiff1d(np.arange(len(issame)), judged)
        right_ones = [np.mean((distances[fitted] < t) == issame[fitted]) for t in thresholds]
        for t in thresholds:  # upstream goes through them for the ROC curve, too
            np.mean((distances[judged] < t) == issame[judged])
        accuracies.append(np.mean((distances[judged] < thresholds[np.argmax(right_ones)]) == issame[judged]))
    return float(np.mean(accuracies))


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", type=int, default=6000)
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    from mxft.faces.evaluation.verification import verify_embeddings

    pairs = random_pairs(args.pairs)
    seconds, accuracy = take_turns({"threshold loop": lambda: threshold_loop(*pairs),
                                    "mxft": lambda: verify_embeddings(*pairs, folds=FOLDS).accuracy}, args.runs)
    show(f"verifying {args.pairs} pairs", "pairs/s", rates(args.pairs, seconds), "mxft")
    if abs(accuracy["mxft"] - accuracy["threshold loop"]) > 1e-9:
        raise SystemExit(f"the two disagree: {accuracy}")


if __name__ == "__main__":
    main()
