"""Learning-rate finder: raise the rate exponentially, batch by batch, and see where the loss falls fastest.

The range test of Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186, section 3.3), with
fastai's exponential rise and stopping rule. It runs in a process of its own, so that the caller's weights, optimizer,
random numbers and files cannot change.
"""
import contextlib
import dataclasses
import io
import json
import os
import pickle
import subprocess
import sys

from mxft import errors
from mxft.compat import mx
from mxft.errors import InputError, MxftError, RunError
from mxft.files.staging import scratch_folder
from mxft.training.lr_curve import LearningRates, running_mean, smooth, suggest

DIVERGED = 4.0     # times the lowest running mean of the losses: fastai's
LEAST_BATCHES = 20
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from mxft.workflows.lr_finder import serve; serve()"


def find_learning_rate(model, data, recipe=None, spec=None, gpus="", cpus=1, threads=None, start=1e-6, end=10.0,
                       batches=100, progress=None):
    """Try growing learning rates on a checkpoint, without touching it.

    Parameters
    ----------
    model : str
        ``"prefix,epoch"``.
    data : mxft.data.datasets.Records
    recipe : mxft.training.recipe.Recipe, optional
        What will be trained; its rate, schedule and epochs play no part. Of a plan in stages the first is tried.
    spec : InputSpec, optional
    gpus, cpus, threads
        As in `mxft.workflows.finetune.finetune`.
    start, end : float
        First and last rate.
    batches : int
        How many updates the rise takes; the records are gone through again where they do not suffice.
    progress : callable, optional
        Called with (number of updates done, rate, loss).

    Returns
    -------
    LearningRates

    Raises
    ------
    InputError
        A range that is none, or what `finetune` would refuse too.
    RunError
        Training stopped for another reason than divergence.

    Notes
    -----
    Nothing is validated and nothing is written. The rate found belongs to these images an update, optimizer and plan.
    ``lr_mult`` of parameters applies on top of it, as in training.

    Examples
    --------
    >>> find_learning_rate("resnet-50,0", Records("train.rec"), Recipe(plan="head")).suggestion     # doctest: +SKIP
    0.021
    """
    from mxft.training.recipe import Recipe

    recipe = recipe or Recipe()
    check_search(recipe, start, end, batches)
    job = {"model": model, "data": data, "recipe": recipe, "spec": spec, "gpus": gpus, "cpus": cpus,
           "threads": threads, "start": start, "end": end, "batches": batches}
    rates, losses, last = [], [], {}
    with contextlib.closing(_messages(job)) as messages:
        for last in messages:
            if "rate" in last:
                rates.append(last["rate"])
                losses.append(last["loss"])
                if progress:
                    progress(len(rates), last["rate"], last["loss"])
    return LearningRates(tuple(rates), tuple(losses), suggest(rates, losses), tuple(smooth(losses).tolist()),
                         last["stage"], last["diverged"])


def check_search(recipe, start, end, batches):
    """Refuse (InputError) a range of rates, or a number of batches, or a recipe, that no rate can be found with."""
    if not 0 < start < end < float("inf"):
        raise InputError(f"learning-rate range: expected 0 < start-lr < end-lr, received start-lr={start:g} and "
                         f"end-lr={end:g}")
    if batches < LEAST_BATCHES:
        raise InputError(f"learning-rate finder: expected at least {LEAST_BATCHES} batches, received batches={batches}")
    if recipe.solver:
        raise InputError(f"learning-rate finder: expected a head that learns by steps, received solver="
                         f"{recipe.solver!r}; leave it out, or fit the head first (mxft finetune --plan head "
                         f"--solver {recipe.solver}) and look for a rate from there with --require-head")


