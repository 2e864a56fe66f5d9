"""``fit``: wires a network, iterators, a plan and a schedule into ``Module.fit``, and keeps what is earned.

Reproduces the tutorial's ``fit`` (allow_missing, Xavier gaussian in 2, kvstore device). Validation runs through the
inference executor and not through ``Module.score``.
"""
import dataclasses
import inspect
import logging
import random
import time

import numpy as np

from mxft.compat import mx
from mxft.distributed.workers import join
from mxft.errors import InputError, MxftError, RunError, last_line, nearest
from mxft.rewrite import rewrite_for_training
from mxft.training.callbacks import Patience, Progress, StopTraining, TrainingMeter
from mxft.training.interruption import Interruption
from mxft.training.targets import soften


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How to train.

    Parameters
    ----------
    epochs : int
    optimizer : str
        A name ``mx.optimizer`` knows: sgd, adam, nag, rmsprop …
    momentum : float or None
        For optimizers that have one; None leaves the optimizer's default.
    wd : float
        Weight decay.
    optimizer_params : dict
        Further keyword arguments of the optimizer.
    initializer : str, mx.init.Initializer or None
        Of the new head: a name ``mx.init`` knows (normal, msraprelu, zero …) or an object; the tutorial's
        Xavier(gaussian, in, 2) when None.
    kvstore : str
        With a ``dist_`` one every worker is given the same options, and as many batches as the others.
    patience : int
        Epochs without a better validation top-1 (training loss where there is no validation) before stopping; 0 never.
    min_delta : float
    label_smoothing : float
        Of the target's probability, spread over all classes.
    mixup : float
        Alpha of the Beta distribution that images are mixed by; 0 for none.
    class_weights : tuple of float or None
        What an image of each class counts in the loss.
    rewrite : bool
        Bind the graph `mxft.rewrite` makes for speed; False binds the user's own.
    """

    epochs: int = 8
    optimizer: str = "sgd"
    momentum: float = None
    wd: float = 0.0
    optimizer_params: dict = dataclasses.field(default_factory=dict)
    initializer: object = None
    kvstore: str = "device"
    patience: int = 0
    min_delta: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    class_weights: tuple = None
    rewrite: bool = True

    @property
    def soft_targets(self):
        """Whether training sees other targets than the label alone."""
        return bool(self.label_smoothing or self.mixup or self.class_weights)


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What `fit` earned.

    Parameters
    ----------
    history : list of dict
        One row an epoch: train_loss, train_top1, lr, seconds, images_per_second, and val_* where it was validated.
    best, last : str or None
        ``"prefix,epoch"`` of the best and of the last checkpoint. Best is the highest validation top-1, of equals the
        lowest loss; the lowest training loss where nothing is validated.
    best_epoch : int or None
    stopped : str or None
        Why it ended early: early stopping, or Ctrl-C.
    interrupted : bool
        Whether it was Ctrl-C (or SIGTERM).
    parameters : tuple of dict
        ``(arg_params, aux_params)`` as they were at the end.
    """

    history: list
    best: str
    last: str
    best_epoch: int
    stopped: str
    interrupted: bool = False
    parameters: tuple = dataclasses.field(default=({}, {}), repr=False)


def seed_everything(seed):
    """Seed Python, NumPy and MXNet."""
    random.seed(seed)
    np.random.seed(seed)
    mx.random.seed(seed)


def optimizer_arguments(options, schedule):
    """Return ``optimizer_params`` for ``Module.fit``, refusing what the optimizer does not know.

    Raises
    ------
    InputError
        Unknown optimizer or argument; the nearest names are given.
    """
    known = mx.optimizer.Optimizer.opt_registry
    if options.optimizer.lower() not in known:
        raise InputError(f"optimizer: expected a name MXNet knows, received optimizer={options.optimizer!r}; "
                         f"{nearest(options.optimizer.lower(), sorted(known))}")
    accepted = set()
    for base in known[options.optimizer.lower()].__mro__[:-1]:
        accepted |= set(inspect.signature(base.__init__).parameters)
    arguments = {"learning_rate": schedule.base_lr, "lr_scheduler": schedule, "wd": options.wd}
    if options.momentum is not None:
        if "momentum" not in accepted:
            raise InputError(f"optimizer {options.optimizer}: expected no momentum, received mom={options.momentum}")
        arguments["momentum"] = options.momentum
    for name, value in options.optimizer_params.items():
        if name not in accepted - {"self", "kwargs"}:
            raise InputError(f"optimizer {options.optimizer}: unknown argument {name}={value!r}; "
                             f"{nearest(name, sorted(accepted - {'self', 'kwargs'}))}")
        arguments[name] = value
    return arguments


