"""``fit``: wires a network, iterators, a plan and a schedule into ``Module.fit``, and keeps the checkpoints.

Reproduces the tutorial's ``fit`` (allow_missing, Xavier gaussian in 2, kvstore device). Validation runs through the
inference executor and not through ``Module.score``.
"""
import contextlib
import dataclasses
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np

from mxft.compat import mx
from mxft.distributed.workers import join
from mxft.errors import MxftError, RunError, describe_failure
from mxft.network.graph import has_random_layers
from mxft.options import FitOptions
from mxft.rewrite import rewrite_for_training
from mxft.training.bfloat16 import bfloat16_for_training
from mxft.training.callbacks import Progress, StopTraining
from mxft.training.epochs import Epochs
from mxft.training.interruption import Interruption
from mxft.training.loss_scale import LossScale
from mxft.training.objective import Objective
from mxft.training.optimizer import make_initializer, optimizer_arguments
from mxft.training.precision import half_precision_classifier
from mxft.training.resume.snapshots import Snapshots, parameters_of, seed_batch
from mxft.training.targets import soften
from mxft.training.torch_module import training_module
from mxft.wording import BriefRepr


@dataclasses.dataclass(frozen=True, repr=False)
class FitResult(BriefRepr):
    """What `fit` gave.

    Parameters
    ----------
    history : list of dict
        One row an epoch: train_loss, train_top1 (train_f1 of several labels, train_mae of numbers), lr, seconds,
        images_per_second, and val_* where it was validated.
    best, last : str or None
        ``"prefix,epoch"`` of the best and of the last checkpoint. Best is the highest validation top-1 (mean average
        precision; lowest mean absolute error), of equals the lowest loss; the lowest training loss where nothing is
        validated.
    best_epoch : int or None
    stopped : str or None
        Why it ended early: early stopping, or Ctrl-C.
    interrupted : str
        The signal that ended it, ``SIGINT`` for Ctrl-C; empty where none did.
    parameters : tuple of dict
        ``(arg_params, aux_params)`` as they were at the end.
    """

    history: list
    best: str
    last: str
    best_epoch: int
    stopped: str
    interrupted: str = ""
    parameters: tuple = dataclasses.field(default=({}, {}), repr=False)


def seed_everything(seed):
    """Seed Python, NumPy and MXNet."""
    random.seed(seed)
    np.random.seed(seed)
    mx.random.seed(seed)


def fit(symbol: Any, arg_params: dict[str, Any], aux_params: dict[str, Any], plan: Any, train: Any, run: Any,
        schedule: Any, options: Optional[FitOptions] = None, contexts: Optional[Sequence[Any]] = None,
        validate: Optional[Callable[..., dict[str, float]]] = None, after: Optional[FitResult] = None,
        quiet: bool = False, objective: Any = None) -> FitResult:
    """Train a network by a plan and keep its checkpoints.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in the loss of `objective`; what it lacks in `arg_params` is initialised (see `match_parameters` for the
        check).
    arg_params, aux_params : dict of str to mx.nd.NDArray
        The parameters that were loaded.
    plan : mxft.freeze.FreezePlan
    train : mxft.data.iterators.RecordIterator
    run : mxft.training.run.RunFolder
    schedule : mx.lr_scheduler.LRScheduler
        See `learning_rate_schedule`.
    options : FitOptions, optional
    contexts : list of mx.Context, optional
        CPU when None.
    validate : callable, optional
        ``(arg_params, aux_params) -> {"top1": …, "loss": …}`` after every epoch.
    after : FitResult, optional
        Of the stage before this one: epochs are counted on from it, and its best is the one to beat.
    quiet : bool
        Print no line an epoch.
    objective : mxft.training.objective.Objective, optional
        What the labels say; one of N classes, under a SoftmaxOutput, when None.

    Returns
    -------
    FitResult

    Raises
    ------
    InputError
        Unknown optimizer or argument.
    RunError
        A loss that is not finite, or MXNet's own failure. The checkpoints of earlier epochs are on disk, and named.

    Notes
    -----
    Ctrl-C and SIGTERM end training cleanly: the parameters are saved as epoch ``interrupted``. A `run` with a
    ``state`` (`mxft.training.resume.state.RunState`) is resumed from there, and writes down how far it is.
    Module divides the gradient by the batch size, as the tutorial's does. `schedule` counts updates: of an epoch there
    are `mxft.training.accumulation.updates_of` its batches.

    Examples
    --------
    >>> fit(head.symbol, args, auxs, plan, train, run, schedule).best      # doctest: +SKIP
    'runs/caltech256/model,best'
    """
    options, objective = options or FitOptions(), objective or Objective()
    arguments = optimizer_arguments(options, schedule)
    contexts = contexts or [mx.cpu()]
    workers = join(options.kvstore)
    state, taken, seeds = _saved_position(run, workers)
    module, train = _module(symbol, plan, objective.feed(train), run, options, contexts,
                            workers.seed(seeds["targets"]))
    meter = objective.meter()
    epochs = Epochs(run, meter, schedule, options, train, validate, after, quiet)
    arg_params = objective.to_training(arg_params)
    if taken:
        with state.restoring():
            arg_params, aux_params = _resume_from(*taken, module, epochs, meter, train, objective)
    begin, done = (epochs.first + taken[0]["epoch"], taken[0]["batch"]) if taken else (epochs.first, 0)
    progress = Progress(epochs.first + options.epochs, train.batches, train.batch_size)
    with Interruption() as interruption, contextlib.closing(progress):
        keeping = _Keeping(state and Snapshots(state, module, epochs, meter, seeds, train.batches), interruption,
                           train.batches, epochs.first + options.epochs)
        seeding = _seeded(symbol, workers.seed(seeds["layers"]), epochs, train.batches, begin, done)
        callbacks = [*[progress] * workers.writes, _synchronised_after(train.batches), *seeding, keeping.batch_end]
        with _guarded(module, run, epochs, meter, schedule, keeping, objective):
            module.fit(train, begin_epoch=begin, num_epoch=epochs.first + options.epochs,
                       arg_params=arg_params, aux_params=aux_params, allow_missing=True,
                       initializer=make_initializer(options.initializer),
                       eval_metric=meter, kvstore=workers.module_store(), optimizer=options.optimizer,
                       optimizer_params=arguments,
                       epoch_end_callback=[_of_the_network(epochs, objective), keeping.epoch_end],
                       batch_end_callback=_counted_on(callbacks, begin, done))
    return FitResult(epochs.history, epochs.best, epochs.last, epochs.best_epoch, epochs.stopped, epochs.interrupted,
                     epochs.parameters)