def _messages(job):
    """Run `serve` in a fresh interpreter; yield its messages, the last one with ``stage``, or raise its error."""
    # multiprocessing would run the caller's script again, and most have no __name__ guard
    child = subprocess.Popen([sys.executable, "-c", _CHILD, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             start_new_session=True)  # Ctrl-C is for the caller, who ends the child
    try:
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(pickle.dumps(job))
        message = {}
        for line in child.stdout:
            message = json.loads(line)
            if "error" in message:
                raise getattr(errors, message["error"], RunError)(message["text"])
            yield message
        if "stage" not in message:
            raise RunError(f"learning-rate finder stopped: expected its process to end with a result, received exit "
                           f"status {child.wait()} (a negative one is a signal; -9 is often too little memory)")
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def serve():
    """Do the job that stands pickled on standard input, and write a line of JSON for each batch: the finder's child."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the channel is for messages, whatever a library prints

    def send(**message):
        channel.write(json.dumps(message) + "\n")

    try:
        job = pickle.load(sys.stdin.buffer)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            send(**_range_test(send=send, **job))
    except MxftError as error:
        send(error=type(error).__name__, text=error.message)
    except BrokenPipeError:
        os._exit(1)  # the caller is gone


def _range_test(model, data, recipe, spec, gpus, cpus, threads, start, end, batches, send):
    """Train `batches` batches at growing rates; return the stage's name and whether the loss diverged."""
    from mxft.data.iterators import RecordIterator
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.fit import fit, seed_everything
    from mxft.training.preparation import prepare

    checkpoint = load_checkpoint(model)
    spec = spec or checkpoint.input_spec or checkpoint.assumed_spec(InputSpec())
    ready = prepare(checkpoint, data, recipe, spec, gpus, cpus)
    recipe, network, stage = ready.recipe, ready.network, ready.stages[0]
    with _records(recipe, data, ready.scans["train"]) as (path, records):
        seed_everything(recipe.seed)
        train = RecordIterator(path, spec, stage.batch_size, records, stage.augmentation, shuffle=True,
                               seed=recipe.seed, threads=threads, label_width=network.target.label_width,
                               label_name=network.label_name)
        watch, rise = _Watch(send, batches), ExponentialRise(start, end, batches)
        options = dataclasses.replace(stage.fit, epochs=batches, patience=0)
        try:
            result = fit(network.symbol, network.arg_params, network.aux_params, stage.plan,
                         _UpdateAnEpoch(train, options.accumulate), watch, rise, options, ready.devices,
                         objective=network.objective)
            if result.interrupted:
                raise RunError("learning-rate finder stopped: its process was told to end")
        except RunError as error:
            if "finite" not in str(error) or not watch.losses:
                raise
            watch.diverged = True
    return {"stage": stage.name, "diverged": watch.diverged}


@contextlib.contextmanager
def _records(recipe, data, scan):
    """Yield the file to train on and its number of records, oversampled where the recipe says so."""
    if not recipe.oversample:
        yield data.train, len(scan.ids)
        return
    from mxft.data.oversampling import oversample_records, oversampled_order

    with scratch_folder("lr") as folder:
        yield (oversample_records(data.train, os.path.join(folder, "oversampled.rec"), recipe.seed),
               len(oversampled_order(scan.labels.astype(int), recipe.seed)))


class ExponentialRise(mx.lr_scheduler.LRScheduler):
    """From `start` at the first update to `end` at the last, by the same factor each time.

    Examples
    --------
    >>> [round(ExponentialRise(0.001, 1, 4)(update), 6) for update in (1, 2, 3, 4)]
    [0.001, 0.01, 0.1, 1.0]
    """

    def __init__(self, start, end, updates):
        super().__init__(base_lr=start)
        self._start, self._end, self._updates = start, end, updates

    def __call__(self, num_update):
        return self._start * (self._end / self._start) ** ((num_update - 1) / (self._updates - 1))


class _UpdateAnEpoch(mx.io.DataIter):
    """Another iterator's batches, those of an update an epoch: what `fit` says of an epoch is said of an update."""

    def __init__(self, train, batches):
        super().__init__(train.batch_size)
        self.provide_data, self.provide_label = train.provide_data, train.provide_label
        self.batches, self._train, self._given = batches, train, 0

    def reset(self):
        self._given = 0

    def next(self):
        if self._given == self.batches:
            raise StopIteration
        self._given += 1
        try:
            return self._train.next()
        except StopIteration:
            self._train.reset()
            return self._train.next()


class _Watch:
    """Stands where `fit` expects a run: keeps nothing, sends each loss on and stops when it diverges."""

    def __init__(self, send, batches):
        self.losses, self.diverged = [], False
        self._send, self._settled = send, batches // 10

    def save(self, epoch, arg_params, aux_params, metrics):
        """Save nothing."""

    def log(self, event, **facts):
        """Take an epoch of one update."""
        from mxft.training.callbacks import StopTraining

        if event != "epoch":
            return
        self.losses.append(facts["train_loss"])
        self._send(rate=facts["lr"], loss=facts["train_loss"])
        means = running_mean(self.losses)
        if len(means) > self._settled and means[-1] > DIVERGED * means.min():
            self.diverged = True
            raise StopTraining("the loss diverged")
