"""Which checkpoints a face run keeps: upstream's ``--ckpt`` rule, and in any case the last and the best."""
import math
import os

from mxft.errors import InputError
from mxft.files.whole import require_folder
from mxft.network.checkpoint import saved_epochs
from mxft.training.run import Run


def require_free_prefix(prefix):
    """Refuse (InputError) a prefix that has a checkpoint already; the message names a free one."""
    def standing(candidate):
        return saved_epochs(candidate) or os.path.exists(candidate + "-symbol.json")

    number, free = 1, prefix
    while standing(free):
        number += 1
        free = f"{prefix}-{number}"
    if free != prefix:
        raise InputError(f"prefix: expected one without checkpoints, received prefix={prefix!r} with epochs "
                         f"{', '.join(saved_epochs(prefix)) or '(none, but a symbol)'}; try `prefix` {free}")


class FaceRun(Run):
    """The files of a face run, ``prefix-symbol.json``, ``prefix-0001.params``, ``prefix-best.params`` …

    Parameters
    ----------
    prefix : str
    symbol : mx.sym.Symbol
    manifest : dict
    ckpt : {0, 1, 2, 3}
        Numbered checkpoints: never, when the score improves, always, always as number 1.
    state : mxft.training.resume.state.RunState, optional
        Where the run writes down how far it is; what it `found` is resumed from.

    Raises
    ------
    InputError
        The prefix is taken or ends with a slash, or its folder cannot be written to.
    """

    def __init__(self, prefix, symbol, manifest, ckpt=1, state=None):
        if not os.path.basename(prefix):
            raise InputError("prefix: expected a folder and the beginning of the files' names, received "
                             f"prefix={prefix!r}; try `prefix` {os.path.join(prefix, 'model')}")
        if not (state and state.found):
            require_free_prefix(prefix)
        require_folder(os.path.dirname(prefix) or ".")
        super().__init__(prefix, symbol, manifest)
        self._ckpt, self._number, self._best, self._highest = ckpt, 0, -math.inf, -math.inf
        self.best = self.last = None
        self.keep_state(state)

    def facts(self):
        """Return how far the run's files are, for the state."""
        score, since = (None if value == -math.inf else value for value in (self._best, self._highest))
        return {**super().facts(), "score": score, "score_since": since, "numbered": self._number,
                "best": bool(self.best), "last": bool(self.last)}

    def resume_from(self, facts):
        """Put the files back to where a state was written."""
        super().resume_from(facts)
        score = facts.get("score")
        self._best, self._highest = (-math.inf if value is None else float(value)
                                     for value in (score, facts.get("score_since", score)))
        self._number = int(facts.get("numbered", 0))
        self.best, self.last = (self.name(epoch) if facts.get(epoch) else None for epoch in ("best", "last"))

    @property
    def best_step(self):
        """The step `best` is of, None where nothing is saved as such."""
        return self.manifest["metrics"].get("best", {}).get("step")

    def keep_beginning(self, score, arg_params, aux_params, metrics):
        """Save as best what the run begins with: training has to beat its `score` (see `keep`)."""
        self._best = score
        self.best = self.save("best", arg_params, aux_params, metrics)

    def keep(self, score, arg_params, aux_params, metrics, same_embedding=False):
        """Save what the rule asks for.

        Parameters
        ----------
        score : float
            Higher is better: the mean accuracy of the verification sets, or minus the loss where there are none.
        arg_params, aux_params : dict of str to mx.nd.NDArray
        metrics : dict
        same_embedding : bool
            The embedding is the one the run began with: an equal score then is better, as the head has learnt.

        Returns
        -------
        list of str
            What was saved, as ``"prefix,epoch"``.
        """
        better = score > self._best or (same_embedding and score == self._best)
        improved, self._highest = score > self._highest, max(score, self._highest)
        self.last = self.save("last", arg_params, aux_params, metrics)
        saved = [self.last]
        if better:
            self._best = score
            self.best = self.save("best", arg_params, aux_params, metrics)
            saved.append(self.best)
        if self._ckpt >= 2 or (self._ckpt == 1 and improved):
            self._number = 1 if self._ckpt == 3 else self._number + 1
            saved.append(self.save(self._number, arg_params, aux_params, metrics))
        return saved
