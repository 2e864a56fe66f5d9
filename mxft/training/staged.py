"""Carry out the stages of a run one after another, on a frozen backbone if there is one, with one best of all."""
import dataclasses
import logging
import os

from mxft.compat import mx
from mxft.data.iterators import RecordIterator, file_state
from mxft.distributed.workers import join
from mxft.errors import MxftError, last_line
from mxft.evaluation.scoring import score_iterator
from mxft.inference.executor import InferenceExecutor
from mxft.machine.memory import give_back
from mxft.network.calibration import Calibration
from mxft.network.checkpoint import load_checkpoint
from mxft.training.accumulation import updates_of
from mxft.training.fit import FitResult, fit
from mxft.training.frozen_backbone import fit_frozen_backbone
from mxft.training.novelty import NoveltySamples, write_reference
from mxft.training.proof import freeze_proof, parameter_hashes
from mxft.training.schedule import learning_rate_schedule
from mxft.training.solving import solve_stage
from mxft.training.stages import head_plan_of, runs_apart

LOG = logging.getLogger("mxft")


def stage_schedule(recipe, stage, updates):
    """Return the learning-rate schedule of one stage of a recipe, of so many updates an epoch."""
    return learning_rate_schedule(recipe.schedule, stage.learning_rate, stage.fit.epochs, updates, recipe.lr_steps,
                                  recipe.lr_factor, recipe.warmup_epochs)


