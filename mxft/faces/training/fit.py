"""The training loop of train_softmax.py: steps over one or several devices, verification, checkpoints, two phases.

Upstream runs ``Module.fit`` and does its work in a batch callback. Here the loop is written out, since a face run is
counted in steps and not in epochs, and since freezing for some epochs binds the network twice.
"""
import contextlib
import dataclasses
import logging
import os
import time

from mxft.compat import mx
from mxft.distributed.workers import join
from mxft.errors import InputError, MxftError, RunError, describe_failure, plain_message
from mxft.faces.data.triplet_iterator import NoTripletsLeft
from mxft.faces.evaluation.verification_file import read_verifications
from mxft.faces.training.imprint import embed_as_trained
from mxft.faces.training.meters import IntervalMeter, told
from mxft.faces.training.options import learning_rate_steps
from mxft.faces.training.sharded_module import ShardedModule
from mxft.freeze import FreezePlan, freeze_matching
from mxft.network.graph import has_random_layers
from mxft.rewrite import rewrite_for_training
from mxft.training.accumulation import updates_of
from mxft.training.bfloat16 import bfloat16_for_training
from mxft.training.fit import silent_logger
from mxft.training.interruption import Interruption
from mxft.training.loss_scale import LossScale
from mxft.training.resume.snapshots import module_state, parameters_of, seed_batch
from mxft.training.torch_module import training_module

LOG = logging.getLogger("mxft")


@dataclasses.dataclass(frozen=True)
class FaceResult:
    """What `fit_faces` gave.

    Parameters
    ----------
    steps : int
    best, last : str or None
        ``"prefix,epoch"``.
    intervals : list of dict
        The lines of the log: step, epoch, seconds, images_per_second, lr and the means of the network's monitors.
    interrupted : str
        The signal that ended it, ``SIGINT`` for Ctrl-C; empty where none did.
        The weights are saved as last then.
    """

    steps: int
    best: str
    last: str
    intervals: list
    interrupted: str


@dataclasses.dataclass(frozen=True)
class Phase:
    """Epochs that are trained with the same parameters frozen.

    Parameters
    ----------
    until : int
        Number of the epoch it ends before.
    plan : FreezePlan
    """

    until: int
    plan: FreezePlan


def phases(options, network, loaded):
    """Return the phases `options` asks for.

    Parameters
    ----------
    options : FaceOptions
    network : FaceNetwork
    loaded : container of str
        Parameters that came from the checkpoint: what ``--freeze-epochs`` freezes where no pattern is given.

    Returns
    -------
    list of Phase

    Raises
    ------
    InputError
        A pattern that matches nothing, or everything; ``--freeze-epochs`` without a pattern where nothing was loaded.
    """
    patterns = options.freeze
    if options.freeze_epochs and not patterns:
        patterns = [name for name in network.saved.list_arguments() if name in loaded]
        if not patterns:
            raise InputError("freeze-epochs: expected `pretrained`, whose parameters it freezes, or `freeze` PATTERN, "
                             f"received freeze-epochs={options.freeze_epochs} with neither")
    frozen = freeze_matching(patterns, network.saved)
    if not options.freeze_epochs:
        return [Phase(options.end_epoch, frozen)]
    return [Phase(options.freeze_epochs, frozen), Phase(options.end_epoch, freeze_matching((), network.saved))]


