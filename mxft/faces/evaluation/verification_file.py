"""PREFIX-verification.json: the distances of all pairs at a few steps of a face run, to draw ROC curves from again."""
import json

import numpy as np

from mxft.errors import InputError
from mxft.faces.evaluation.verification import verify_distances
from mxft.files.whole import require_file


def verifications_record(steps):
    """Return what `read_verifications` reads, ready for JSON.

    Parameters
    ----------
    steps : dict of int to dict of str to Verification
        By step, then by the set's name.

    Examples
    --------
    >>> verifications_record({0: {}})
    {'steps': [{'step': 0, 'targets': {}}]}
    """
    return {"steps": [{"step": step, "targets": {name: _row(result) for name, result in results.items()}}
                      for step, results in steps.items()]}


def _row(result):
    return {"folds": len(result.thresholds), "xnorm": result.xnorm, "distances": result.distances.tolist(),
            "issame": result.issame.astype(int).tolist()}


def read_verifications(path):
    """Read the file back: to the last digit the numbers that were printed.

    Parameters
    ----------
    path : str

    Returns
    -------
    dict of int to dict of str to Verification

    Raises
    ------
    InputError
        No such file, or one that is damaged.
    """
    with open(require_file(path, "verifications of a run"), encoding="utf-8") as f:
        try:
            return {int(entry["step"]): {name: _verification(row) for name, row in entry["targets"].items()}
                    for entry in json.load(f)["steps"]}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged: expected steps with targets and the distances of their pairs, "
                             f"received {type(error).__name__}: {error}") from None


def _verification(row):
    distances, issame = np.array(row["distances"], np.float64), np.array(row["issame"], bool)
    if distances.ndim != 1 or distances.shape != issame.shape or not np.isfinite(distances).all():
        raise ValueError(f"distances {distances.shape} of pairs {issame.shape}")
    return verify_distances(distances, issame, int(row["folds"]), row["xnorm"])
