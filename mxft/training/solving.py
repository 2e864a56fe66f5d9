"""A stage without SGD: a solver makes the head from the frozen backbone's features.

Features of a pretrained network, and a linear classifier on them (CS231n, "ConvNet as fixed feature extractor"). The
classifier goes into the checkpoint as an ordinary FullyConnected, and further stages may train on from it.
"""
import dataclasses
import logging
import time

import numpy as np

from mxft.compat import mx
from mxft.data.target_spec import CLASSES, MULTI_LABEL
from mxft.errors import InputError
from mxft.features.solvers import solve_head
from mxft.features.target_solvers import solve_target_head
from mxft.network.calibration import CALIBRATION, Calibration
from mxft.training.callbacks import row_told
from mxft.training.contradictions import step_settings
from mxft.training.epochs import best_validation
from mxft.training.fit import FitResult, fit
from mxft.training.frozen_backbone import BackboneFeatures, gathered, head_plan
from mxft.training.schedule import learning_rate_schedule
from mxft.training.stages import require_cut

LOG = logging.getLogger("mxft")


def solve_stage(network, plan, train, validation, run, recipe, context, scored=None, samples=None):
    """Make a network's new head by ``recipe.solver``, and save the checkpoint as epoch 0.

    Parameters
    ----------
    network : mxft.training.network.Network
        Its head is one FullyConnected.
    plan : mxft.freeze.FreezePlan
        The plan ``head``.
    train, validation : mxft.data.iterators.RecordIterator
        `validation` may be None. With several views in ``recipe.cache`` the solver sees all of them; then `train` is
        not to be shuffled, so that an image stands in the same place in every view.
    run : mxft.training.run.Run
    recipe : mxft.training.recipe.Recipe
    context : mx.Context
    scored : callable of Score, optional
    samples : mxft.training.novelty.NoveltySamples, optional
        Which keeps some of the features.

    Returns
    -------
    FitResult
        Its history is one row, epoch 0.

    Raises
    ------
    InputError
        The head is more than one layer, or nothing below it is frozen.

    Notes
    -----
    Where the run is nothing but the solver and the recipe says how to take steps all the same, SGD's accuracy and
    seconds on the same features are measured after the checkpoint has been saved, to be printed beside it.
    """
    began, cut = time.perf_counter(), require_cut(network.symbol, plan)
    cache = recipe.cache if recipe.cache.mode != "none" else dataclasses.replace(recipe.cache, mode="memory")
    backbone = BackboneFeatures(cut, network, context, cache, train.num_records, recipe.fit.rewrite, run.log)
    iterator = backbone.features(train, "train", cache.budget, cache.view_count)
    held_out = backbone.features(validation, "validation", backbone.left, 1, shuffle=False) if validation else None
    rows, labels, images = gathered(iterator, cache.view_count if train.is_random else 1)
    features = rows.reshape(len(rows), -1)
    ready = time.perf_counter()
    read = ready - began + getattr(train, "seconds", 0)
    solved = _solved(recipe, network, features, labels, images)
    values = _head_values(network, solved, features.shape[1])
    arg_params = {**network.arg_params, **values}
    metrics = _at_its_own_scale(backbone.validation(held_out, scored)(values, {})) if validation else {}
    if samples:
        first = images.max() + 1  # rows of the first view
        samples.keep(cut.layer, rows[:first], labels[:first], gathered(held_out, 1)[0] if validation else None)
    row = {"epoch": 0, **_training_figures(features, labels, solved, network), "lr": 0.0,
           "seconds": round(time.perf_counter() - ready + read + getattr(validation, "seconds", 0), 3),
           "images_per_second": round(len(labels) / read, 2),
           **{"val_" + name: value for name, value in metrics.items()}}
    run.log("solved", solver=solved.solver, regularisation=solved.regularisation, split_top1=solved.split_top1,
            solver_seconds=round(solved.seconds, 3), feature_seconds=round(read, 3))
    run.log("epoch", **row)
    best = run.save("best", arg_params, network.aux_params, row)
    last = run.save(0, arg_params, network.aux_params, {key: value for key, value in row.items() if key != "epoch"})
    LOG.info(f"fitted head, {solved.solver}: {row_told(row)}; features {read:.1f} s, "
             f"solver {solved.seconds:.1f} s, regularisation {solved.regularisation:g}")
    alone = recipe.plan == "head" and not recipe.fit.kvstore.startswith("dist")  # where the other workers are done
    if alone and validation and next(step_settings(recipe), None):
        _sgd_beside(cut, plan, iterator, backbone.validation(held_out), recipe, context, network.objective)
    return FitResult([row], best, last, 0, None, "", (arg_params, network.aux_params))