def fit_faces(network, arg_params, aux_params, train, run, verifier, options, contexts, initializer, stages):
    """Train a face network.

    Parameters
    ----------
    network : FaceNetwork
    arg_params, aux_params : dict of str to mx.nd.NDArray
        What is not in them is initialised.
    train : FaceIterator
        Batches for all devices together.
    run : FaceRun
    verifier : Verifier
    options : FaceOptions
    contexts : list of mx.Context
    initializer : mx.init.Initializer
    stages : list of Phase
        See `phases`.

    Returns
    -------
    FaceResult

    Raises
    ------
    RunError
        A loss that is not finite, or MXNet's own failure; the message says what is on disk.

    Notes
    -----
    With several devices, or workers that wait for each other, the gradients meet in the kvstore. Each device's are
    divided by its own batch, so the optimizer divides by the number of devices. Each phase begins with a momentum of 0.
    Only the first worker's `run` writes and only its `verifier` has sets.
    """
    loop = _Loop(network, train, run, verifier, options, contexts)
    first, taken = _saved_position(run.state)
    if taken:
        with run.state.restoring():
            arg_params, aux_params = loop.restore(*taken)
    try:
        with Interruption() as interruption:
            for number, stage in enumerate(stages[first - 1:], first):
                if run.state:
                    run.state.stage = number
                loop.begin(stage.plan, arg_params, aux_params, initializer, taken)
                taken = None
                loop.run_until(stage.until, interruption)
                arg_params, aux_params = loop.parameters()
                if loop.finished:
                    break
            loop.keep()
    except KeyboardInterrupt:
        loop.save_interrupted(interruption.noted)
    except (MxftError, RuntimeError, MemoryError, OSError) as error:
        failed = describe_failure(error)
        if failed is None:
            raise
        failed = loop.with_what_is_left(failed)
        with contextlib.suppress(OSError):  # a full disk, perhaps: the message comes first
            run.log("failed", step=loop.step, epoch=loop.epoch + 1, reason=plain_message(failed))
        raise RunError(failed) from None
    return FaceResult(loop.step, run.best, run.last, loop.intervals, loop.interrupted)


def _saved_position(state):
    """Return the number of the phase a run is in, and the facts and arrays to resume from; None at its beginning."""
    if not state or not state.resumed:
        return 1, None
    state.stage = state.found["stage"]
    return state.stage, state.restore()


