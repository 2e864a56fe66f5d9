"""From ranges to a Quantization that keeps its accuracy: layers go back to float32 until it does."""
import dataclasses

import numpy as np

from mxft.errors import RunError
from mxft.quantization.search import layer_to_leave_out
from mxft.wording import plural

MOST_IN_FLOAT = 0.25  # of the layers
NEAR_THE_IMAGE = 2    # layers that are tried first: their errors go through all others


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What int8 does to the outputs, judged.

    Parameters
    ----------
    passed : bool
    text : str
        The figures in words.
    figures : dict of str to float
    """

    passed: bool
    text: str
    figures: dict


def mean_cosine(one, other):
    """Return the mean cosine between the rows of two arrays, each ``(N, …)`` of the same size.

    Examples
    --------
    >>> mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    one, other = (each.reshape(len(each), -1) for each in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())


def choose_layers(network, ranges, judge, told=None):
    """Return the layers that stay in float32, and the Verdict on the network with them.

    Parameters
    ----------
    network : mxft.quantization.network.SampledNetwork
    ranges : dict of str to (float, float)
    judge : callable
        Given the layers in float32, returns a Verdict.
    told : callable of str, optional
        Is given a line for each layer.

    Returns
    -------
    tuple of str, Verdict

    Raises
    ------
    RunError
        A quarter of the layers in float32 is not enough.

    Notes
    -----
    The two layers nearest the image are tried before anything is searched: of MobileNets they are what int8 spoils.
    """
    told = told or (lambda line: None)
    kept, verdict = [], judge(())
    told(f"{plural(len(network.layers), 'layer')} in int8: {verdict.text}")
    most = max(1, int(len(network.layers) * MOST_IN_FLOAT))
    if not verdict.passed and most >= NEAR_THE_IMAGE:
        near = list(network.layers[:NEAR_THE_IMAGE])
        found = judge(near)
        told(f"  {', '.join(near)} in float32: {found.text}")
        kept, verdict = (near, found) if found.passed else (kept, verdict)
    while not verdict.passed:
        if len(kept) == most:
            raise RunError(f"int8 is not kept: expected the accuracy asked for with at most {most} of "
                           f"{len(network.layers)} layers in float32, received {verdict.text}; allow "
                           "more with `max_drop` or `min_cosine`, try another `method`, or compute in bfloat16, "
                           "`precision='bf16'`")
        kept.append(layer_to_leave_out(lambda layers: network.noise(ranges, layers), network.layers, kept))
        verdict = judge(kept)
        told(f"  {kept[-1]} in float32: {verdict.text}")
    kept, verdict = _pruned(kept, verdict, judge, told)
    first = network.first_layers(kept)
    if first:
        found = judge([*kept, *first])
        told(f"  {', '.join(first)} in float32 too, read by float32 alone: {found.text}")
        kept, verdict = ((*kept, *first), found) if found.passed else (kept, verdict)
    return tuple(kept), verdict


def _pruned(kept, verdict, judge, told):
    """Take back what the others make needless."""
    for layer in list(kept) if len(kept) > 1 else ():
        others = [other for other in kept if other != layer]
        found = judge(others)
        if found.passed:
            told(f"  {layer} in int8 after all: {found.text}")
            kept, verdict = others, found
    return tuple(kept), verdict
