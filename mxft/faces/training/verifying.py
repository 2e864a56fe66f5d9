"""Verification in the course of training: every target at step 0, now and then, at the end, and what was forgotten."""
import logging
import time

from mxft.faces.evaluation.pair_scoring import verify_pairs
from mxft.faces.evaluation.verification import FOLDS
from mxft.faces.evaluation.verification_file import verifications_record
from mxft.faces.pairs.bin_file import check_images, load_pairs
from mxft.faces.pairs.sets import find_sets
from mxft.inference.executor import InferenceExecutor

LOG = logging.getLogger("mxft")

_LOGGED = ("accuracy", "std", "xnorm", "auc", "tar_at_far", "notes")


def load_targets(folder, image_size, names=None):
    """Load verification sets by name.

    Parameters
    ----------
    folder : str
        Holds ``NAME.bin``.
    image_size : tuple of int
        ``(H, W)``, what the network takes.
    names : sequence of str, optional
        All of them have to be there; none is verified where it is empty. Upstream's three when None, of which those
        that are there are taken.

    Returns
    -------
    targets : list of PairSet
    absent : list of str
        Of upstream's three, those that are not there.

    Raises
    ------
    InputError
        A named target is missing, a file is damaged, or its images are of another size.
    """
    paths, absent = find_sets(folder, names) if names is None or names else ([], [])
    targets = [load_pairs(path) for path in paths]
    for pairs in targets:
        check_images(pairs, image_size)
    return targets, absent


def _mean_accuracy(results):
    return sum(result.accuracy for result in results.values()) / len(results)


class Verifier:
    """Verifies a network as it is being trained.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        The embedding network.
    targets : list of PairSet
    image_shape : tuple of int
        ``(3, H, W)``.
    batch_size : int
    context : mx.Context
    log : callable
        ``log(event, **facts)``, as `mxft.training.run.Run.log`.
    write_json : callable, optional
        ``write_json(name, value)``, as `mxft.training.run.Run.write_json`: is given ``verification.json`` with every
        pair's distance at step 0, at the best step since and at the last.

    Attributes
    ----------
    history : list of (int, dict)
        Step, and of every target the numbers that were logged.
    """

    def __init__(self, embedding, targets, image_shape, batch_size, context, log, write_json=None):
        self._embedding, self._targets, self._shape = embedding, targets, image_shape
        self._batch_size, self._context, self._log, self._write_json = batch_size, context, log, write_json
        self._kept, self.history = {}, []

    def __bool__(self):
        return bool(self._targets)

    def at(self, step, arg_params, aux_params):
        """Verify every target, print and log it, and return the mean accuracy (None without targets)."""
        if not self._targets:
            return None
        executor = InferenceExecutor(self._embedding, arg_params, aux_params, self._shape, self._batch_size,
                                     self._context)
        row, results, began = {}, {}, time.perf_counter()
        for pairs in self._targets:
            result = verify_pairs(executor, pairs, min(FOLDS, len(pairs.issame)), image_size=self._shape[1:])
            results[pairs.name] = result
            row[pairs.name] = {name: value for name, value in result.to_dict().items() if name in _LOGGED}
            for note in result.notes if not self.history else ():
                LOG.info(f"[{pairs.name}]note: {note}")
            first = self.history[0][1][pairs.name] if self.history else row[pairs.name]
            change = f" ({result.accuracy - first['accuracy']:+.5f} since step 0)" if self.history else ""
            LOG.info(f"[{pairs.name}][{step}]XNorm: {result.xnorm:.4f}")
            LOG.info(f"[{pairs.name}][{step}]Accuracy-Flip: {result.accuracy:.5f}+-{result.std:.5f}{change}")
        self.history.append((step, row))
        self._log("verification", step=step, targets=row, seconds=round(time.perf_counter() - began, 3))
        self._keep(step, results)
        return _mean_accuracy(results)

    def restore(self, history, kept):
        """Go on from another's `history`, with the results `kept`, ``{step: {target: Verification}}``."""
        self.history = [(step, row) for step, row in history]
        steps = {step for step, _ in self.history}
        self._kept = {step: results for step, results in kept.items() if step in steps}

    def _keep(self, step, results):
        """Write down every pair's distance, of the first step, the best since and this one."""
        self._kept[step] = results
        first, *since = self._kept
        best = max(since, key=lambda number: _mean_accuracy(self._kept[number]), default=first)
        self._kept = {number: self._kept[number] for number in self._kept if number in (first, best, step)}
        if self._write_json:
            self._write_json("verification.json", verifications_record(self._kept))

    def summary(self):
        """Return one line a target: first and last accuracy; empty without targets or with one verification only."""
        if len(self.history) < 2:
            return []
        (_, first), (step, last) = self.history[0], self.history[-1]
        return [f"{name}: {first[name]['accuracy']:.5f} at step 0, {last[name]['accuracy']:.5f} at step {step} "
                f"({last[name]['accuracy'] - first[name]['accuracy']:+.5f})" for name in first]