def _saved_position(run, workers):
    """Return a run's state, the facts and arrays to resume from (None at its beginning), and what seeds its draws."""
    state = getattr(run, "state", None)
    taken = state.restore() if state else None
    if taken:
        with state.restoring():
            return state, taken, {name: int(taken[0]["seeds"][name]) for name in ("targets", "layers")}
    seeds = {name: int(np.random.randint(2**31 - 1)) for name in ("targets", "layers")}
    return state, None, workers.broadcast(seeds)


def _of_the_network(callback, objective):
    """Return an epoch-end callback that gives `callback` the parameters as the saved network has them."""
    def call(epoch, symbol, arg_params, aux_params):
        callback(epoch, symbol, objective.to_network(arg_params), aux_params)
    return call


@contextlib.contextmanager
def _guarded(module, run, epochs, meter, schedule, keeping, objective):
    """Save what was learnt, and note why, where training ends before its last epoch."""
    try:
        yield
    except StopTraining as reason:
        epochs.stopped = str(reason)
    except KeyboardInterrupt:
        epochs.interrupted = keeping.signal or "SIGINT"
        epochs.stopped = _save_interrupted(module, run, epochs, meter, keeping.at_the_end, objective)
        keeping.interrupted()
    except (RuntimeError, MemoryError, OSError) as error:
        failed = describe_failure(error)
        if failed is None:
            raise
        raise RunError(_with_what_is_left(failed, epochs, schedule, module.workers)) from None


def _module(symbol, plan, train, run, options, contexts, seed):
    """Return the Module to train, of the graph that is fastest to bind, and the iterator that feeds it."""
    bound, applied = rewrite_for_training(plan.training_symbol(symbol), contexts[0].device_type, options.rewrite,
                                          plan.fixed)
    if options.fp16:
        bound = half_precision_classifier(bound)
    bound, casts = bfloat16_for_training(bound, options, contexts[0].device_type, train.provide_data, plan.fixed)
    if options.soft_targets:
        classes = bound.infer_shape(**dict(train.provide_data))[1][0][1]
        bound, train = soften(bound, train, options, classes, seed=seed)
    run.log("bound", rewrites=applied + casts, plan=plan.name, fixed=len(plan.fixed))
    return training_module(bound, options.accumulate, train.batches, LossScale(run.log) if options.fp16 else None,
                           join(options.kvstore), contexts, data_names=[d.name for d in train.provide_data],
                           label_names=[d.name for d in train.provide_label],
                           fixed_param_names=list(plan.fixed), logger=silent_logger()), train