def _at_its_own_scale(metrics):
    """Return a fitted head's metrics without a temperature: its scale was chosen by cross-validation already."""
    if CALIBRATION not in metrics:
        return metrics
    return {**metrics, CALIBRATION: Calibration(**metrics[CALIBRATION]).not_fitted().to_dict()}


def _head_values(network, solved, width):
    """Return the solved weight and bias under the head's names."""
    weight, bias = network.layer + "_weight", network.layer + "_bias"
    if set(network.head_parameters) != {weight, bias} or solved.weight.shape != (network.num_classes, width):
        raise InputError(f"solver: expected a head of one fully connected layer on {width} features, received "
                         f"{', '.join(network.head_parameters)}")
    return {weight: mx.nd.array(solved.weight), bias: mx.nd.array(solved.bias)}


def _solved(recipe, network, features, labels, images):
    """Return the SolvedHead of a recipe's solver for the network's targets."""
    if network.target.kind == CLASSES:
        return solve_head(recipe.solver, features, labels.astype(int), network.num_classes, recipe.seed, images,
                          recipe.fit.class_weights)
    return solve_target_head(features, labels, network.target, recipe.seed, images)


def _training_figures(features, labels, solved, network):
    """Return the training images' figures as those of an epoch: what the meter says of the fitted head."""
    scores = features @ solved.weight.T + solved.bias
    if network.target.kind != CLASSES:
        return _metered(scores, labels, network)
    labels = labels.astype(int)
    scores -= scores.max(axis=1, keepdims=True)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]
    return {"train_loss": float(losses.mean()), "train_top1": float((scores.argmax(axis=1) == labels).mean())}


def _metered(scores, labels, network):
    """Return what the meter of an epoch says of scores ``(N, K)``."""
    meter, units = network.objective.meter(), network.units
    if network.target.kind == MULTI_LABEL:
        scores = 1 / (1 + np.exp(-scores))
    elif units:
        scores, labels = units.labels(scores), units.labels(labels)
    meter.update([mx.nd.array(labels)], [mx.nd.array(scores)])
    return {"train_" + name: value for name, value in meter.metrics().items()}


class _Nowhere:
    """A run that keeps nothing."""

    def log(self, event, **facts):
        """Do nothing."""

    def save(self, epoch, arg_params, aux_params, metrics):
        """Save nothing."""


def _sgd_beside(cut, plan, iterator, validate, recipe, context, objective):
    """Train the head by SGD on the same features and print what it reaches in what time."""
    began = time.perf_counter()
    schedule = learning_rate_schedule(recipe.schedule, recipe.learning_rate, recipe.fit.epochs, iterator.batches,
                                      recipe.lr_steps, recipe.lr_factor, recipe.warmup_epochs)
    iterator.reset()
    result = fit(cut.head, {}, {}, head_plan(plan, cut), iterator, _Nowhere(), schedule, recipe.fit, [context],
                 validate, quiet=True, objective=objective)
    name, best = best_validation(result.history)
    LOG.info(f"  beside it, {recipe.fit.optimizer} on the same features, {recipe.fit.epochs} epochs at "
             f"{recipe.learning_rate:g}: validation {name} {best:.4f} in {time.perf_counter() - began:.1f} s (not "
             "saved)")