class StagedTraining:
    """The stages of a run on its data.

    Parameters
    ----------
    network : mxft.training.network.Network
    data : mxft.data.datasets.Records
    spec : mxft.network.input_spec.InputSpec
    recipe : mxft.training.recipe.Recipe
    folder : mxft.training.run.RunFolder
    devices : list of mx.Context
    threads : int or None
        For decoding.
    counts : dict of str to int
        Records of ``train`` and ``val``.
    share : mxft.data.sharing.Share, optional
        Of the training records, where there are several workers. The first of them validates and solves; the others
        are given its parameters when a stage begins.
    """

    def __init__(self, network, data, spec, recipe, folder, devices, threads, counts, share=None):
        self._network, self._data, self._spec, self._recipe = network, data, spec, recipe
        self._folder, self._devices, self._threads, self._counts = folder, devices, threads, counts
        self._parameters = (network.arg_params, network.aux_params)
        self._workers, self._share = join(recipe.fit.kvstore), share
        self._states = {name: file_state(path) for name, path in (("train", data.train), ("val", data.val)) if path}
        self._samples = NoveltySamples(network.feature.name)
        self.best_score = None

    def run(self, stages):
        """Go through `stages`, or what the folder's state has left of them; return the FitResult of them all.

        Raises
        ------
        RunError
            Training cannot continue, or something frozen has moved.
        """
        before, state = parameter_hashes(*self._parameters), self._folder.state
        found = state.found if state and state.resumed else None
        plans, result = [stage.plan for stage in stages], None
        if self._recipe.solver:
            plans.insert(0, head_plan_of(self._recipe, self._network.symbol, self._network.head_parameters))
            result = self._solve(plans[0]) if self._workers.writes and not found else None
            self._parameters = result.parameters if result else self._parameters
        if not stages and not result:  # rank 0 solved, and there is nothing for the others to do
            return FitResult([], None, None, None, None)
        for number, stage in enumerate(stages, 1):
            if found and number < found["stage"]:
                continue
            if state:
                state.stage = number
            result = self._next(stages, number, stage, result)
            if result.interrupted:
                break
        self._prove(stages, plans, before)
        if found and result.best and self._data.val:
            self.best_score = self._score_of(result.best)  # what was scored before the interruption is not known here
        self.best_score = _as_served(self.best_score, result)
        give_back()
        self._write_reference(result, before)
        return result

    def _next(self, stages, number, stage, result):
        """Carry out one stage after another's `result`."""
        give_back()
        if len(stages) > 1:
            LOG.info(f"stage {number}: {stage.name}")
        if result and stage.from_best and result.best:
            best = load_checkpoint(result.best)
            self._parameters = best.arg_params, best.aux_params
        result = self._carry_out(stage, result)
        if result.parameters[0]:
            self._parameters = result.parameters
        if result.stopped and (result.interrupted or number < len(stages)):
            LOG.info(f"stage {number}: {result.stopped}")
        return result

    def _write_reference(self, result, before):
        """Write the novelty file of the best checkpoint; where that fails, the run is whole without it."""
        if not (self._workers.writes and result.best) or result.interrupted:
            return
        try:
            write_reference(result.best, before, self._samples, self._data, self._spec,
                            self._network.target.label_width, self._devices[0], self._threads)
        except (MxftError, OSError, mx.base.MXNetError) as error:
            LOG.warning(f"novelty: images that are far from the training images will not be marked "
                        f"({last_line(error)}); {result.best} is whole")

    def _score_of(self, model):
        """Return the Score of a checkpoint on the validation records."""
        checkpoint, records = load_checkpoint(model), self._validation_records()
        return score_iterator(self._executor(checkpoint.arg_params, checkpoint.aux_params, records), records,
                              target=self._network.target)

    def _executor(self, arg_params, aux_params, records):
        """Return an executor of the network that is to compute all of `records`."""
        executor = InferenceExecutor(self._network.symbol, arg_params, aux_params, self._spec.shape,
                                     records.batch_size, self._devices[0], self._recipe.fit.rewrite,
                                     precision=self._network.precision)
        executor.expect(records.num_records)
        return executor

    def _records(self, name, batch_size, **options):
        known = self._data.known(name, batch_size, self._recipe.seed, self._network.label_name)
        if known is not None:
            return known
        path = self._data.train if name == "train" else self._data.val
        return RecordIterator(path, self._spec, batch_size, self._counts[name],
                              seed=self._workers.seed(self._recipe.seed), threads=self._threads,
                              state=self._states[name], label_width=self._network.target.label_width,
                              label_name=self._network.label_name, **options)

    def _validation_records(self):
        return self._records("val", min(self._recipe.batch_size, self._counts["val"])) if self._data.val else None

    def _solve(self, plan):
        """Make the head by a solver, from the centre crops, or from the views of the cache, each in the same order."""
        recipe, views = self._recipe, self._recipe.cache.view_count
        train = self._records("train", recipe.batch_size, augment=recipe.augmentation() if views > 1 else 0,
                              shuffle=views == 1)
        return solve_stage(self._network, plan, train, self._validation_records(), self._folder, recipe,
                           self._devices[0], self._keep_score, self._samples)

    def _carry_out(self, stage, result):
        train = self._records("train", stage.batch_size, augment=stage.augmentation, shuffle=True, share=self._share)
        schedule = stage_schedule(self._recipe, stage, updates_of(train.batches, stage.fit.accumulate)
                                  * self._workers.updates_a_batch)
        if runs_apart(self._recipe, stage, self._network.symbol):
            network = dataclasses.replace(self._network, arg_params=self._parameters[0],
                                          aux_params=self._parameters[1])
            return fit_frozen_backbone(network, stage.plan, train, self._folder, schedule, stage.fit, self._devices,
                                       self._validation_records() if self._workers.writes else None, self._recipe.cache,
                                       self._keep_score, result, self._objective(stage.plan), self._samples)
        return fit(self._network.symbol, *self._parameters, stage.plan, train, self._folder, schedule, stage.fit,
                   self._devices, self._metrics if self._data.val and self._workers.writes else None, result,
                   objective=self._objective(stage.plan))

    def _objective(self, plan):
        """Return the objective of a stage: the numbers' own units where its plan leaves the last layer as it is."""
        objective, units = self._network.objective, self._network.units
        if units and not {f"{units.layer}_weight", f"{units.layer}_bias"} <= set(plan.trainable):
            return dataclasses.replace(objective, units=None)
        return objective

    def _metrics(self, arg_params, aux_params):
        """Return the metrics of these parameters on the validation records."""
        records = self._validation_records()
        executor = self._executor(arg_params, aux_params, records)
        if self.best_score is None:
            self._folder.log("bound", rewrites=executor.applied, plan="validation")
        return self._keep_score(score_iterator(executor, records, target=self._network.target))

    def _keep_score(self, score):
        """Remember the best score; return it as metrics."""
        if self.best_score is None or score.goodness > self.best_score.goodness:
            self.best_score = score
        return score.metrics()

    def _prove(self, stages, plans, before):
        """Write ``freeze.json``: plans, hashes before and after, and what stayed bit for bit."""
        symbol, after = self._network.symbol, parameter_hashes(*self._parameters)
        proof = freeze_proof(symbol, plans, before, after)
        rows = [{"name": stage.name, "epochs": stage.fit.epochs, "trainable": len(stage.plan.trainable),
                 "frozen": len(stage.plan.frozen), "method": stage.plan.method, "batch_norm": stage.plan.batch_norm,
                 "augmentation": stage.augmentation.describe(),
                 "rates": {f"{rate:.6g}": count
                           for rate, count in stage.plan.rates(stage.learning_rate, symbol).items()}}
                for stage in stages]
        self._folder.write_json("freeze.json", {"stages": rows, **proof})
        if proof["frozen"]:
            LOG.info(f"frozen: {proof['frozen']} arrays are bit for bit what they were "
                     f"({os.path.basename(self._folder.file('freeze.json'))})")


def _as_served(score, result):
    """Return the best epoch's score as its checkpoint is served: at the temperature that was fitted to it."""
    row = next((row for row in result.history if row["epoch"] == result.best_epoch), {})
    calibration = Calibration.of(row)
    return score.at_temperature(calibration.temperature) if calibration and score is not None else score