def _resume_from(facts, arrays, module, epochs, meter, train, objective):
    """Put everything where it stood; return the parameters to begin with."""
    parameters = parameters_of(arrays)
    module.resume_from(facts["optimizer"], arrays, facts["batch"])
    epochs.restore(facts["epochs"], (objective.to_network(parameters[0]), parameters[1]))
    meter.resume_from(facts["meter"])
    train.go_to(facts["epoch"], facts["batch"])
    return parameters


def _counted_on(callbacks, epoch, done):
    """Return a batch-end callback for `callbacks` that counts the batches of `epoch` from those done before."""
    def call(param):
        if param.epoch == epoch:
            param = param._replace(nbatch=param.nbatch + done)
        for callback in callbacks:
            callback(param)
    return call


def _seeded(symbol, seed, epochs, batches, epoch, batch):
    """Return a batch-end callback that seeds the next batch, where the network draws random numbers; seed the first."""
    if not has_random_layers(symbol):
        return []
    seed_batch(seed, epoch - epochs.first, batch)

    def seed_next(param):
        number = (param.epoch - epochs.first) * batches + param.nbatch + 1
        seed_batch(seed, *divmod(number, batches))
    return [seed_next]


class _Keeping:
    """What is written down between batches, and how an interruption ends: cleanly, at a batch's end."""

    def __init__(self, snapshots, interruption, batches, epochs):
        self._snapshots, self._interruption, self._batches, self._epochs = snapshots, interruption, batches, epochs
        self._orderly, self.at_the_end = False, False  # of an epoch

    def batch_end(self, param):
        """Take a snapshot where one is due; of an epoch's last batch `epoch_end` follows."""
        self.at_the_end = False
        if self._snapshots:
            self._snapshots.batch_end(param)
        if param.nbatch + 1 < self._batches:
            self._end()

    def epoch_end(self, epoch, *_):
        """Take a snapshot."""
        self.at_the_end = True
        if self._snapshots:
            self._snapshots.epoch_end(epoch)
        if epoch + 1 < self._epochs:
            self._end()

    def _end(self):
        self._orderly = bool(self._interruption.noted)
        self._interruption()

    @property
    def signal(self):
        """The signal that came, empty where none did."""
        return self._interruption.noted

    def interrupted(self):
        """Write down where training was, unless it was in the middle of a batch."""
        if self._snapshots and self._orderly:
            self._snapshots.save()


def _synchronised_after(batches):
    """Return a batch-end callback that waits for MXNet's engine after an epoch's last batch.

    BatchNorm's backward pass writes the moving statistics behind `get_params`: without the wait they may be read
    before the last batch's have been written, and equal runs would save unequal checkpoints.
    """
    def settle(param):
        if param.nbatch + 1 == batches:
            mx.nd.waitall()
    return settle


def _save_interrupted(module, run, epochs, meter, at_the_end, objective):
    """Save the parameters as they are, in the middle of an epoch or at its end; return what to say."""
    if not module.params_initialized:
        return "interrupted before training began: nothing to save"
    mx.nd.waitall()
    try:
        arg_params, aux_params = module.get_params()
        name = run.save("interrupted", objective.to_network(arg_params), aux_params,
                        {"train_" + name: value for name, value in meter.metrics().items()})
    except MxftError as error:
        return f"interrupted; {error.message}"
    epochs.last = name
    if at_the_end:
        run.log("interrupted", epoch=epochs.number - 1)
        return f"interrupted after epoch {epochs.number - 1}; saved as {name}"
    run.log("interrupted", epoch=epochs.number, batch=meter.batches)
    return f"interrupted in epoch {epochs.number} after {meter.batches} batches; saved as {name}"


def _with_what_is_left(failed, epochs, schedule, workers):
    """Return the message of a failed run: what failed and when, what is on disk, what to try."""
    kept = [f"the last good checkpoint is {epochs.last}"] if epochs.last else []
    kept += [f"the best is {epochs.best}"] if epochs.best else []
    nothing = "no epoch was finished, so nothing was saved" if workers.writes else "what rank 0 saved is on disk"
    advice = "; try a lower `learning_rate` or `warmup_epochs=1`" if "finite" in failed else ""
    return (f"{failed} (epoch {epochs.number}, learning rate {schedule.base_lr:g}): "
            f"{', '.join(kept) or nothing}{advice}")


def silent_logger():
    """Return the logger to give a Module whose own lines repeat what mxft prints."""
    logger = logging.getLogger("mxft.module")
    logger.setLevel(logging.ERROR)
    return logger