class _Loop:
    """The state of a run: where it is, what it saw, what it kept."""

    def __init__(self, network, train, run, verifier, options, contexts):
        self.step, self.epoch, self.intervals, self.interrupted = 0, 0, [], ""
        self._network = network.in_half_precision() if options.fp16 else network
        self._train, self._run, self._verifier = train, run, verifier
        self._options, self._contexts, self._workers = options, contexts, join(options.kvstore)
        self._meter, self._module, self._kept_at, self._losses = IntervalMeter(network.monitors), None, 0, []
        self._steps_to_slow = learning_rate_steps(options, network.head.loss_type,
                                                  train.batch_size * self._workers.gradients_an_update)
        self._scheduled = tuple(network.head.scheduled(0))
        self._steps_an_epoch = updates_of(train.batches, options.accumulate)
        self._batch, self._there, self._settled, self._embedding_moved = 0, False, False, False
        self._snapshot_at = self._marked = 0  # batches done
        self._exhausted = False
        self._loss_scale = LossScale(run.log) if options.fp16 else None

    @property
    def finished(self):
        """Whether the steps asked for are done, or no triplets are left."""
        return self._exhausted or bool(self._options.max_steps) and self.step >= self._options.max_steps

    @property
    def _batches_done(self):
        return self.epoch * self._train.batches + self._batch

    def begin(self, plan, arg_params, aux_params, initializer, taken=None):
        """Bind the network for a phase, or to resume in one; verify it where this is the first."""
        symbol, applied = rewrite_for_training(
            plan.training_symbol(self._network.embedding if self._options.divides_fc7 else self._network.bound),
            self._contexts[0].device_type, self._options.rewrite, plan.fixed)
        symbol, casts = bfloat16_for_training(symbol, self._options, self._contexts[0].device_type,
                                              self._train.provide_data, plan.fixed)
        self._run.log("bound", rewrites=applied + casts, plan=plan.name, fixed=len(plan.frozen))
        module = self._unbound(symbol, [*plan.frozen, *self._scheduled])
        module.bind(self._train.provide_data, self._train.provide_label)
        module.init_params(initializer, arg_params, aux_params, allow_missing=True)
        self._schedule = mx.lr_scheduler.MultiFactorScheduler(self._steps_to_slow, factor=0.1,
                                                              base_lr=self._options.lr)
        if taken:
            module.resume_from(taken[0]["optimizer"], taken[1], taken[0]["batch"])
        devices = len(self._contexts) * self._workers.gradients_an_update
        module.init_optimizer(self._workers.module_store(), "sgd", {
            "learning_rate": self._options.lr, "momentum": self._options.mom, "wd": self._options.wd,
            "lr_scheduler": self._schedule, "begin_num_update": self.step * self._workers.updates_a_batch,
            "rescale_grad": 1 / devices})
        self._module, self._random = module, has_random_layers(symbol)
        self._train.follow(self._embed, self._report_mined)
        self._embedding_moved |= bool(set(plan.trainable) & set(self._network.embedding.list_arguments()))
        if not self.step:
            self._keep_beginning()

    def _embed(self, faces):
        """Return the embeddings of some faces with the weights as they are now."""
        return embed_as_trained(self._network.embedding, self.parameters(), faces, self._train.image_size,
                                self._contexts[0])

    def _report_mined(self, **facts):
        self._run.log("mined", step=self.step, **facts)
        LOG.info(f"bag {facts['bag']}: {facts['triplets']:,} triplets of {facts['pairs']:,} pairs among "
                 f"{facts['images']:,} images")

    def _keep_beginning(self):
        """Verify what the run begins with, and save it as best: training has to beat it."""
        parameters = self.parameters()
        accuracy = self._verifier.at(0, *parameters)
        if accuracy is not None:
            self._run.keep_beginning(accuracy, *parameters, self._metrics(None, accuracy))
            LOG.info(f"saved {self._run.best}: step 0, which training has to beat")

    def _metrics(self, loss, accuracy):
        """Return what the manifest says of a checkpoint."""
        metrics = {"step": self.step, "loss": loss, "accuracy": accuracy}
        if accuracy is not None and self._verifier.history:
            metrics["sets"] = {name: row["accuracy"] for name, row in self._verifier.history[-1][1].items()}
        return metrics

    def _unbound(self, symbol, fixed):
        """Return the module of a phase: of the whole network, or of a backbone whose head is divided."""
        if self._options.divides_fc7:
            return ShardedModule(symbol, self._network, self._contexts, fixed, self._options, self._train.batches,
                                 silent_logger())
        return training_module(symbol, self._options.accumulate, self._train.batches, self._loss_scale, self._workers,
                               self._contexts, data_names=["data"], label_names=["softmax_label"],
                               fixed_param_names=fixed, logger=silent_logger())

    def run_until(self, epoch, interruption):
        """Train until `epoch` begins, or until the steps are done."""
        self._since = time.perf_counter()
        if not self._there:
            self._mark()
        while self.epoch < epoch and not self.finished:
            if not self._there:
                self._train.reset()
            self._there = False
            for batch in self._batches():
                self._train_on(batch)
                if not self._module.held:
                    self._report_if_due()
                self._snapshot_if_due()
                self._settled = True
                interruption()
                if self.finished:
                    break
            else:
                self.epoch, self._batch = (self.epoch, self._batch) if self._exhausted else (self.epoch + 1, 0)
        self._report_what_is_left()

    def _batches(self):
        """Yield the epoch's batches, up to where triplets have nothing more to teach: that ends the run."""
        try:
            yield from self._train
        except NoTripletsLeft as error:
            if not self.step:
                raise
            self._exhausted = True
            LOG.warning(f"the run ends at step {self.step}: {error}; a larger one finds more")
            self._run.log("exhausted", step=self.step, reason=plain_message(str(error)))

    def _report_if_due(self):
        if self.step % self._options.frequent == 0:
            self._report()
        if self.step % self._options.verbose == 0:
            self._report_what_is_left()  # the score of what is kept, and whether the loss is still finite
            self.keep()
            self._mark()

    def _report_what_is_left(self):
        if self.step > self._reported:
            self._report()

    def _train_on(self, batch):
        self._settled = False
        if self._random:
            seed_batch(self._workers.seed(self._options.seed), self.step, self._module.held)
        for name, value in self._network.head.scheduled(self.step).items():
            for device in self._module._exec_group.execs:
                device.arg_dict[name][:] = value
        self._module.forward_backward(batch)
        self._module.update()
        self._meter.saw(self.step + 1, self._module.get_outputs(merge_multi_context=False))
        self._batch += 1
        if not self._module.held:
            self.step += 1

    def _mark(self):
        """Begin a new interval of the log; what came before (a verification) does not count as training time."""
        self._reported, self._marked, self._since = self.step, self._batches_done, time.perf_counter()

    def _report(self):
        figures = self._meter.read()
        seconds = time.perf_counter() - self._since
        rate = (self._batches_done - self._marked) * self._train.batch_size * self._workers.count / seconds
        row = {"step": self.step, "epoch": (self.step - 1) // self._steps_an_epoch + 1, "seconds": round(seconds, 3),
               "images_per_second": round(rate, 1),
               "lr": float(self._schedule(self.step * self._workers.updates_a_batch)), **figures}
        self.intervals.append(row)
        self._losses.append(figures["loss"])
        self._run.log("interval", **row)
        LOG.info(f"epoch {row['epoch']} step {self.step}: {rate:.1f} images/s, lr {row['lr']:.4g}, "
                 f"{told(figures)}")
        self._mark()

    def parameters(self):
        """Return the parameters, once BatchNorm's backward pass has written its moving statistics."""
        mx.nd.waitall()
        return self._module.get_params()

    def keep(self):
        """Save, verify, and save what is good, unless that was done at this step already.

        The weights are on disk before the verification begins: whatever ends it, they are not lost.
        """
        if self._kept_at == self.step and self.step:
            return
        self._kept_at = self.step
        parameters = self.parameters()
        loss = sum(self._losses) / len(self._losses) if self._losses else float("inf")
        self._losses = []
        if self._verifier:  # without one, run.keep follows at once
            self._run.last = self._run.save("last", *parameters, {"step": self.step, "loss": loss})
        accuracy = self._verifier.at(self.step, *parameters)
        score = -loss if accuracy is None else accuracy
        saved = self._run.keep(score, *parameters, self._metrics(loss, accuracy), not self._embedding_moved)
        self._run.log("checkpoint", step=self.step, loss=loss, accuracy=accuracy, saved=saved)
        LOG.info(f"saved {', '.join(saved) or 'by rank 0'}")
        self.snapshot()

    def _snapshot_if_due(self):
        if self._run.state and self._run.state.is_due(self._batches_done):
            self.snapshot()

    def snapshot(self):
        """Write down where the run is, unless that was done."""
        if not self._run.state or self._snapshot_at == self._batches_done or not self._module.can_be_kept:
            return
        optimizer, arrays = module_state(self._module, *self.parameters())
        arrays.update({**self._meter.arrays(), **self._train.arrays()})
        epoch, batch = divmod(self._batches_done, self._train.batches)
        self._run.state.save({
            "step": self.step, "epoch": epoch, "batch": batch, "optimizer": optimizer, "intervals": self.intervals,
            "losses": self._losses, "kept_at": self._kept_at, "reported": self._reported,
            "history": self._verifier.history}, arrays)
        self._snapshot_at = self._batches_done

    def restore(self, facts, arrays):
        """Put everything where it stood; return the parameters to begin with."""
        self.step, self.epoch, self._batch = facts["step"], facts["epoch"], facts["batch"]
        self.intervals, self._losses = facts["intervals"], facts["losses"]
        self._kept_at, self._reported = facts["kept_at"], facts["reported"]
        self._snapshot_at = self._marked = self._batches_done
        self._meter.restore(arrays)
        self._train.go_to(self.epoch, self._batch)
        self._train.restore(arrays)
        self._there = True
        kept = self._run.file("verification.json")
        self._verifier.restore(facts["history"], read_verifications(kept) if os.path.exists(kept) else {})
        return parameters_of(arrays)

    def save_interrupted(self, name):
        """Save the weights as they are, after the signal called `name`."""
        self.interrupted = name or "SIGINT"
        if self._module is not None and self._module.params_initialized and self.step:
            self._run.last = self._run.save("last", *self.parameters(), {"step": self.step, "interrupted": True})
            self._run.log("interrupted", step=self.step, epoch=self.epoch + 1)
            if self._settled:
                self.snapshot()

    def with_what_is_left(self, failed):
        """Return the message of a failed run: what failed, at which rate, what is on disk, what to try."""
        kept = f"the last good checkpoint is {self._run.last}, the best {self._run.best}" if self._run.last else \
            f"{self._run.best} is what it began with" if self._run.best else \
            "nothing was saved yet" if self._workers.writes else "what rank 0 saved is on disk"
        advice = f"; try `lr` {self._options.lr / 10:g}" if "finite" in failed and self.step else ""
        return f"{failed} (step {self.step}, epoch {self.epoch + 1}, lr {self._options.lr:g}): {kept}{advice}"