def make_initializer(initializer):
    """Return the initializer of the head by name, as it is, or the tutorial's for None.

    Raises
    ------
    InputError
        Unknown name; the nearest names are given.
    """
    if initializer is None:
        return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    if not isinstance(initializer, str):
        return initializer
    known = mx.registry.get_registry(mx.init.Initializer)
    if initializer.lower() not in known:
        raise InputError(f"initializer: expected a name MXNet knows, received initializer={initializer!r}; "
                         f"{nearest(initializer.lower(), sorted(known))}")
    return mx.init.create(initializer)


class _Epochs:
    """Epoch-end callback: validate, log, save, decide whether to go on."""

    def __init__(self, run, meter, schedule, options, train, validate, after, quiet):
        self.history, self.best, self.last, self.best_epoch = [], None, None, None
        self.stopped, self.interrupted, self.parameters, self._goodness = None, False, ({}, {}), None
        if after:
            self.history, self.best, self.last, self.best_epoch = [*after.history], after.best, after.last, \
                after.best_epoch
            self._goodness = _goodness(next((row for row in self.history if row["epoch"] == self.best_epoch), None))
        self.first = len([row for row in self.history if row["epoch"]])
        self.number, self._total = self.first + 1, self.first + options.epochs
        self._run, self._meter, self._schedule = run, meter, schedule
        self._batches, self._batch_size, self._validate = train.batches, train.batch_size, validate
        self._quiet, self._workers = quiet, join(options.kvstore)
        self._patience = Patience(options.patience, options.min_delta, higher_is_better=validate is not None)
        self._began = time.perf_counter()

    def __call__(self, epoch, symbol, arg_params, aux_params):
        seconds, meter, done = time.perf_counter() - self._began, self._meter, epoch + 1
        row = {"epoch": done, "train_loss": meter.loss, "train_top1": meter.top1,
               "lr": float(self._schedule((done - self.first) * self._batches * self._workers.updates_a_batch)),
               "seconds": round(seconds, 3),
               "images_per_second": round(self._batches * self._batch_size * self._workers.count / seconds, 2)}
        if self._validate:
            row.update({"val_" + name: value for name, value in self._validate(arg_params, aux_params).items()})
        self.history.append(row)
        self._run.log("epoch", **row)
        metrics = {name: value for name, value in row.items() if name != "epoch"}
        self._patience.saw(row["val_top1"] if self._validate else row["train_loss"])
        goodness = _goodness(row)
        better = self._goodness is None or goodness > self._goodness
        if better:
            self._goodness, self.best_epoch = goodness, done
            self.best = self._run.save("best", arg_params, aux_params, {"epoch": done, **metrics})
        self.last = self._run.save(done, arg_params, aux_params, metrics)
        self.parameters = (arg_params, aux_params)
        if not self._quiet:
            _tell(row, self._total, better)
        self.number, self._began = done + 1, time.perf_counter()
        if self._patience.epochs and self._workers.from_first(self._patience.exhausted) and done < self._total:
            raise StopTraining(f"early stopping: no improvement in {self._patience.epochs} epochs")


def _goodness(row):
    """Return what makes an epoch better than another: higher top-1, of equals the lower loss."""
    if row is None:
        return None
    return (row["val_top1"], -row.get("val_loss", 0.0)) if "val_top1" in row else (-row["train_loss"],)


def _tell(row, epochs, better):
    figures = f"train top-1 {row['train_top1']:.4f} loss {row['train_loss']:.4f}"
    if "val_top1" in row:
        figures += f", validation top-1 {row['val_top1']:.4f} loss {row['val_loss']:.4f}"
    print(f"epoch {row['epoch']}/{epochs}: {figures}; "
          f"{row['seconds']:.0f} s, {row['images_per_second']:.0f} images/s, lr {row['lr']:.3g}"
          f"{'  (best so far)' if better else ''}", flush=True)


def fit(symbol, arg_params, aux_params, plan, train, run, schedule, options=None, contexts=None, validate=None,
        after=None, quiet=False):
    """Train a network by a plan and keep its checkpoints.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in SoftmaxOutput; what it lacks in `arg_params` is initialised (see `match_parameters` for the check).
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
    Ctrl-C and SIGTERM end training in good order: the parameters are saved as epoch ``interrupted``.
    Module divides the gradient by the batch size, as the tutorial's does.

    Examples
    --------
    >>> fit(head.symbol, args, auxs, plan, train, run, schedule).best      # doctest: +SKIP
    'runs/caltech256/model,best'
    """
    options = options or FitOptions()
    arguments = optimizer_arguments(options, schedule)
    contexts = contexts or [mx.cpu()]
    module, train = _module(symbol, plan, train, run, options, contexts)
    meter = TrainingMeter()
    epochs = _Epochs(run, meter, schedule, options, train, validate, after, quiet)
    workers = join(options.kvstore)
    progress = Progress(epochs.first + options.epochs, train.batches, train.batch_size)
    initializer = make_initializer(options.initializer)
    try:
        with Interruption() as interruption:
            module.fit(train, begin_epoch=epochs.first, num_epoch=epochs.first + options.epochs,
                       arg_params=arg_params, aux_params=aux_params, allow_missing=True, initializer=initializer,
                       eval_metric=meter, kvstore=workers.module_store(), optimizer=options.optimizer,
                       optimizer_params=arguments, epoch_end_callback=epochs,
                       batch_end_callback=[*[progress] * workers.writes, interruption,
                                           _settled_after(train.batches)])
    except StopTraining as reason:
        epochs.stopped = str(reason)
    except KeyboardInterrupt:
        epochs.interrupted, epochs.stopped = True, _save_interrupted(module, run, epochs, meter)
    except (RunError, mx.base.MXNetError) as error:
        raise RunError(_with_what_is_left(error, epochs, schedule)) from None
    finally:
        progress.close()
    return FitResult(epochs.history, epochs.best, epochs.last, epochs.best_epoch, epochs.stopped, epochs.interrupted,
                     epochs.parameters)


def _module(symbol, plan, train, run, options, contexts):
    """Return the Module to train, of the graph that is fastest to bind, and the iterator that feeds it."""
    bound, applied = rewrite_for_training(plan.training_symbol(symbol), contexts[0].device_type, options.rewrite)
    if options.soft_targets:
        classes = bound.infer_shape(**dict(train.provide_data))[1][0][1]
        bound, train = soften(bound, train, options, classes, seed=np.random.randint(2**31 - 1))
    run.log("bound", rewrites=applied, plan=plan.name, fixed=len(plan.fixed))
    return mx.mod.Module(bound, data_names=[d.name for d in train.provide_data],
                         label_names=[d.name for d in train.provide_label], context=contexts,
                         fixed_param_names=list(plan.fixed), logger=silent_logger()), train


def _settled_after(batches):
    """Return a batch-end callback that waits for MXNet's engine after an epoch's last batch.

    BatchNorm's backward pass writes the moving statistics behind `get_params`: without the wait they may be read
    before the last batch's have been written, and equal runs would save unequal checkpoints.
    """
    def settle(param):
        if param.nbatch + 1 == batches:
            mx.nd.waitall()
    return settle


def _save_interrupted(module, run, epochs, meter):
    """Save the parameters as they are in the middle of an epoch; return what to say."""
    if not module.params_initialized:
        return "interrupted before training began: nothing to save"
    mx.nd.waitall()
    try:
        name = run.save("interrupted", *module.get_params(), {"train_loss": meter.loss, "train_top1": meter.top1})
    except MxftError as error:
        return f"interrupted; {error}"
    epochs.last = name
    run.log("interrupted", epoch=epochs.number, batch=meter.batches)
    return f"interrupted in epoch {epochs.number} after {meter.batches} batches; saved as {name}"


def _with_what_is_left(error, epochs, schedule):
    """Return the message of a failed run: what failed and when, what is on disk, what to try."""
    failed = str(error) if isinstance(error, RunError) else f"MXNet failed: {last_line(error)}"
    kept = [f"the last good checkpoint is {epochs.last}"] if epochs.last else []
    kept += [f"the best is {epochs.best}"] if epochs.best else []
    advice = "; try a lower --lr or --warmup-epochs 1" if "finite" in failed else ""
    return (f"{failed} (epoch {epochs.number}, learning rate {schedule.base_lr:g}): "
            f"{', '.join(kept) or 'no epoch was finished, so nothing was saved'}{advice}")


def silent_logger():
    """Return the logger to give a Module whose own lines repeat what mxft prints."""
    logger = logging.getLogger("mxft.module")
    logger.setLevel(logging.ERROR)
    return logger

